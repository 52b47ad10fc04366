"""What can be shown of a run at one moment, for the screens that show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.cli import text
from controller.core.documents.progress import Progress
from controller.core.model import PROGRESS, STARTING, Record, StageRecord, StageState, serves
from controller.core.pages.graph import groups
from controller.core.text import shorten

ORDER = {
    "Stopped": 1,
    "Skipped": 1,
    "Running": 2,
}  # of what happens in one second: ends, what follows from them, begins
TAIL_LIMIT = 120  # characters of a stage's last line where lines say again what it does


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be shown now. `steps` are stage names in their order, `tails` the last line that each printed.

    A record alone has no steps: it is not `numbered`, and has all stages in one. `note`: what the run waits for, other
    than its stages; `elapsed`: for how many seconds it has been followed.
    `stays`: what it has brought up stays until Ctrl-C. `progress`: what stages and environments are at before scripts.
    """

    record: Record
    shown_commit: str
    steps: tuple[tuple[str, ...], ...]
    over: bool = False
    tails: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    numbered: bool = True
    note: str = ""
    elapsed: float = 0.0
    stays: bool = False
    progress: Mapping[str, Progress] = field(default_factory=dict)

    @property
    def waits(self) -> tuple[str, ...]:
        """What the run waits for, a line for each cause."""
        if self.over:
            return ()
        since = {stage.message: stage.waiting_since for stage in self.record.stages.values() if stage.waiting_since}
        causes = self._causes("Waiting", "Running")
        held = [
            f"{line}; waiting for {text.took(since[message], '')}" if message in since else line
            for message, line in causes.items()
        ]
        return (*([self.note] if self.note else []), *held)

    @property
    def failures(self) -> tuple[str, ...]:
        """Why stages failed, a line for each cause; not what the record itself says of the run."""
        lines = self._causes("Failed").values()
        return tuple(line for line in lines if not (self.over and self.record.message.endswith(line)))

    def _causes(self, *states: StageState) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for name, stage in self.record.stages.items():
            if stage.state in states and self.cause(name, stage):
                found.setdefault(stage.message, []).append(self.record.title(name))
        return {message: f"{', '.join(names)}: {message}" for message, names in found.items()}

    def cause(self, name: str, stage: StageRecord) -> str:
        """Return what the record says of a stage, "" where more is known of how it starts, or it says how far it is."""
        known = stage.reason == PROGRESS or (stage.reason == STARTING and name in self.progress)
        return "" if known else stage.message

    @property
    def still(self) -> tuple[str, ...]:
        """What goes on, for lines that say so again: causes were printed with their remedies when they came."""
        stages = self.record.stages.items()
        held = [
            self.record.title(name)
            for name, it in stages
            if it.state in ("Waiting", "Running") and self.cause(name, it)
        ]
        waits = f"{', '.join(held)} still waiting" if held else ""
        return tuple(filter(None, (self.note, waits, *self.busy)))

    @property
    def busy(self) -> tuple[str, ...]:
        """The stages that run and wait for nothing, each with the last line that it printed."""
        running = [
            (self.record.title(name), self.at(name) or doing(stage), shorten(self.tails.get(name, ""), TAIL_LIMIT))
            for name, stage in self.record.stages.items()
            if stage.state == "Running" and not self.cause(name, stage)
        ]
        return tuple(": ".join(filter(None, words)) for words in running)

    @property
    def begun(self) -> Mapping[str, str]:
        """What is under way of stages and environments, in short: nothing of those that say why they can't start."""
        return {
            name: self.progress[name].step
            for name, stage in self.record.stages.items()
            if name in self.progress and stage.state == "Running" and not stage.waiting_for
        }

    def at(self, name: str) -> str:
        """Return how far a stage or an environment is whose script does not run yet, and since when it is at that."""
        if not (progress := self.progress.get(name)):
            return ""
        return ", ".join(filter(None, (progress.doing, text.took(progress.since, ""))))

    @property
    def groups(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The stages with the number of their step; 0 for those in none: environments, and the failure stage."""
        spec = self.record.spec
        return groups(self.steps, self.record.stages, {item.name for item in spec.environments} if spec else ())

    @property
    def changes(self) -> list[tuple[int, str, StageRecord]]:
        """Step, name and state of each stage, in the order in which they came to these states."""
        stages = self.record.stages
        placed = [(number, name, stages.get(name, StageRecord())) for number, step in self.groups for name in step]
        return sorted(placed, key=lambda item: (self._since(item[2]), ORDER.get(item[2].state, 0)))

    def _since(self, stage: StageRecord) -> str:
        """Return since when a stage is in its state; "" for what was decided before the run began."""
        if stage.state not in ("Stopped", "Skipped"):
            return stage.finished or stage.started
        # No time is recorded of these: another's failure caused it, or something outside, after all that has ended.
        stages = tuple(self.record.stages.values())
        failures = [other.finished for other in stages if other.state == "Failed"]
        return min(failures) if failures else max((other.finished for other in stages[:-1]), default="")


def doing(stage: StageRecord) -> str:
    """Return until when a service that runs is waited for, how far a parallel stage is, "" for other stages."""
    if stage.reason == PROGRESS:
        return stage.message
    serving = stage.state == "Running" and serves(stage.objects)
    return "until it is ready" if serving else ""
