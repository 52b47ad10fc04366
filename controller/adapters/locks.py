"""Locks with a bounded wait: among the threads of this process, and among processes on the shared volume.

Both, because some network file systems know a file lock by process only. Refuses to wait for long: NotYet instead; or
to wait at all, where the wait is 0: Busy, which says when it is over.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from controller.core.errors import Busy, NotYet

PAUSE = 0.05  # seconds between two tries on a file lock
BACK = 5.0  # seconds until a pass that found no room comes back


class Turn:
    """One at a time among the threads of this process."""

    def __init__(self, wait: float, message: str) -> None:
        """Wait for so many seconds at most; the message says who has it then."""
        self._wait, self._message = wait, message
        self._lock = threading.Lock()
        self._over: Future[None] = Future()
        self._over.set_result(None)

    def __enter__(self) -> None:
        """Take the turn. Raises NotYet, or Busy where the wait is 0."""
        if not self._lock.acquire(timeout=self._wait):
            raise NotYet(BACK, self._message) if self._wait else self._busy(self._over)
        self._over = Future()

    def __exit__(self, *_: object) -> None:
        over = self._over
        self._lock.release()
        over.set_result(None)  # after that: who is called finds it free

    def _busy(self, over: "Future[None]") -> Busy:
        return Busy(BACK, self._message, lambda call: over.add_done_callback(lambda _: call()))


class Locks:
    """Named locks; a name is a file on the volume."""

    def __init__(self, wait: float) -> None:
        """Wait for so many seconds at most."""
        self._wait = wait
        self._guard = threading.Lock()
        self._threads: WeakValueDictionary[Path, Turn] = WeakValueDictionary()

    @contextmanager
    def hold(self, file: Path, what: str) -> Iterator[None]:
        """Hold the lock on `file`, whose folder exists. Raises NotYet, Busy, saying that `what` is being worked on."""
        deadline = time.monotonic() + self._wait
        with self._guard:
            turn = self._threads.setdefault(file, Turn(self._wait, f"{what}: another pass is working on it"))
        with turn:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
            try:
                while not _locks(descriptor):
                    if time.monotonic() >= deadline:
                        raise NotYet(BACK, f"{what}: another process is working on it")
                    time.sleep(PAUSE)
                yield
            finally:
                os.close(descriptor)  # which gives the file lock up


def _locks(descriptor: int) -> bool:
    """Lock a file unless another process has; return whether it is locked."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
