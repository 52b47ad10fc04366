"""Views of a run: a live table on a terminal, plain lines elsewhere, a JSON object for each change for programs."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.cli import text
from controller.core.model import Record, StageRecord, StageState
from controller.core.text import format_duration, shorten

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
STOP = "Press Ctrl-C to stop"
LAST_LINES = 20  # that are shown of a stage that failed
FRAME = 2  # lines of a terminal that are not the table's rows: its title, and the cursor's
NARROW = 60  # columns of a terminal that has no room for what matters least
BEAT = 30.0  # seconds after which lines say again what is waited for
TAIL_LIMIT = 120  # characters of a stage's last line where lines say that


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be shown now. `steps` are stage names in their order, `tails` the last line that each printed.

    A record alone has no steps: it is not `numbered`, and has all stages in one. `note`: what the run waits for, other
    than its stages; `elapsed`: for how many seconds it has been followed.
    `stays`: what it has brought up stays until Ctrl-C.
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

    @property
    def waits(self) -> tuple[str, ...]:
        """What the run waits for, a line for each cause."""
        return () if self.over else (*([self.note] if self.note else []), *self._causes("Waiting", "Running"))

    @property
    def failures(self) -> tuple[str, ...]:
        """Why stages failed, a line for each cause; not what the record itself says of the run."""
        return tuple(line for line in self._causes("Failed") if not (self.over and self.record.message.endswith(line)))

    def _causes(self, *states: StageState) -> list[str]:
        found: dict[str, list[str]] = {}
        for name, stage in self.record.stages.items():
            if stage.message and stage.state in states:
                found.setdefault(stage.message, []).append(self.record.title(name))
        return [f"{', '.join(names)}: {message}" for message, names in found.items()]

    @property
    def busy(self) -> tuple[str, ...]:
        """The stages that run and wait for nothing, each with the last line that it printed."""
        running = [
            (self.record.title(name), _doing(stage), shorten(self.tails.get(name, ""), TAIL_LIMIT))
            for name, stage in self.record.stages.items()
            if stage.state == "Running" and not stage.message
        ]
        return tuple(": ".join(filter(None, words)) for words in running)

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

    def note(self, line: str) -> None:
        """Show a line that does not belong to the command's output."""
        typer.echo(line, err=True)

    def close(self) -> None:  # noqa: B027 (plain lines leave nothing to be done)
        """Leave the terminal to others."""


class LiveTable(Screen):
    """A table on a terminal that changes in place; the last one stays."""

    def __init__(self, console: Console) -> None:
        self._console, self._left, self._verdict = console, Group(), Text()
        self._live = Live(console=console, refresh_per_second=REFRESH, transient=False)
        self._live.start()

    def show(self, scene: Scene) -> None:
        """Draw the scene. Causes are wrapped below the table: as many as there is room for, but one at least."""
        size, good = self._console.size, scene.record.phase in ("Ready", "Degraded")
        self._verdict = Text(_verdict(scene) if scene.over else "", style="green" if good else "bold red")
        notes = [*(Text(line, "yellow") for line in scene.waits), *(Text(line, "red") for line in scene.failures)]
        room, below = size.height - FRAME - 1 - self._lines(self._verdict), list[Text]()
        for at, note in enumerate(notes):
            room -= self._lines(note)
            if below and room < 1:
                below.append(Text(f"and {len(notes) - at} more", "dim"))
                break
            below.append(note)
        below += [Text(STOP)] if scene.stays else []
        table = [_table(scene, size.width, max(room, 1))] if scene.groups else []
        self._left = Group(*table, *below)
        self._live.update(Group(self._left, self._verdict) if scene.over else self._left)

    def _lines(self, words: Text) -> int:
        return len(words.wrap(self._console, self._console.width)) if words else 0

    def note(self, line: str) -> None:
        """Show a line above the table."""
        self._console.print(Text(line), soft_wrap=True)

    def close(self) -> None:
        """Leave the last table, and the verdict in a line that the terminal wraps: what is in it can be copied."""
        self._live.update(self._left)
        self._live.stop()
        if self._verdict:
            self._console.print(self._verdict, soft_wrap=True)


