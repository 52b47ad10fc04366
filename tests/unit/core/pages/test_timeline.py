"""What each second of a run was. A letter is a second: waiting, environment, start, script, pause, end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.documents.run import Installed, RunFile, StageEntry
from controller.core.model import STARTING, Attempt
from controller.core.pages.timeline import Timeline, attempts_of, timeline

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
LETTERS = {"waiting": "w", "environment": "e", "start": "s", "script": "x", "pause": "p", "end": "n"}


def at(second: float | None) -> str:
    return "" if second is None else (ZERO + timedelta(seconds=second)).isoformat(timespec="milliseconds")


def stage(state: str, started: float | None = None, finished: float | None = None, **more: str) -> StageEntry:
    return StageEntry(state, started=at(started), finished=at(finished), attempts=0, **more)  # type: ignore[arg-type]


def tried(number: int, started: float, script: float | None, finished: float | None = None, code: int = 0) -> Attempt:
    over = finished is not None
    return Attempt(number, over, code if over else None, started=at(started), script=at(script), finished=at(finished))


def drawn(shown: Timeline | None) -> dict[str, str]:
    """Return a letter for each second of each lane, and of the whole."""
    assert shown
    lanes = {lane.node.name: lane.segments for lane in shown.lanes} | {"": shown.whole}
    return {name: "".join(LETTERS[one.kind] * round(one.seconds) for one in lane) for name, lane in lanes.items()}


def run(finished: float | None = None, **stages: StageEntry) -> RunFile:
    named = {name.replace("_", "-"): entry for name, entry in stages.items()}
    built = tuple(Installed(name, "0a", ("train",)) for name in named if name.startswith("environment"))
    return RunFile(
        run=3,
        started=at(0),
        finished=at(finished),
        stages=named,
        environments=built,
        steps=(("train",), ("web",)),
        services=("web",),
    )


def test_a_run_with_a_build_a_retry_and_a_service() -> None:
    shown = timeline(
        run(
            30,
            environment=stage("Done", 0, 8),
            train=stage("Done", 8, 22),
            web=stage("Done", 22, 30),
        ),
        {
            "environment": [tried(1, 1, 2, 8)],
            "train": [tried(1, 9, 10, 13, code=1), tried(2, 16, 17, 21)],
            "web": [tried(1, 23, 25)],
        },
        ZERO,
    )
    assert drawn(shown) == {
        "environment": "sseeeeee",
        "train": "eeeeeeeessxxxpppsxxxxn",
        "web": "wwwwwwwwwwwwwwwwwwwwwwsssxxxxx",
        "": "eeeeeeeessxxxpppsxxxxnsssxxxxx",
    }
    assert shown
    assert dict(shown.totals) == {"script": 12, "environment": 8, "start": 6, "pause": 3, "end": 1}
    assert [one.failed for one in shown.lanes[1].segments if one.attempt] == [True, False]
    assert shown.failed == 1


@pytest.mark.parametrize(
    ("train", "known", "lane"),
    [
        (stage("Waiting"), [], "wwwwwwwwww"),
        (stage("Running", 2, reason=STARTING), [], "wwssssssss"),
        (stage("Running", 2, reason="Unschedulable", waiting_for="schedule"), [], "wwwwwwwwww"),
        (stage("Running", 2), [], "wwxxxxxxxx"),
        (stage("Running", 2), [tried(1, 3, None)], "wwsxxxxxxx"),
        (stage("Running", 2), [tried(1, 3, 3, 5, code=1)], "wwsxxppppp"),
        (stage("Failed", 2, 5), [tried(1, 3, 3, 5, code=1)], "wwsxx"),
        (stage("Stopped", 2), [tried(1, 3, 4)], "wwssxxxxxx"),
        (stage("Reused"), [tried(1, 0, 0, 1)], ""),
        (stage("Unchanged", 2, 3), [], ""),
        (stage("Skipped"), [], ""),
        (stage("Done", 2, 4), [tried(1, 2, 3, 4.9)], "wwsxx"),  # the record's seconds are whole ones
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_lane_of_a_stage_after_ten_seconds(train: StageEntry, known: list[Attempt], lane: str) -> None:
    shown = timeline(run(train=train), {"train": known}, ZERO + timedelta(seconds=10))
    assert drawn(shown)["train"] == lane


def test_an_attempt_that_was_stopped_has_not_failed() -> None:
    shown = timeline(run(6, train=stage("Stopped", 2)), {"train": [tried(1, 3, 4, 5, code=143)]}, ZERO)
    assert shown
    assert (drawn(shown)["train"], shown.failed) == ("wwssxn", 0)


def test_a_stage_waits_for_its_environment_as_long_as_that_is_built() -> None:
    shown = timeline(
        run(environment=stage("Running", 0), train=stage("Waiting"), web=stage("Waiting")),
        {"environment": [tried(1, 2, 3)]},
        ZERO + timedelta(seconds=5),
    )
    assert drawn(shown) == {"environment": "sssee", "train": "eeeee", "web": "wwwww", "": "eeeee"}


def test_what_an_earlier_run_tried_of_a_build_is_no_part_of_this_one() -> None:
    shown = timeline(
        run(environment=stage("Running", 0), train=stage("Waiting")),
        {"environment": [tried(1, -90, -80, -60, code=1), tried(2, 1, 2)]},
        ZERO + timedelta(seconds=4),
    )
    assert drawn(shown)["environment"] == "ssee"


def test_a_step_opens_no_sooner_than_the_one_before_it_has_ended() -> None:
    shown = timeline(
        run(7, train=stage("Done", 0, 3), web=stage("Done", 3, 7)),  # the record's seconds are whole ones
        {"train": [tried(1, 0, 0, 3.9)], "web": [tried(1, 4.4, 4.9)]},
        ZERO,
    )
    assert shown
    spans = [(one.kind, one.begin, one.end) for one in shown.lanes[1].segments]
    assert spans == [("waiting", 0, 3.9), ("start", 3.9, 4.9), ("script", 4.9, 7)]


def test_an_environment_counts_until_it_can_be_used_though_its_build_compiles_on() -> None:
    shown = timeline(
        run(9, environment=stage("Done", 0, 3), train=stage("Done", 3, 8)),
        {"environment": [tried(1, 1, 2, 7, code=1)], "train": [tried(1, 4, 5, 8)]},
        ZERO,
    )
    assert shown
    assert drawn(shown)["train"] == "eeessxxx"
    assert not any(one.failed for one in shown.lanes[0].segments)


def test_what_tried_to_build_an_environment_after_the_run_is_no_part_of_it() -> None:
    shown = timeline(
        run(9, environment=stage("Done", 0, 4)), {"environment": [tried(1, 1, 2, 4), tried(2, 60, 61, 70)]}, ZERO
    )
    assert drawn(shown)["environment"] == "ssee"


def test_attempts_are_read_from_what_is_listed_of_logs() -> None:
    listed = [
        {"stage": "train", "attempt": 1, "ended": True, "exit_code": 1, "started": "x", "bytes": 7},
        {"stage": "train", "attempt": 2, "ended": False, "exit_code": None, "script": "y"},
    ]
    assert attempts_of(listed) == {
        "train": (Attempt(1, ended=True, exit_code=1, started="x"), Attempt(2, ended=False, script="y"))
    }


SECOND = st.none() | st.floats(-100, 100)
ATTEMPTS = st.lists(st.builds(tried, st.integers(1, 9), st.floats(-100, 100), SECOND, SECOND), max_size=4)
STATES = ("Waiting", "Running", "Done", "Failed", "Stopped")


@given(st.sampled_from(STATES), SECOND, SECOND, ATTEMPTS, st.booleans())
def test_whatever_stages_say_of_their_times_the_whole_has_no_gap(
    state: str, started: float | None, finished: float | None, known: list[Attempt], over: bool
) -> None:
    shown = timeline(
        run(50 if over else None, train=stage(state, started, finished)), {"train": known}, ZERO + timedelta(seconds=10)
    )
    assert shown
    for lane in (*(lane.segments for lane in shown.lanes), shown.whole):
        edges = [0.0, *(edge for one in lane for edge in (one.begin, one.end))]
        assert edges == sorted(edges)
    assert sum(one.seconds for one in shown.whole) == pytest.approx(shown.seconds)
