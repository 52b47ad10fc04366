"""Questions about the runs that are kept: the nouns of the answers, which run is meant, when an output is complete.

What can't be answered becomes NoAnswer, with a line that says what could be asked instead.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from controller.core import names, times
from controller.core.model import SUCCEEDED, Record, serves
from controller.core.text import quoted

LATEST, GOOD = "latest", "good"
SHOWN = 10  # names or numbers in a message
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class NoAnswer(Exception):
    """No answer: a wrong question, something that never was, something that is no longer kept; the cause and remedy."""

    def __init__(self, kind: Literal["wrong", "absent", "gone"], line: str) -> None:
        self.kind = kind
        super().__init__(line)


@dataclass(frozen=True, slots=True)
class Archived:
    """One request with the runs that have a folder, newest first; `record` is its copy on the volume."""

    name: str
    uid: str
    record: Record | None
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a run's artifacts: POSIX path below them, bytes, RFC 3339 in UTC."""

    path: str
    size: int
    modified: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The artifacts of a run, by path; not complete where there are more than are listed."""

    run: int
    files: tuple[FileEntry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Extract:
    """What of a log is read: its last `lines` lines (None: all of it), each after the time at which it came."""

    lines: int | None = None
    timestamps: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of a run, piece by piece; an empty piece: nothing yet. `size` is what they add up to, None: not known."""

    run: int
    size: int | None
    chunks: Iterator[bytes]
    close: Callable[[], None]  # has to be called, read or not


def choose(archived: Archived, which: str, good: int) -> int:
    """Return the run that `which` means: a number, latest, or good (the run `good`; 0: none). Raises NoAnswer."""
    if not archived.runs:
        raise NoAnswer("absent", f"{archived.name} has no run yet: see its record, {archived.name}-status")
    if which == LATEST:
        return archived.runs[0]
    if which == GOOD:
        if good in archived.runs:
            return good
        raise NoAnswer("absent", f"{archived.name} has no good run: name another one, {_numbers(archived.runs)}")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", which):
        raise NoAnswer("wrong", f"run: expected a number, {LATEST} or {GOOD}, got {quoted(which)}")
    number = int(which)
    if number in archived.runs:
        return number
    last = archived.record.run if archived.record else archived.runs[0]
    if number <= last:
        line = f"run {number} of {archived.name} is no longer kept (keep-runs)"
        raise NoAnswer("gone", f"{line}; kept are {_numbers(archived.runs)}")
    raise NoAnswer("absent", f"{archived.name} has no run {number} yet; kept are {_numbers(archived.runs)}")


def over_at(record: Record | None, run: int, stage: str) -> datetime | None:
    """Return when the last output or attempt of the stage in this run could come; None while more may come."""
    if record is None:
        return _LONG_AGO
    entry = record.stages.get(names.stage_of(stage))
    service = entry is not None and serves(entry.objects)
    if entry is None:
        return None if record.active and run == record.run else _LONG_AGO
    if run != record.run:  # an earlier run's service serves until a later one's has taken over
        return None if service and entry.state != "Done" else _LONG_AGO
    if service and entry.state in SUCCEEDED:  # it lives on after its run
        return None
    if record.active and entry.state in ("Waiting", "Running"):
        return None
    return times.moment(entry.finished or record.finished) or _LONG_AGO


def _numbers(runs: Sequence[int]) -> str:
    return ", ".join(map(str, runs[:SHOWN]))
