"""Views of a run: a live table on a terminal, plain lines elsewhere, a JSON object for each change for programs."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.cli import text
from controller.cli.scene import Scene, doing
from controller.core import numbers
from controller.core.model import STARTING, Record, StageRecord
from controller.core.pages.states import shown_state
from controller.core.text import format_duration

COLOURS = {
    "Running": "cyan",
    "Done": "green",
    "Unchanged": "green",
    "Reused": "green",
    "Failed": "red",
    "Stopped": "yellow",
}
STAGE_KEYS = ("state", "reason", "message", "attempts", "started", "finished", "metrics")
REFRESH = 4  # a second
STOP = "Press Ctrl-C to stop"
LAST_LINES = 20  # that are shown of a stage that failed
FRAME = 2  # lines of a terminal that are not the table's rows: its title, and the cursor's
NARROW = 60  # columns of a terminal that has no room for what matters least
BEAT = 30.0  # seconds after which lines say again what is waited for


def say(line: str) -> None:
    """Show a line that does not belong to the command's output."""
    typer.echo(line, err=True)


class Screen(ABC):
    """Shows scenes, until `close`."""

    @abstractmethod
    def show(self, scene: Scene) -> None:
        """Show what is new in the scene."""

    def note(self, line: str) -> None:
        """Show a line that does not belong to the command's output."""
        say(line)

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
            if shown_state(stage) not in ("Waiting", STARTING) or scene.cause(name, stage):
                last = scene.over and stage.message and scene.record.message.endswith(stage.message)
                took = text.took(stage.started, stage.finished) if stage.finished else ""
                tries = f"(attempt {stage.attempts})" if stage.finished and stage.attempts > 1 else ""
                left = numbers.listed(stage.metrics) or doing(stage)
                words = " ".join(filter(None, (shown_state(stage), took, tries, "" if stage.message else left)))
                said = stage.message or (scene.record.why(name) if stage.state in ("Reused", "Running") else "")
                words += f": {said}" if said and not last else ""
                words = words.replace(f"{STARTING}: {STARTING.lower()}", STARTING)  # the cause begins with the state
                place = f"step {number}  " if scene.numbered and number else ""
                line = f"{place}{scene.record.title(name)}: {words}"
                printed = self._print(name, f"{stage.state} {stage.message}", line)
                if printed and not last and stage.state == "Failed":
                    self._causes += filter(None, [stage.message])
        for name, step in scene.begun.items():
            self._print(f"{name} step", step, f"{scene.record.title(name)}: {step}")
        for name, address in scene.addresses.items():
            self._print(f"{name} address", address, f"service {name}: {address}")
        if scene.over:
            known = next((cause for cause in self._causes if scene.record.message.endswith(cause)), "")
            self._print("run", f"{scene.record.run} {scene.record.phase}", _verdict(scene, known))
            if scene.stays:
                self._print("stays", STOP, STOP)
        elif scene.elapsed - self._last >= BEAT and (still := "; ".join(scene.still)):
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
        said = said or (scene.record.why(name) if stage.state == "Reused" else "")
        known = numbers.listed(stage.metrics) or scene.at(name) or scene.tails.get(name)
        words = said or scene.addresses.get(name) or known or doing(stage)
        cells: list[str | Text] = [
            *([str(number or "") if place == 0 else ""] if scene.numbered else []),
            Text(scene.record.title(name)),
            Text(shown_state(stage), style=COLOURS.get(shown_state(stage), "dim")),
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
    record: Record,
    tail: Callable[[str], Iterable[str]],
    command: Callable[[str], str] = lambda _stage: "",
    say: Callable[[str], None] = say,
) -> None:
    """Say all problems of an invalid project, or what failed stages printed last.

    `tail` returns a stage's last lines, `command` what shows all of them.
    """
    if record.phase == "Invalid" and len(record.problems) > 1:
        say("\n".join(record.problems))
    failed = (name for name, stage in record.stages.items() if stage.state == "Failed")
    for name in failed if record.phase == "Failed" else ():
        # Coachwork's own lines repeat the cause.
        if lines := [f"  {text.plain(line)}" for line in tail(name) if not text.FORMAL.match(line)]:
            whole = [f"all of them: {shown}"] if (shown := command(name)) else []
            say("\n".join(["", f"the last lines of stage {record.title(name)}:", *lines, *whole]))
