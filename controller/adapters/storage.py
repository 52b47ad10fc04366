"""Folders and files on the shared volume: the group may write, and what others read is whole or absent.

What the file system says becomes Transient here and nowhere else: a volume can come back, and a full one can be swept.
A thread that writes for a controller is fenced: a controller that no longer leads begins nothing here, and what it has
begun takes no effect (docs/adr/0043): it asks before each write, and the next leader takes away what it has begun.
"""

import errno
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from controller.adapters import removal
from controller.core import layout
from controller.core.errors import VOLUME_FULL, NotYet, Transient

FOLDER_MODE = 0o2775  # group-writable, and the group stays: controller and stages share it
PARTIAL = ".partial-"  # start of the name of a folder that is being built
FULL = (errno.ENOSPC, errno.EDQUOT)
OUTLIVES, PAUSE = 5.0, 0.05  # seconds
LEAST = 64 * 1024  # bytes: a file system with less than a few blocks is full

AGAIN = 0.5  # seconds until the next try, where another writes the same file

_fence: ContextVar[Callable[[], None] | None] = ContextVar("fence", default=None)  # None: of no controller


@contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Let all that is written in the block, in this thread, ask `check` first, which raises NotYet."""
    token = _fence.set(check)
    try:
        yield
    finally:
        _fence.reset(token)


def ask() -> None:
    """Raise NotYet where the fence is closed: before a write begins, and before it takes effect."""
    if fence := _fence.get():
        fence()


@contextmanager
def translated(doing: str, reason: str = "") -> Iterator[None]:
    """Turn what the file system says into Transient: VolumeFull, or the given reason."""
    try:
        yield
    except OSError as error:
        reason = VOLUME_FULL if error.errno in FULL else reason or "VolumeUnavailable"
        raise Transient(reason, f"the shared volume: could not {doing}: {os.strerror(error.errno or 0)}") from error


@dataclass(frozen=True, slots=True)
class Space:
    """A file system's size, and what of it is free to us: bytes and inodes. None: it does not count inodes."""

    size: int
    free: int
    inodes: int | None

    @property
    def share(self) -> float:
        """Return the part that is free, from 0 to 1; 1 for a volume that does not know its size."""
        return self.free / self.size if self.size else 1.0


def space(folder: Path) -> Space:
    """Return what the file system of a folder has. Raises OSError."""
    found = os.statvfs(folder)
    inodes = found.f_favail if found.f_files else None
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, inodes)


def refuse_full(folder: Path) -> None:
    """Raise OSError if a file system takes no more: git does not always say why it could not write a file."""
    found = space(folder)
    if found.free < LEAST or found.inodes == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def make(folder: Path) -> None:
    """Make a folder and those above it: `mkdir` alone would leave their modes to the umask."""
    ask()
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        if folder.parent.is_symlink():  # and leads nowhere: the disk of a top folder is not mounted
            raise
        make(folder.parent)
        make(folder)
    else:
        folder.chmod(FOLDER_MODE)


def mark_used(folder: Path) -> None:
    """Note that a folder is in use, if it exists.

    No sweep takes it for a while then, if it is there when it is looked for after this (docs/adr/0012).
    """
    with suppress(OSError):  # not there, or another's, whom no sweep of ours can take it from
        os.utime(folder, follow_symlinks=False)  # a build may have left a link in its place


def write(target: Path, text: str) -> None:
    """Write a file so that readers see all of it or nothing, even after a crash of the machine.

    Who has asked the fence, stood still, and is no longer the leader would rename an old text over a newer one. So a
    controller takes away what others have begun to write there: it is from before they asked. Raises NotYet for these,
    and where two of its own threads write the same file at once.
    """
    make(target.parent)
    begun = f".{target.name}-"
    part = target.with_name(f"{begun}{uuid.uuid4().hex[:8]}")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if _fence.get():
            ask()
            for other in target.parent.iterdir():
                if other.name.startswith(begun) and other != part:
                    other.unlink(missing_ok=True)
        ask()
        try:
            part.replace(target)
        except FileNotFoundError as error:
            raise NotYet(AGAIN, f"another writes {target.name}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def partial(target: Path) -> Iterator[Path]:
    """Yield an empty sibling of `target` to build in; what is left of it at the end is removed.

    The name differs each time: a git that outlived a killed controller can't write into our folder.
    """
    make(target.parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{target.name}.", dir=target.parent))
    try:
        folder.chmod(FOLDER_MODE)
        yield folder
    finally:
        removal.remove(folder)


def publish(folder: Path, target: Path) -> None:
    """Rename a finished folder into its place; another that was first is just as good."""
    ask()
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    else:
        sync(target.parent)


def replace(folder: Path, target: Path, top: Path) -> None:
    """Rename a finished folder into its place; what stands there, incomplete, is removed, as `discard` does."""
    trash = _aside(target, top)
    publish(folder, target)
    removal.remove(trash)


def discard(folder: Path, top: Path) -> int:
    """Remove a folder at once for all who look, then bit by bit; return about how many bytes that freed.

    What resists is left to the sweep.

    `top` is a folder of layout.py, in which the sweep finds what is left.
    """
    return removal.erase(_aside(folder, top))


def _aside(folder: Path, top: Path) -> Path:
    """Move a folder, if it exists, to where the sweep removes what is left of it; return that place."""
    ask()
    trash = top / f"{layout.TRASH}{uuid.uuid4().hex[:12]}"
    with suppress(FileNotFoundError):
        folder.rename(trash)
    return trash


def sweep_partials(target: Path) -> None:
    """Remove what killed builds of `target` left. The caller holds the lock of `target`."""
    deadline = time.monotonic() + OUTLIVES
    while left := list(target.parent.glob(f"{PARTIAL}{target.name}.*")):
        for folder in left:
            removal.remove(folder)
        if time.monotonic() >= deadline or not any(folder.exists() for folder in left):
            return
        time.sleep(PAUSE)  # a git that outlived a killed controller still writes its last files there


def sync(folder: Path) -> None:
    """Write a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
