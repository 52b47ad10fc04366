"""Files below one folder, opened so that whoever writes there can't lead a reader elsewhere or hold it up.

Refuses links at every component, whatever is no plain file (a pipe would be waited for), and names like `..`.
"""

import errno
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

CHUNK = 256 * 1024
NAMES_LIMIT = 100_000  # of one folder
DEPTH_LIMIT = 32  # folders in folders, each of which is held open meanwhile
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

NOT_THERE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,  # a link, by O_NOFOLLOW
        errno.ENXIO,  # a socket
        errno.EINVAL,  # no plain file
        errno.ENAMETOOLONG,
        errno.EACCES,  # a stage took the right away
        errno.EPERM,
    }
)
"""What opening can fail with because of what is there, not because the volume fails."""


@dataclass(frozen=True, slots=True)
class Found:
    """One plain file that a walk found: POSIX path below its start, bytes, seconds since the epoch."""

    path: str
    size: int
    modified: float


class Walk:
    """One walk over all files below a folder; `complete` tells, afterwards, whether it saw all of them."""

    def __init__(self, entries: int) -> None:
        """Take how many entries, folders included, are looked at."""
        self.complete = True
        self._left = entries

    def files(self, folder: int, prefix: str = "", depth: int = 0) -> Iterator[Found]:
        """Give the plain files below the folder of this descriptor, links left out. Raises OSError for `folder`."""
        with os.scandir(folder) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0:
                    self.complete = False
                    return
                try:
                    yield from self._entry(folder, entry, prefix, depth)
                except OSError as error:
                    self.complete &= error.errno == errno.ENOENT  # removed meanwhile

    def _entry(self, folder: int, entry: "os.DirEntry[str]", prefix: str, depth: int) -> Iterator[Found]:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            yield Found(prefix + entry.name, status.st_size, status.st_mtime)
        elif stat.S_ISDIR(status.st_mode):
            if depth >= DEPTH_LIMIT:
                self.complete = False
                return
            inner = os.open(entry.name, _FOLDER, dir_fd=folder)
            try:
                yield from self.files(inner, f"{prefix}{entry.name}/", depth + 1)
            finally:
                os.close(inner)


class Tree:
    """What is below `root`. Every method raises OSError; with an `errno` of NOT_THERE where nothing usable is there."""

    def __init__(self, root: Path) -> None:
        """Take the folder, which may itself be reached through links."""
        self._root = root

    @contextmanager
    def folder(self, path: PurePosixPath) -> Iterator[int]:
        """Give a descriptor of the folder at `path` below the root."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in path.parts:
                inner = os.open(_plain(part), _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, path: PurePosixPath) -> io.FileIO:
        """Open the plain file at `path`, unbuffered."""
        with self.folder(path.parent) as folder:
            descriptor = os.open(_plain(path.name), _FILE, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "no plain file", str(path))
        return io.FileIO(descriptor)

    def look(self, path: PurePosixPath) -> io.FileIO | None:
        """Open the plain file at `path`; None where nothing usable is there."""
        try:
            return self.open(path)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    def read(self, path: PurePosixPath, limit: int) -> bytes | None:
        """Give at most `limit` bytes of the plain file at `path`; None where nothing usable is there."""
        file = self.look(path)
        if file is None:
            return None
        with io.BufferedReader(file) as buffered:
            return buffered.read(limit)

    def names(self, folder: PurePosixPath, pattern: re.Pattern[str]) -> list[str]:
        """Give the names in a folder that match, of its first NAMES_LIMIT ones, sorted; none where it is not there."""
        try:
            with self.folder(folder) as descriptor, os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in islice(entries, NAMES_LIMIT) if pattern.fullmatch(entry.name))
        except OSError as error:
            if error.errno in NOT_THERE:
                return []
            raise


def pieces(file: io.FileIO, start: int, end: int) -> Iterator[bytes]:
    """Give the bytes of an open file from `start` to `end`, or to its end where that comes earlier."""
    while start < end and (chunk := os.pread(file.fileno(), min(CHUNK, end - start), start)):
        yield chunk
        start += len(chunk)


def _plain(part: str) -> str:
    """Give a component of a path that leads nowhere but down. Raises OSError."""
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise OSError(errno.EINVAL, "no plain name", part)
    return part


def below(parts: Iterable[str]) -> PurePosixPath:
    """Give the path of these components, none of which may be `..` or hold a slash. Raises OSError."""
    return PurePosixPath(*(_plain(part) for part in parts))
