"""Whether a service answers on its port yet, and if not, why not in words that say what to change."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Callable, List, Set, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_process
else:  # published side by side: the script's folder is where Python looks first
    import stage_process

CONNECT, ANSWER = 1.0, 5.0  # seconds
EAGER, RELAXED, EAGER_FOR = 0.1, 0.5, 10.0  # seconds between tries, for how long
_LISTEN = "0A"  # include/net/tcp_states.h
_LOOPBACK, _LOOPBACK_6 = "7F", "00000000000000000000000001000000"  # 127.x.x.x ends so, mapped into IPv6 too
BIND = "bind to 0.0.0.0 (host='0.0.0.0')"
_INODE = 9  # column of net/tcp


class Readiness:
    """Asks again and again, in a thread, until the service has answered once."""

    def __init__(self, host: str, port: int, path: str, wake: Callable[[], None]) -> None:
        """Take the pod's address ("" on a laptop) and the path of a GET ("": an open port is enough)."""
        self.ready = False
        self.cause = f"nothing listens on port {port}"
        self._host, self._port, self._path, self._wake = host, port, path, wake
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.is_set():
            cause = why_not_ready(self._host, self._port, self._path)
            if self._stop.is_set():  # the script is ending: that it answers no more is not the cause
                return
            if not cause:
                self.ready = True
                self._wake()
                return
            self.cause = cause
            self._stop.wait(EAGER if time.monotonic() - started < EAGER_FOR else RELAXED)


def why_not_ready(host: str, port: int, path: str) -> str:
    """Give "" if the port answers (with a path: a GET, by 2xx or 3xx), else why not and what to change."""
    try:
        with socket.create_connection((host or "127.0.0.1", port), CONNECT) as connection:
            return _answer(connection, host or "127.0.0.1", port, path) if path else ""
    except OSError:
        return _nobody(host, port)


def _answer(connection: socket.socket, host: str, port: int, path: str) -> str:
    connection.settimeout(ANSWER)
    name = f"[{host}]" if ":" in host else host
    question = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: coachwork\r\nConnection: close\r\n\r\n"
    try:
        connection.sendall(question.encode())
        line = _first_line(connection)
    except socket.timeout:
        return f"no answer to GET {path} on port {port} within {ANSWER:.0f} s"
    except OSError as error:
        return f"GET {path} on port {port} failed: {error.strerror}"
    words = line.split()
    if len(words) < 2 or not words[0].startswith("HTTP/"):  # noqa: PLR2004 - a status line is version and code
        return f"the answer to GET {path} on port {port} is not HTTP"
    return "" if words[1][:1] in ("2", "3") else f"GET {path} on port {port} answers HTTP {words[1][:3]}"


def _first_line(connection: socket.socket) -> str:
    received = b""
    until = time.monotonic() + ANSWER
    while b"\n" not in received and len(received) < 4096 and time.monotonic() < until:  # noqa: PLR2004 - a bound
        chunk = connection.recv(1024)
        if not chunk:
            break
        received += chunk
    return received.split(b"\n")[0].decode("latin-1")


def _nobody(host: str, port: int) -> str:
    for loopback, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        if host and _connects(loopback, port):
            return f"the script listens on {shown}:{port} only: {BIND}"
    others = [other for other in listening_ports() if other != port] if host else []
    if others:
        ports = ", ".join(map(str, others[:5]))
        return f"nothing listens on port {port}, but on {ports}: PORT and the script must name the same port"
    return f"nothing listens on port {port}"


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT).close()
    except OSError:
        return False
    return True


def listening_ports() -> List[int]:
    """Return the TCP ports that the script listens on: on a laptop others listen too."""
    return sorted({port for _, port in _listening()})


def only_here(port: int) -> str:
    """Return a warning where the script listens on a loopback address only, which on a cluster nobody reaches."""
    addresses = {address for address, listened in _listening() if listened == port}
    if not addresses or not all(address == _LOOPBACK_6 or address.endswith(_LOOPBACK) for address in addresses):
        return ""
    return f"the script listens on a loopback address only (port {port}), which on a cluster nobody reaches: {BIND}"


def _listening() -> Set[Tuple[str, int]]:
    """Return the addresses, as proc(5) has them in net/tcp, and ports that the script listens on."""
    found: Set[Tuple[str, int]] = set()
    own = _sockets(stage_process.descendants())
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{name}", encoding="ascii") as table:
                rows = [line.split() for line in table.read(1 << 20).splitlines()[1:]]
        except OSError:
            continue
        listening = [row[1] for row in rows if len(row) > _INODE and row[3] == _LISTEN and row[_INODE] in own]
        found.update((place.rsplit(":", 1)[0], int(place.rsplit(":", 1)[1], 16)) for place in listening)
    return found


def _sockets(pids: List[int]) -> Set[str]:
    """Give the inodes of the sockets that these processes have open."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):  # closed meanwhile
                    found.add(os.readlink(entry.path))
    return {name[len("socket:[") : -1] for name in found if name.startswith("socket:[")}
