"""Which files of a project count, which are only nearly named right, and that nothing is told by halves."""

from dataclasses import replace

import pytest

from controller.core.errors import Invalid
from controller.core.inputs.project import load, unread
from controller.core.model import Module, Unread
from tests.support.projects import BATCH_INI, MAIN_INI, SERVICE_INI, one_stage, problems_of, tree

TEXTS = {
    "bodywork.ini": MAIN_INI,
    "train/config.ini": BATCH_INI,
    "train/requirements.txt": "-r ../base.in\n-c ../limits.txt\n",
    "base.in": "six\n",
    "limits.txt": "six<2\n",
}
OTHERS = ("train/main.py", "notebooks/config.ini", "docs/requirements.txt", "train/requirements-dev.txt")
YAML = """\
version: "1.0"
project: {name: iris, DAG: train}
stages:
  train: {executable_module_path: main.py, requirements: ["-r base.in"], batch: {}}
"""


def unknown_of(texts: dict[str, str]) -> tuple[set[str], set[str]]:
    """Return all texts and all modules that have to be known of a project of these texts before it can be judged."""
    whole = tree(texts, *OTHERS)
    known, read, modules = replace(whole, texts={}), set[str](), set[str]()
    while wanted := unread(known):
        read |= set(wanted.texts)
        modules |= set(wanted.modules)
        known = replace(
            known,
            texts={**known.texts, **{name: whole.texts[name] for name in wanted.texts}},
            modules={**known.modules, **dict.fromkeys(wanted.modules, Module())},
        )
    assert load(known).name == "iris"
    return read, modules


def test_only_the_files_that_a_project_uses_are_asked_for() -> None:
    assert unknown_of(TEXTS) == (set(TEXTS), {"train/main.py"})
    assert unknown_of({"bodywork.yaml": YAML, "base.in": "six", "main.py": ""}) == (
        {"bodywork.yaml", "base.in"},
        {"main.py"},
    )


def test_files_that_are_not_used_may_be_as_they_like() -> None:
    faults = {"notebooks/config.ini": "is a symbolic link to x", "docs/requirements.txt": "has 900000 bytes"}
    project = tree(TEXTS, *OTHERS, faults=faults)
    assert load(project).warnings == ()


@pytest.mark.parametrize(
    "file", ["bodywork.ini", "train/config.ini", "train/requirements.txt", "train/main.py", "train"]
)
def test_a_used_file_that_can_not_be_read_is_reported_once_and_not_as_a_warning_too(file: str) -> None:
    texts = {name: text for name, text in TEXTS.items() if name != file and not name.startswith(f"{file}/")}
    others = [name for name in OTHERS if name != file and not name.startswith(f"{file}/")]
    line = f"{file}: is a symbolic link to x, which is gone"
    project = replace(tree(texts, *others, faults={file: line.partition(": ")[2]}), warnings=(line, "data: other"))
    with pytest.raises(Invalid) as refused:
        load(project)
    assert (refused.value.problems, refused.value.warnings) == ((line,), ("data: other",))


def test_a_file_that_a_requirement_file_names_and_that_can_not_be_read_is_reported() -> None:
    project = tree({name: text for name, text in TEXTS.items() if name != "base.in"}, *OTHERS, "base.in",
                   faults={"base.in": "is 8.6 MiB large: 1 MiB at most: make it smaller"})  # fmt: skip
    assert problems_of(project) == ("base.in: is 8.6 MiB large: 1 MiB at most: make it smaller",)


def test_a_large_freeze_with_all_its_hashes_is_read() -> None:
    hashes = " ".join(f"--hash=sha256:{number:064x}" for number in range(40))
    freeze = "".join(f"package-{number}==1.0 {hashes}\n" for number in range(200))
    assert len(freeze) > 320 * 1024
    assert problems_of(one_stage(BATCH_INI, **{"train/requirements.txt": freeze})) == ()


def test_what_was_never_read_is_not_a_valid_project() -> None:
    assert problems_of(replace(tree(TEXTS, *OTHERS), texts={})) == ("bodywork.ini: could not be read",)
    assert unread(replace(tree(TEXTS, *OTHERS), texts={})) == Unread(texts=("bodywork.ini",))


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (("Bodywork.yaml",), "rename Bodywork.yaml to bodywork.yaml"),
        (("BODYWORK.INI",), "rename BODYWORK.INI to bodywork.ini"),
        (("bodywork.yml",), "rename bodywork.yml to bodywork.yaml"),
        (("Bodywork.YML",), "rename Bodywork.YML to bodywork.yaml"),
    ],
)
def test_a_project_file_with_nearly_the_right_name_is_reported(files: tuple[str, ...], lines: str) -> None:
    (line,) = problems_of(tree({}, *files))
    assert lines in line


