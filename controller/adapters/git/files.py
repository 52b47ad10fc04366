"""Small things that are done to folders on the shared volume. Refuses to leave a published folder half."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial-"  # start of the name of a folder that is being built
OUTLIVES, PAUSE = 5.0, 0.05  # seconds
LEAST = 64 * 1024  # bytes: a file system with less than a few blocks is full


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, writable by the group whatever the umask, set-group-id kept."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        one.chmod(one.stat().st_mode | 0o070)


def mark_used(folder: Path) -> None:
    """Note that a folder is in use; nothing if it is not there.

    No sweep takes it then for a while, if it is there when it is looked for after this (docs/adr/0012).
    """
    with suppress(OSError):  # not there, or another's, whom no sweep of ours can take it from
        os.utime(folder)


def is_full(folder: Path) -> bool:
    """Whether a file system takes no more: git does not always say why it could not write a file."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < LEAST or bool(found.f_files and not found.f_favail)


@contextmanager
def partial(target: Path) -> Iterator[Path]:
    """Give an empty sibling of `target` to build in; what is left of it at the end is removed.

    The name differs each time: a git that outlived a killed controller can't write into our folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{target.name}.", dir=target.parent))
    try:
        folder.chmod(0o775 | folder.stat().st_mode)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_partials(target: Path) -> None:
    """Remove what earlier, killed builds of `target` left. The caller holds the lock of `target`."""
    for folder in target.parent.glob(f"{PARTIAL}{target.name}.*"):
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, also while a git that outlived a killed controller still writes its last files into it."""
    deadline = time.monotonic() + OUTLIVES
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(PAUSE)
        shutil.rmtree(folder, ignore_errors=True)


def discard(target: Path) -> None:
    """Take a folder away: out of sight by rename first, so that nobody meets half of it."""
    if target.exists():
        with partial(target) as aside:
            target.rename(aside / "gone")


def put(folder: Path, target: Path) -> None:
    """Publish a built folder by rename, durably. What stood there, incomplete, is taken away."""
    discard(target)
    folder.rename(target)
    sync_folder(target.parent)


def write_synced(file: Path, text: str) -> None:
    """Write a file and have it on the disk."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
