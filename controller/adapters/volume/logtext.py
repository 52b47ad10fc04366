"""The text of one attempt's log: whole, its last lines, or read on as it grows and its file is turned over.

The launcher appends to N.log; a service's that is full becomes N.log.1, replacing an older one, and N.log begins again.
The file is opened again each time: a network file system shows a reader what was appended only then.
"""

import io
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import PurePosixPath
from tempfile import TemporaryFile

from controller.adapters.volume.tree import CHUNK, Tree, pieces, size
from controller.core import times
from controller.core.archive import Extract

TAIL_BYTES = 64 * 1024 * 1024  # of one file that are searched for its last lines
OWN = b"coachwork: "  # the launcher's own lines begin with it; they are not counted
MARKS_LIMIT = 4 << 20  # bytes of the launcher's marks that are read
FIRST_MARK = 64  # bytes that hold the first of them
MISSED = b"coachwork: the log was turned over faster than it was read; lines are missing here\n"


class Stamps:
    """Puts before each line of a log the time at which it came, as the launcher marked it; "-" where it did not."""

    def __init__(self, tree: Tree, path: PurePosixPath) -> None:
        self._tree, self._path, self._at_start = tree, path, True

    def stamped(self, pieces: Iterable[bytes], offset: int, *, turned: bool) -> Iterator[bytes]:
        """Yield the pieces with their lines' times; they begin at `offset` of the file, or of the one before it."""
        path = _turned(self._path) if turned else self._path
        marks: list[tuple[int, int]] | None = None
        for piece in pieces:
            if marks is None:  # a follower asks every moment: only what has news is worth reading them
                marks = _marks(self._tree.read_any(path.with_name(f"{path.name}.times"), MARKS_LIMIT))
            written = bytearray()
            for line in re.findall(rb"[^\n]*\n|[^\n]+", piece):
                if self._at_start:
                    at = bisect_right(marks, offset, key=itemgetter(0))
                    written += (_time(marks[at - 1][1]) if at else b"-") + b" "
                written += line
                offset += len(line)
                self._at_start = line.endswith(b"\n")
            yield bytes(written)


def _marks(text: str) -> list[tuple[int, int]]:
    """Return offsets and the seconds (POSIX) of what stands there."""
    found = re.findall(r"^([0-9]{1,15}) ([0-9]{1,11})$", text, re.MULTILINE)
    return [(int(offset), int(second)) for offset, second in found]


@lru_cache(maxsize=1)
def _time(second: int) -> bytes:
    """Return it in RFC 3339. Many lines come in the same second, and follow each other."""
    return times.text(datetime.fromtimestamp(second, UTC)).encode()


def began(tree: Tree, path: PurePosixPath) -> str:
    """Return when the first line of a log came (RFC 3339, to the second), "" where that is not known."""
    marks = _marks(tree.read_any(path.with_name(f"{path.name}.times"), FIRST_MARK))
    return _time(marks[0][1]).decode() if marks else ""


class Whole:
    """A log as it is now. Raises OSError."""

    def __init__(self, tree: Tree, path: PurePosixPath, extract: Extract) -> None:
        beginning = _beginning(tree, path, extract.lines)
        self._parts = [(file, start, max(start, size(file))) for file, start in beginning]
        self._stamps = Stamps(tree, path) if extract.timestamps else None
        self.size = None if self._stamps else sum(end - start for _, start, end in self._parts)

    def close(self) -> None:
        """Close the files."""
        for file, _, _ in self._parts:
            file.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        for at, (file, start, end) in enumerate(self._parts, 1):
            found = pieces(file, start, end)
            yield from self._stamps.stamped(found, start, turned=at < len(self._parts)) if self._stamps else found


class Growing:
    """A log that is read on. Methods raise OSError."""

    def __init__(self, tree: Tree, path: PurePosixPath, extract: Extract) -> None:
        self._tree, self._path, self._lines = tree, path, extract.lines
        self._stamps = Stamps(tree, path) if extract.timestamps else None
        self._files: list[io.FileIO] = []  # what is read, oldest first; the last one is, or was, N.log
        self._offset = 0  # in the first of them

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.pop().close()

    @property
    def modified(self) -> float:
        """Return when the log was last written (seconds since the epoch), 0 where there is none yet."""
        return os.fstat(self._files[-1].fileno()).st_mtime if self._files else 0.0

    def fresh(self) -> Iterator[bytes]:
        """Yield what was appended since the last time."""
        if self._files:
            self._reopen()
        elif parts := _beginning(self._tree, self._path, self._lines):
            self._files, self._offset = [file for file, _ in parts], parts[0][1]
        while self._files:
            start, found = self._offset, self._counted(pieces(self._files[0], self._offset, 1 << 62))
            yield from self._stamps.stamped(found, start, turned=len(self._files) > 1) if self._stamps else found
            if len(self._files) == 1:
                return
            self._files.pop(0).close()
            self._offset = 0

    def _counted(self, found: Iterable[bytes]) -> Iterator[bytes]:
        for piece in found:
            self._offset += len(piece)
            yield piece

    def _reopen(self) -> None:
        """Open N.log again: the same file, which may have grown, or a new one, after the rest of the old one."""
        current, last = self._tree.find(self._path), self._files[-1]
        if current is None:
            return
        if _same(current, last):
            self._files.pop().close()
        elif old := self._tree.find(_turned(self._path)):
            if _same(old, last):
                old.close()
            else:  # the log was turned over twice
                said = TemporaryFile(buffering=0)  # noqa: SIM115 (closed with the others)
                said.write(MISSED)
                self._files += [said, old]
        self._files.append(current)


def _turned(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(f"{path.name}.1")


def _same(one: io.FileIO, other: io.FileIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _beginning(tree: Tree, path: PurePosixPath, lines: int | None) -> list[tuple[io.FileIO, int]]:
    """Open N.log.1, if it exists and is needed, and N.log, each with where to begin in it."""
    current = tree.find(path)
    if current is None:
        return []
    start, found = (0, 0) if lines is None else _last_lines(current, lines)
    old = tree.find(_turned(path)) if not start and (lines is None or found < lines) else None
    if old is None:
        return [(current, start)]
    if _same(old, current):  # turned over in this very moment
        old.close()
        return [(current, start)]
    return [(old, 0 if lines is None else _last_lines(old, lines - found)[0]), (current, start)]


def _last_lines(file: io.FileIO, lines: int) -> tuple[int, int]:
    """Return where the stage's last `lines` lines begin, and how many were found: fewer where there are no more."""
    whole = size(file)
    if not lines:
        return whole, 0
    found, position, end = 0, whole, whole - 1  # the line feed at the very end ends the last line, and begins none
    floor, chunk = max(0, whole - TAIL_BYTES), b""
    while position > floor:
        position = max(floor, position - CHUNK)
        at = end - position
        chunk = os.pread(file.fileno(), at + len(OWN), position)
        here = chunk.count(b"\n", 0, at) - chunk.count(b"\n" + OWN)
        if found + here >= lines:
            while found < lines:
                at = chunk.rfind(b"\n", 0, at)
                found += not chunk.startswith(OWN, at + 1)
            return position + at + 1, found
        found, end = found + here, position
    return floor, found + (bool(whole) and not chunk.startswith(OWN))
