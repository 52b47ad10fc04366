"""The HTTP port: /metrics, /healthz and /readyz, what web/api.py answers, and the page.

Nothing runs on the event loop but HTTP itself: probes, metrics and readers each have threads of their own, so that no
reader is in the way of a probe. Probes and metrics are for everybody, all else for those who may read (readers.py).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.adapters.web import page
from controller.adapters.web.api import PREFIX, Api, ReadApi
from controller.adapters.web.events import Events
from controller.adapters.web.listener import Listener
from controller.adapters.web.ports import Site
from controller.adapters.web.protect import ReadOnly
from controller.adapters.web.readers import MayRead, Readers
from controller.adapters.web.replies import Full, Reply, Room, Whole

Check = Callable[[], str]
"""Returns "" if all is well, else one line that says what is not."""

PROBES: Final = 8  # of /healthz and /readyz, at once
SCRAPES: Final = 4
LOOKS: Final = 8  # for what has changed
PAGES: Final = 32  # that are made or sent


class WebServer(Listener):
    """Serves in threads of its own from `start` until `stop`."""

    def __init__(
        self,
        port: int,
        site: Site,
        may_read: MayRead,
        *,
        metrics: Callable[[str], tuple[str, bytes]],
        healthy: Check,
        ready: Check,
        on_refusal: Callable[[int], None] = lambda _status: None,
    ) -> None:
        """Listen on the port (0: any free one); `metrics` gets the Accept header. Raises OSError."""
        probes, scrapes = Room(PROBES), Room(SCRAPES)
        signs: dict[str, ASGIApp] = {
            "/healthz": Page(probes, lambda _accept: _checked(healthy())),
            "/readyz": Page(probes, lambda _accept: _checked(ready())),
            "/metrics": Page(scrapes, lambda accept: _metrics(*metrics(accept))),
        }
        self._pages = Pages(site, signs)
        super().__init__("web", ("", port), ReadOnly(Readers(self._pages, signs.keys(), may_read, on_refusal)))

    def readers(self) -> int:
        """Return how many answers of pages are under way."""
        return self._pages.readers()


def _metrics(content_type: str, body: bytes) -> Reply:
    return Reply(200, body, content_type)


def _checked(trouble: str) -> Reply:
    return Reply(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())


class Page:
    """The ASGI application for one page that is made in a thread of a room."""

    def __init__(self, room: Room, make: Callable[[str], Reply]) -> None:
        """`make` gets the Accept header."""
        self._room, self._make = room, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        accept = Request(scope).headers.get("accept", "")
        await Whole(await self._room.run(self._make, accept))(scope, receive, send)


class Pages:
    """The ASGI application for what a place shows."""

    def __init__(self, site: Site, signs: Mapping[str, ASGIApp] = MappingProxyType({})) -> None:
        """`signs` are further pages, by path."""
        self._events, self._room = Events(site.live, Room(LOOKS)), Room(PAGES)
        self._api = Api(ReadApi(site.archive, site.examine))
        self._first: Mapping[str, ASGIApp] = {**signs, "/events": self._events}
        self._page = page.application(site, f"there are /, {', '.join(self._first)} and {PREFIX}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["raw_path"].startswith(PREFIX.encode()):
            await self._api(scope, receive, send)
        elif sign := self._first.get(scope["path"]):
            await sign(scope, receive, send)
        elif scope["path"].startswith(page.STATIC):
            await self._page(scope, receive, send)
        else:
            try:
                with self._room.place():
                    await self._page(scope, receive, send)
            except Full:
                line = f"{PAGES} pages are being shown already: try again later (or the volume hangs)\n"
                await Whole(Reply(429, line.encode()))(scope, receive, send)

    def readers(self) -> int:
        """Return how many answers are under way."""
        return sum(room.taken for room in (self._room, self._events.readers, self._api.room))
