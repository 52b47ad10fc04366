"""Removing and copying trees that stages have written: no link is followed, and locked folders go as well.

A tree may be deeper than a stack, its paths longer than the system takes, and a folder hold millions of files: nothing
here goes down by recursion without a bound, and only the copy holds the names of files.
"""

import errno
import os
import stat
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

BLOCK = 512  # bytes: what st_blocks counts (stat(2))
DEEP = 50  # folders in folders that are removed where they are: each is held open meanwhile
LOOKS = 3  # into a folder that is being emptied: some file systems pass over names while others are removed
PIECE = 16 * 1024 * 1024  # bytes that are copied at once
DEEPEST = 200  # folders in folders that are copied: each is held open meanwhile
CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL)  # of what was there, or another thing
CUT = 10**9  # nanoseconds since 1970, a second: exact on any volume. The time of a file whose copy was interrupted


def erase(place: Path) -> int:
    """Remove a file or a folder; return about how many bytes that freed. What resists is left for the next time."""
    before = size_of(place)
    remove(place)
    return before - (size_of(place) if os.path.lexists(place) else 0)


def remove(place: Path) -> None:
    """Remove a file or a folder. What resists is left for the next time."""
    with suppress(OSError):
        if not _is_folder(place):
            place.unlink()
            return
        with _unlocked(str(place), None) as top:
            _Emptying(top).run()
        place.rmdir()


@dataclass(slots=True)
class _Emptying:
    """An open folder that is being emptied. What is very deep in it comes up into it first, and gets a number.

    So nothing of it is held in memory, nothing outside is removed where a link takes a folder's place, and no path is
    too long.
    """

    top: int
    mark: str = field(default_factory=lambda: f".{uuid.uuid4().hex}-")
    moved: int = 0

    def run(self) -> None:
        """Remove all that does not resist."""
        self._empty(self.top, DEEP)
        for number in count():
            if number == self.moved:
                return
            with suppress(OSError):
                self._remove(f"{self.mark}{number}", self.top, DEEP)

    def _remove(self, name: str, above: int, deeper: int) -> None:
        with _unlocked(name, above) as folder:
            self._empty(folder, deeper)
        os.rmdir(name, dir_fd=above)

    def _empty(self, folder: int, deeper: int) -> None:
        for _ in range(LOOKS):
            if not self._take(folder, deeper):
                return

    def _take(self, folder: int, deeper: int) -> bool:
        """Remove what is in an open folder, or move it up; return whether anything went."""
        went = False
        with os.scandir(folder) as listing:
            for entry in listing:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.name, dir_fd=folder)
                    elif entry.name.startswith(self.mark):
                        continue
                    elif deeper:
                        self._remove(entry.name, folder, deeper - 1)
                    else:
                        self._move_up(entry.name, folder)
                    went = True
        return went

    def _move_up(self, name: str, folder: int) -> None:
        def rename() -> None:
            os.rename(name, f"{self.mark}{self.moved}", src_dir_fd=folder, dst_dir_fd=self.top)

        _unlocking(rename, name, folder)  # to move a folder is to write in it, too: its `..` changes
        self.moved += 1


@contextmanager
def _unlocked(name: str, above: int | None) -> Iterator[int]:
    """Yield a descriptor of a folder at a path, or in an open folder, in which we may write if it is ours."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = _unlocking(lambda: os.open(name, flags, dir_fd=above), name, above)
    try:
        with suppress(OSError):
            os.fchmod(descriptor, 0o700)
        yield descriptor
    finally:
        os.close(descriptor)


def _unlocking(action: Callable[[], T], name: str, above: int | None) -> T:
    """Return what an action on a folder returns; one that a stage locked is unlocked first, if it is our uid's."""
    try:
        return action()
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=above)
        return action()


def size_of(place: Path) -> int:
    """Return the bytes that a file or folder takes alone: hard links elsewhere keep what they name."""
    return sizes([place])[0]


def sizes(places: Iterable[Path]) -> list[int]:
    """Return the bytes that come free with each place, if those before it go, too: with the last link to a file."""
    links, found = Counter[tuple[int, int]](), []
    for place in places:
        found.append(0)
        for status in statuses(place):
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                links[status.st_dev, status.st_ino] += 1
                if links[status.st_dev, status.st_ino] != status.st_nlink:
                    continue
            found[-1] += status.st_blocks * BLOCK
    return found


def newest(place: Path, now: float) -> float:
    """Return the time (POSIX seconds) at which a file or anything in a folder was last written; 0 if it is not there.

    Times after `now` are left out: the clock was set back since.
    """
    times = (status.st_mtime for status in statuses(place))
    return max((time for time in times if time <= now), default=0.0)


def copy_tree(source: Path, target: Path, check: Callable[[Path], None], begin: Sequence[str] = ()) -> None:
    """Copy a folder into a new one, or go on with that: files, folders and links as they are, nothing else.

    Its writer may live: what has gone since it was listed, or is something else by now, is left out.

    `check` is called with what is copied, between pieces: what it raises interrupts the copy, which goes on when it is
    called again. `begin`: the parts of the path below `source` with which check was called last; what comes before it
    is not looked at again. Raises OSError at the first that fails: shutil.copytree goes on, and raises all as one text,
    in which a full volume is not known any more. Raises RecursionError for a tree that is too deep.
    """
    with _opened(source, None, os.O_DIRECTORY) as folder:
        _copy_folder(folder, source, target, check, begin, DEEPEST)
        if not os.path.samestat(os.fstat(folder), source.stat()):  # it was moved away, and removed: the copy lacks much
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))


