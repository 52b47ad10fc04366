"""Texts on a terminal: hostile lines made harmless, columns, durations, and values that options take."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from controller.core import times
from controller.core.errors import Invalid
from controller.core.inputs import checks
from controller.core.inputs import variables as environment

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # ECMA-48 8.3: colours, movements of the cursor
GAP = "   "
LONGEST_ESCAPE = 10  # characters: \UXXXXXXXX
MINUTE, HOUR, DAY = 60, 3600, 86400


def plain(line: str) -> str:
    """Give a line of a stage as it may stand on a terminal: without colours, everything else that acts escaped."""
    text = CONTROL_SEQUENCE.sub("", line).expandtabs()
    return checks.printable(text, limit=LONGEST_ESCAPE * len(text) + 1)


def columns(titles: Sequence[str], rows: Iterable[Sequence[str]], width: int = 0) -> list[str]:
    """Give a table's lines, in columns as wide as they need; a line is cut at `width` characters (0: never)."""
    cells = [list(titles), *([checks.printable(cell, limit=4096) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(titles))]
    lines = (GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells)
    return [line if not width or len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def lasted(seconds: float | None) -> str:
    """Give a duration as a person reads it: `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`; "" for None."""
    if seconds is None:
        return ""
    whole = max(round(seconds), 0)
    for unit, name, below, part in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {part}"
    return f"{whole} s"


def ago(written: str, now: datetime) -> str:
    """Give how long ago a point in time (RFC 3339) was; "" where it is none."""
    moment = times.moment(written)
    return f"{lasted((now - moment).total_seconds())} ago" if moment else ""


def took(started: str, finished: str, now: datetime) -> str:
    """Give how long something took, or has taken until now; "" where it never started."""
    start, end = times.moment(started), times.moment(finished) or now
    return lasted((end - start).total_seconds()) if start else ""


def pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Give NAME=VALUE options as pairs. Raises Invalid with all that are none."""
    split = [item.partition("=") for item in given]
    wrong = [f"expected NAME=VALUE, got {checks.shown(name)}" for name, equals, _ in split if not equals or not name]
    for name, equals, value in split:
        if equals and name and (why := environment.name_problem(name) or environment.value_problem(value)):
            wrong.append(f"{checks.shown(name)} {why}")
    if wrong:
        raise Invalid("WrongUse", [f"{option}: {line}" for line in wrong])
    return [(name, value) for name, _, value in split]


def duration(option: str, text: str) -> float | None:
    """Give the seconds of 30s, 5m, 2h or 1h30m, None for "". Raises Invalid for anything else."""
    parts = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text)
    if not text:
        return None
    if not parts or not parts[0]:
        problem = f"{option}: expected a duration like 30s, 5m, 2h or 1h30m, got {checks.shown(text)}"
        raise Invalid("WrongUse", [problem])
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return float(hours * HOUR + minutes * MINUTE + seconds)
