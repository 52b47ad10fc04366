"""A service's port: whether it answers yet, and if not, why not in words that say what to change.

A service that crashes again and again has its time to start once, and not for each container of its pod.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Set, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_order, stage_process
else:  # published side by side: the script's folder is where Python looks first
    import stage_order
    import stage_process

CONNECT, ANSWER = 1.0, 5.0  # seconds
EAGER, RELAXED, EAGER_FOR = 0.1, 0.5, 10.0  # seconds between tries, for how long
_LISTEN = "0A"  # include/net/tcp_states.h
_LOOPBACK, _LOOPBACK_6 = "7F", "00000000000000000000000001000000"  # 127.x.x.x ends so, mapped into IPv6 too
BIND = "bind to 0.0.0.0 (host='0.0.0.0')"
SAME = "PORT and the script must name the same port"
LASTING = 10  # answers in a row until one is taken for the last word: servers may open one address after the other
_INODE = 9  # column of net/tcp


class First(NamedTuple):
    """The first start of a pod's script."""

    moment: str  # RFC 3339
    at: float
    ready: bool = False  # in any container since
    cause: str = ""  # of the end of the container before this one


class PortWatch:
    """Asks the port again and again, in a thread, until it has answered once, and remembers the pod's first start."""

    def __init__(self, order: stage_order.StageOrder, address: str, say: Callable[[str], None]) -> None:
        """Prepare to ask at the pod's address ("" on a laptop)."""
        self.answers = self.answered = False  # as the thread found it; as the launcher has noted it
        self._order, self._address, self._say = order, address, say
        self._cause = f"nothing listens on port {order.port}"
        self._times, self._warned = 0, False  # how often in a row that was found
        self._stop = threading.Event()
        self._file = os.path.join(order.scratch, "first-start")
        self.first: Optional[First] = None
        found = stage_order.read_json(self._file)
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
            self.first = First(str(found["moment"]), float(found["at"]), bool(found["ready"]), str(found["cause"]))

    def start(self, moment: str, wake: Callable[[], None]) -> str:
        """Ask from now on, and return when the pod's first script started: at `moment`, if none has before.

        `wake` is called once the port answers.
        """
        first = self.first or First(moment, time.time())
        self._remember(first)
        threading.Thread(target=self._ask, args=(wake,), daemon=True).start()
        return first.moment

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def left(self) -> float:
        """Return how many seconds of the pod's time to start are left."""
        return (self.first.at if self.first else time.time()) + self._order.limit - time.time()

    @property
    def is_starting(self) -> bool:
        """Return whether the service has not answered yet, in any container of the pod."""
        return self.first is not None and not self.first.ready

    @property
    def cause(self) -> str:
        """Return why the service does not answer."""
        return self._cause

    @property
    def is_misplaced(self) -> bool:
        """Return whether the script listens, but elsewhere: more time would not help."""
        return BIND in self._cause or SAME in self._cause

    @property
    def ended_before(self) -> str:
        """Return how the container before ended, "" where there was none."""
        return self.first.cause if self.first else ""

    def take_warning(self) -> str:
        """Return, once, that the script listens where nobody will reach it; "" while that may change by itself."""
        if self._warned or BIND not in self._cause or self._times < LASTING:
            return ""
        self._warned = True
        return self._cause

    def note_answer(self) -> None:
        """Remember that the pod's service has answered."""
        self.answered = True
        if self.first:
            self._remember(self.first._replace(ready=True))

    def note_end(self, cause: str) -> None:
        """Remember how this container ended, for the next one; nothing once the service was ready."""
        if self.first and self.is_starting:
            self._remember(self.first._replace(cause=cause))

    def _remember(self, first: First) -> None:
        self.first = first
        try:
            stage_order.write_atomically(self._file, first._asdict(), durable=False)
        except OSError as error:
            self._say(f"the pod's first start can't be noted: {error}")

    def _ask(self, wake: Callable[[], None]) -> None:
        started = time.monotonic()
        while not self._stop.is_set():
            cause = why_not_ready(self._address, self._order.port, self._order.readiness_path)
            if self._stop.is_set():  # the script is ending: that it answers no more is not the cause
                return
            if not cause:
                self.answers = True
                wake()
                return
            self._times = self._times + 1 if cause == self._cause else 1
            self._cause = cause
            self._stop.wait(EAGER if time.monotonic() - started < EAGER_FOR else RELAXED)


