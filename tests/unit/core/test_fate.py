"""What has become of a trigger, and which run was good."""

from dataclasses import replace

import pytest

from controller.core.fate import Fate, fate_of, good_run
from controller.core.model import PastRun, Record, RunSpec, StageRecord

SPEC = RunSpec(repository="https://example.com/x", commit="c" * 40, path=".", tree="t", image="i", trigger="now")
KEPT = Record(
    request_uid="u",
    phase="Running",
    message="run 3, step 1: train",
    problems=("a warning",),
    run=3,
    step=1,
    spec=SPEC,
    ref="main",
    started="2026-11-23T06:00:00Z",
    stages={"train": StageRecord("Running", attempts=1, objects=("Job/x-train-3",)), "serve": StageRecord()},
    handled=("old", "now"),
    queued="next",
    finished_trigger="old",
    release_run=2,
    release_commit="d" * 40,
    history=(
        PastRun(2, "Succeeded", trigger="old", started="2026-11-22T06:00:00Z"),
        PastRun(0, "Superseded", trigger="lost"),
    ),
)


@pytest.mark.parametrize(
    ("trigger", "course", "outcome"),
    [
        ("now", "running", None),
        ("next", "waiting", None),
        ("old", "over", "Succeeded"),
        ("lost", "over", "Superseded"),
        ("other", "unseen", None),
    ],
)
def test_a_trigger_s_fate_is_that_of_its_own_run(trigger: str, course: str, outcome: str | None) -> None:
    fate = fate_of(KEPT, trigger)
    assert (fate.course, fate.past and fate.past.outcome) == (course, outcome)


def test_a_trigger_that_is_handled_and_in_no_history_is_over() -> None:
    kept = replace(KEPT, history=())
    assert fate_of(kept, "old") == Fate("over")


def test_the_good_run_is_the_newest_that_succeeded_or_is_released() -> None:
    assert good_run(KEPT) == 2
    assert good_run(Record("u")) == 0
