"""How a run looks: a live table on a terminal, plain lines elsewhere, one JSON object a change for programs."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.core import times
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
REFRESH = 4  # a second
FRAME = 2  # lines of a terminal that are not the table's rows: its title, and the cursor's
NARROW = 60  # columns of a terminal that has no room for what matters least


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to see now. `steps` are stage names in their order, `tails` the last line that each printed.

    Whoever reads a record alone knows no steps: not `numbered`, and all stages in one. `note`: what is waited for.
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
        """Give the stages with the number of their step; 0 for those in none: environments, and the failure stage."""
        kept, spec = self.record.stages, self.record.spec
        steps = tuple(enumerate(self.steps, start=1))
        others = [name for name in kept if not any(name in step for step in self.steps)]
        builds = {item.name for item in spec.environments} if spec else set()
        first = tuple(name for name in others if name in builds)
        last = tuple(name for name in others if name not in builds)
        return tuple((number, names) for number, names in ((0, first), *steps, (0, last)) if names)

    @property
    def changes(self) -> list[tuple[int, str, StageRecord]]:
        """Return step, name and state of each stage, in the order in which they came to these states."""
        kept = self.record.stages
        placed = [(number, name, kept.get(name, StageRecord())) for number, step in self.groups for name in step]
        return sorted(placed, key=lambda item: (self._since(item[2]), ORDER.get(item[2].state, 0)))

    def _since(self, stage: StageRecord) -> str:
        """Return since when a stage is in its state; "" for what was decided before the run began."""
        if stage.state not in ("Stopped", "Skipped"):
            return stage.finished or stage.started
        # No time is recorded of these: another's failure caused it, or something outside, after all that has ended.
        stages = tuple(self.record.stages.values())
        failures = [other.finished for other in stages if other.state == "Failed"]
        return min(failures) if failures else max((other.finished for other in stages[:-1]), default="")


class Screen(Protocol):
    """Shows scenes."""

    def show(self, scene: Scene) -> None:
        """Show the scene, as far as it says anything new."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LiveTable:
    """A table on a terminal that changes in place."""

    def __init__(self, console: Console) -> None:
        """Take the terminal over, until `close`."""
        self._console = console
        self._live = Live(console=console, refresh_per_second=REFRESH, transient=False)
        self._live.start()

    def show(self, scene: Scene) -> None:
        """Draw the scene anew."""
        self._live.update(Group(_table(scene, self._console.size), *_footer(scene)))

    def close(self) -> None:
        """Leave the last picture on the terminal."""
        self._live.stop()


class Lines:
    """One plain line for each change of a stage, for logs and pipes."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._said: dict[str, str] = {}

    def show(self, scene: Scene) -> None:
        """Say what has changed since the last scene."""
        if scene.note:
            self._say("note", scene.note, scene.note)
        for number, name, stage in scene.changes:
            if stage.state != "Waiting":
                words = " ".join(filter(None, (stage.state, duration(stage), stage.message)))
                place = f"step {number}  " if scene.numbered and number else ""
                self._say(name, f"{stage.state} {stage.message}", f"{place}{name}: {words}")
        for name, address in scene.addresses.items():
            self._say(f"{name} address", address, f"service {name}: {address}")
        if scene.over:
            self._say("run", f"{scene.record.run} {scene.record.phase}", _verdict(scene))

    def close(self) -> None:
        """Nothing to leave."""

    def _say(self, key: str, state: str, line: str) -> None:
        if self._said.get(key) != state:
            self._said[key] = state
            print(line, flush=True)  # noqa: T201 (this is the command's output)


class JsonLines:
    """The whole scene as one JSON object a line, at every change. The shape is documented in docs/reference/cli.md."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._last = ""

    def show(self, scene: Scene) -> None:
        """Write the scene if it is another than the last."""
        line = json.dumps(as_json(scene))
        if line != self._last:
            self._last = line
            print(line, flush=True)  # noqa: T201 (this is the command's output)

    def close(self) -> None:
        """Nothing to leave."""


def screen(output: str) -> Screen:
    """Give the screen for this output: JSON where asked for, a table on a terminal, lines elsewhere."""
    if output == "json":
        return JsonLines()
    console = Console()
    return LiveTable(console) if console.is_terminal and sys.stdout.isatty() else Lines()


def as_json(scene: Scene) -> dict[str, object]:
    """Give the scene for programs."""
    kept = scene.record
    return {
        "over": scene.over,
        "phase": kept.phase,
        "reason": kept.reason,
        "message": kept.message,
        "problems": list(kept.problems),
        "run": kept.run,
        "commit": scene.shown_commit,
        "stages": {
            name: {
                "step": number,
                "state": stage.state,
                "reason": stage.reason,
                "message": stage.message,
                "attempts": stage.attempts,
                "started": stage.started,
                "finished": stage.finished,
            }
            for number, step in scene.groups
            for name in step
            for stage in [kept.stages.get(name, StageRecord())]
        },
        "services": dict(scene.addresses),
    }


def duration(stage: StageRecord, now: datetime | None = None) -> str:
    """Give how long a stage has run, or ran, as a person reads it: `12 s`, `3 min 5 s`; "" where it never started."""
    start = times.moment(stage.started)
    end = times.moment(stage.finished) or now
    if start is None or end is None:
        return ""
    seconds = max(round((end - start).total_seconds()), 0)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"  # noqa: PLR2004 (a minute)


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
            duration(stage, datetime.now(UTC)),
            str(stage.attempts or ""),
        ]
        table.add_row(*cells[: len(titles)], Text(words, no_wrap=True, overflow="ellipsis"))
    return table


def _rows(scene: Scene, room: int) -> list[tuple[int, int, str]]:
    """Give step, place in it, and stage of each row: all at the end, before that what has room below the open step."""
    rows = [(number, place, name) for number, step in scene.groups for place, name in enumerate(step)]
    if scene.over or len(rows) <= room:
        return rows
    opened = next((at for at, (number, _, name) in enumerate(rows) if _is_open(scene, number, name)), 0)
    first = min(opened, len(rows) - max(room, 1))
    return rows[first : first + max(room, 1)]


def _is_open(scene: Scene, step: int, stage: str) -> bool:
    if scene.numbered:
        return step == scene.record.step
    return scene.record.stages.get(stage, StageRecord()).state == "Running"


def _footer(scene: Scene) -> list[Text]:
    if not scene.over:
        return [Text(scene.note, style="dim")] if scene.note else []
    good = scene.record.phase in ("Ready", "Degraded")
    return [Text(_verdict(scene), style="green" if good else "bold red")]


def _verdict(scene: Scene) -> str:
    kept = scene.record
    what = f"run {kept.run} at {scene.shown_commit}" if kept.run else ""  # "": it did not come to a run
    why = kept.message if kept.phase != "Ready" else ""
    return ": ".join(filter(None, (kept.phase, what, why)))
