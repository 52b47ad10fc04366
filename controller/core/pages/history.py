"""The runs of a request over time: the history, how long its runs took, and the numbers that they left."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.core import numbers, times
from controller.core.documents.run import RunFile
from controller.core.model import PastRun, Record
from controller.core.pages.states import Tone, tone

BARS: Final = 20  # runs in a sparkline
CURVES: Final = 40  # numbers that are shown over time
FLOOR: Final = 0.08  # of its height: a run of no time is seen, too


@dataclass(frozen=True, slots=True)
class Bar:
    """One run in a sparkline; `height` is a part of the longest one's."""

    run: int
    outcome: str
    tone: Tone
    seconds: float
    height: float


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the history. A run that is kept can be looked into, and compared with the one `before` it."""

    past: PastRun
    tone: Tone
    seconds: float | None
    cause: str = ""  # Created, Changed, Triggered, Polled; "" where that is not known any more
    kept: bool = False
    before: int = 0
    numbers: tuple[float | None, ...] = ()  # by the names of the series


@dataclass(frozen=True, slots=True)
class Series:
    """A number of a stage over the runs of the history, oldest first; a point's `x` and `y` are between 0 and 1."""

    name: str
    runs: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """Where each value is: evenly from left to right, between the least and the greatest of them."""
        low, high = min(self.values), max(self.values)
        last = max(len(self.values) - 1, 1)
        return tuple(
            (at / last, (value - low) / (high - low) if high > low else 0.5) for at, value in enumerate(self.values)
        )


def bars(history: Iterable[PastRun]) -> tuple[Bar, ...]:
    """Return a sparkline of how long the last runs took, oldest first. Lines that came to no run are not in it."""
    took = [(past, times.seconds(past.started, past.finished)) for past in history if past.run]
    known = [(past, length) for past, length in took if length is not None][:BARS]
    longest = max((length for _, length in known), default=0.0) or 1.0
    return tuple(
        Bar(past.run, past.outcome, tone(past.outcome), length, max(length / longest, FLOOR))
        for past, length in reversed(known)
    )


def lines(record: Record) -> tuple[PastRun, ...]:
    """Return the lines of the history, that of the active run first."""
    if not record.active or record.spec is None:
        return record.history
    active = PastRun(
        run=record.run,
        outcome="Running",
        commit=record.spec.commit,
        trigger=record.spec.trigger,
        message=record.message,
        started=record.started,
        metrics=numbers.first(record.measured, numbers.MOST_OF_PAST),
    )
    return active, *record.history


def series(lines: Sequence[PastRun]) -> tuple[Series, ...]:
    """Return the numbers in the lines of a history (newest first), by stage and name: those of the newest runs."""
    found: dict[str, list[tuple[int, float]]] = {}
    for past in reversed(lines):
        for name, value in numbers_of(past.metrics).items():
            found.setdefault(name, []).append((past.run, value))
    newest = sorted(found, key=lambda name: -found[name][-1][0])[:CURVES]
    return tuple(Series(name, *map(tuple, zip(*found[name], strict=True))) for name in sorted(newest))


def numbers_of(stages: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """Return the numbers of a run's stages, each named after both."""
    return {f"{stage} {name}": value for stage, metrics in stages.items() for name, value in metrics.items()}


def history(lines: Sequence[PastRun], kept: Sequence[RunFile], series: Sequence[Series]) -> tuple[HistoryRow, ...]:
    """Return the history, newest first. `kept` are the runs that can be looked into."""
    files = {run.run: run for run in kept}
    values = [dict(zip(one.runs, one.values, strict=True)) for one in series]
    older = dict(zip(sorted(files, reverse=True), sorted(files, reverse=True)[1:], strict=False))
    return tuple(
        HistoryRow(
            past=past,
            tone=tone(past.outcome),
            seconds=times.seconds(past.started, past.finished),
            cause=files[past.run].cause if past.run in files else "",
            kept=past.run in files,
            before=older.get(past.run, 0),
            numbers=tuple(one.get(past.run) for one in values),
        )
        for past in lines
    )