class PlainLines(Screen):
    """One plain line for each change of a stage, for logs and pipes; and now and then one where nothing changes."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}
        self._causes: list[str] = []  # of failed stages, that were printed
        self._last, self._elapsed = 0.0, 0.0  # when a line was printed, and what time it is

    def show(self, scene: Scene) -> None:
        """Print what has changed since the last scene. A cause is printed once: by its stage, or in the verdict."""
        self._elapsed = scene.elapsed
        if scene.note and not scene.over:
            self._print("note", scene.note, scene.note)
        for number, name, stage in scene.changes:
            if stage.state != "Waiting" or stage.message:
                last = scene.over and stage.message and scene.record.message.endswith(stage.message)
                took = text.took(stage.started, stage.finished) if stage.finished else ""
                words = " ".join(filter(None, (_state(stage), took, "" if stage.message else _doing(stage))))
                words += f": {stage.message}" if stage.message and not last else ""
                place = f"step {number}  " if scene.numbered and number else ""
                line = f"{place}{scene.record.title(name)}: {words}"
                printed = self._print(name, f"{stage.state} {stage.message}", line)
                if printed and not last and stage.state == "Failed":
                    self._causes += filter(None, [stage.message])
        for name, address in scene.addresses.items():
            self._print(f"{name} address", address, f"service {name}: {address}")
        if scene.over:
            known = next((cause for cause in self._causes if scene.record.message.endswith(cause)), "")
            self._print("run", f"{scene.record.run} {scene.record.phase}", _verdict(scene, known))
            if scene.stays:
                self._print("stays", STOP, STOP)
        elif scene.elapsed - self._last >= BEAT and (still := "; ".join((*scene.waits, *scene.busy))):
            self._print("beat", str(scene.elapsed), f"after {format_duration(scene.elapsed)}: {still}")

    def _print(self, key: str, state: str, line: str) -> bool:
        """Print a line if its state is new; return whether it is."""
        if self._printed.get(key) == state:
            return False
        self._printed[key], self._last = state, self._elapsed
        self.line(line)
        return True

    def line(self, line: str) -> None:
        """Print a line."""
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


def _state(stage: StageRecord) -> str:
    """Return the state as a person sees it: what can't start yet waits."""
    waits = stage.state == "Running" and (stage.waiting_for or stage.reason == "Starting")
    return "Waiting" if waits else stage.state


def _doing(stage: StageRecord) -> str:
    serves = stage.state == "Running" and any(item.startswith("Deployment/") for item in stage.objects)
    return "until it is ready" if serves else ""


def _table(scene: Scene, width: int, height: int) -> Table:
    """Return the table of the stages, in at most so many rows until the run is over; causes are not in it."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    titles = ["stage", "state", "time", *(["attempt"] if width >= NARROW else [])]
    if scene.numbered:
        titles.insert(0, "step")
    for title in titles:
        table.add_column(title, no_wrap=True)
    # This one may be squeezed, so that the others are not; its texts are cut.
    table.add_column(Text("last words", no_wrap=True, overflow="ellipsis"), ratio=1)
    for number, place, name in _rows(scene, height):
        stage = scene.record.stages.get(name, StageRecord())
        said = "" if stage.state in ("Waiting", "Running", "Failed") else stage.message  # theirs is below the table
        words = said or scene.addresses.get(name) or scene.tails.get(name) or _doing(stage)
        cells: list[str | Text] = [
            *([str(number or "") if place == 0 else ""] if scene.numbered else []),
            Text(scene.record.title(name)),
            Text(_state(stage), style=COLOURS.get(_state(stage), "dim")),
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


def _verdict(scene: Scene, known: str = "") -> str:
    """Return how the run ended, and why but for the cause that is known already."""
    record = scene.record
    what = f"run {record.run} at {scene.shown_commit}" if record.run else ""  # "": it did not come to a run
    why = record.message.removesuffix(known).rstrip(": ") if record.phase != "Ready" else ""
    return ": ".join(filter(None, (record.phase, what, why)))


def last_words(
    record: Record, tail: Callable[[str], Iterable[str]], command: Callable[[str], str] = lambda _stage: ""
) -> None:
    """Show on standard error all problems of an invalid project, or what failed stages printed last.

    `tail` returns a stage's last lines, `command` what shows all of them.
    """
    if record.phase == "Invalid" and len(record.problems) > 1:
        typer.echo("\n".join(record.problems), err=True)
    failed = (name for name, stage in record.stages.items() if stage.state == "Failed")
    for name in failed if record.phase == "Failed" else ():
        # Coachwork's own lines repeat the cause.
        if lines := [f"  {text.plain(line)}" for line in tail(name) if not text.FORMAL.match(line)]:
            whole = [f"all of them: {shown}"] if (shown := command(name)) else []
            typer.echo("\n".join(["", f"the last lines of stage {record.title(name)}:", *lines, *whole]), err=True)
