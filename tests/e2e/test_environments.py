"""Packages: built once for all who ask for the same, from public and private places; a failure is told plainly."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.e2e import NAMESPACE, VOLUME, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project
from tests.support.incluster_index import InClusterIndex
from tests.support.launching import source, wheel

SHOWS = "import six\nprint('six is', six.__version__)\n"


def run(coachwork: Coachwork, name: str, number: int = 1) -> dict[str, object]:
    """Return what is kept of a run."""
    return dict(json.loads(coachwork.run_file(name, number, "run.json")))


def folders(coachwork: Coachwork, name: str, number: int = 1) -> list[str]:
    """Return the environments of a run, by their folders on the volume."""
    return [item["folder"] for item in run(coachwork, name, number)["environments"]]  # type: ignore[attr-defined]


def test_two_projects_that_ask_for_the_same_share_one_environment(coachwork: Coachwork) -> None:
    first, second = coachwork.name("share"), coachwork.name("share")
    texts = {first: "six==1.16.0\n", second: "# the same\nSix == 1.16.0\n"}
    for name, text in texts.items():
        coachwork.git.push(name, project(name, "one", batch("one", SHOWS, requirements=text)))
    for name in texts:
        coachwork.request(name)
    for name in texts:
        record = coachwork.ended(name)
        assert record["phase"] == "Ready", told(record)
        assert "six is 1.16.0" in coachwork.run_file(name, 1, "logs/one/1.log")
    (folder,) = folders(coachwork, first)
    assert folders(coachwork, second) == [folder]
    logs = coachwork.shell("ls", f"{VOLUME}/builds/{folder}/logs").split()
    assert [name for name in logs if name.endswith(".log")] == ["1.log"]
    marked = ("-e", f"{VOLUME}/environments/{folder}/.uncompiled")  # compiled behind the stages that use it
    eventually(lambda: coachwork.shell("sh", "-c", 'test "$@" || echo gone', "sh", *marked).strip(), "compilation")
    compiled = coachwork.shell("find", f"{VOLUME}/environments/{folder}", "-name", "six.*.pyc").split()
    assert len(compiled) == 1


GREEDY = """
import json, os
found = [os.listdir("/coachwork/builds")]
for folder, _, files in os.walk("/coachwork"):
    if folder.startswith(("/coachwork/scratch", "/coachwork/builds/" + found[0][0])):
        continue
    for name in {"new", *files}:  # the backend is loaded more than once
        try:
            open(os.path.join(folder, name), "a").close()
            found.append(folder)
        except OSError:
            pass
"""


def test_a_package_that_is_built_sees_its_own_build_alone(coachwork: Coachwork) -> None:
    name = coachwork.name("greedy")
    files = project(
        name, "one", batch("one", "import greedy\nprint(greedy.FOUND)\n", requirements="./lib\nsix==1.16.0\n")
    )
    lib = source("greedy", before=GREEDY, module='f"FOUND = {json.dumps(found)!r}"')
    record = coachwork.start(name, files | {f"one/lib/{file}": text for file, text in lib.items()})
    assert record["phase"] == "Ready", told(record)
    (folder,) = folders(coachwork, name)
    lines = coachwork.run_file(name, 1, "logs/one/1.log").splitlines()
    assert [json.loads(line) for line in lines if line.startswith("[[")] == [[[folder], "/coachwork/environment"]]
    there = f"test ! -e {VOLUME}/builds/{folder}/cache && echo gone || true"
    eventually(
        lambda: coachwork.shell("sh", "-c", there).strip() == "gone", "end of the build, which removes its cache"
    )


def test_a_damaged_environment_is_built_again(coachwork: Coachwork) -> None:
    name = coachwork.name("damaged")
    record = coachwork.start(name, project(name, "one", batch("one", SHOWS, requirements="six==1.15.0\n")))
    assert record["phase"] == "Ready", told(record)
    (folder,) = folders(coachwork, name)
    coachwork.shell("rm", "-r", f"{VOLUME}/environments/{folder}/bin")
    record = coachwork.trigger(name, "without an interpreter")
    assert (record["phase"], record["stage.environment"]) == ("Ready", "Done"), told(record)
    assert folders(coachwork, name, 2) == [folder]
    # The controller can't see whether a link leads to a Python of the stage's image: the stage does.
    coachwork.shell("ln", "-sfn", "/no/such/python", f"{VOLUME}/environments/{folder}/bin/python")
    record = coachwork.trigger(name, "with a dangling one")
    assert record["phase"] == "Ready", told(record)
    assert "the environment is damaged (its Python is gone)" in coachwork.run_file(name, 3, "logs/one/1.log")
    record = coachwork.trigger(name, "and once more")
    assert (record["phase"], record["stage.environment"]) == ("Ready", "Done"), told(record)
    assert folders(coachwork, name, 4) == [f"{folder}-2"]


@pytest.fixture
def index(coachwork: Coachwork, tmp_path: Path) -> Iterator[InClusterIndex]:
    """A package index that wants a password."""
    hidden = wheel(tmp_path, "hidden", "1.0", "__version__ = '1.0'\n")
    it = InClusterIndex(f"{NAMESPACE}-e2e-git", coachwork.name("index"), {hidden.name: hidden.read_bytes()})
    it.start()
    yield it
    it.stop()


@contextmanager
def secret(name: str, **values: str) -> Iterator[None]:
    """Have a Secret."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    ))  # fmt: skip
    try:
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", name)


