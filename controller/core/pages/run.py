"""One run: what it was made of, its stages in their steps, its timeline, its attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controller.core import times
from controller.core.documents.codec import printable
from controller.core.documents.run import RunFile, StageEntry
from controller.core.model import Attempt
from controller.core.pages.graph import Node, Step, graph
from controller.core.pages.states import Tone, tone
from controller.core.pages.timeline import Timeline, timeline
from controller.core.text import format_duration


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage with its attempts."""

    node: Node
    attempts: tuple[Attempt, ...]
    numbers: Mapping[str, float]
    indexes: int = 0  # of a parallel stage

    @property
    def newest(self) -> tuple[Attempt, ...]:
        """The newest attempt of each index, those that failed first."""
        found = {attempt.index: attempt for attempt in self.attempts if attempt.index is not None}
        return tuple(sorted(found.values(), key=lambda attempt: (not attempt.exit_code, attempt.ended, attempt.index)))


@dataclass(frozen=True, slots=True)
class RunView:
    """All that a page shows of a run. `state` is its phase while it is active, then its outcome."""

    name: str
    file: RunFile
    state: str
    tone: Tone
    active: bool
    seconds: float | None
    steps: tuple[Step, ...]
    timeline: Timeline | None
    rows: tuple[StageRow, ...]

    @property
    def number(self) -> int:
        """The run's number."""
        return self.file.run


def run_view(name: str, file: RunFile, attempts: Mapping[str, Sequence[Attempt]], now: datetime) -> RunView:
    """Return the view of a run. `attempts` are those that left a log; where none are known, what the run says."""
    run = printable(file)
    known = {
        stage: printable(tuple(attempts.get(stage, () if isinstance(entry.attempts, int) else entry.attempts)))
        for stage, entry in run.stages.items()
    }
    active = not run.finished
    state = "Running" if active else run.outcome or "Unknown"
    steps = graph(run)
    return RunView(
        name=name,
        file=run,
        state=state,
        tone=tone(state),
        active=active,
        seconds=times.seconds(run.started, run.finished),
        steps=steps,
        timeline=timeline(run, known, now),
        rows=tuple(
            StageRow(node, known.get(node.name, ()), entry.metrics, entry.indexes)
            for step in steps
            for node in step.nodes
            for entry in [run.stages.get(node.name, StageEntry())]
        ),
    )


_FACTS: Final = ("commit", "repository", "path", "ref", "cause", "trigger", "image", "controller")


def facts(run: RunFile) -> tuple[tuple[str, str], ...]:
    """Return what a run was made of, as titles and values; its packages are elsewhere."""
    pairs = {
        **{name: getattr(run, name) for name in _FACTS},
        "repeats run": str(run.rerun or ""),
        "goes on from run": str(run.base or ""),
        "only": ", ".join(run.part),
        "deadline": format_duration(run.deadline),
        **{f"image of {stage}": image for stage, image in run.images.items()},
        **{f"parameter {name}": value for name, value in run.parameters},
        **{f"variable {name}": value for name, value in run.env.items()},
        **{f"secret {item.name}": f"version {item.resource_version}" for item in run.secrets},
    }
    return tuple((title, value) for title, value in pairs.items() if value)
