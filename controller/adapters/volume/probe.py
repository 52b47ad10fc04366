"""The shared volume as `coachwork doctor` looks at it: is it there, can it be written to, how fast, how full."""

import os
import time
import uuid
from pathlib import Path

from controller.core.doctor import VolumeFacts

WRITES = 3  # the fastest counts: what is measured is the storage, not its load
BYTES = b"x" * 4096


def probe(root: Path) -> VolumeFacts:
    """Look at the volume that is mounted at `root`; leaves nothing behind."""
    try:
        sync = min(_write(root) for _ in range(WRITES))
        held, space = root.stat(), os.statvfs(root)
    except OSError as error:
        return VolumeFacts(problem=error.strerror or str(error))
    return VolumeFacts(
        mounted=root.is_mount(),
        free=space.f_bavail * space.f_frsize,
        size=space.f_blocks * space.f_frsize,
        inodes_free=space.f_favail if space.f_files else None,
        sync=sync,
        mode=held.st_mode & 0o7777,
        owner=f"{held.st_uid}:{held.st_gid}",
    )


def _write(root: Path) -> float:
    """Give the seconds in which a small file reaches the disk."""
    path = root / f".doctor-{uuid.uuid4().hex}"
    begun = time.monotonic()
    try:
        with path.open("wb") as file:
            file.write(BYTES)
            file.flush()
            os.fsync(file.fileno())
        return time.monotonic() - begun
    finally:
        path.unlink(missing_ok=True)