def test_a_second_project_file_is_reported_to_be_without_effect() -> None:
    (warning,) = load(tree(TEXTS, *OTHERS, "bodywork.yml")).warnings
    assert warning == (
        "bodywork.yml: not used, since bodywork.ini is there too: its name is not exactly bodywork.yaml or bodywork.ini"
    )


def test_a_configuration_with_nearly_the_right_name_is_reported() -> None:
    project = tree({"bodywork.ini": MAIN_INI}, "train/Config.ini", "train/main.py")
    assert problems_of(project) == (
        "bodywork.ini: [workflow] DAG: train/config.ini not found: rename train/Config.ini to it",
    )


@pytest.mark.parametrize("name", ["Requirements.txt", "REQUIREMENTS.TXT", "requirement.txt", "requirments.txt"])
def test_requirements_with_nearly_the_right_name_are_reported(name: str) -> None:
    project = tree({"bodywork.ini": MAIN_INI, "train/config.ini": BATCH_INI}, "train/main.py", f"train/{name}")
    assert load(project).warnings == (f"train/{name}: not read: rename it to requirements.txt",)


@pytest.mark.parametrize(
    ("config", "problem", "warning"),
    [
        (BATCH_INI.replace("EXECUTABLE_SCRIPT", "EXECUTABEL_SCRIPT"),
         "[default] EXECUTABLE_SCRIPT: missing: write a Python file like train.py",
         "[default] EXECUTABEL_SCRIPT: unknown key, not used: did you mean EXECUTABLE_SCRIPT?"),
        (BATCH_INI.replace("[default]", "[Default]"), "[default] STAGE_TYPE: missing: write batch or service",
         "[Default]: unknown key, not used: did you mean default?"),
        (BATCH_INI + "GPU = x\n[Batch]\nRETRIES = 1\n", '[default] GPU: expected a whole number, 0 or more, got "x"',
         "[Batch]: unknown key, not used: did you mean batch?"),
        (BATCH_INI + "GPU = x\n[batch]\nRETRY = 1\n", '[default] GPU: expected a whole number, 0 or more, got "x"',
         "[batch] RETRY: unknown key, not used: did you mean RETRIES?"),
    ],
)  # fmt: skip
def test_a_near_miss_is_reported_with_the_problem_that_it_explains(config: str, problem: str, warning: str) -> None:
    with pytest.raises(Invalid) as refused:
        load(one_stage(config))
    separator = "" if warning.startswith("[") else ": "
    start = "train/config.ini: "
    assert start + problem in refused.value.problems
    assert (start + warning).replace(": : ", ": ") in refused.value.warnings, separator
    assert f"warning: {start}{warning}" in refused.value.lines


def test_a_near_miss_in_yaml_is_reported_with_the_problem_that_it_explains() -> None:
    with pytest.raises(Invalid) as refused:
        load(tree({"bodywork.yaml": YAML.replace("executable_module_path", "executable_module")}, "main.py", "base.in"))
    assert refused.value.warnings == (
        "bodywork.yaml: stages.train.executable_module: unknown key, not used: did you mean executable_module_path?",
    )


@pytest.mark.parametrize(
    ("config", "places"),
    [
        (BATCH_INI.replace("batch", "cron") + "[batch]\nRETRIES = two\n", ["[batch] RETRIES", "[default] STAGE_TYPE"]),
        (SERVICE_INI.replace("STAGE_TYPE = service\n", "").replace("5000", "0"),
         ["[default] STAGE_TYPE", "[service] PORT"]),
        (BATCH_INI + "GPU = x\nCPU_REQUEST = y\n[env]\nPATH = 1\n[secrets]\nA-B = c\n[batch]\nRETRIES = -1\n",
         ["[batch] RETRIES", "[default] CPU_REQUEST", "[default] GPU", "[env] PATH", "[secrets] A-B"]),
    ],
)  # fmt: skip
def test_every_bad_value_of_a_stage_is_reported_at_once(config: str, places: list[str]) -> None:
    told = problems_of(one_stage(config))
    assert sorted(line.split(": ")[1] for line in told) == places


def test_the_requirements_of_a_stage_that_never_runs_are_not_used() -> None:
    idle = '  idle: {executable_module_path: main.py, requirements: ["-r gone.txt"], batch: {}}\n'
    project = tree({"bodywork.yaml": YAML + idle, "base.in": "six"}, "main.py")
    assert load(project).warnings == ("bodywork.yaml: stages.idle: is not in the DAG: it never runs",)
