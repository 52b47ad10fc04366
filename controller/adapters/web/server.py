"""The pages: /metrics, /healthz, /readyz, and what web/api.py answers.

A body that can't be finished ends in a reset, so that a part is not mistaken for the whole.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import ClassVar, Final

import structlog

from controller.adapters.web.api import PREFIX, Examine, ReadApi, RunArchive
from controller.adapters.web.listener import Answering, Listener
from controller.adapters.web.replies import Reply, Stream

WRITE_TIMEOUT: Final = 300  # seconds in which a reader of a stream takes a piece: one that pages through a log pauses
PAUSE: Final = 0.25  # seconds between two reads of a stream that has nothing new
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))  # seconds, seconds

_log = structlog.get_logger()


Page = Callable[[str], Reply]
"""Returns the reply to a request with this Accept header."""
Check = Callable[[], str]
"""Returns "" if all is well, else one line that says what is not."""


class WebServer(Listener):
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
        super().__init__("web", port, handler)

    def stop(self) -> None:
        """Stop listening, and leave what is being answered READ_TIMEOUT seconds at most. Needs a `start` before."""
        self._stopping.set()
        super().stop()


def _metrics(content_type: str, body: bytes) -> Reply:
    return Reply(200, body, content_type)


def _checked(trouble: str) -> Reply:
    return Reply(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())


class _Handler(Answering):
    """One connection, one request."""

    pages: ClassVar[Mapping[str, Page]] = {}
    api: ClassVar[ReadApi]
    stopping: ClassVar[threading.Event]

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer with the page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:  # noqa: N802 - http.server's name
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
                self.head(200, reply.content_type, reply.size, reply.headers)
                if with_body:
                    self._pass_on(reply)
                return
            self.reply(reply, with_body=with_body)

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
