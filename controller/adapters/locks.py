"""Locks with a bounded wait: among the threads of this process, and among processes on the shared volume.

Both, because some network file systems know a file lock by process only. Refuses to wait for long: NotYet instead.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from controller.core.errors import NotYet

PAUSE = 0.05  # seconds between two tries on a file lock
BACK = 5.0  # seconds until a pass that found no room comes back


class Locks:
    """Named locks; a name is a file on the volume."""

    def __init__(self, wait: float) -> None:
        """Wait for so many seconds at most."""
        self._wait = wait
        self._guard = threading.Lock()
        self._threads: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def hold(self, file: Path, what: str) -> Iterator[None]:
        """Hold the lock on `file`, whose folder exists. Raises NotYet, saying that `what` is being worked on."""
        deadline = time.monotonic() + self._wait
        with self._guard:
            lock = self._threads.setdefault(file, threading.Lock())
        if not lock.acquire(timeout=self._wait):
            raise NotYet(BACK, f"{what}: another pass is working on it")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
            try:
                while not _locks(descriptor):
                    if time.monotonic() >= deadline:
                        raise NotYet(BACK, f"{what}: another process is working on it")
                    time.sleep(PAUSE)
                yield
            finally:
                os.close(descriptor)  # which gives the file lock up
        finally:
            lock.release()


def _locks(descriptor: int) -> bool:
    """Lock a file unless another process has; return whether it is locked."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
