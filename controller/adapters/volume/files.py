"""Files and folders of the shared volume: made group-writable, written atomically, read without trust.

Foreign errors become Transient: a volume can come back.
"""

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.adapters import removal
from controller.core import layout
from controller.core.errors import Transient

FOLDER_MODE = 0o2775  # group-writable, and the group stays: controller and stages share it
READ_LIMIT = 4 * 1024 * 1024
# What opening fails with because of what is there: nothing, a link, a pipe, a socket, a folder, a locked file.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.EACCES)


def make(root: Path, folder: Path) -> None:
    """Make a folder and those above it, up to `root`: `mkdir` alone would leave their modes to the umask."""
    missing = [folder, *folder.parents]
    for path in reversed(missing[: missing.index(root)]):
        try:
            path.mkdir()
        except FileExistsError:
            continue
        path.chmod(FOLDER_MODE)


def write(root: Path, target: Path, text: str) -> None:
    """Write a file so that readers see all of it or nothing, even after a crash of the machine."""
    make(root, target.parent)
    partial = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, limit: int = READ_LIMIT, *, errors: str = "strict") -> str:
    """Read a plain file. A stage may have put a link or a pipe in its place: neither followed nor waited for."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return file.read(limit).decode(errors=errors)


def read_any(path: Path) -> str:
    """Read a plain file where others can write, "" where there is none or none of text. Raises OSError."""
    try:
        return read(path)
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        if error.errno in NO_FILE:
            return ""
        raise


def publish(partial: Path, target: Path) -> None:
    """Rename a finished folder into its place; another who was first is just as good."""
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def remove(folder: Path, top: Path) -> None:
    """Remove a folder at once for all who look, then bit by bit. What resists is left for the next time.

    `top` is a folder of the same mount, where what is being removed waits.
    """
    trash = top / f"{layout.TRASH}{uuid.uuid4().hex[:12]}"
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return
    for rest in top.glob(f"{layout.TRASH}*"):
        removal.remove(rest)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the file system says into Transient."""
    try:
        yield
    except OSError as error:
        reason = "VolumeFull" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "VolumeUnavailable"
        raise Transient(reason, f"the shared volume: could not {doing}: {os.strerror(error.errno or 0)}") from error
