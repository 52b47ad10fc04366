"""A record as commands read it: tolerant of what they don't know, and harmless on a terminal."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.documents import record as records
from controller.core.documents import seen
from controller.core.model import PastRun, Record, RunSpec, StageRecord

calm = settings(deadline=None)  # a busy machine is no failure
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


def test_what_the_controller_writes_is_what_a_command_reads() -> None:
    assert seen.record(records.to_data(KEPT), "u") == replace(KEPT, spec=replace(SPEC, tree="t"))


def test_another_requests_record_says_nothing() -> None:
    assert seen.record(records.to_data(KEPT), "other") == Record(request_uid="other")


def test_what_a_later_release_adds_is_passed_over() -> None:
    data = records.to_data(KEPT) | {"mood": "good"}
    stages = yaml.safe_load(data["stages"])
    stages["train"] |= {"colour": "red", "attempts": "many"}
    read = seen.record(data | {"stages": yaml.safe_dump(stages)}, "u")
    assert read.stages["train"] == replace(KEPT.stages["train"], attempts=0)


def test_nothing_that_a_record_says_can_act_on_a_terminal() -> None:
    data = records.to_data(KEPT) | {"message": "\x1b[2J", "phase": "\x07", "problems": "\x1b]0;x\n\u202e"}
    read = seen.record(data, "u")
    shown = [read.message, read.phase, *read.problems]
    assert all(text.isprintable() for text in shown)


@calm
@given(st.dictionaries(st.sampled_from(sorted(records.to_data(KEPT))), st.text(max_size=30)))
def test_whatever_a_record_holds_can_be_read(written: dict[str, Any]) -> None:
    seen.record(records.to_data(KEPT) | written | {"request-uid": "u"}, "u")


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
    fate = seen.fate(KEPT, trigger)
    assert (fate.course, fate.past and fate.past.outcome) == (course, outcome)


def test_a_trigger_that_is_handled_and_in_no_history_is_over() -> None:
    kept = replace(KEPT, history=())
    assert seen.fate(kept, "old") == seen.Fate("over")


def test_the_good_run_is_the_newest_that_succeeded_or_is_released() -> None:
    assert seen.good_run(KEPT) == 2
    assert seen.good_run(Record("u")) == 0
