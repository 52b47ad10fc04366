"""The HTTP port: /metrics, /healthz, /readyz. Everything else is not found, whatever is asked is bounded.

Plain http.server: three read-only pages for a kubelet and a scraper need no framework.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

import structlog

READ_TIMEOUT: Final = 5  # seconds that a connection may be silent
CONNECTIONS: Final = 32  # at once; more are closed unanswered

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a page answers."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[str], Reply]
"""Gives the reply to a request with this Accept header."""
Check = Callable[[], str]
"""Gives "" if all is well, else one line that says what is not."""


class WebServer:
    """Serves in threads of its own from `start` until `stop`."""

    def __init__(self, port: int, *, metrics: Callable[[str], tuple[str, bytes]], healthy: Check, ready: Check) -> None:
        """Take the port (0: any free one) and what the pages ask; `metrics` gets the Accept header. Raises OSError."""
        pages = {"/metrics": _metrics_page(metrics), "/healthz": _check_page(healthy), "/readyz": _check_page(ready)}
        handler = type("Handler", (_Handler,), {"pages": pages})
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self._server = _Server(family, port, handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.server_port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer, and leave what is being answered READ_TIMEOUT seconds at most. Needs a `start` before."""
        self._server.shutdown()
        self._server.server_close()
        self._server.drain()


def _metrics_page(metrics: Callable[[str], tuple[str, bytes]]) -> Page:
    def page(accept: str) -> Reply:
        content_type, body = metrics(accept)
        return Reply(200, body, content_type)

    return page


def _check_page(check: Check) -> Page:
    def page(_accept: str) -> Reply:
        trouble = check()
        return Reply(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())

    return page


class _Server(ThreadingHTTPServer):
    """Both IP families where the machine has them, and a bound on the connections at once."""

    daemon_threads = True
    block_on_close = False  # `drain` waits instead, but not for ever
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, port: int, handler: type["_Handler"]) -> None:
        self.address_family = family
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        """Bind for IPv4 too where the socket is one of IPv6."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there is room for one."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def drain(self) -> None:
        """Wait until nothing is being answered, at most READ_TIMEOUT seconds."""
        deadline = time.monotonic() + READ_TIMEOUT
        for _ in range(CONNECTIONS):
            self._room.acquire(timeout=max(0, deadline - time.monotonic()))

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Say on a log line, not in a traceback on standard error, that a connection broke off."""
        _log.debug("connection broken", client=str(client_address))


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request (HTTP/1.0): no keep-alive means no idle threads."""

    pages: ClassVar[Mapping[str, Page]] = {}
    timeout = READ_TIMEOUT
    server_version, sys_version = "coachwork", ""

    def do_GET(self) -> None:
        """Answer with the page."""
        self._send(self._reply(), with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the page's head."""
        self._send(self._reply(), with_body=False)

    def _refuse(self) -> None:
        """Answer that pages are only read."""
        self._send(Reply(405, b"only GET and HEAD\n"), with_body=True)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815 - http.server's names

    def _reply(self) -> Reply:
        """Give the page's reply; a defect in it is logged and becomes a 500."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            return Reply(404, b"not found; there are /metrics, /healthz, /readyz\n")
        try:
            return page(self.headers.get("Accept", ""))
        except Exception:  # noqa: BLE001 - a page's defect must not look like a dead controller
            _log.exception("page failed", path=self.path)
            return Reply(500, b"failed; the controller's log says why\n")

    def _send(self, reply: Reply, *, with_body: bool) -> None:
        """Write the reply; a client that has gone away is no error."""
        with suppress(ConnectionError, TimeoutError):
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            if reply.status == 405:  # noqa: PLR2004 - RFC 9110 wants the methods named
                self.send_header("Allow", "GET, HEAD")
            self.end_headers()
            if with_body:
                self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log requests for debugging only: probes come every other second."""
        _log.debug("http request", text=format % args, client=self.client_address[0])
