"""The released version, this one, the released one and this one again take turns at running requests, on a cluster.

The released version is built from this repository's own history; both images go to the nodes by E2E_LOAD_IMAGE.
"""

import json
import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import turns
from tests.support.e2e import NAMESPACE, VOLUME
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import eventually, kubectl
from tests.support.kustomize import DEPLOY, write_overlay

BUILD_SECONDS = 600
STATES = ("active", "queued", "failing", "failed")
LASTING = ("run", "run-commit", "run-spec", "started", "handled-triggers", "queued-trigger", "failure", "history")

WAITING = """
import os, pathlib, time
cache = pathlib.Path(os.environ["COACHWORK_CACHE"])
with open(cache / "starts", "a") as file:
    print(os.environ["COACHWORK_STAGE"], file=file)
while not (cache / "go").exists():
    time.sleep(0.2)
"""
FAILING = "raise SystemExit('gone wrong')"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the released version's tree; its image is on the nodes, as coachwork:released."""
    load = os.environ.get("E2E_LOAD_IMAGE", "")
    if not load:
        pytest.skip("E2E_LOAD_IMAGE does not say how an image of the released version gets to the nodes")
    tree = turns.released(tmp_path_factory.mktemp("released") / "tree")
    if tree is None:
        pytest.skip(f"the history of this clone is cut off before {turns.RELEASE}, the released version")
    subprocess.run([*shlex.split(load), "coachwork:released", str(tree)], timeout=BUILD_SECONDS, check=True)
    return tree


@pytest.fixture
def namespace() -> Iterator[str]:
    """Yield the name of a namespace that does not exist yet; it is gone at the end."""
    name = f"{NAMESPACE}-e2e-{uuid.uuid4().hex[:6]}"
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def install(namespace: str, folder: Path, deploy: Path, **more: Any) -> None:
    """Apply a version's own overlay, as an upgrade or a downgrade does, and wait until its controller is there."""
    folder.mkdir()
    write_overlay(folder, "dev", namespace=namespace, deploy=deploy, **more)
    kubectl("apply", "-k", str(folder))
    kubectl("-n", namespace, "rollout", "status", "deployment/coachwork", "--timeout=180s", seconds=200)


def files(state: str) -> dict[str, str | bytes]:
    script = FAILING if state.startswith("fail") else WAITING
    waits = WAITING if state == "failing" else "print('failed')"
    made = project(state, "train", batch("train", script, seconds=900), batch("mourn", waits, seconds=900))
    made["bodywork.ini"] = f"{made['bodywork.ini']!s}RUN_ON_FAILURE = mourn\n"
    return made


def ask(namespace: str, state: str, repository: str, trigger: str) -> None:
    metadata = {"name": state, "namespace": namespace, "labels": {"coachwork.io/role": "request"}}
    annotations = {"coachwork.io/trigger": trigger}
    request = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps({**request, "data": {"repository": repository}})
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)


def status(namespace: str, state: str) -> dict[str, str]:
    found = kubectl("-n", namespace, "get", "configmap", f"{state}-status", "--ignore-not-found", "-o", "json")
    return dict(json.loads(found)["data"]) if found else {}


def is_reached(namespace: str, state: str) -> bool:
    data = status(namespace, state)
    stages = yaml.safe_load(data.get("stages", "{}"))
    match state:
        case "active":
            return bool(stages["train"].get("image")) if stages else False
        case "queued":
            return data.get("queued-trigger") == "second" and bool(stages["train"].get("image"))
        case "failing":
            return "failure" in data and bool(stages["mourn"].get("image"))
        case _:
            return data.get("phase") == "Failed"


def shell(namespace: str, command: str) -> str:
    return kubectl("-n", namespace, "exec", "deployment/coachwork", "--", "sh", "-c", command)


def has_passed(namespace: str) -> bool:
    """Return whether the controller that is there now has made a pass over each request."""
    log = kubectl("-n", namespace, "logs", "deployment/coachwork", "--tail=-1")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return {*STATES} <= {line.get("request") for line in lines}


@pytest.mark.timeout(BUILD_SECONDS + 900)
def test_requests_go_on_through_an_upgrade_a_downgrade_and_another_upgrade(
    git: InClusterGit, released: Path, namespace: str, tmp_path: Path
) -> None:
    dev = yaml.safe_load((released / "deploy" / "overlays" / "dev" / "kustomization.yaml").read_text())
    old = {"images": [{"name": "coachwork", "newTag": "released"}], "replacements": dev["replacements"]}
    install(namespace, tmp_path / "first", released / "deploy", **old)
    repositories = {state: f"{state}-{uuid.uuid4().hex[:6]}" for state in STATES}
    for state, repository in repositories.items():
        git.push(repository, files(state))
        ask(namespace, state, git.url(repository), "first")
    eventually(lambda: status(namespace, "queued").get("phase") == "Running", "active run", seconds=180)
    ask(namespace, "queued", git.url(repositories["queued"]), "second")
    eventually(lambda: all(is_reached(namespace, state) for state in STATES), "all states", seconds=180)
    before = {state: status(namespace, state) for state in STATES}
    turn = [("this", DEPLOY, {}), ("released", released / "deploy", old), ("this-again", DEPLOY, {})]
    for name, deploy, more in turn:
        install(namespace, tmp_path / name, deploy, **more)
        eventually(lambda: has_passed(namespace), "pass over each request", seconds=120)
        for state in STATES:
            after = status(namespace, state)
            assert after["phase"] == before[state]["phase"], (name, state, after)
            assert [after.get(key) for key in LASTING] == [before[state].get(key) for key in LASTING], (name, state)
    shell(namespace, f"for folder in {VOLUME}/runs/*/cache; do touch $folder/go; done")
    ended = {"active": "Ready", "queued": "Ready", "failing": "Failed", "failed": "Failed"}
    eventually(
        lambda: {state: _over(namespace, state) for state in STATES} == ended, "end of all runs", seconds=240
    )  # fmt: skip
    starts = {state: shell(namespace, f"cat {VOLUME}/runs/{state}-*/cache/starts || true").split() for state in STATES}
    assert starts == {"active": ["train"], "queued": ["train", "train"], "failing": ["mourn"], "failed": []}
    runs = {state: status(namespace, state)["run"] for state in STATES}
    assert runs == {"active": "1", "queued": "2", "failing": "1", "failed": "1"}


def _over(namespace: str, state: str) -> str:
    """Return the phase of a request whose last trigger is over, "" before that."""
    data, last = status(namespace, state), "second" if state == "queued" else "first"
    return data["phase"] if data.get("finished-trigger") == last and "finished" in data else ""
