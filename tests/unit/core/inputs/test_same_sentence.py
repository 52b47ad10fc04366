"""The same fault reads the same, wherever people write it: only its place differs."""

from collections.abc import Callable

import pytest
import yaml

from controller.core.errors import Invalid
from controller.core.inputs import podtemplate, project, request
from controller.core.model import ProjectTree
from controller.settings import load

URL = "https://github.com/acme/iris"


def in_request(key: str, value: str, **annotations: str) -> None:
    metadata = {"name": "iris", "annotations": {f"coachwork.io/{name}": text for name, text in annotations.items()}}
    request.parse({"metadata": metadata, "data": {"repository": URL, key: value}})


def in_annotation(given: str) -> None:
    in_request("ref", "main", trigger="t", set=f"t {given}")


def in_settings(name: str, value: str) -> None:
    load({"COACHWORK_NAMESPACE": "ml", "COACHWORK_IMAGE": "coachwork:dev", f"COACHWORK_{name}": value}, {})


def in_template(spec: dict[str, object]) -> None:
    podtemplate.read({"data": {"pod.yaml": yaml.safe_dump({"spec": spec})}}, "gpu", "coachwork")


def in_stage(**container: object) -> None:
    in_template({"containers": [{"name": "stage", **container}]})


def in_yaml(**changes: object) -> None:
    stage = {"executable_module_path": "train.py", "batch": {}, **changes}
    stage = {key: value for key, value in stage.items() if value is not None}
    document = {"version": "1.0", "project": {"name": "iris", "DAG": "train"}, "stages": {"train": stage}}
    load_project({"bodywork.yaml": yaml.safe_dump(document), "train.py": ""})


def in_project(**changes: object) -> None:
    head = {"name": "iris", "DAG": "train", **changes}
    stages = {"train": {"executable_module_path": "train.py", "batch": {}}}
    load_project({"bodywork.yaml": yaml.safe_dump({"version": "1.0", "project": head, "stages": stages})})


def in_ini(head: str = "", stage: str = "", kind: str = "batch") -> None:
    own = f"[default]\nPROJECT_NAME = iris\n{head}\n[workflow]\nDAG = train\n"
    config = f"[default]\nSTAGE_TYPE = {kind}\nEXECUTABLE_SCRIPT = train.py\n{stage}\n"
    load_project({"bodywork.ini": own, "train/config.ini": config})


def load_project(files: dict[str, str]) -> None:
    texts = {path: text.encode() for path, text in {**files, "train/train.py": "", "train.py": ""}.items()}
    project.load(ProjectTree("digest", frozenset(texts), texts), strict=True)


def problem(write: Callable[[], None]) -> str:
    with pytest.raises(Invalid) as refused:
        write()
    return refused.value.problems[0]


