"""Controllers of several versions take turns at a request: up, down and up again, nothing is lost, doubled or stuck.

The released version is taken from the repository itself (`git archive`), and runs in a process of its own; the later
one is invented. What each leaves in the cluster and on the volume is all that the next one gets.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.core import layout
from controller.core.documents import attempt, codec
from controller.core.documents.codec import Good
from tests.support import later, turns
from tests.support.cli import write
from tests.support.eventually import eventually
from tests.support.launching import Stage
from tests.support.turns import ROOT, take
from tests.support.world import project

Worlds = dict[str, Any]
FILES = project(
    "train >> web", services={"web": 5000}, on_failure="mourn", packages={"train": "flask\n", "web": "flask\nnumpy\n"}
)
ASK: turns.Step = ["ask", {"trigger": "first"}]
BEGUN: list[turns.Step] = [ASK, ["settle"], ["build"], ["settle"], ["begin", "train"], ["settle"]]
STATES: Mapping[str, list[turns.Step]] = {
    "active": [],
    "queued": [["ask", {"trigger": "second"}], ["settle"]],
    "failing": [["fail", "train"], ["settle"], ["begin", "mourn"], ["settle"]],
    "failed": [["fail", "train"], ["finish"]],
}
SETTLE: list[turns.Step] = [["settle"]]
PHASES = {"active": "Running", "queued": "Running", "failing": "Running", "failed": "Failed"}
ENDED = {
    "active": ["first Succeeded"],
    "queued": ["second Succeeded", "first Succeeded"],
    "failing": ["first Failed"],
    "failed": ["first Failed"],
}
FINISH: list[turns.Step] = [["finish"]]
AGAIN: list[turns.Step] = [["ask", {"trigger": "last"}], ["finish"]]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the released version."""
    tree = turns.released(tmp_path_factory.getbasetemp() / "released")
    if tree is None:
        pytest.skip(f"the history of this clone is cut off before {turns.RELEASE}, the released version")
    return tree


@pytest.fixture
def begun(memory: Path) -> dict[str, tuple[Any, list[turns.Step]]]:
    """Return, for each state, a world in which nothing has begun, and the steps into the state."""
    worlds: dict[str, tuple[Any, list[turns.Step]]] = {}
    for name, steps in STATES.items():
        (memory / name).mkdir()
        empty = {"root": str(memory / name), "commits": [FILES], "now": "2026-01-01T00:00:00+00:00", "objects": []}
        worlds[name] = (empty, [*BEGUN, *steps])
    return worlds


def status(state: Any) -> dict[str, str]:
    (found,) = (item["data"] for item in state["objects"] if item["metadata"]["name"] == "iris-status")
    return dict(found)


def jobs(state: Any) -> set[str]:
    return {item["metadata"]["name"] for item in state["objects"] if item["kind"] == "Job"}


def further(worlds: Worlds, steps: list[turns.Step], tree: Path | None) -> Worlds:
    return take({name: (state, steps) for name, state in worlds.items()}, tree)


@pytest.mark.parametrize("order", ["up, down and up", "down, up and down"])
def test_requests_go_on_through_upgrades_and_downgrades(begun: Worlds, released: Path, order: str) -> None:
    first, second = (released, None) if order.startswith("up") else (None, released)
    left = take(begun, first)
    assert {name: status(state)["phase"] for name, state in left.items()} == PHASES
    for tree in (second, first, second):
        went = further(left, SETTLE, tree)
        assert {name: status(state) for name, state in went.items()} == {n: status(s) for n, s in left.items()}
        assert {name: jobs(state) for name, state in went.items()} == {n: jobs(s) for n, s in left.items()}
        left = went
    left = further(left, FINISH, second)
    assert {name: outcomes(state) for name, state in left.items()} == ENDED
    left = further(left, AGAIN, first)
    assert {name: outcomes(state) for name, state in left.items()} == {
        name: ["last Succeeded", *ended] for name, ended in ENDED.items()
    }


