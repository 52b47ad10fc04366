"""A port that is listened on: so many connections at once, in all and for each address, and one request on each.

What a connection sends is bounded too, in bytes and in seconds: else a few would take all memory, or all places.
Plain http.server, HTTP/1.0: no keep-alive means no idle threads.
"""

import io
import socket
import threading
import time
from collections import Counter
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

import structlog

from controller.adapters.web.replies import Headers, Reply

READ_TIMEOUT: Final = 5  # seconds for a request, and for an answer
READ_BYTES: Final = 32 * 1024  # of a request: the longest path, percent-encoded, and what proxies add
CONNECTIONS: Final = 32  # at once; more are closed unanswered
OF_ONE_ADDRESS: Final = 20  # of them; followers, commands and probes may all come through one node

_log = structlog.get_logger()


class Listener:
    """Answers in threads of its own from `start` until `stop`."""

    def __init__(self, name: str, port: int, handler: type["Answering"]) -> None:
        """Listen on the port (0: any free one). Raises OSError."""
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self._server = _Server(family, port, handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.server_port

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and leave what is being answered READ_TIMEOUT seconds at most. Needs a `start` before."""
        self._server.shutdown()
        self._server.server_close()
        self._server.drain()


class _Server(ThreadingHTTPServer):
    """Both IP families where the machine has them, and a bound on the connections at once."""

    daemon_threads = True
    block_on_close = False  # `drain` waits instead, but not for ever
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, port: int, handler: type["Answering"]) -> None:
        self.address_family = family
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._guests: Counter[str] = Counter()  # connections by address
        self._door = threading.Lock()
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        """Bind for IPv4 too where the socket is one of IPv6."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there is room: in all, and for this client.

        So a pod that holds connections open leaves some for the kubelet's probes.
        """
        address = client_address[0]
        with self._door:
            admitted = self._guests[address] < OF_ONE_ADDRESS and self._room.acquire(blocking=False)
            self._guests[address] += admitted
        if admitted:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._door:
                self._guests[client_address[0]] -= 1
                self._guests += Counter()  # forget those of whom none is left
            self._room.release()

    def drain(self) -> None:
        """Wait until nothing is being answered, at most READ_TIMEOUT seconds."""
        deadline = time.monotonic() + READ_TIMEOUT
        for _ in range(CONNECTIONS):
            self._room.acquire(timeout=max(0, deadline - time.monotonic()))

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log that a connection broke off, without a traceback on standard error."""
        _log.debug("connection broken", client=str(client_address))


class _Request(io.RawIOBase):
    """What a connection sends, in so many seconds from now and of so many bytes."""

    def __init__(self, connection: socket.socket, seconds: float, most: int) -> None:
        self._connection, self._seconds, self._most = connection, seconds, most
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there. Raises OSError, and HTTPException, which http.server answers with 431."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not self._most:
            raise HTTPException("too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(memoryview(buffer)[: self._most])
        self._connection.settimeout(self._seconds)  # for the answer
        self._most -= count
        return count


class Answering(BaseHTTPRequestHandler):
    """One connection, one request."""

    timeout: ClassVar[float] = READ_TIMEOUT
    most: ClassVar[int] = READ_BYTES
    server_version, sys_version = "coachwork", ""

    def setup(self) -> None:
        """Bound what is read."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Request(self.connection, self.timeout, self.most))

    def reply(self, reply: Reply, *, with_body: bool = True) -> None:
        """Write a whole answer."""
        self.head(reply.status, reply.content_type, len(reply.body), reply.headers)
        if with_body:
            self.wfile.write(reply.body)

    def head(self, status: int, content_type: str, size: int | None, headers: Headers) -> None:
        """Write the head of an answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log requests for debugging only: probes come every other second."""
        _log.debug("http request", text=format % args, client=self.client_address[0])
