"""What holds for every project: bad files are told and never crash, both forms of a project mean the same."""

import json
from dataclasses import replace
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.errors import Invalid
from controller.core.inputs.project import load
from controller.core.inputs.variables import is_reserved
from controller.core.model import Pipeline, ProjectTree
from controller.core.names import kubernetes_name
from tests.support.projects import BATCH_INI, MAIN_INI, SERVICE_INI, outcome, tree

YAML = """\
version: "1.1"
pipeline: {name: iris, DAG: train}
stages:
  train: &t
    executable_module_path: train/main.py
    args: ["a"]
    requirements: ["-r train/requirements.txt"]
    batch: {retries: 1}
    secrets: {A: b}
"""
INI_FILES = {
    "bodywork.ini": MAIN_INI.replace("train", "train >> serve"),
    "train/config.ini": BATCH_INI + "[batch]\nRETRIES = 1\n[env]\nA = b\n[secrets]\nB = c\n",
    "serve/config.ini": SERVICE_INI,
    "train/requirements.txt": "pandas\n-r ../bodywork.ini\n",
}
OTHERS = ("train/main.py", "serve/main.py")


def holds(project: ProjectTree) -> None:
    """Check what is promised of every outcome."""
    result = outcome(project)
    if isinstance(result, Pipeline):
        named = {name for step in result.steps for name in step} | {result.run_on_failure}
        assert set(result.stages) == named - {""}
        return
    assert isinstance(result, Invalid)
    assert result.problems
    for line in result.problems:
        assert line.split(":")[0] in project.files | {"bodywork.ini"}, line
        assert line.isprintable()
        assert len(line) <= 500


