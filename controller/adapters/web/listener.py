"""A port that is listened on: one event loop in a thread of its own, and bounds on all that a connection may take.

So many connections at once, in all and for each address; so many bytes and seconds for what is asked; and an answer
that nobody takes is given up. uvicorn does HTTP; it has no such bounds but one on a request's head.
"""

import asyncio
import contextlib
import socket
import struct
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import h11
import structlog
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.adapters.web.replies import STOPPING, BrokenOff, taken_within

READ_TIMEOUT: Final = 5.0  # seconds for a request; for a part of an answer; and that a connection waits for the next
READ_BYTES: Final = 32 * 1024  # of a request: the longest path, percent-encoded, and what proxies add
CONNECTIONS: Final = 256  # at once
# Of them; all readers may come through one node, whose kubelet's probes have its address too: more than all rooms have.
OF_ONE_ADDRESS: Final = 128
WRITE_TIMEOUT: Final = 300.0  # seconds in which a reader takes a piece: one that pages through a log pauses
KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))  # seconds, seconds, times

_log = structlog.get_logger()


@dataclass(slots=True)
class Limits:
    """What connections to one port may take, and what they have taken."""

    seconds: float = READ_TIMEOUT
    most: int = READ_BYTES
    guests: dict[str, list["Connection"]] = field(default_factory=lambda: defaultdict(list))  # by address, oldest first

    def admit(self, guest: "Connection") -> bool:
        """Take a place for a connection, if its address may have one more, and there is one.

        Where all are taken, the address that has most gives its oldest: so pods that hold connections open leave some
        for the kubelet's probes.
        """
        own = self.guests[guest.address]
        if len(own) >= OF_ONE_ADDRESS:
            return False
        if sum(map(len, self.guests.values())) >= CONNECTIONS:
            most = max(self.guests.values(), key=len)
            if len(most) <= len(own) + 1:
                return False
            most.pop(0).transport.abort()
        own.append(guest)
        return True

    def leave(self, guest: "Connection") -> None:
        """Free the place of a connection, if it has one."""
        own = self.guests[guest.address]
        if guest in own:
            own.remove(guest)
        if not own:
            del self.guests[guest.address]


class Listener:
    """Answers with an ASGI application from `start` until `stop`."""

    def __init__(
        self, name: str, address: tuple[str, int], app: ASGIApp, limits: Limits | None = None, *, dated: bool = True
    ) -> None:
        """Listen on this address ("": of all interfaces; port 0: any free one). Raises OSError.

        `dated`: answers say when they were made; else what makes them says that.
        """
        both = not address[0] and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=64, dualstack_ipv6=both)
        self.port: int = self._socket.getsockname()[1]
        self._stopping = asyncio.Event()
        limits = limits or Limits()
        connection = type("Connection", (Connection,), {"limits": limits, "stopping": self._stopping})
        self._server = uvicorn.Server(uvicorn.Config(
            app, interface="asgi3", http=connection, h11_max_incomplete_event_size=limits.most, ws="none",
            lifespan="off", loop="asyncio", date_header=dated,
            proxy_headers=False, server_header=False, log_config=None, log_level="critical", access_log=False,
            timeout_keep_alive=int(READ_TIMEOUT), timeout_graceful_shutdown=int(READ_TIMEOUT),
        ))  # fmt: skip
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=name, daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._socket])

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, end streams, and leave what is being answered READ_TIMEOUT seconds at most."""
        self._server.should_exit = True
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            if self._loop:
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.ident:
            self._thread.join(2 * READ_TIMEOUT)
        if not self._thread.is_alive():  # else it closes its socket itself, at its end
            self._socket.close()


class Connection(H11Protocol):
    """One connection, within its limits."""

    limits: Limits
    stopping: asyncio.Event

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._app, self.app = self.app, self._answer  # what is made of a request goes through _answer
        self._deadline: asyncio.TimerHandle | None = None
        self._count = self._unsent = 0
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Admit it, or close it."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self.limits.admit(self):
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that is gone is noticed
        for option, value in KEEPALIVE:
            if hasattr(socket, option):  # a laptop may lack some
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._arm(self.limits.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free its place."""
        self._disarm()
        self.limits.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read no more of a request than its limit."""
        self._count += len(data)
        if self._count <= self.limits.most:
            super().data_received(data)
        elif self._answering:  # a body, which nothing here takes
            self.transport.abort()
        if self._count >= self.limits.most and not self._answering:
            self._refuse(431, b"too long\n")

    def handle_events(self) -> None:
        """Begin to answer a request that is complete: it has come in time."""
        super().handle_events()
        if self._answering:
            self._disarm()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._count = 0
        self._arm(2 * self.limits.seconds)  # for what is still unsent, and for the next request
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        fault = sys.exception()
        status = fault.error_status_hint if isinstance(fault, h11.RemoteProtocolError) else 400
        self._refuse(status, f"{msg}\n".encode())

    def reset(self) -> None:
        """Close so that the other side gets an error, not an end."""
        if not self.transport.is_closing():
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, body: bytes) -> None:
        """Answer what is no request, and close."""
        if self.conn.our_state is not h11.IDLE:
            self.transport.abort()
            return
        head = f"HTTP/1.1 {status} Refused\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _late(self) -> None:
        """Give the connection up, unless the other side is still taking the last answer."""
        unsent = self.transport.get_write_buffer_size()
        taking, self._unsent = 0 < unsent != self._unsent, unsent
        if taking:
            self._arm(self.limits.seconds)
        else:
            self.transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a defect is logged and becomes a 500, or a reset where the head is sent."""

        async def bounded(message: Message) -> None:
            async with taken_within(WRITE_TIMEOUT):
                await send(message)

        _log.debug("http request", method=scope["method"], path=scope["path"], client=scope["client"])
        scope[STOPPING] = self.stopping
        try:
            await self._app(scope, receive, bounded)
        except BrokenOff:
            self.reset()
        except Exception:  # noqa: BLE001 - a page's defect must not look like a dead controller
            _log.exception("page failed", path=scope["path"])
            if not self.cycle.response_started:
                await PlainTextResponse(b"failed; the controller's log says why\n", 500)(scope, receive, send)
            elif not self.cycle.response_complete:
                self.reset()
