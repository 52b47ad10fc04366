"""What a batch stage does without where stages are reused: neither does it see it, nor does it count."""

from dataclasses import replace

import pytest

from controller.core.inputs.project import load, unread
from controller.core.inputs.project.leftout import MOST
from controller.core.model import Module, ProjectTree
from tests.support.projects import BATCH_INI, tree

INI = "[default]\nPROJECT_NAME = iris\n[workflow]\nREUSE = yes\nDAG = a >> b >> steps\n"
YAML = """\
version: "1.1"
pipeline: {name: iris, DAG: a >> b >> c, reuse: true}
stages:
  a: {executable_module_path: flow/a.py, batch: {}}
  b: {executable_module_path: flow/b.py, batch: {}}
  c: {executable_module_path: flow/deep/c.py, service: {port: 80}}
"""


def known(found: ProjectTree, imports: dict[str, tuple[str, ...]]) -> ProjectTree:
    """Return the tree with its modules, which import these."""
    while wanted := unread(found):
        modules = {name: Module(imports=imports.get(name, ())) for name in wanted.modules}
        found = replace(found, modules={**found.modules, **modules})
    return found


def left_out(found: ProjectTree, imports: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: stage.left_out for name, stage in load(known(found, imports)).stages.items()}


IMPORTS = {
    "nothing": ({}, {"b", "steps"}),
    "a module of another stage": ({"a/main.py": ("b.tools",)}, {"steps"}),
    "one through a module of none": ({"a/main.py": ("lib",), "lib.py": ("steps.main",)}, {"b"}),
}


@pytest.mark.parametrize(("imports", "others"), IMPORTS.values(), ids=IMPORTS)
def test_a_stage_does_without_the_folders_of_others_unless_it_imports_from_them(
    imports: dict[str, tuple[str, ...]], others: set[str]
) -> None:
    stages = ("a", "b", "steps")
    texts = {"bodywork.ini": INI} | {f"{stage}/config.ini": BATCH_INI for stage in stages}
    scripts = [f"{stage}/main.py" for stage in stages]
    found = tree(
        texts, *scripts, "b/tools.py", "lib.py", "README.md", "b/license", ".github/x.yaml", "data/readme_x.csv"
    )
    own = {"bodywork.ini", "README.md", "b/license", ".github", *(f"{stage}/config.ini" for stage in stages)}
    assert set(left_out(found, imports)["a"]) == own | others


def test_of_too_many_documents_the_same_ones_are_left_out_each_time() -> None:
    documents = [f"docs/{number}/README.md" for number in range(MOST + 9)]
    found = tree({"bodywork.yaml": YAML}, "flow/a.py", "flow/b.py", "flow/deep/c.py", *documents)
    assert {*documents} & {*left_out(found, {})["a"]} == {*sorted(documents)[:MOST]}


def test_stages_in_one_folder_do_without_each_others_scripts() -> None:
    found = tree({"bodywork.yaml": YAML}, "flow/a.py", "flow/b.py", "flow/tools.py", "flow/deep/c.py", "flow/deep/d.py")
    assert left_out(found, {}) == {
        "a": ("bodywork.yaml", "flow/b.py", "flow/deep"),
        "b": ("bodywork.yaml", "flow/a.py", "flow/deep"),
        "c": (),
    }
    assert left_out(found, {"flow/b.py": ("a", "deep.d")})["b"] == ("bodywork.yaml",)


def test_where_nothing_is_reused_no_stage_does_without_anything() -> None:
    found = tree(
        {"bodywork.yaml": YAML.replace("reuse: true", "reuse: false")}, "flow/a.py", "flow/b.py", "flow/deep/c.py"
    )
    assert set(left_out(found, {}).values()) == {()}
