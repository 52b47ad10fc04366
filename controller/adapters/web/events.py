"""GET /events: says by server-sent events that requests have changed; a page then fetches what it shows of them.

At most one event a second, however much happens; where nothing does, a sign of life.
"""

import asyncio
from contextlib import ExitStack
from typing import Final

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from controller.adapters.web.ports import Live
from controller.adapters.web.replies import STOPPING, Full, Room, Whole, error, while_connected

READERS: Final = 64
CALM: Final = 1.0  # seconds between two events
BEAT: Final = 15.0  # seconds of silence at most: a connection that says less is lost


class Events:
    """The ASGI application for /events."""

    def __init__(self, live: Live, room: Room) -> None:
        """Look at requests in threads of `room`."""
        self._live, self._room, self.readers = live, room, Room(READERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with ExitStack() as held:
            try:
                held.enter_context(self.readers.place())
            except Full:
                await Whole(error(429, f"{READERS} pages are being kept up to date already"))(scope, receive, send)
                return
            response = Response(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            del response.headers["Content-Length"]
            await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
            if scope["method"] != "HEAD":
                name = QueryParams(scope["query_string"]).get("request", "")
                await while_connected(receive, lambda: self._tell(name, scope[STOPPING], send))
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, name: str, stopping: asyncio.Event, send: Send) -> None:
        """Send an event at once, and whenever something has changed since the last one."""
        version, ended = -1, asyncio.create_task(stopping.wait())
        try:
            while not ended.done():
                now = await self._room.run(self._live.version, name)
                kind = "alive" if now == version else "change"
                event = f'event: {kind}\nretry: 1000\ndata: {{"version": {now}}}\n\n'
                await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
                version = now
                await asyncio.wait({ended}, timeout=CALM)
                waiting = asyncio.create_task(self._live.wait(name, version, BEAT))
                try:
                    await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
        finally:
            ended.cancel()
