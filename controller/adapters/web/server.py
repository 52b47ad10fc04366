"""Connections, heads and bodies: /metrics, /healthz, /readyz, and what web/api.py answers. All of it is bounded.

Plain http.server: a few read-only pages need no framework. One connection, one request (HTTP/1.0): no keep-alive means
no idle threads. A body that can't be finished ends in a reset, so that a part is not mistaken for the whole.
"""

import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

import structlog

from controller.adapters.web.api import PREFIX, Examine, ReadApi, RunArchive
from controller.adapters.web.replies import Headers, Reply, Stream

READ_TIMEOUT: Final = 5  # seconds that a connection may be silent
WRITE_TIMEOUT: Final = 300  # seconds in which a reader of a stream takes a piece: one that pages through a log pauses
CONNECTIONS: Final = 32  # at once; more are closed unanswered
OF_ONE_ADDRESS: Final = 20  # of them; followers, commands and probes may all come through one node
PAUSE: Final = 0.25  # seconds between two reads of a stream that has nothing new
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))  # seconds, seconds

_log = structlog.get_logger()


Page = Callable[[str], Reply]
"""Returns the reply to a request with this Accept header."""
Check = Callable[[], str]
"""Returns "" if all is well, else one line that says what is not."""


class WebServer:
    """Serves in threads of its own from `start` until `stop`."""

    def __init__(
        self,
        port: int,
        *,
        metrics: Callable[[str], tuple[str, bytes]],
        healthy: Check,
        ready: Check,
        archive: RunArchive,
        examine: Examine,
    ) -> None:
        """Listen on the port (0: any free one); `metrics` gets the Accept header. Raises OSError."""
        pages: dict[str, Page] = {
            "/metrics": lambda accept: _metrics(*metrics(accept)),
            "/healthz": lambda _accept: _checked(healthy()),
            "/readyz": lambda _accept: _checked(ready()),
        }
        self._stopping = threading.Event()
        attributes = {"pages": pages, "api": ReadApi(archive, examine), "stopping": self._stopping}
        handler = type("Handler", (_Handler,), attributes)
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self._server = _Server(family, port, handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.server_port

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and leave what is being answered READ_TIMEOUT seconds at most. Needs a `start` before."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drain()


def _metrics(content_type: str, body: bytes) -> Reply:
    return Reply(200, body, content_type)


def _checked(trouble: str) -> Reply:
    return Reply(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())


class _Server(ThreadingHTTPServer):
    """Both IP families where the machine has them, and a bound on the connections at once."""

    daemon_threads = True
    block_on_close = False  # `drain` waits instead, but not for ever
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, port: int, handler: type["_Handler"]) -> None:
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


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    pages: ClassVar[Mapping[str, Page]] = {}
    api: ClassVar[ReadApi]
    stopping: ClassVar[threading.Event]
    timeout = READ_TIMEOUT
    server_version, sys_version = "coachwork", ""

    def do_GET(self) -> None:
        """Answer with the page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the page's head."""
        self._answer(with_body=False)

    def _refuse(self) -> None:
        """Answer that pages can only be read."""
        self._send(Reply(405, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"}), with_body=True)  # RFC 9110

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815 - http.server's names

    def _answer(self, *, with_body: bool) -> None:
        """Send the page; a defect in it is logged and becomes a 500."""
        accept = self.headers.get("Accept", "")
        try:
            if self.path.startswith(PREFIX):
                self.api.serve(self.path, accept, lambda reply: self._send(reply, with_body=with_body))
            elif page := self.pages.get(self.path.partition("?")[0]):
                self._send(page(accept), with_body=with_body)
            else:
                line = f"not found; there are {', '.join(self.pages)} and {PREFIX}\n"
                self._send(Reply(404, line.encode()), with_body=with_body)
        except Exception:  # noqa: BLE001 - a page's defect must not look like a dead controller
            _log.exception("page failed", path=self.path)
            self._send(Reply(500, b"failed; the controller's log says why\n"), with_body=with_body)

    def _send(self, reply: Reply | Stream, *, with_body: bool) -> None:
        """Write the reply; a client that has gone away is not an error."""
        with suppress(ConnectionError, TimeoutError):
            if isinstance(reply, Stream):
                self._head(200, reply.content_type, reply.size, reply.headers)
                if with_body:
                    self._pass_on(reply)
                return
            self._head(reply.status, reply.content_type, len(reply.body), reply.headers)
            if with_body:
                self.wfile.write(reply.body)

    def _head(self, status: int, content_type: str, size: int | None, headers: Headers) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _pass_on(self, stream: Stream) -> None:
        """Write the pieces as they come, until the last one or until the client goes away."""
        # A reader may pause; that its machine is gone is noticed within a minute.
        self.connection.settimeout(WRITE_TIMEOUT)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in KEEPALIVE:
            self.connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
        while (chunk := self._piece(stream)) is not None:
            if chunk:
                self.wfile.write(chunk)
            elif select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1 << 16):
                return  # the other side has closed; anything that it sends is ignored
            else:
                self.stopping.wait(PAUSE)
            if self.stopping.is_set() and stream.size is None:  # its end would pass for the log's
                self._reset()
                return

    def _piece(self, stream: Stream) -> bytes | None:
        """Return the next piece, None after the last one. An error below breaks off the connection."""
        try:
            return next(stream.chunks, None)
        except Exception as error:
            if isinstance(error, OSError):  # the volume, or a file that changed meanwhile
                _log.warning("stream broken", path=self.path, error=str(error))
            else:
                _log.exception("stream failed", path=self.path)
            self._reset()  # the head is sent: there is no other way to say it
            raise ConnectionAbortedError from error

    def _reset(self) -> None:
        """Close so that the other side gets an error, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log requests for debugging only: probes come every other second."""
        _log.debug("http request", text=format % args, client=self.client_address[0])
