"""What a request says of itself to those who watch over it."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.model import Object, PastRun, Record, RunSpec, StageRecord
from controller.core.signs import Signs, of_request

SPEC = RunSpec(repository="x", commit="c", path=".", tree="t", image="i", trigger="iris-29924243")
GOOD = PastRun(1, "Succeeded", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:01:00Z")
SLOW = PastRun(2, "Succeeded", started="2026-01-01T01:00:00Z", finished="2026-01-01T01:03:00Z")
BAD = PastRun(3, "Failed", reason="ExitCode", started="2026-01-01T02:00:00Z", finished="2026-01-01T02:00:05Z")
SKIPPED = PastRun(outcome="Skipped", finished="2026-01-01T03:00:00Z")
NOON = 1767268800.0  # 2026-01-01T12:00:00Z
ACTIVE = Record("u", "Running", run=4, spec=SPEC, started="2026-01-01T12:00:00Z")


def request(trigger: str = "", **data: str) -> Object:
    metadata: Object = {"name": "iris", "uid": "u", "annotations": {"coachwork.io/trigger": trigger} if trigger else {}}
    return {"metadata": metadata, "data": {"repository": "https://git.example/iris", **data}}


@pytest.mark.parametrize(
    ("record", "signs"),
    [
        (Record("u"), {}),
        (Record("u", "Pending", pending_since="2026-01-01T12:00:00Z"), {"pending_since": NOON}),
        (Record("u", history=(GOOD,)), {"last_success": NOON - 43140, "last_duration": 60, "usual_duration": 60}),
        (
            Record("u", "Failed", "ExitCode", history=(BAD, SLOW, GOOD)),
            {"failure": "ExitCode", "last_success": NOON - 39420, "last_duration": 5, "usual_duration": 120},
        ),
        (Record("u", "Failed", "WordOfAStage"), {"failure": "Other"}),
        (Record("u", "Invalid", "RefNotFound"), {"failure": "RefNotFound"}),
        (Record("u", "Blocked", "RecordTooNew"), {"failure": "RecordTooNew"}),
        (Record("u", "Cancelled", "Cancelled"), {}),
        (replace(ACTIVE, history=(SKIPPED, BAD)), {"run_started": NOON, "failure": "ExitCode", "last_duration": 5}),
        (replace(ACTIVE, history=(GOOD, BAD)), {"run_started": NOON, "last_success": NOON - 43140}),
        (
            Record(
                "u",
                stages={
                    "train": StageRecord("Done", metrics={"accuracy": 0.9}),
                    "score": StageRecord(),
                    "x": StageRecord(),
                },
                release_numbers={"train": {"accuracy": 0.8}, "score": {"rmse": 2}, "gone": {"rmse": 1}},
            ),
            {"numbers": (("train", "accuracy", 0.9), ("score", "rmse", 2))},
        ),
        (Record("u", history=(replace(GOOD, started="soon"),)), {"last_success": None}),
    ],
)
def test_a_record_says_how_its_request_fares(record: Record, signs: dict[str, Any]) -> None:
    found = of_request(request(), record)
    assert {name: getattr(found, name) for name in signs} == signs
    unsaid = {"failure", "run_started", "pending_since", "numbers"} - signs.keys()
    assert [name for name in unsaid if getattr(found, name)] == []


@pytest.mark.parametrize(
    ("config_map", "record", "slot"),
    [
        (request(), ACTIVE, None),
        (request(schedule="@daily"), Record("u"), 0),
        (request(schedule="@daily"), ACTIVE, 29924243 * 60),
        (request(schedule="@daily"), Record("u", handled=("iris-29924242", "iris-2", "by hand")), 29924242 * 60),
        (request(schedule="@daily"), Record("u", queued="iris-29924244", handled=("iris-29924242",)), 29924244 * 60),
        (request("iris-29924245", schedule="@daily"), ACTIVE, 29924245 * 60),
        (request("iris-x-29924245", schedule="@daily"), Record("u"), 0),
        (request(schedule="@daily", suspend="true"), ACTIVE, None),
        (request(schedule="once in a while"), ACTIVE, None),
    ],
)
def test_the_last_slot_is_the_newest_that_has_triggered(config_map: Object, record: Record, slot: float | None) -> None:
    found = of_request(config_map, record)
    assert found.last_slot == slot
    assert (found.schedule is None) == (slot is None)


def test_a_request_without_a_record_says_nothing() -> None:
    assert of_request(request(), Record("u")) == Signs()
