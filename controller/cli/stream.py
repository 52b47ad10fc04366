"""What stages print as it comes, each line behind the name of its stage, between the lines about their states.

On a terminal a last line says what is under way. Nothing that a stage prints acts on the terminal, and a line that has
no end yet (a progress bar) is shown there alone.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Final

from rich.cells import set_cell_size
from rich.console import Console

from controller.cli import text
from controller.cli.scene import Scene
from controller.cli.show import STOP, PlainLines
from controller.core import names
from controller.core.text import shorten

COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")  # of stages, one after the other
ERASE: Final = "\r\x1b[2K"
SOON: Final = 1.0  # seconds after which the record would say that an attempt was the last one


class Stream(PlainLines):
    """Plain lines about the stages, and what these print."""

    def __init__(self, own: Callable[[str], str] = str) -> None:
        """Show what stages print, each line as `own` has it."""
        super().__init__()
        self._own = own
        console = Console()
        self._status = "" if console.is_terminal and sys.stdout.isatty() and not console.is_dumb_terminal else None
        self._colours = cycle(COLOURS) if self._status is not None and not os.environ.get("NO_COLOR") else None
        self._logs: dict[tuple[str, int], tuple[str, text.Lines]] = {}  # with what each line begins with
        self._verdicts: dict[str, tuple[str, float]] = {}  # how stages' last attempts ended badly, and when
        self._width = 0

    def printed(self, stage: str, attempt: int, chunk: bytes, *, last: bool = False) -> None:
        """Show what an attempt has printed."""
        if (stage, attempt) not in self._logs:
            self._say_again(stage)
            name = stage if attempt == 1 else f"{stage}/{attempt}"
            self._width = max(self._width, len(name))
            self._logs[stage, attempt] = self._painted(name), text.Lines()
        begin, lines = self._logs[stage, attempt]
        shown = []
        for line in map(text.final, lines.feed(chunk, last=last)):
            found = text.FORMAL.match(line)
            if not found:
                shown.append(begin + self._own(line))
            elif found["verdict"]:
                self._verdicts[stage] = found["verdict"], time.monotonic()
        if shown:
            self.line("\n".join(shown))

    def _say_again(self, stage: str) -> None:
        """Say how the last attempt ended, since it was not the last."""
        if stage in self._verdicts:
            self.line(f"{stage}: {text.plain(self._verdicts.pop(stage)[0])}; it is tried again")

    def _painted(self, name: str) -> str:
        begin = f"{text.plain(name).ljust(self._width)} | "
        return f"\x1b[{next(self._colours)}m{begin}\x1b[0m" if self._colours else begin

    def show(self, scene: Scene) -> None:
        """Print what has changed, and draw what is under way."""
        self._width = max([self._width, *(len(name) for _, step in scene.groups for name in step)])
        shown = replace(scene, progress={})  # builds have lines of their own
        if self._status is not None:  # the last line says it
            shown = replace(shown, stays=False, elapsed=0.0)
        super().show(shown)
        for name, (verdict, at) in list(self._verdicts.items()):
            stage = scene.record.stages.get(names.stage_of(name))
            if stage and stage.message.endswith(verdict):  # it was printed with the stage's state
                del self._verdicts[name]
            elif names.stage_of(name) != name:  # one of many, of which the stage's state names but one
                self.line(f"{name}: {text.plain(verdict)}")
                del self._verdicts[name]
            elif stage and stage.state == "Running" and time.monotonic() - at > SOON:
                self._say_again(name)
        self._draw(self._under_way(scene))

    def _under_way(self, scene: Scene) -> str:
        if scene.over:
            return STOP if scene.stays else ""
        parts = [
            " ".join(filter(None, (name, text.took(stage.started, ""), self._doing(scene, name))))
            for name, stage in scene.record.stages.items()
            if stage.state == "Running"
        ]
        return f"running: {', '.join(parts)}" if parts else scene.note or "preparing the run"

    def _doing(self, scene: Scene, stage: str) -> str:
        """Return how far a build is, or the line without an end of a stage's newest attempt."""
        if stage in scene.progress:
            return f"({scene.progress[stage].doing})"
        lines = (text.final(lines.rest) for (name, _), (_, lines) in reversed(self._logs.items()) if name == stage)
        return shorten(next(lines, ""), 60)

    def line(self, line: str) -> None:
        """Print lines above the last one."""
        self._last = self._elapsed
        if self._status is None:
            super().line(line)
        else:
            sys.stdout.write(f"{ERASE}{line}\n")
            self._draw(self._status, again=True)

    def note(self, line: str) -> None:
        """Print a line on standard error, above the last one."""
        if self._status:
            sys.stdout.write(ERASE)
            sys.stdout.flush()
        super().note(line)
        self._draw(self._status or "", again=True)

    def _draw(self, status: str, *, again: bool = False) -> None:
        """Draw the last line of a terminal."""
        if self._status is not None and (again or status != self._status):
            self._status = status
            size = Console().size.width - 1
            cut = set_cell_size(status, size).rstrip()
            sys.stdout.write(f"{ERASE}\x1b[2m{cut}\x1b[0m" if cut else ERASE)
            sys.stdout.flush()

    def close(self) -> None:
        """Show what has no end, and take the last line away."""
        for stage, attempt in list(self._logs):
            self.printed(stage, attempt, b"", last=True)
        self._draw("")
