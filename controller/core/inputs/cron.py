"""A request's `schedule` and `time-zone`, checked as Kubernetes checks those of a CronJob, but before it does.

The grammar is that of robfig/cron v3 (`ParseStandard`), which Kubernetes uses; the libraries of Python read others
(seconds, `L`, `#`, 7 for Sunday). Refused beyond it: `@every`, whose times depend on when the CronJob was made,
oddities that robfig takes by accident (`*-5`, `1,,2`), and days that no month has.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.core.inputs import zones
from controller.core.text import nearest, quoted

LIMIT = 256
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: what it is called, and what it may hold."""

    name: str
    low: int
    high: int
    words: Mapping[str, int] = field(default_factory=dict)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, {word: number for number, word in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 6, {word: number for number, word in enumerate(_DAYS)}),
)


def schedule(text: str) -> str:
    """Return the schedule as it is if Kubernetes takes it. Raises ValueError with one sentence."""
    if len(text) > LIMIT:
        raise ValueError(f"is {len(text)} characters long: {LIMIT} at most")
    if "TZ" in text:
        raise ValueError("holds TZ: write the zone in time-zone")
    if text.startswith("@"):
        if text.startswith("@every"):
            raise ValueError('@every runs from the time the CronJob was made: write five fields, like "*/10 * * * *"')
        if text not in MACROS:
            raise ValueError(f"unknown schedule {quoted(text)}: {nearest(text, MACROS)}")
        return text
    parts = text.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(item.name for item in _FIELDS)
        raise ValueError(f'expected five fields ({names}), like "0 6 * * 1-5", got {quoted(text)}')
    _, _, days, months, _ = (_values(item, part) for item, part in zip(_FIELDS, parts, strict=True))
    if _takes_all(parts[4]) and all(min(days) > DAYS_OF_MONTHS[month - 1] for month in months):
        raise ValueError(f"never comes: no month of {quoted(parts[3])} has a day {min(days)}")
    return text


def moments(text: str) -> tuple[tuple[frozenset[int], ...], bool]:
    """Return the five fields' numbers of a valid schedule, and whether both days have to fit (else one is enough).

    The rule for days is cron(8)'s, as robfig/cron v3 has it: either field is enough where neither takes every day.
    """
    parts = MACROS.get(text, text).split()
    both = _takes_all(parts[2]) or _takes_all(parts[4])
    return tuple(_values(item, part) for item, part in zip(_FIELDS, parts, strict=True)), both


def time_zone(text: str) -> str:
    """Return the zone as it is if the IANA database has it. Raises ValueError with the one that is meant."""
    if text not in zones.known():
        raise ValueError(f"unknown time zone {quoted(text)}: {zones.remedy(text)}")
    return text


def _values(item: _Field, text: str) -> frozenset[int]:
    """Return the numbers that one field means. Raises ValueError.

    Its parts are `*`, `?`, `N`, `N-M`, each with `/STEP`; `N/STEP` goes on to the field's end.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        low, hyphen, high = span.partition("-")
        if low in ("*", "?") and not hyphen:
            first, last = item.low, item.high
        else:
            first = _number(item, low)
            last = _number(item, high) if hyphen else item.high if slash else first
        if first > last:
            raise ValueError(f"{item.name}: {quoted(span)} ends before it begins")
        by = _whole(step) if slash else 1
        if not by:
            raise ValueError(f"{item.name}: expected a step of 1 or more after the /, got {quoted(part)}")
        numbers.update(range(first, last + 1, by))
    return frozenset(numbers)


def _takes_all(text: str) -> bool:
    """Return whether a field has a `*` or `?`; one with a step (`*/2`) is a choice, as any other."""
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _number(item: _Field, text: str) -> int:
    number = item.words.get(text.lower(), _whole(text))
    if number is None or not item.low <= number <= item.high:
        words = f" or {next(iter(item.words))} to {list(item.words)[-1]}" if item.words else ""
        raise ValueError(f"{item.name}: expected {item.low} to {item.high}{words}, got {quoted(text)}")
    return number


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else None
