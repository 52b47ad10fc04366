"""Texts on a terminal: hostile lines made harmless, columns, durations, and values that options take."""

import codecs
import json
import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import typer

from controller.core import times
from controller.core.errors import Invalid
from controller.core.inputs import variables
from controller.core.text import SEQUENCE, clean, format_duration, format_size, parse_duration, quoted, visible

GAP = "   "
ROOM = 30  # characters that a column needs for texts of several lines
SILENCE = 1.5  # seconds
LONGEST: Final = 16 * 1024  # characters of a line of a log
FORMAL: Final = re.compile(
    r"coachwork: (?:(?:batch|service) stage |environment \S+ of |copied the repository: |the service answers on port "
    r"|all [0-9]+ peers |warning: |numbers: |end of the log: |Completed: |[A-Z][A-Za-z]+: (?P<verdict>.*))"
)
"""A line of the launcher in a log that says what is shown elsewhere: where it is, its warnings, how it ended."""


def write(output: str, document: object, lines: Iterable[str]) -> None:
    """Write a command's answer: a JSON document for programs, lines for people."""
    typer.echo(json.dumps(document) if output == "json" else "\n".join(lines))


@contextmanager
def patience(doing: str) -> Iterator[None]:
    """Say what is being done if it takes longer than a person waits in silence."""
    timer = threading.Timer(SILENCE, typer.echo, (f"{doing} ...",), {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def width() -> int:
    """Return the width of the terminal, 0 where the output is not one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def plain(line: str) -> str:
    """Return a line of a stage as it may stand on a terminal: without colours, everything else that acts escaped."""
    return visible(SEQUENCE.sub("", line).expandtabs())


class Lines:
    """The lines of one log, made of its bytes; one that is longer than LONGEST goes on in the next."""

    def __init__(self) -> None:
        self._decoder, self.rest = codecs.getincrementaldecoder("utf-8")("replace"), ""

    def feed(self, chunk: bytes, *, last: bool = False) -> Iterator[str]:
        """Yield the lines that end in what came; `last`: nothing more comes. What has no end yet is the `rest`."""
        *lines, rest = (self.rest + self._decoder.decode(chunk, last)).split("\n")
        if last and rest:
            lines, rest = [*lines, rest], ""
        yield from lines
        rest = "\r".join(rest.rsplit("\r", 2)[-2:]) if len(rest) > LONGEST else rest
        while len(rest) > LONGEST:
            yield rest[:LONGEST]
            rest = rest[LONGEST:]
        self.rest = rest


def final(line: str) -> str:
    """Return a line of a stage as `plain` has it; of one that was written over, as a progress bar, its last state."""
    return plain(line.rstrip("\r").rpartition("\r")[2])


def columns(titles: Sequence[str], rows: Iterable[Sequence[str]], width: int = 0) -> list[str]:
    """Return a table's lines, in columns as wide as they need; nothing is cut.

    Where a line is longer than `width` (0: none is), the last column goes on in further lines: below its title, or,
    where that leaves little room, below the whole row.
    """
    cells = [list(titles), *([clean(cell, limit=4096) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(titles))]
    left = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    return [line for row in cells for line in _row(row, widths, left, width)]


def _row(cells: Sequence[str], widths: Sequence[int], left: int, width: int) -> list[str]:
    line = GAP.join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip()
    if not width or len(line) <= width or not cells[-1]:
        return [line]
    beside = width - left >= ROOM
    indent = left if beside else len(GAP)
    words = textwrap.wrap(cells[-1], max(width - indent, ROOM), break_long_words=False, break_on_hyphens=False)
    below = [" " * indent + part for part in words]
    return [line[:left] + words[0], *below[1:]] if beside else [line[:left].rstrip(), *below]


def ago(written: str, now: datetime) -> str:
    """Return how long ago a point in time (RFC 3339) was; "" for any other text."""
    moment = times.moment(written)
    return f"{format_duration((now - moment).total_seconds())} ago" if moment else ""


def took(started: str, finished: str, now: datetime | None = None) -> str:
    """Return how long something took, or has taken until now; "" where it never started."""
    start, end = times.moment(started), times.moment(finished) or now or datetime.now(UTC)
    return format_duration((end - start).total_seconds()) if start else ""


def size(number: object) -> str:
    """Return a number of bytes as a person reads it: `12 B`, `3.4 MiB`; "?" for anything else."""
    return format_size(number) if isinstance(number, int) else "?"


def pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Return NAME=VALUE options as pairs. Raises Invalid with all that are malformed."""
    split, wrong = [item.partition("=") for item in given], []
    for name, equals, value in split:
        if not equals or not name:
            wrong.append(f"expected NAME=VALUE, got {quoted(name)}")
            continue
        try:
            variables.name(name)
            variables.value(value)
        except ValueError as error:
            wrong.append(f"{quoted(name)} {error}")
    if wrong:
        raise Invalid("WrongUse", [f"{option}: {line}" for line in wrong])
    return [(name, value) for name, _, value in split]


def seconds(option: str, text: str) -> float | None:
    """Return the seconds of 30s, 5m, 2h or 1h30m, None for "". Raises Invalid for anything else."""
    if not text:
        return None
    if (found := parse_duration(text)) is None:
        problem = f"{option}: expected a duration like 30s, 5m, 2h or 1h30m, got {quoted(text)}"
        raise Invalid("WrongUse", [problem])
    return float(found)
