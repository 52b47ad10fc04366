"""TCP ports of this machine for the pods of services: the one that was asked for, or a free one where it is taken."""

import socket
import threading

ADDRESS = "127.0.0.1"


class Ports:
    """Who holds which port. A service's first pod gets the port that was promised to those who will call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promised: dict[str, int] = {}  # by service
        self._held: dict[str, int] = {}  # by pod uid

    def promise(self, service: str, wanted: int) -> int:
        """Give the port at which a service will be, though it has no pod yet."""
        with self._lock:
            if service not in self._promised:
                self._promised[service] = self._pick(wanted)
            return self._promised[service]

    def take(self, holder: str, service: str, wanted: int) -> int:
        """Give the port of a pod (by its uid) of a service: its own again, the promised, the wanted or a free one."""
        with self._lock:
            if holder not in self._held:
                promised = self._promised.get(service, 0)
                good = promised and promised not in self._held.values() and is_free(promised)
                self._held[holder] = promised if good else self._pick(wanted)
                self._promised.setdefault(service, self._held[holder])
            return self._held[holder]

    def release(self, holder: str) -> None:
        """Take a pod's port back."""
        with self._lock:
            self._held.pop(holder, None)

    def _pick(self, wanted: int) -> int:
        taken = {*self._promised.values(), *self._held.values()}
        if wanted not in taken and is_free(wanted):
            return wanted
        while (port := _free()) in taken:
            pass
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now, on all addresses and on the loopback's."""
    return all(_binds(address, port) for address in ("0.0.0.0", ADDRESS))  # noqa: S104 - asked, not served


def _binds(address: str, port: int) -> bool:
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