FAULTS: dict[str, list[Callable[[], None]]] = {
    'expected an image like python:3.12-slim, got "a b": write a-b': [
        lambda: in_request("image", "a b"),
        lambda: in_settings("IMAGE", "a b"),
        lambda: in_settings("TRIGGER_IMAGE", "a b"),
        lambda: in_project(docker_image="a b"),
        lambda: in_ini("DOCKER_IMAGE = a b"),
    ],
    'expected an image like python:3.12-slim, got "Python 3.12": write python:3.12': [
        lambda: in_request("image", "Python 3.12"),
    ],
    "is set by Coachwork itself: choose another name": [
        lambda: in_request("env.HOME", "x"),
        lambda: in_annotation('{"HOME": "x"}'),
        lambda: in_yaml(env={"HOME": "x"}),
        lambda: in_yaml(secrets={"HOME": "aws"}),
        lambda: in_ini(stage="[env]\nHOME = x"),
        lambda: in_ini(stage="[secrets]\nHOME = aws"),
        lambda: in_stage(env=[{"name": "HOME", "value": "x"}]),
    ],
    "can't name a variable: use letters, digits and _, and begin with no digit": [
        lambda: in_request("env.A-B", "x"),
        lambda: in_annotation('{"A-B": "x"}'),
        lambda: in_yaml(env={"A-B": "x"}),
        lambda: in_ini(stage="[env]\nA-B = x"),
        lambda: in_stage(env=[{"name": "A-B", "value": "x"}]),
    ],
    "expected text: put the value in quotes": [
        lambda: in_request("ref", 5),  # type: ignore[arg-type]  # what a client may send
        lambda: in_annotation('{"A": 5}'),
        lambda: in_yaml(env={"A": 5}),
        lambda: in_yaml(args=[5]),
        lambda: in_stage(env=[{"name": "A", "value": 5}]),
        lambda: in_template({"nodeSelector": {"gpu": True}}),
    ],
    "is 40000 characters long: 32768 at most": [
        lambda: in_request("env.A", "x" * 40_000),
        lambda: in_yaml(env={"A": "x" * 40_000}),
        lambda: in_yaml(args=["x" * 40_000]),
    ],
    "is 128000 bytes long: 122880 at most": [
        lambda: in_request("env.A", "🚀" * 32_000),
    ],
    'expected a name of lower-case letters, digits, - and ., got "A_B"': [
        lambda: in_request("git-secret", "A_B"),
        lambda: in_request("pod-template", "A_B"),
        lambda: in_settings("CLAIM", "A_B"),
        lambda: in_template({"priorityClassName": "A_B"}),
        lambda: in_template({"imagePullSecrets": [{"name": "A_B"}]}),
    ],
    'expected 1 to 63 letters, digits, - _ or ., with a letter or digit at both ends, got "-a"': [
        lambda: in_request("project-name", "-a"),
        lambda: in_project(name="-a"),
    ],
    'expected true or false, got "maybe"': [
        lambda: in_request("suspend", "maybe"),
        lambda: in_settings("ALLOW_FILE_REPOSITORIES", "maybe"),
        lambda: in_template({"volumes": [{"name": "x", "secret": {"secretName": "s", "optional": "maybe"}}]}),
        lambda: in_yaml(batch=None, service={"port": 5000, "ingress": "maybe"}),
        lambda: in_ini(stage="[service]\nPORT = 5000\nINGRESS = maybe", kind="service"),
    ],
    "expected a section with keys of its own, got 5": [
        lambda: in_template({"affinity": 5}),
        lambda: in_yaml(batch=5),
        lambda: in_yaml(env=5),
    ],
    'expected a branch, a tag or a commit, got "a..b"': [
        lambda: in_request("ref", "a..b"),
        lambda: in_yaml(requirements=["x @ git+https://h/r@a..b"]),
    ],
    "it names no user: write it as ssh://git@HOST/PATH (git is the user on most servers)": [
        lambda: in_request("repository", "ssh://h/r"),
        lambda: in_yaml(requirements=["x @ git+ssh://h/r"]),
    ],
    "unknown key: did you mean tolerations?": [lambda: in_template({"tolerationz": []})],
    "unknown key: did you mean keep-runs?": [lambda: in_request("keep-run", "5")],
    "unknown key: did you mean COACHWORK_WORKERS?": [lambda: in_settings("WORKRES", "5")],
}  # fmt: skip


@pytest.mark.parametrize(("sentence", "write"), [(line, write) for line, writes in FAULTS.items() for write in writes])
def test_a_fault_reads_the_same_wherever_it_is_written(sentence: str, write: Callable[[], None]) -> None:
    assert problem(write).endswith(f": {sentence}")


@pytest.mark.parametrize(
    ("write", "range_"),
    [
        (lambda: in_request("keep-runs", "x"), "from 1 to 30"),
        (lambda: in_settings("WORKERS", "x"), "from 1 to 64"),
        (
            lambda: in_template({"volumes": [{"name": "x", "secret": {"secretName": "s", "defaultMode": "x"}}]}),
            "from 0",
        ),
    ],
)
def test_numbers_are_expected_in_the_same_words(write: Callable[[], None], range_: str) -> None:
    assert f": expected a whole number {range_}" in problem(write)


@pytest.mark.parametrize(
    ("write", "range_"),
    [
        (lambda: in_request("deadline", "x"), "from 1s to 8784h"),
        (lambda: in_request("poll", "1s"), "from 10s to 8784h"),
        (lambda: in_settings("START_GRACE", "x"), "from 0 to 24h"),
    ],
)
def test_durations_are_expected_in_the_same_words(write: Callable[[], None], range_: str) -> None:
    assert f": expected a duration like 30s, 5m, 2h or 1h30m {range_}, got " in problem(write)