def test_packages_come_from_a_private_index_and_its_password_is_nowhere(
    coachwork: Coachwork, index: InClusterIndex
) -> None:
    name = coachwork.name("private-index")
    script = "import hidden\nprint('hidden is', hidden.__version__)\n"
    coachwork.git.push(name, project(name, "one", batch("one", script, requirements="hidden==1.0\n")))
    with secret(name, UV_DEFAULT_INDEX=index.address(with_password=True)):
        coachwork.request(name, index_secret=name)
        record = coachwork.ended(name)
        assert record["phase"] == "Ready", told(record)
        assert "hidden is 1.0" in coachwork.run_file(name, 1, "logs/one/1.log")
        jobs = kubectl("-n", NAMESPACE, "get", "jobs,pods,configmaps,events", "-o", "json")
        assert index.password not in jobs
        found = coachwork.shell("sh", "-c", f"grep -rl {index.password} {VOLUME} || true")
        assert found == ""
        assert index.password not in coachwork.log()


HOG = "data = []\nwhile True:\n    data.append(bytearray(8 << 20))\n"
# At most 100 processes, each of them deaf, in a session of its own, without a parent, and holding 2 MiB.
BOMB = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(100):
    if os.fork():
        os.wait()
        continue
    os.setsid()
    if os.fork() == 0:
        data = bytearray(os.urandom(2 << 20))
        time.sleep(300)
    os._exit(0)
time.sleep(300)
"""


@pytest.mark.parametrize("script", [HOG, BOMB], ids=["hog", "bomb"])
def test_a_stage_that_is_killed_for_memory_says_so_and_its_log_is_whole(coachwork: Coachwork, script: str) -> None:
    name = coachwork.name("memory")
    stage = batch("one", f"print('before', flush=True)\n{script}")
    stage["one/config.ini"] = stage["one/config.ini"].replace("[batch]", "MEMORY_LIMIT_MB = 64\n[batch]")
    record = coachwork.start(name, project(name, "one", stage))
    assert (record["phase"], record["reason"]) == ("Failed", "OutOfMemory"), told(record)
    assert "MEMORY_LIMIT_MB" in record["message"]
    assert "before" in coachwork.run_file(name, 1, "logs/one/1.log")


def test_a_volume_whose_files_belong_to_another_group_works(coachwork: Coachwork) -> None:
    name = coachwork.name("other-group")
    stage = batch("one", SHOWS, requirements="six==1.15.0\n")
    assert coachwork.start(name, project(name, "one", stage))["phase"] == "Ready"
    _give_away(name)
    stage = batch("one", SHOWS, requirements="six==1.14.0\n")
    coachwork.git.push(name, project(name, "one", stage))
    record = coachwork.trigger(name, "after")
    assert record["phase"] == "Ready", told(record)
    assert "six is 1.14.0" in coachwork.run_file(name, 2, "logs/one/1.log")


def _give_away(name: str) -> None:
    """Let everything on the volume belong to a group that neither the controller nor stages are in."""
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 20002,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "give",
        "image": "coachwork:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "chgrp -R 20002 /volume/* 2>/dev/null; ls -ln /volume | grep -q 20002"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": "coachwork"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    kubectl("create", "-f", "-", text=json.dumps(pod))
    try:
        phase = ("-n", NAMESPACE, "get", "pod", name, "-o", "jsonpath={.status.phase}")
        assert eventually(
            lambda: [found for found in [kubectl(*phase)] if found in ("Succeeded", "Failed")], "end of the pod"
        ) == ["Succeeded"]
    finally:
        kubectl("-n", NAMESPACE, "delete", "pod", name)
