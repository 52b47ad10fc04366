"""Two runs side by side: code, packages, variables, numbers and times."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from controller.core import times
from controller.core.diff import ChangedValue, StageRun, compare
from controller.core.documents.run import RunFile
from controller.core.pages.history import numbers_of
from controller.core.pages.states import Tone, tone

CODE: Final = ("repository", "ref", "path", "commit", "controller")
_GROUPS: Final = {
    **dict.fromkeys(CODE, "Code"),
    **dict.fromkeys(("image", "image of stage", "image digest"), "Images"),
    **dict.fromkeys(("parameter", "variable", "secret"), "Variables"),
    "package": "Packages",
}
GROUPS: Final = ("Code", "Packages", "Variables", "Images")


@dataclass(frozen=True, slots=True)
class Number:
    """One number in both runs, None where a run has none of it."""

    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """By how much it grew."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs."""

    run: int
    outcome: str
    tone: Tone
    commit: str
    started: str
    seconds: float | None
    message: str


@dataclass(frozen=True, slots=True)
class SideBySide:
    """All that differs; `scale` is the longest time of a stage, in seconds."""

    sides: tuple[Side, Side]
    groups: tuple[tuple[str, tuple[ChangedValue, ...]], ...]
    numbers: tuple[Number, ...]
    stages: tuple[tuple[str, StageRun | None, StageRun | None], ...]
    scale: float


def comparison(before: RunFile, after: RunFile) -> SideBySide:
    """Return two runs side by side."""
    found = compare(before, after)
    left, right = (numbers_of({name: stage.metrics for name, stage in run.stages.items()}) for run in (before, after))
    grouped = ((title, tuple(_of(title, found.changes))) for title in GROUPS)
    stages = tuple((name, *pair) for name, pair in found.stages.items())
    return SideBySide(
        sides=(_side(before), _side(after)),
        groups=tuple(grouped),
        numbers=tuple(Number(name, left.get(name), right.get(name)) for name in {**left, **right}),
        stages=stages,
        scale=max((one.seconds or 0 for _, *pair in stages for one in pair if one), default=0) or 1.0,
    )


def _of(title: str, changes: tuple[ChangedValue, ...]) -> Iterator[ChangedValue]:
    return (change for change in changes if _GROUPS.get(change.kind) == title)


def _side(run: RunFile) -> Side:
    outcome = run.outcome or "Running"
    took = times.seconds(run.started, run.finished)
    return Side(run.run, outcome, tone(outcome), run.commit, run.started, took, run.message)
