"""Which image, and with it which Python, a stage gets: what wins, what Bodywork's image means, what is refused."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from controller.core import images
from controller.core.errors import Invalid
from controller.core.images import OFFICIAL, Choice
from controller.core.inputs.project import load
from controller.core.model import Policy
from tests.support.projects import BATCH_INI, MAIN_INI, one_stage, problems_of, tree

DEFAULT = "coachwork:dev"
BODYWORK = "bodyworkml/bodywork-core"


def main_ini(**keys: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return MAIN_INI.replace("[workflow]", f"{lines}[workflow]")


def stage_ini(python: str = "") -> str:
    return f"{BATCH_INI}PYTHON = {python}\n" if python else BATCH_INI


def chosen(
    said: Mapping[str, str] = MappingProxyType({}), known: tuple[tuple[str, str], ...] = OFFICIAL, **more: str
) -> tuple[str, Choice]:
    """Return the image of a project's stage `train`, and all that was decided.

    `said` are keys of bodywork.ini; `asked` is the request's image, `python` the stage's PYTHON.
    """
    keys = {**said, **more}
    asked, python = keys.pop("asked", ""), keys.pop("python", "")
    pipeline = load(one_stage(stage_ini(python), main_ini(**keys)))
    policy = Policy(namespace="ns", image=DEFAULT, images=known, claim="c", tools="t")
    choice = images.choose(pipeline, ["train"], asked, policy)
    return dict(choice.images).get("train") or pipeline.image or asked or DEFAULT, choice


@pytest.mark.parametrize(
    ("tag", "python", "words"),
    [
        (":1.0.1", "3.8", "which had Python 3.7: its stages get 3.8"),
        (":0.4.2", "3.8", "which had Python 3.7"),
        (":2.1.8", "3.8", ""),
        (":2", "3.8", ""),
        (":v2.0.0", "3.8", ""),
        (":3.0.3", "3.9", ""),
        (":3.0-slim", "3.9", ""),
        (":2.1@sha256:" + "0" * 64, "3.8", ""),
        ("", "3.9", ""),
        (":latest", "3.9", ""),
        (":dev", "3.9", "does not name its version"),
        (":sha-3f1c2ab", "3.9", "does not name its version"),
        (":20210305", "3.9", "does not name its version"),
        ("@sha256:" + "0" * 64, "3.9", "does not name its version"),
    ],
)
@pytest.mark.parametrize("host", ["", "docker.io/", "index.docker.io/"])
def test_bodyworks_image_means_the_python_that_it_had(host: str, tag: str, python: str, words: str) -> None:
    image, choice = chosen(DOCKER_IMAGE=f"{host}{BODYWORK}{tag}")
    assert image == f"python:{python}-slim"
    assert choice.pythons == {"train": python}
    assert [words in note for note in choice.notes] == ([True] if words else [])


def test_a_copy_of_bodyworks_image_in_another_registry_is_an_image_like_any_other() -> None:
    copy = f"registry.example.com/{BODYWORK}:2.1"
    assert chosen(DOCKER_IMAGE=copy)[0] == copy


CASES: Mapping[str, tuple[dict[str, str], str]] = {
    "nothing is said": ({}, DEFAULT),
    "the project's Python": ({"PYTHON": "3.9"}, "python:3.9-slim"),
    "the stage's Python": ({"python": "3.10"}, "python:3.10-slim"),
    "stage over project": ({"python": "3.10", "PYTHON": "3.9"}, "python:3.10-slim"),
    "stage over image": ({"python": "3.10", "DOCKER_IMAGE": "python:3.12-slim"}, "python:3.10-slim"),
    "an image that has the stage's Python": ({"python": "3.12", "DOCKER_IMAGE": "python:3.12.1"}, "python:3.12.1"),
    "image over the project's Python": ({"PYTHON": "3.9", "DOCKER_IMAGE": "acme/ml:7"}, "acme/ml:7"),
    "the request's image": ({"asked": "acme/ml:7"}, "acme/ml:7"),
    "the request over the project's Python": ({"asked": "acme/ml:7", "PYTHON": "3.9"}, "acme/ml:7"),
    "the request over Bodywork's image": ({"asked": "acme/ml:7", "DOCKER_IMAGE": f"{BODYWORK}:2.1"}, "acme/ml:7"),
    "stage over request": ({"asked": "acme/ml:7", "python": "3.10"}, "python:3.10-slim"),
    "Python over Bodywork's image": ({"PYTHON": "3.11", "DOCKER_IMAGE": f"{BODYWORK}:1.0"}, "python:3.11-slim"),
    "stage over Bodywork's image": ({"python": "3.12", "DOCKER_IMAGE": f"{BODYWORK}:1.0"}, "python:3.12-slim"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_more_specific_word_wins(case: str) -> None:
    said, image = CASES[case]
    assert chosen(said)[0] == image


def test_where_request_and_project_differ_it_is_said() -> None:
    assert chosen(asked="python:3.12-slim", PYTHON="3.9")[1].notes == (
        "bodywork.ini: [default] PYTHON is 3.9, but the request's image wins, and python:3.12-slim has another",
    )
    (note,) = chosen(asked="acme/ml:7", python="3.10")[1].notes
    why = "since train/config.ini: [default] PYTHON is 3.10"
    assert note == f"stage train: runs on Python 3.10, {why}, and not in the request's image"
    assert chosen(asked="python:3.9", PYTHON="3.9")[1].notes == ()


def test_a_python_without_an_image_is_refused_with_the_setting_that_gives_one() -> None:
    with pytest.raises(Invalid) as refused:
        chosen(DOCKER_IMAGE=f"{BODYWORK}:2.1", known=(("3.10", "a"), ("3.12", "b")))
    (line,) = refused.value.problems
    assert line == (
        f"stage train: needs Python 3.8, since DOCKER_IMAGE is {BODYWORK}:2.1, and COACHWORK_IMAGES of the controller "
        "has no image of it (it has 3.10, 3.12): write PYTHON with one of these, or add 3.8=IMAGE to COACHWORK_IMAGES"
    )


def test_the_images_are_those_of_the_setting() -> None:
    assert chosen(PYTHON="3.9", known=(("3.9", "registry.example.com/py:9"),))[0] == "registry.example.com/py:9"


def test_a_project_that_says_nothing_of_a_python_is_as_before() -> None:
    kinds: tuple[dict[str, str], ...] = (
        {},
        {"DOCKER_IMAGE": "acme/ml:7"},
        {"DOCKER_IMAGE": "python:3.9-slim"},
        {"asked": "python:3.9"},
    )
    for keys in kinds:
        choice = chosen(keys)[1]
        assert (choice.images, choice.notes) == ((), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3.7", "expected Python 3.8 or later"),
        ("2.7", "expected Python 3.8 or later"),
        ("3.9.18", 'expected a Python like 3.9, got "3.9.18": write 3.9'),
        ("python3.9", ": write 3.9"),
        (">=3.10", ": write 3.10"),
        ("3", 'expected a Python like 3.9, got "3"'),
        ("39", "expected a Python like 3.9"),
        ("3.09", "expected a Python like 3.9"),
        ("4.1", "expected a Python like 3.9"),
        ("3.100", "expected a Python like 3.9"),
        ("pypy", "expected a Python like 3.9"),
        ("9" * 5000 + ".1", "expected a Python like 3.9"),
    ],
)
def test_what_is_not_a_version_is_refused_where_it_stands(text: str, words: str) -> None:
    (line,) = problems_of(one_stage(BATCH_INI, main_ini(PYTHON=text)))
    assert line.startswith("bodywork.ini: [default] PYTHON: ")
    assert words in line
    (line,) = problems_of(one_stage(stage_ini(text)))
    assert line.startswith("train/config.ini: [default] PYTHON: ")


def test_an_image_that_plainly_has_another_python_is_a_contradiction() -> None:
    assert problems_of(one_stage(BATCH_INI, main_ini(PYTHON="3.9", DOCKER_IMAGE="python:3.12-slim"))) == (
        "bodywork.ini: [default] PYTHON: is 3.9, and the image python:3.12-slim has Python 3.12: remove one of them",
    )


YAML = """\
version: "1.1"
pipeline: {{name: iris, DAG: train, {pipeline}}}
stages: {{train: {{executable_module_path: main.py, batch: {{}}, {stage}}}}}
"""


@pytest.mark.parametrize("written", ["3.10", '"3.10"', "'3.10'"])
def test_a_version_in_yaml_is_what_is_written_there(written: str) -> None:
    text = YAML.format(pipeline=f"python: {written}", stage=f"python: {written}")
    pipeline = load(tree({"bodywork.yaml": text}, "main.py"))
    assert (pipeline.python, pipeline.stages["train"].python) == ("3.10", "3.10")


@pytest.mark.parametrize(
    ("written", "words"), [("3", 'got "3"'), ("[3.9]", "got a list"), ("true", "got true"), ("3.9.1", "write 3.9")]
)
def test_what_is_not_a_version_in_yaml_is_refused_in_a_sentence(written: str, words: str) -> None:
    text = YAML.format(pipeline="", stage=f"python: {written}")
    (line,) = problems_of(tree({"bodywork.yaml": text}, "main.py"))
    assert line.startswith("bodywork.yaml: stages.train.python: expected a Python like 3.9")
    assert words in line


def test_near_misses_of_the_key_are_reported() -> None:
    main = main_ini(PYTHON_VERSION="3.9")
    assert "did you mean PYTHON?" in load(one_stage(BATCH_INI, main)).warnings[0]
