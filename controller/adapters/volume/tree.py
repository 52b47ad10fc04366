"""Files below one folder, opened so that a writer there can't lead a reader elsewhere or block it.

Refuses links at every component, whatever is not a plain file (a pipe would be waited for), and names like `..`. Only
the top folders may be links: an operator can give them another disk, and no stage can write where they are.
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

READ_LIMIT = 4 * 1024 * 1024
CHUNK = 256 * 1024
NAMES_LIMIT = 100_000  # of one folder
DEPTH_LIMIT = 32  # folders in folders, each of which is held open meanwhile
_TOP = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _TOP | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

NOT_THERE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,  # a link, by O_NOFOLLOW
        errno.ENXIO,  # a socket
        errno.EINVAL,  # not a plain file
        errno.ENAMETOOLONG,
        errno.EACCES,  # a stage took the right away
        errno.EPERM,
    }
)
"""What opening can fail with because of what is there, not because the volume fails."""


@dataclass(frozen=True, slots=True)
class PlainFile:
    """One plain file that a walk found: POSIX path below its start, bytes, seconds since the epoch."""

    path: str
    size: int
    modified: float


class _Usable:
    """Passes over the errors of what is not there, or not usable."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        return isinstance(error, OSError) and error.errno in NOT_THERE


class Tree:
    """What is below `root`, which may itself be reached through links. Every method raises OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def folder(self, path: PurePosixPath) -> Iterator[int]:
        """Yield a descriptor of the folder at `path` below the root."""
        descriptor = os.open(self.root, _TOP)
        try:
            for depth, part in enumerate(path.parts):
                inner = os.open(_plain(part), _FOLDER if depth else _TOP, dir_fd=descriptor)
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
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return io.FileIO(descriptor)

    def find(self, path: PurePosixPath) -> io.FileIO | None:
        """Open the plain file at `path`; return None where nothing usable is there."""
        with _Usable():
            return self.open(path)
        return None

    def modified(self, path: PurePosixPath) -> float:
        """Return when the plain file at `path` was last written (POSIX seconds), 0 where nothing usable is there."""
        with _Usable(), self.open(path) as file:
            return os.fstat(file.fileno()).st_mtime
        return 0.0

    def read(self, path: PurePosixPath, limit: int = READ_LIMIT) -> str:
        """Return the text of the plain file at `path`, of at most `limit` bytes; U+FFFD for what is not UTF-8."""
        with io.BufferedReader(self.open(path)) as file:
            return file.read(limit).decode(errors="replace")

    def read_any(self, path: PurePosixPath, limit: int = READ_LIMIT) -> str:
        """Return the text as `read` does; "" where nothing usable is there."""
        with _Usable():
            return self.read(path, limit)
        return ""

    def names(self, folder: PurePosixPath, pattern: re.Pattern[str]) -> list[str]:
        """Return the names in a folder that match, of its first NAMES_LIMIT, sorted; none where it is not usable."""
        with _Usable(), self.folder(folder) as descriptor, os.scandir(descriptor) as entries:
            return sorted(entry.name for entry in islice(entries, NAMES_LIMIT) if pattern.fullmatch(entry.name))
        return []

    def walk(self, path: PurePosixPath, files: int, entries: int) -> tuple[list[PlainFile], bool]:
        """Return the plain files below a folder, by path, and whether these are all; none where there is no folder.

        At most so many files, of at most so many entries, folders and links included.
        """
        found: list[PlainFile] = []
        complete = True
        try:
            with self.folder(path) as descriptor:
                for number, item in enumerate(_walk(descriptor, "", 0)):
                    if number == entries or (isinstance(item, PlainFile) and len(found) == files):
                        complete = False
                        break
                    found += [item] if isinstance(item, PlainFile) else []
                    complete &= item is not None
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return [], error.errno == errno.ENOENT
        return sorted(found, key=lambda item: item.path), complete


def _walk(folder: int, prefix: str, depth: int) -> Iterator["PlainFile | os.DirEntry[str] | None"]:
    """Yield each plain file, each other entry as it is, and None for what can't be read, or is too deep."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield PlainFile(prefix + entry.name, status.st_size, status.st_mtime)
                    continue
                yield entry
                if not stat.S_ISDIR(status.st_mode):
                    continue
                if depth == DEPTH_LIMIT:
                    yield None
                    continue
                inner = os.open(entry.name, _FOLDER, dir_fd=folder)
                try:
                    yield from _walk(inner, f"{prefix}{entry.name}/", depth + 1)
                finally:
                    os.close(inner)
            except FileNotFoundError:  # removed meanwhile
                continue
            except OSError:
                yield None


def pieces(file: io.FileIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of an open file from `start` to `end`, or to its end where that comes earlier."""
    while start < end and (chunk := os.pread(file.fileno(), min(CHUNK, end - start), start)):
        yield chunk
        start += len(chunk)


def size(file: io.FileIO) -> int:
    """Return the size of an open file."""
    return os.fstat(file.fileno()).st_size


def below(parts: Iterable[str]) -> PurePosixPath:
    """Return the path of these components, none of which may be `..` or hold a slash. Raises OSError."""
    return PurePosixPath(*(_plain(part) for part in parts))


def _plain(part: str) -> str:
    """Return a component of a path if it leads nowhere but down. Raises OSError."""
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), part)
    return part