def test_what_a_later_version_added_outlives_a_downgrade(begun: Worlds, released: Path) -> None:
    left = take(begun)
    for state in left.values():
        extend(state)
    added = {name: status(state) for name, state in left.items()}
    left = further(left, SETTLE, None)
    assert {name: status(state) for name, state in left.items()} == added
    left = further(left, FINISH, None)
    assert {name: outcomes(state) for name, state in left.items()} == ENDED
    for name, state in left.items():
        data, before = status(state), added[name]
        assert {key: data[key] for key in ("run-metrics", "empty", "stage-colour.train")} == {
            key: before[key] for key in ("run-metrics", "empty", "stage-colour.train")
        }
        if name != "queued":  # the run is the same one
            assert is_extended(yaml.safe_load(data["run-spec"]))
            assert all(is_extended(stage) for stage in yaml.safe_load(data["stages"]).values())
            assert is_extended(json.loads(file(state, "spec.json").read_text()))
        if "history" in before:
            assert is_extended(yaml.safe_load(data["history"])[-1])
    left = further(left, AGAIN, released)
    assert all(outcomes(state)[0] == "last Succeeded" for state in left.values())
    assert all(status(state)["run-metrics"] == "rmse: 1\n" for state in left.values())


def extend(state: Any) -> None:
    """Let a later version have written the documents last."""
    for item in state["objects"]:
        if item["metadata"]["name"] == "iris-status":
            item["data"] = later.extended(item["data"])
            file(state, "../record.yaml").write_text(yaml.safe_dump(item["data"]))
    if (spec := file(state, "spec.json")).exists():
        spec.write_text(json.dumps(later.extended_spec(json.loads(spec.read_text()))))


def is_extended(item: dict[str, Any]) -> bool:
    return later.NOVELTY.items() <= item.items()


def file(state: Any, name: str) -> Path:
    (uid,) = (item["metadata"]["uid"] for item in state["objects"] if item["metadata"]["name"] == "iris")
    return Path(state["root"]) / layout.run("iris", uid, 1) / name


def outcomes(state: Any) -> list[str]:
    """Return trigger and outcome of each run, newest first."""
    history = yaml.safe_load(status(state)["history"])
    assert [past["run"] for past in history] == [*range(len(history), 0, -1)]
    return [f"{past['trigger']} {past['outcome']}" for past in history]


# --- on a laptop: real stages, one command after the other ---------------------------------------------

HELD = """
import os, pathlib, time
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "begun").touch()
while pathlib.Path("hold").exists():
    time.sleep(0.1)
"""


def test_a_laptops_runs_go_on_whichever_version_is_installed(released: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "iris", project("train") | {"train/run.py": HELD})
    runs = tmp_path / "state" / layout.RUNS

    def command(tree: Path) -> subprocess.Popen[str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("COACHWORK_", "COV_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "controller", "run", str(folder)],
            cwd=tree,
            env={**plain, "COACHWORK_HOME": str(tmp_path / "state")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def verdict(tree: Path) -> str:
        said, _ = command(tree).communicate(timeout=turns.LIMIT)
        return next(line for line in reversed(said.splitlines()) if line.startswith("Ready"))

    assert verdict(released) == "Ready: run 1 at uncommitted"
    write(folder, {"train/hold": ""})
    with command(ROOT) as running:
        eventually(lambda: [*runs.glob("*/2/artifacts/begun")], turns.LIMIT)  # others of its folders come and go
        running.kill()
    (folder / "train/hold").unlink()
    assert verdict(released) == "Ready: run 3 at uncommitted"
    assert verdict(ROOT) == "Ready: run 4 at uncommitted"
    (record,) = runs.glob("*/record.yaml")
    history = yaml.safe_load(yaml.safe_load(record.read_text())["history"])
    assert [past["outcome"] for past in history] == ["Succeeded", "Succeeded", "Cancelled", "Succeeded"]


# --- what the launcher writes, which imports nothing of the codecs ------------------------------------


def test_each_key_that_a_launcher_writes_of_an_attempt_is_read(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    left = stage.run("raise SystemExit(3)")
    beside, message = (stage.logs / "1.json").read_text(), (tmp_path / "termination").read_text()
    assert {*left.results[1], *left.message} == {item.name for item in fields(attempt.Ending)} - {"unknown"}
    for text in (beside, message):
        assert isinstance(codec.from_json(attempt.Ending, text, "it"), Good)
        assert (attempt.read(text).exit_code, attempt.read(text).reason) == (3, "ExitCode")
        assert not attempt.read(text).unknown
    assert attempt.of_log(1, beside).finished == left.results[1]["finished"]


def test_an_environment_that_a_launcher_finds_outdated_is_read(tmp_path: Path) -> None:
    key = "0123456789abcdef0123"
    stage = Stage(tmp_path)
    stage.mounts["environment"] = str(tmp_path / "environment")
    made = tmp_path / "environment"
    made.mkdir()
    (made / ".complete").write_text(key)
    (made / "python.json").write_text('{"version": "2.7"}')
    stage.run("print(1)", environment=key)
    assert attempt.read_outdated((stage.logs / "environment-outdated.json").read_text()) == key
