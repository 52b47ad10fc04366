"""The text of one attempt's log: whole, its last lines, or read on as it grows and its file is turned over.

The launcher appends to N.log; a service's that is full becomes N.log.1, replacing an older one, and N.log begins anew.
The file is opened again at every look: a network file system tells a reader of growth only then.
"""

import io
import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from controller.adapters.volume.tree import CHUNK, Tree, pieces

TAIL_BYTES = 64 * 1024 * 1024  # of one file that are searched for its last lines
MISSED = b"coachwork: the log was turned over faster than it was read; lines are missing here\n"


class Whole:
    """A log as it is now, opened. Raises OSError."""

    def __init__(self, tree: Tree, path: PurePosixPath, lines: int | None) -> None:
        """Take its last `lines` lines; None: all of it."""
        parts = _beginning(tree, path, lines)
        self._parts = [(file, start, max(start, _size(file))) for file, start in parts]
        self.size = sum(end - start for _, start, end in self._parts)

    def close(self) -> None:
        """Give the files up."""
        for file, _, _ in self._parts:
            file.close()

    def chunks(self) -> Iterator[bytes]:
        """Give the bytes."""
        for file, start, end in self._parts:
            yield from pieces(file, start, end)


class Growing:
    """A log that is read on. Methods raise OSError."""

    def __init__(self, tree: Tree, path: PurePosixPath, lines: int | None) -> None:
        """Begin with the last `lines` lines of what is there; None: with its first."""
        self._tree, self._path, self._lines = tree, path, lines
        self._files: list[io.FileIO] = []  # what is read, oldest first; the last one is, or was, N.log
        self._offset = 0  # in the first of them
        self._begun = False

    def close(self) -> None:
        """Give the files up."""
        while self._files:
            self._files.pop().close()

    @property
    def written(self) -> float:
        """Give when the log was last written (seconds since the epoch), 0 where there is none yet."""
        return os.fstat(self._files[-1].fileno()).st_mtime if self._files else 0.0

    def fresh(self) -> Iterator[bytes]:
        """Give what was appended since the last time."""
        if self._begun:
            self._look()
        else:
            self._begin()
        while self._files:
            for piece in pieces(self._files[0], self._offset, 1 << 62):
                self._offset += len(piece)
                yield piece
            if len(self._files) == 1:
                return
            self._drop()

    def _begin(self) -> None:
        """Open what is there; the first part may start in its middle."""
        parts = _beginning(self._tree, self._path, self._lines)
        self._files = [file for file, _ in parts]
        self._offset = parts[0][1] if parts else 0
        self._begun = bool(parts)

    def _look(self) -> None:
        """Open N.log again: the same file, which may have grown, or a new one, after the rest of the old one."""
        current = self._tree.look(self._path)
        if current is None:
            return
        if os.path.sameopenfile(current.fileno(), self._files[-1].fileno()):
            self._files.pop().close()
        else:
            self._files += self._between()
        self._files.append(current)

    def _between(self) -> list[io.FileIO]:
        """Give N.log.1 where it is not the file that was read last: then the log was turned over twice."""
        old = self._tree.look(_turned(self._path))
        if old is None:
            return []
        if os.path.sameopenfile(old.fileno(), self._files[-1].fileno()):
            old.close()
            return []
        return [_said(MISSED), old]

    def _drop(self) -> None:
        self._files.pop(0).close()
        self._offset = 0


def _turned(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(f"{path.name}.1")


def _said(text: bytes) -> io.FileIO:
    """Give a file of our own words, to be read among the others."""
    file = io.FileIO(os.memfd_create("coachwork"), "r+")
    file.write(text)
    return file


def _beginning(tree: Tree, path: PurePosixPath, lines: int | None) -> list[tuple[io.FileIO, int]]:
    """Open N.log.1, if it is there and wanted, and N.log, each with where to begin in it."""
    current = tree.look(path)
    if current is None:
        return []
    start, found = (0, 0) if lines is None else _last_lines(current, lines)
    old = tree.look(_turned(path)) if not start and (lines is None or found < lines) else None
    if old is None:
        return [(current, start)]
    if os.path.sameopenfile(old.fileno(), current.fileno()):  # turned over in this very moment
        old.close()
        return [(current, start)]
    return [(old, 0 if lines is None else _last_lines(old, lines - found)[0]), (current, start)]


def _last_lines(file: io.FileIO, lines: int) -> tuple[int, int]:
    """Give where the last `lines` lines begin, and how many were found: fewer only where the file has no more."""
    size = _size(file)
    if not lines:
        return size, 0
    found, position, end = 0, size, size - 1  # the line feed at the very end ends the last line, and begins none
    floor = max(0, size - TAIL_BYTES)
    while position > floor:
        position = max(floor, position - CHUNK)
        chunk = os.pread(file.fileno(), end - position, position)
        end = position
        while (at := chunk.rfind(b"\n")) >= 0:
            found += 1
            if found == lines:
                return position + at + 1, found
            chunk = chunk[:at]
    return floor, found + bool(size)


def _size(file: io.FileIO) -> int:
    return os.fstat(file.fileno()).st_size
