"""The shared volume as `coachwork doctor` sees it: is it there, can it be written to, how fast, how full."""

import os
import time
import uuid
from pathlib import Path

from controller.adapters import storage
from controller.core.doctor import VolumeFacts

WRITES = 3  # the fastest is taken: the storage is measured, not its load
BYTES = b"x" * 4096


def probe(root: Path) -> VolumeFacts:
    """Return what is found of the volume that is mounted at `root`; leave nothing behind."""
    try:
        sync = min(_write(root) for _ in range(WRITES))
        status, room = root.stat(), storage.space(root)
    except OSError as error:
        return VolumeFacts(problem=error.strerror or str(error))
    return VolumeFacts(
        mounted=root.is_mount(),
        free=room.free,
        size=room.size,
        inodes_free=room.inodes,
        sync=sync,
        mode=status.st_mode & 0o7777,
        owner=f"{status.st_uid}:{status.st_gid}",
    )


def _write(root: Path) -> float:
    """Return the seconds in which a small file reaches the disk."""
    path = root / f".doctor-{uuid.uuid4().hex}"
    start = time.monotonic()
    try:
        with path.open("wb") as file:
            file.write(BYTES)
            file.flush()
            os.fsync(file.fileno())
        return time.monotonic() - start
    finally:
        path.unlink(missing_ok=True)