def mutated(draw: st.DrawFn, text: bytes) -> bytes:
    """Return the text with a piece of it replaced, doubled or gone."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    piece = draw(
        st.binary(max_size=8)
        | st.sampled_from(
            [b"\n", b"[", b"=", b">>", b": ", b"*t", b"&t ", b"- ", b"'", b'"', b"!!x ", b"{", b"\n<<: *t\n"]
        )
        | st.just(text[start:end] * 2)
    )
    return text[:start] + piece + text[end:]


@st.composite
def spoiled(draw: st.DrawFn, texts: dict[str, str]) -> ProjectTree:
    """Return a project with one file spoiled a few times."""
    contents: dict[str, str | bytes] = dict(texts)
    path = draw(st.sampled_from(sorted(texts)))
    content = texts[path].encode()
    for _ in range(draw(st.integers(1, 3))):
        content = mutated(draw, content)
    return tree({**contents, path: content}, *OTHERS)


@settings(deadline=None)
@given(content=st.binary(max_size=400), path=st.sampled_from([*INI_FILES, "bodywork.yaml"]))
def test_any_bytes_in_any_file_give_a_pipeline_or_problems(content: bytes, path: str) -> None:
    holds(tree({**INI_FILES, path: content}, *OTHERS))


@settings(deadline=None)
@given(content=st.text(alphabet=st.sampled_from(list("ab1:-[]{}&*!<>=?|#;%,'\"\n \t\\~.")), max_size=120))
def test_any_marks_in_a_project_file_give_a_pipeline_or_problems(content: str) -> None:
    holds(tree({"bodywork.yaml": content}))
    holds(tree({"bodywork.ini": content}))


@settings(deadline=None)
@given(spoiled(INI_FILES))
def test_a_spoiled_ini_project_gives_a_pipeline_or_problems(project: ProjectTree) -> None:
    holds(project)


@settings(deadline=None)
@given(spoiled({"bodywork.yaml": YAML, "train/requirements.txt": ""}))
def test_a_spoiled_yaml_project_gives_a_pipeline_or_problems(project: ProjectTree) -> None:
    holds(project)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
stage_keys = st.sampled_from(
    "executable_module_path args requirements cpu_request cpu_limit gpu batch service env secrets".split()  # noqa: SIM905 - readable
)


@settings(deadline=None)
@given(stage=st.dictionaries(stage_keys, anything), head=st.dictionaries(st.sampled_from(["name", "DAG"]), anything))
def test_any_values_in_known_places_give_a_pipeline_or_problems(stage: dict[str, Any], head: dict[str, Any]) -> None:
    document = {"version": "1.0", "project": {"name": "iris", "DAG": "train", **head}, "stages": {"train": stage}}
    holds(tree({"bodywork.yaml": json.dumps(document)}))


# --- one project in both forms ---------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not is_reserved(name))
values = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters='"\x7f', categories=["L", "N", "P", "Zs"]),
    max_size=12,
)
secrets = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
counts = st.integers(1, 100)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


stages = st.builds(
    lambda common, work: {**common, **work},
    optional(
        cpu_request=st.integers(0, 4) | st.sampled_from([0.1, 0.25]),
        memory_request_mb=counts,
        cpu_limit=st.integers(4, 8),
        memory_limit_mb=st.integers(100, 200),
        gpu=st.integers(0, 4),
        env=st.dictionaries(variables, values, max_size=3),
        secrets=st.dictionaries(variables, secrets, max_size=3),
        requirements=st.lists(
            st.sampled_from(["pandas==2.2.3", "git+https://h/r@v1", "flask>=2 ; python_version > '3'"])
        ),
    ),
    st.builds(lambda batch: {"batch": batch}, optional(max_completion_time_seconds=counts, retries=counts))
    | st.builds(
        lambda port, service: {"service": {"port": port, **service}},
        counts,
        optional(
            max_startup_time_seconds=counts, replicas=counts, ingress=st.booleans(), readiness_path=st.just("/ok")
        ),
    ),
)
dags = st.lists(names, min_size=1, max_size=6, unique_by=kubernetes_name).flatmap(
    lambda unique: st.lists(st.sampled_from([" >> ", ", "]), min_size=len(unique), max_size=len(unique)).map(
        lambda marks: [part for pair in zip(unique, marks, strict=True) for part in pair][:-1]
    )
)


def as_ini(stage: dict[str, Any]) -> str:
    """Write a stage's document as its config.ini."""
    kind = "batch" if "batch" in stage else "service"
    sections: dict[str, dict[str, Any]] = {
        "default": {
            "STAGE_TYPE": kind,
            "EXECUTABLE_SCRIPT": "main.py",
            **{key.upper(): value for key, value in stage.items() if not isinstance(value, dict | list)},
        },
        kind: {key.upper(): value for key, value in stage[kind].items()},
        **{section: stage[section] for section in ("env", "secrets") if section in stage},
    }
    return "".join(
        f"[{section}]\n" + "".join(f'{key} = "{value}"\n' for key, value in pairs.items())
        for section, pairs in sections.items()
    )


@settings(deadline=None)
@given(dag=dags, data=st.data())
def test_both_forms_of_a_project_give_the_same_pipeline(dag: list[str], data: st.DataObject) -> None:
    documents = {name: data.draw(stages) for name in dag if name.strip() not in {">>", ","}}
    yaml_stages = {name: {**stage, "executable_module_path": f"{name}/main.py"} for name, stage in documents.items()}
    head = {"name": "iris", "DAG": "".join(dag), "docker_image": "python:3.12"}
    ini = {
        "bodywork.ini": "[default]\nPROJECT_NAME = iris\nDOCKER_IMAGE = python:3.12\n"
        f'[workflow]\nDAG = "{"".join(dag)}"\n',
        **{f"{name}/config.ini": as_ini(stage) for name, stage in documents.items()},
        **{f"{name}/requirements.txt": "\n".join(stage.get("requirements", [])) for name, stage in documents.items()},
    }
    scripts = [f"{name}/main.py" for name in documents]
    text = yaml.safe_dump(
        {"version": "1.0", "project": head, "stages": yaml_stages}, allow_unicode=True, sort_keys=False
    )
    from_yaml = load(tree({"bodywork.yaml": text}, *scripts), strict=True)
    from_ini = load(tree(ini, *scripts), strict=True)
    bare = {name: replace(stage, requirements_file="") for name, stage in from_ini.stages.items()}
    assert replace(from_ini, stages=bare, is_yaml=True) == from_yaml  # short names are YAML's alone
