"""Views of a run: a live table on a terminal, plain lines elsewhere, a JSON object for each change for programs."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import typer
from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.cli import text
from controller.core.model import Record, StageRecord

COLOURS = {
    "Running": "cyan",
    "Done": "green",
    "Unchanged": "green",
    "Reused": "green",
    "Failed": "red",
    "Stopped": "yellow",
}
ORDER = {
    "Stopped": 1,
    "Skipped": 1,
    "Running": 2,
}  # of what happens in one second: ends, what follows from them, begins
STAGE_KEYS = ("state", "reason", "message", "attempts", "started", "finished")
REFRESH = 4  # a second
LAST_LINES = 20  # that are shown of a stage that failed
FRAME = 2  # lines of a terminal that are not the table's rows: its title, and the cursor's
NARROW = 60  # columns of a terminal that has no room for what matters least


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be shown now. `steps` are stage names in their order, `tails` the last line that each printed.

    A record alone has no steps: it is not `numbered`, and has all stages in one. `note`: what the run waits for.
    """

    record: Record
    shown_commit: str
    steps: tuple[tuple[str, ...], ...]
    over: bool = False
    tails: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    numbered: bool = True
    note: str = ""

    @property
    def groups(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The stages with the number of their step; 0 for those in none: environments, and the failure stage."""
        stages, spec = self.record.stages, self.record.spec
        steps = tuple(enumerate(self.steps, start=1))
        others = [name for name in stages if not any(name in step for step in self.steps)]
        builds = {item.name for item in spec.environments} if spec else set()
        first = tuple(name for name in others if name in builds)
        last = tuple(name for name in others if name not in builds)
        return tuple((number, names) for number, names in ((0, first), *steps, (0, last)) if names)

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


class Screen(ABC):
    """Shows scenes, until `close`."""

    @abstractmethod
    def show(self, scene: Scene) -> None:
        """Show what is new in the scene."""

    def close(self) -> None:  # noqa: B027 (plain lines leave nothing to be done)
        """Leave the terminal to others."""


class LiveTable(Screen):
    """A table on a terminal that changes in place; the last one stays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=REFRESH, transient=False)
        self._live.start()

    def show(self, scene: Scene) -> None:
        """Draw the scene."""
        good = scene.record.phase in ("Ready", "Degraded")
        verdict = Text(_verdict(scene), style="green" if good else "bold red")
        footer = [verdict] if scene.over else [Text(scene.note, style="dim")] if scene.note else []
        self._live.update(Group(_table(scene, self._console.size), *footer))

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()


class PlainLines(Screen):
    """One plain line for each change of a stage, for logs and pipes."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}

    def show(self, scene: Scene) -> None:
        """Print what has changed since the last scene."""
        if scene.note:
            self._print("note", scene.note, scene.note)
        for number, name, stage in scene.changes:
            if stage.state != "Waiting":
                took = text.took(stage.started, stage.finished) if stage.finished else ""
                words = " ".join(filter(None, (stage.state, took, stage.message)))
                place = f"step {number}  " if scene.numbered and number else ""
                self._print(name, f"{stage.state} {stage.message}", f"{place}{name}: {words}")
        for name, address in scene.addresses.items():
            self._print(f"{name} address", address, f"service {name}: {address}")
        if scene.over:
            self._print("run", f"{scene.record.run} {scene.record.phase}", _verdict(scene))

    def _print(self, key: str, state: str, line: str) -> None:
        if self._printed.get(key) != state:
            self._printed[key] = state
            print(line, flush=True)  # noqa: T201 (this is the command's output)


class JsonLines(PlainLines):
    """The whole scene as one JSON object on a line, at every change; docs/reference/cli.md documents its shape."""

    def show(self, scene: Scene) -> None:
        """Print the scene if it differs from the last one."""
        line = json.dumps(as_json(scene))
        self._print("scene", line, line)


def screen(output: str) -> Screen:
    """Return the screen for this output: JSON, a table on a terminal, or lines elsewhere."""
    if output == "json":
        return JsonLines()
    console = Console()
    return LiveTable(console) if console.is_terminal and sys.stdout.isatty() else PlainLines()


def as_json(scene: Scene) -> dict[str, object]:
    """Return the scene for programs."""
    record = scene.record
    return {
        "over": scene.over,
        "phase": record.phase,
        "reason": record.reason,
        "message": record.message,
        "problems": list(record.problems),
        "run": record.run,
        "commit": scene.shown_commit,
        "stages": {
            name: {"step": number, **{key: getattr(stage, key) for key in STAGE_KEYS}}
            for number, step in scene.groups
            for name in step
            for stage in [record.stages.get(name, StageRecord())]
        },
        "services": dict(scene.addresses),
    }


def _table(scene: Scene, size: ConsoleDimensions) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    titles = ["stage", "state", "time", *(["attempt"] if size.width >= NARROW else [])]
    if scene.numbered:
        titles.insert(0, "step")
    for title in titles:
        table.add_column(title, no_wrap=True)
    # This one may be squeezed, so that the others are not; its texts are cut.
    table.add_column(Text("last words", no_wrap=True, overflow="ellipsis"), ratio=1)
    for number, place, name in _rows(scene, size.height - FRAME):
        stage = scene.record.stages.get(name, StageRecord())
        words = stage.message or scene.addresses.get(name) or scene.tails.get(name, "")
        cells: list[str | Text] = [
            *([str(number or "") if place == 0 else ""] if scene.numbered else []),
            Text(name),
            Text(stage.state, style=COLOURS.get(stage.state, "dim")),
            text.took(stage.started, stage.finished),
            str(stage.attempts or ""),
        ]
        table.add_row(*cells[: len(titles)], Text(words, no_wrap=True, overflow="ellipsis"))
    return table


def _rows(scene: Scene, room: int) -> list[tuple[int, int, str]]:
    """Return step, place in it, and stage of each row: all at the end; before, what has room below the open step."""
    rows = [(number, place, name) for number, step in scene.groups for place, name in enumerate(step)]
    if scene.over or len(rows) <= room:
        return rows
    stages, step = scene.record.stages, scene.record.step
    running = [name in stages and stages[name].state == "Running" for _, _, name in rows]
    opened = [number == step for number, _, _ in rows] if scene.numbered else running
    first = min(opened.index(True) if True in opened else 0, len(rows) - max(room, 1))
    return rows[first : first + max(room, 1)]


def _verdict(scene: Scene) -> str:
    record = scene.record
    what = f"run {record.run} at {scene.shown_commit}" if record.run else ""  # "": it did not come to a run
    why = record.message if record.phase != "Ready" else ""
    return ": ".join(filter(None, (record.phase, what, why)))


def last_words(record: Record, tail: Callable[[str], Iterable[str]]) -> None:
    """Show on standard error all problems of an invalid project, or what failed stages printed last."""
    if record.phase == "Invalid" and len(record.problems) > 1:
        typer.echo("\n".join(record.problems), err=True)
    failed = (name for name, stage in record.stages.items() if stage.state == "Failed")
    for name in failed if record.phase == "Failed" else ():
        if lines := [f"  {text.plain(line)}" for line in tail(name)]:
            typer.echo("\n".join([f"\nthe last lines of stage {name}:", *lines]), err=True)