def _copy_folder(
    folder: int, source: Path, target: Path, check: Callable[[Path], None], begin: Sequence[str], deeper: int
) -> None:
    """Copy an open folder."""
    if not deeper:
        raise RecursionError
    target.mkdir(exist_ok=True)
    first, *rest = begin or [""]
    with os.scandir(folder) as listing:
        names = sorted(entry.name for entry in listing if entry.name >= first)
    for half in {entry.name for entry in entries(target) if entry.name >= first}.difference(names):
        remove(target / half)
    for name in names:
        found, place = source / name, target / name
        with suppress(_Changed):
            with _reading(found):
                mode = os.lstat(name, dir_fd=folder).st_mode
            _make_way(place, mode)
            if stat.S_ISDIR(mode):
                with _opened(found, folder, os.O_DIRECTORY) as inner:
                    _copy_folder(inner, found, place, check, rest if name == first else (), deeper - 1)
            elif stat.S_ISLNK(mode):
                with _reading(found):
                    leads_to = os.readlink(name, dir_fd=folder)
                place.symlink_to(leads_to)
            elif stat.S_ISREG(mode):
                with _opened(found, folder, os.O_NONBLOCK) as file:
                    _copy_file(file, found, place, check)
        if name != first:  # each call gets further by one, however short its time
            check(found)
    _resemble(target, os.fstat(folder))


def _make_way(place: Path, mode: int) -> None:
    """Remove what an earlier call has copied of something else; each link, too: what it names could be written to."""
    with suppress(FileNotFoundError):
        there = place.lstat().st_mode
        if stat.S_ISLNK(there) or stat.S_IFMT(there) != stat.S_IFMT(mode):
            remove(place)


class _Changed(FileNotFoundError):
    """What a list names has gone, or is something else by now."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise _Changed for what is not there as it was listed; name the path in other errors."""
    try:
        yield
    except OSError as error:
        if error.errno in CHANGED:
            raise _Changed(error.errno, error.strerror, str(path)) from error
        error.filename = str(path)
        raise


@contextmanager
def _opened(path: Path, folder: int | None, flags: int) -> Iterator[int]:
    """Yield a descriptor of what is in an open folder, or at a path, and is no link. Raises _Changed."""
    with _reading(path):
        name = path if folder is None else path.name
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _resemble(target: Path, status: os.stat_result) -> None:
    target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_file(read: int, source: Path, target: Path, check: Callable[[Path], None]) -> None:
    """Copy an open file, or go on with it, to where it ends now: it may grow as fast as it is copied.

    Whole is one with the time of its source, sound up to its end one with CUT.
    """
    known, there = os.fstat(read), target.stat() if target.exists() else None
    if there and (there.st_size, there.st_mtime_ns) == (known.st_size, known.st_mtime_ns):
        return
    if not stat.S_ISREG(known.st_mode):  # it was one when the folder was listed
        return
    with target.open("r+b" if there else "xb") as written:
        at = there.st_size if there and there.st_mtime_ns == CUT else 0
        written.truncate(at)
        try:
            while count := _copy_piece(read, written.fileno(), at, known.st_size):
                at += count
                check(source)
        except BaseException:
            with suppress(OSError):
                os.fsync(written.fileno())
                os.utime(target, ns=(0, CUT))
            raise
    _resemble(target, known)


def _copy_piece(read: int, written: int, at: int, end: int) -> int:
    """Copy the next piece of a file, and return how far that goes: within the file system, where that is able to.

    A hole stays one: written out, a file of a few blocks could fill the volume.
    """
    begin, count = _next_data(read, at, end)
    if not count:
        os.ftruncate(written, begin)
        return begin - at
    with suppress(OSError, AttributeError):  # not on macOS, not between all file systems
        if copied := os.copy_file_range(read, written, count, begin, begin):
            return begin - at + copied
    copied = os.pwrite(written, os.pread(read, count, begin), begin)
    return begin - at + copied if copied else 0


def _next_data(read: int, at: int, end: int) -> tuple[int, int]:
    """Return where the next piece that is no hole begins, and its length: 0 behind the last one."""
    try:
        begin = min(os.lseek(read, at, os.SEEK_DATA), end)
        hole = os.lseek(read, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to its end, or it ends earlier by now
            return max(at, min(end, os.fstat(read).st_size)), 0
        begin, hole = at, end  # this file system does not say
    return begin, max(0, min(PIECE, hole - begin, end - begin))


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def statuses(place: Path) -> Iterator[os.stat_result]:
    """Yield the status of a file or folder and of all that is in it; what goes meanwhile is left out."""
    with suppress(OSError):
        yield place.lstat()
    if not _is_folder(place):
        return
    folders = [str(place)]
    while folders:
        for entry in entries(folders.pop()):
            with suppress(OSError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def entries(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    """Yield what is in a folder, nothing where it can't be read. A stage can leave millions: they are not held."""
    with suppress(OSError), os.scandir(folder) as listing:
        yield from listing
