"""Answers: a page that is complete, or a stream whose pieces come one after the other; and how they are sent.

Whatever is read for them is read in threads, in one of so many places: the event loop never waits for the volume, and
one that hangs holds the few places of a room, never those of /healthz and /metrics.
"""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio
import structlog
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

JSON, TEXT, BYTES, TAR = (
    "application/json",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/x-tar",
)
PAUSE: Final = 0.25  # seconds between two reads of a stream that has nothing new
STOPPING: Final = "coachwork.stopping"  # in a request's scope: the event that ends streams
PIECE: Final = 64 * 1024  # bytes of a page that wait for a slow reader
PIECE_TIMEOUT: Final = 10.0  # seconds in which it takes them
_REASONS = {  # metav1.StatusReason, by which kubectl introduces the message
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    410: "Expired",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}
Headers = Mapping[str, str]
T = TypeVar("T")

_log = structlog.get_logger()


class BrokenOff(Exception):
    """An answer that can't be finished: it ends in a reset, so that a part is not mistaken for the whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole page."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A page that is sent as it is read; `size` None: until it ends, and an empty piece: nothing yet."""

    chunks: Iterator[bytes]
    close: Callable[[], None]
    size: int | None
    content_type: str = TEXT
    headers: Headers = field(default_factory=dict)


def as_json(value: object, headers: Headers | None = None) -> Reply:
    """Return `value` as JSON. Names that are not UTF-8 become escapes that Python reads back (surrogateescape)."""
    return Reply(200, json.dumps(value).encode() + b"\n", JSON, headers or {})


def error(status: int, line: str) -> Reply:
    """Return an error as JSON: one line with the remedy, in the API server's form too, so that kubectl shows it."""
    form = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "reason": _REASONS[status]}
    return Reply(status, json.dumps({"error": line, "message": line, **form}).encode() + b"\n", JSON)


class Full(Exception):
    """All places of a room are taken."""


class Room:
    """So many places at once, and as many threads; of one event loop."""

    def __init__(self, places: int) -> None:
        self.places = self._free = places
        self._limiter: anyio.CapacityLimiter | None = None  # is of a loop

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self.places - self._free

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for the block. Raises Full."""
        if not self._free:
            raise Full
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Call in a thread, which is waited for even if nobody wants its answer any more."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.places)
        return await to_thread.run_sync(functools.partial(call, *args), limiter=self._limiter)


class Whole(Response):
    """Sends a Reply in pieces, so that no more of it is in memory twice than a reader is about to take."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body, reply.status, {"Content-Type": reply.content_type, **reply.headers})

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body) if scope["method"] != "HEAD" else memoryview(b"")
        for start in range(0, len(body), PIECE):
            piece = bytes(body[start : start + PIECE])
            async with taken_within(PIECE_TIMEOUT):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Streamed(Response):
    """Sends a Stream, whose pieces are read in threads of a room, until its end or until the client goes away."""

    def __init__(self, stream: Stream, room: Room) -> None:
        size = {} if stream.size is None else {"Content-Length": str(stream.size)}
        self.status_code, self.background = 200, None
        self.init_headers({"Content-Type": stream.content_type, **size, **stream.headers})
        self._stream, self._room = stream, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await while_connected(receive, lambda: self._pieces(scope, send))
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._room.run(self._stream.close)

    async def _pieces(self, scope: Scope, send: Send) -> None:
        stopping: asyncio.Event = scope[STOPPING]
        left = self._stream.size
        while (chunk := await self._room.run(self._piece, scope["path"])) is not None:
            if chunk:
                left = None if left is None else left - len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            elif not stopping.is_set():
                with anyio.move_on_after(PAUSE):
                    await stopping.wait()
            if stopping.is_set() and self._stream.size is None:  # its end would pass for the log's
                raise BrokenOff
        if left:  # the file has become shorter
            raise BrokenOff

    def _piece(self, path: str) -> bytes | None:
        """Return the next piece, None after the last one. An error below breaks off the answer."""
        try:
            return next(self._stream.chunks, None)
        except Exception as fault:
            if isinstance(fault, OSError):  # the volume, or a file that changed meanwhile
                _log.warning("stream broken", path=path, error=str(fault))
            else:
                _log.exception("stream failed", path=path)
            raise BrokenOff from fault  # the head is sent: there is no other way to say it


@asynccontextmanager
async def taken_within(seconds: float) -> AsyncIterator[None]:
    """Give an answer up that its reader has not taken a piece of when the block has lasted so long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise BrokenOff from None


async def while_connected(
    receive: Receive, call: Callable[[], Awaitable[None]], on_leave: Callable[[], None] = lambda: None
) -> None:
    """Await `call` until it ends or the client goes away; a thread that it waits for is waited for.

    `on_leave` is called when the client goes away, to end what such a thread waits for.
    """
    fault: Exception | None = None
    async with anyio.create_task_group() as group:

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            on_leave()
            group.cancel_scope.cancel()

        group.start_soon(leave)
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - raised below, out of the group, as it is
            fault = error
        group.cancel_scope.cancel()
    if fault:
        raise fault