def why_not_ready(host: str, port: int, path: str) -> str:
    """Return "" if the port answers (with a path: a GET, by 2xx or 3xx), else why not and what to change."""
    with contextlib.suppress(OSError), socket.create_connection((host or "127.0.0.1", port), CONNECT) as connection:
        return _answer(connection, host or "127.0.0.1", port, path) if path else ""
    if host:  # on a pod: what does the script listen on instead?
        for loopback, written in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
            with contextlib.suppress(OSError), socket.create_connection((loopback, port), CONNECT):
                return f"the script listens on {written}:{port} only: {BIND}"
        others = sorted({other for _, other in _listening() if other != port})
        if others:
            ports = ", ".join(map(str, others[:5]))
            return f"nothing listens on port {port}, but on {ports}: {SAME}"
    return f"nothing listens on port {port}"


def _answer(connection: socket.socket, host: str, port: int, path: str) -> str:
    """Return what is wrong with the answer to a GET, "" for nothing."""
    name = f"[{host}]" if ":" in host else host
    question = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: coachwork\r\nConnection: close\r\n\r\n"
    received, until = b"", time.monotonic() + ANSWER
    connection.settimeout(ANSWER)
    try:
        connection.sendall(question.encode())
        while b"\n" not in received and len(received) < 4096 and time.monotonic() < until:  # noqa: PLR2004 - a bound
            chunk = connection.recv(1024)
            if not chunk:
                break
            received += chunk
    except socket.timeout:
        return f"no answer to GET {path} on port {port} within {ANSWER:.0f} s"
    except OSError as error:
        return f"GET {path} on port {port} failed: {error.strerror}"
    words = received.split(b"\n")[0].decode("latin-1").split()
    if len(words) < 2 or not words[0].startswith("HTTP/"):  # noqa: PLR2004 - a status line is version and code
        return f"the answer to GET {path} on port {port} is not HTTP"
    return "" if words[1][:1] in ("2", "3") else f"GET {path} on port {port} answers HTTP {words[1][:3]}"


def only_here(port: int) -> str:
    """Return a warning where the script listens on a loopback address only, which on a cluster nobody reaches."""
    addresses = {address for address, listened in _listening() if listened == port}
    if not addresses or not all(address == _LOOPBACK_6 or address.endswith(_LOOPBACK) for address in addresses):
        return ""
    written = " and ".join(sorted(f"{'[::1]' if each == _LOOPBACK_6 else '127.0.0.1'}:{port}" for each in addresses))
    return f"the script listens on {written} only, which on a cluster nobody reaches: {BIND}"


def _listening() -> Set[Tuple[str, int]]:
    """Return the addresses, as proc(5) has them in net/tcp, and ports that the script listens on (others do, too)."""
    sockets = set()
    for pid in stage_process.descendants():
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):  # closed meanwhile
                    sockets.add(os.readlink(entry.path))
    found: Set[Tuple[str, int]] = set()
    for name in ("tcp", "tcp6"):
        rows: List[List[str]] = []
        with contextlib.suppress(OSError), open(f"/proc/self/net/{name}", encoding="utf-8") as table:
            rows = [line.split() for line in table.read(1 << 20).splitlines()[1:]]
        for row in rows:
            if len(row) > _INODE and row[3] == _LISTEN and f"socket:[{row[_INODE]}]" in sockets:
                address, _, port = row[1].rpartition(":")
                found.add((address, int(port, 16)))
    return found
