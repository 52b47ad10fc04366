"""TCP ports of this machine for the pods of services: the preferred one, or a free one where it is taken.

A port that is given but not yet listened on looks free: a file lock keeps other local clusters of this user off it.
"""

import fcntl
import itertools
import os
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

ADDRESS = "127.0.0.1"


class Ports:
    """Who holds which port. A service's first pod gets the port that was promised to those who will call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promised: dict[str, int] = {}  # by service
        self._held: dict[str, int] = {}  # by pod uid
        self._locks: dict[int, int] = {}  # port -> descriptor of its locked file

    def promise(self, service: str, preferred: int) -> int:
        """Return the port at which a service will be, though it has no pod yet."""
        with self._lock:
            if service not in self._promised:
                self._promised[service] = self._pick(preferred)
            return self._promised[service]

    def take(self, holder: str, service: str, preferred: int) -> int:
        """Return the port of a pod (by its uid) of a service: the promised, the preferred or a free one."""
        with self._lock:
            promised = self._promised.get(service, 0)
            good = promised and promised not in self._held.values() and is_free(promised)
            self._held[holder] = promised if good else self._pick(preferred)
            self._promised.setdefault(service, self._held[holder])
            return self._held[holder]

    def release(self, holder: str) -> None:
        """Release a pod's port."""
        with self._lock:
            port = self._held.pop(holder, 0)
            if port not in self._promised.values() and port in self._locks:
                os.close(self._locks.pop(port))

    def close(self) -> None:
        """Release all ports."""
        with self._lock:
            for descriptor in self._locks.values():
                os.close(descriptor)
            self._locks.clear()

    def _pick(self, preferred: int) -> int:
        candidates = itertools.chain([preferred], iter(_free, 0))
        return next(port for port in candidates if port not in self._locks and is_free(port) and self._locked(port))

    def _locked(self, port: int) -> bool:
        """Lock a port against other local clusters; False where one has it."""
        folder = Path(tempfile.gettempdir(), f"coachwork-ports-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locks[port] = descriptor
            return True
        os.close(descriptor)
        return False


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port now, on all addresses and on the loopback's."""
    for address in ("0.0.0.0", ADDRESS):  # noqa: S104 - tried, not served
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been closed is free
            try:
                tried.bind((address, port))
            except OSError:
                return False
    return True


def _free() -> int:
    with socket.socket() as tried:
        tried.bind((ADDRESS, 0))
        return int(tried.getsockname()[1])
