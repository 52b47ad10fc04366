"""The page of a controller that is somewhere else, passed on as it comes: what `coachwork ui` opens.

A controller that does not answer is said to be away, and asked again by the page itself: a page that is open goes on
when it is back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from controller.adapters.web.api import STATUS, component, target
from controller.adapters.web.replies import BrokenOff, Full, Reply, Room, Whole, error, while_connected
from controller.core.archive import NoAnswer
from controller.core.errors import Invalid, NotFound, Transient

PLACES: Final = 64  # requests at once; a page that is open keeps one
AGAIN: Final = 3  # seconds until a browser asks again
PASSED: Final = (  # of an answer's head; what else there is is between the controller and the API server
    "cache-control", "coachwork-complete", "coachwork-run", "content-disposition", "content-length",
    "content-security-policy", "content-type", "date", "location", "retry-after",
)  # fmt: skip


class Upstream(Protocol):
    """An answer that is being read."""

    @property
    def status(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The head."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield what comes, as it comes. Raises Transient where it breaks off."""

    def abort(self) -> None:
        """End a read that is under way in another thread."""

    def close(self) -> None:
        """Give it up."""


Fetch = Callable[[str, str], Upstream]
"""Asks for a target with this Accept header. Raises Transient, NotFound, Invalid where no controller answers."""


class Relay:
    """The ASGI application that passes on what `fetch` answers."""

    def __init__(self, fetch: Fetch, notice: Callable[[str], None]) -> None:
        """`notice` gets a line when the controller is away, and when it is back."""
        self._fetch, self._notice, self._room = fetch, notice, Room(PLACES)
        self._away = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        accept = Headers(scope=scope).get("accept", "*/*")
        try:
            _check(scope)
            with self._room.place():
                upstream = await self._room.run(self._fetch, target(scope), accept)
                self._say("")
                try:
                    await while_connected(receive, lambda: self._pass_on(upstream, scope, send), upstream.abort)
                finally:
                    await self._room.run(upstream.close)
        except NoAnswer as none:
            await Whole(error(STATUS[none.kind], str(none)))(scope, receive, send)
        except Full:
            await Whole(error(429, f"{PLACES} pages are open already: close one"))(scope, receive, send)
        except (Transient, NotFound, Invalid) as fault:
            self._say(str(fault))
            line = f"{fault}\n\nTrying again every {AGAIN} s.\n"
            await Whole(Reply(503, line.encode(), headers={"Refresh": str(AGAIN)}))(scope, receive, send)

    def _say(self, away: str) -> None:
        if bool(away) != bool(self._away):
            self._notice(f"{away}; trying again" if away else "the controller answers again")
        self._away = away

    async def _pass_on(self, upstream: Upstream, scope: Scope, send: Send) -> None:
        head = Headers({name: value for name, value in upstream.headers.items() if name.lower() in PASSED})
        await send({"type": "http.response.start", "status": upstream.status, "headers": head.raw})
        pieces = iter(upstream)
        try:
            while scope["method"] != "HEAD" and (piece := await self._room.run(next, pieces, None)):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Transient as fault:
            raise BrokenOff from fault
        await send({"type": "http.response.body", "body": b""})


def _check(scope: Scope) -> None:
    """Raise NoAnswer for a path that could lead out of the page: what is below its root is all that is passed on."""
    for part in scope["raw_path"].decode("latin-1").split("/"):
        if part:
            component(part)
