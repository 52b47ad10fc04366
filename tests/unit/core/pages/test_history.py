"""The runs of a request over time, and two of them side by side."""

from typing import Any

from controller.core.documents.run import Installed, RunFile, SecretVersion, StageEntry
from controller.core.model import PastRun, Record, RunSpec, StageRecord
from controller.core.pages.comparison import comparison
from controller.core.pages.history import Series, bars, history, lines, series


def kept(number: int, accuracy: float | None, **more: Any) -> RunFile:
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return RunFile(run=number, cause="Polled", stages={"train": StageEntry("Done", metrics=metrics)}, **more)


def test_the_history_begins_with_the_active_run_and_leads_to_the_kept_ones() -> None:
    past = (
        PastRun(4, "Succeeded", "c4", metrics={"train": {"accuracy": 0.9}}),
        PastRun(0, "Refused"),
        PastRun(3, "Failed", "c3", metrics={"train": {"accuracy": 0.8}}),
        PastRun(1, "Succeeded"),
    )
    stages = {"train": StageRecord("Done", metrics={"accuracy": 0.7}), "web": StageRecord("Running")}
    spec = RunSpec("r", "c5", ".", "t", "i", trigger="now")
    found = lines(Record("u", run=5, spec=spec, started="x", stages=stages, history=past))
    numbers = series(found)
    assert numbers == (Series("train accuracy", (3, 4, 5), (0.8, 0.9, 0.7)),)
    rows = history(found, [kept(5, None), kept(4, 0.9), kept(3, 0.8)], numbers)
    assert [(row.past.run, row.past.outcome, row.kept, row.before, row.numbers) for row in rows] == [
        (5, "Running", True, 4, (0.7,)),
        (4, "Succeeded", True, 3, (0.9,)),
        (0, "Refused", False, 0, (None,)),
        (3, "Failed", True, 0, (0.8,)),
        (1, "Succeeded", False, 0, (None,)),
    ]
    assert (rows[0].past.trigger, rows[1].cause) == ("now", "Polled")


def test_a_sparkline_has_a_bar_for_each_run_that_took_time_the_newest_last() -> None:
    past = (
        PastRun(4, "Cancelled", started="2026-01-01T00:00:00Z"),
        PastRun(3, "Failed", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:05Z"),
        PastRun(0, "Refused", finished="2026-01-01T00:00:00Z"),
        PastRun(2, "Succeeded", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:20Z"),
    )
    assert [(bar.run, bar.tone, bar.height) for bar in bars(past)] == [(2, "good", 1), (3, "bad", 0.25)]


def test_numbers_are_drawn_between_their_least_and_greatest() -> None:
    assert Series("a", (1, 2, 3), (2.0, 4.0, 3.0)).points == ((0, 0), (0.5, 1), (1, 0.5))
    assert Series("a", (1,), (2.0,)).points == ((0, 0.5),)


def test_only_some_numbers_are_drawn_those_of_the_newest_runs() -> None:
    past = tuple(
        PastRun(run, metrics={"train": {f"n{run:02}-{number}": 1.0 for number in range(2)}}) for run in range(60, 0, -1)
    )
    found = series(past)
    assert len(found) == 40
    assert {run for one in found for run in one.runs} == set(range(41, 61))
    stages = {"train": StageRecord("Done", metrics={f"n{number}": 1.0 for number in range(50)})}
    assert len(series(lines(Record("u", run=5, spec=RunSpec("r", "c5", ".", "t", "i"), stages=stages)))) == 20


def test_two_runs_differ_in_code_packages_variables_numbers_and_times() -> None:
    def run(number: int, value: str, accuracy: float, finished: str) -> RunFile:
        return kept(
            number,
            accuracy,
            commit=value,
            image=value,
            env={"A": value},
            parameters=(("P", value),),
            secrets=(SecretVersion("s", value),),
            images={"train": value},
            image_digests={"train": value},
            environments=(Installed("environment", stages=("train",), packages={"flask": value}),),
            started="2026-01-01T00:00:00Z",
            finished=f"2026-01-01T00:00:{finished}Z",
        )

    found = comparison(run(1, "x", 0.75, "10"), run(2, "y", 0.5, "30"))
    kinds = {title: [change.kind for change in changes] for title, changes in found.groups}
    assert kinds == {
        "Code": ["commit"],
        "Packages": ["package"],
        "Variables": ["parameter", "variable", "secret"],
        "Images": ["image", "image of stage", "image digest"],
    }
    assert [(one.name, one.before, one.after, one.change) for one in found.numbers] == [
        ("train accuracy", 0.75, 0.5, -0.25)
    ]
    assert [side.seconds for side in found.sides] == [10, 30]
