"""Logs and artifacts over HTTP of a project that really runs: written by the launcher, read through the port."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.volume import Archive
from controller.adapters.web.listener import Listener
from controller.adapters.web.ports import Site
from controller.adapters.web.protect import ReadOnly
from controller.adapters.web.server import Pages
from controller.app.live import Watched
from controller.core import names
from tests.support.eventually import eventually
from tests.support.laptop import Laptop, batch, laptop, project

# Fails at first, and the second time waits for a word from the test.
TRAIN = """
import os, pathlib, time
artifacts = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
attempt = os.environ["COACHWORK_ATTEMPT"]
print("attempt", attempt, "begins")
if attempt == "1":
    raise SystemExit("not yet")
while not (artifacts / "go").exists():
    time.sleep(0.01)
(artifacts / "sub").mkdir()
(artifacts / "sub" / "model").write_text("trained")
print("it is trained")
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path) as machine:
        yield machine


@pytest.fixture
def address(machine: Laptop) -> Iterator[str]:
    """Return the address of the pages."""

    def living(name: str) -> str:
        request = machine.cluster.get("ConfigMap", name)
        return str(request["metadata"]["uid"]) if request else ""

    site = Site(Watched(machine.app.view), Archive(machine.volume, living), "ml", "pod", "0")
    server = Listener("page", ("127.0.0.1", 0), ReadOnly(Pages(site)))
    server.start()
    yield f"http://127.0.0.1:{server.port}/api"
    server.stop()


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own server
        return bytes(answer.read())


def ask(address: str) -> Any:
    return json.loads(get(address))


def test_a_stage_is_followed_from_its_first_attempt_to_its_end(machine: Laptop, address: str) -> None:
    stage = batch(TRAIN)
    stage["config.ini"] = stage["config.ini"].replace("RETRIES = 0", "RETRIES = 1")
    machine.repository.commit(project("train", train=stage))
    machine.ask()
    eventually(lambda: machine.status().get("stage.train") == "Running")
    with urllib.request.urlopen(f"{address}/logs/demo/train?follow=1&run=1", timeout=60) as answer:  # noqa: S310
        lines = iter(answer.readline, b"")
        eventually(lambda: b"attempt 2 begins" in next(lines))
        assert [run["outcome"] for run in ask(f"{address}/runs/demo")] == [""]
        (folder,) = machine.volume.glob("runs/demo-*/1/artifacts")
        (folder / "go").touch()
        assert b"it is trained\n" in list(lines)
    machine.wait("Ready")


def test_what_a_run_left_is_there_and_whole_when_it_is_over(machine: Laptop, address: str) -> None:
    script = "import os, pathlib; pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'm').write_text('x'); print('done')"
    machine.repository.commit(project("Train_It", Train_It=batch(script)))
    machine.ask()
    machine.wait("Ready")
    (entry,) = ask(f"{address}/logs/demo")
    log = get(f"{address}/logs/demo/Train_It")
    assert b"\ndone\n" in log
    assert (entry["stage"], entry["attempt"], entry["ended"], entry["exit_code"]) == ("Train_It", 1, True, 0)
    before = log[: log.rindex(b"coachwork: end of the log")]
    assert (entry["complete"], entry["bytes"], entry["sha256"]) == (
        True,
        len(before),
        hashlib.sha256(before).hexdigest(),
    )
    assert entry["started"] < entry["finished"]
    assert get(f"{address}/logs/demo/Train_It?follow=1") == log
    assert [item["path"] for item in ask(f"{address}/artifacts/demo")] == ["m"]
    assert get(f"{address}/artifacts/demo/good/m") == b"x"
    (run,) = ask(f"{address}/runs/demo")
    assert (run["run"], run["outcome"], run["stages"]["Train_It"]["state"]) == (1, "Succeeded", "Done")


def test_a_request_that_never_ran_says_so(machine: Laptop, address: str) -> None:
    metadata = {"name": "idle", "labels": {names.ROLE: names.ROLE_REQUEST}}
    machine.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{address}/runs/idle/latest")
    with caught.value as error:
        assert error.code == 404
        assert "idle has no run yet" in json.loads(error.read())["error"]
