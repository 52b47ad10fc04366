"""Texts on a terminal: hostile lines made harmless, columns, durations, and values that options take."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import typer

from controller.core import times
from controller.core.errors import Invalid
from controller.core.inputs import checks
from controller.core.inputs import variables as environment

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # ECMA-48 8.3: colours, movements of the cursor
GAP = "   "
LONGEST_ESCAPE = 10  # characters: \UXXXXXXXX
MINUTE, HOUR, DAY = 60, 3600, 86400
KIBI = 1024


def write(output: str, document: object, lines: Iterable[str]) -> None:
    """Write a command's answer: a JSON document for programs, lines for people."""
    typer.echo(json.dumps(document) if output == "json" else "\n".join(lines))


def width() -> int:
    """Return the width of the terminal, 0 where the output is not one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def plain(line: str) -> str:
    """Return a line of a stage as it may stand on a terminal: without colours, everything else that acts escaped."""
    text = CONTROL_SEQUENCE.sub("", line).expandtabs()
    return checks.printable(text, limit=LONGEST_ESCAPE * len(text) + 1)


def columns(titles: Sequence[str], rows: Iterable[Sequence[str]], width: int = 0) -> list[str]:
    """Return a table's lines, in columns as wide as they need; a line is cut at `width` characters (0: never)."""
    cells = [list(titles), *([checks.printable(cell, limit=4096) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(titles))]
    lines = (GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells)
    return [line if not width or len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def lasted(seconds: float | None) -> str:
    """Return a duration as a person reads it: `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`; "" for None."""
    if seconds is None:
        return ""
    whole = max(round(seconds), 0)
    for unit, name, below, part in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {part}"
    return f"{whole} s"


def ago(written: str, now: datetime) -> str:
    """Return how long ago a point in time (RFC 3339) was; "" where it is none."""
    moment = times.moment(written)
    return f"{lasted((now - moment).total_seconds())} ago" if moment else ""


def took(started: str, finished: str, now: datetime | None = None) -> str:
    """Return how long something took, or has taken until now; "" where it never started."""
    start, end = times.moment(started), times.moment(finished) or now or datetime.now(UTC)
    return lasted((end - start).total_seconds()) if start else ""


def size(number: object) -> str:
    """Return a number of bytes as a person reads it: `12 B`, `3.4 MiB`; "?" for anything else."""
    if not isinstance(number, int):
        return "?"
    amount, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < KIBI:
            break
        amount, unit = amount / KIBI, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Return NAME=VALUE options as pairs. Raises Invalid with all that are malformed."""
    split = [item.partition("=") for item in given]
    wrong = [f"expected NAME=VALUE, got {checks.shown(name)}" for name, equals, _ in split if not equals or not name]
    for name, equals, value in split:
        if equals and name and (why := environment.name_problem(name) or environment.value_problem(value)):
            wrong.append(f"{checks.shown(name)} {why}")
    if wrong:
        raise Invalid("WrongUse", [f"{option}: {line}" for line in wrong])
    return [(name, value) for name, _, value in split]


def seconds(option: str, text: str) -> float | None:
    """Return the seconds of 30s, 5m, 2h or 1h30m, None for "". Raises Invalid for anything else."""
    parts = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text)
    if not text:
        return None
    if not parts or not parts[0]:
        problem = f"{option}: expected a duration like 30s, 5m, 2h or 1h30m, got {checks.shown(text)}"
        raise Invalid("WrongUse", [problem])
    hours, minutes, rest = (int(part or 0) for part in parts.groups())
    return float(hours * HOUR + minutes * MINUTE + rest)
