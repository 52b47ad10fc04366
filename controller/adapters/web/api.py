"""The pages below /api/, which are only read: a table of routes over what runs left behind.

Refuses a path that leads elsewhere: `..`, NUL and slashes that hide in escapes.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from controller.adapters.web.ports import RunArchive
from controller.adapters.web.replies import BYTES, TAR, TEXT, Full, Reply, Room, Stream, Streamed, Whole, as_json, error
from controller.core.archive import Content, Extract, Listing, NoAnswer
from controller.core.documents import codec
from controller.core.errors import Transient
from controller.core.text import nearest, quoted

PREFIX: Final = "/api/"
API_ROOM: Final = 16  # requests at once, those that follow included
FOLLOWERS: Final = 10
LINES_LIMIT: Final = 1_000_000  # of `tail`
STATUS: Final = {"wrong": 400, "absent": 404, "gone": 410}
SANDBOX: Final = {"Content-Security-Policy": "default-src 'none'; sandbox"}  # a stage's bytes are no page to a browser

Examine = Callable[[], Mapping[str, object]]
"""Returns what the doctor found. Raises Transient."""


@dataclass(frozen=True, slots=True)
class Query:
    """One request: its route, the components of its path below that, its parameters and its Accept header."""

    route: str
    names: tuple[str, ...]
    parameters: Mapping[str, str]
    accept: str

    @property
    def run(self) -> str:
        """The parameter `run`, "" if it is not given."""
        return self.parameters.get("run", "")

    def flag(self, name: str) -> bool:
        """Return whether a parameter says yes. Raises NoAnswer."""
        text = self.parameters.get(name, "").lower()
        if text not in ("", "0", "1", "false", "true"):
            raise NoAnswer("wrong", f"{name}: expected 1 or 0, got {quoted(text)}")
        return text in ("1", "true")

    def number(self, name: str, low: int, high: int) -> int | None:
        """Return a parameter that is a whole number, None if it is not given. Raises NoAnswer."""
        text = self.parameters.get(name, "")
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise NoAnswer("wrong", f"{name}: expected a whole number from {low} to {high}, got {quoted(text)}")
        return int(text)


def parse(target: str, accept: str) -> Query:
    """Return a request's target as a query. Raises NoAnswer where it could lead elsewhere, or to no page."""
    path, _, text = target.removeprefix(PREFIX).partition("?")
    first, *names = (component(part) for part in path.removesuffix("/").split("/"))
    for route in ROUTES:
        start, *places = route.split("/")
        fits = len(names) >= len(places) if places[-1:] == ["PATH"] else len(names) == len(places)
        if start == first and fits:
            break
    else:
        raise NoAnswer("absent", f"no such page; there are {', '.join(PREFIX + route for route in ROUTES)}")
    known = ROUTES[route].parameters
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise NoAnswer("wrong", "too many parameters") from None
    for name, _ in pairs:
        if name not in known:
            raise NoAnswer("wrong", f"unknown parameter {quoted(name)}; {nearest(name, known)}")
    return Query(route, tuple(names), dict(pairs), accept)


def component(part: str) -> str:
    """Return one component of a path as a file's name is written in Python. Raises NoAnswer."""
    octets = unquote_to_bytes(part.encode("latin-1", "replace"))  # as it was sent
    name = octets.decode("utf-8", "surrogateescape")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise NoAnswer("wrong", f"{quoted(name)} in the path: expected a name")
    return name


class ReadApi:
    """Answers queries below /api/ from an archive, and from what `examine` finds."""

    def __init__(self, archive: RunArchive, examine: Examine) -> None:
        self.archive, self.examine = archive, examine

    def answer(self, query: Query) -> Reply | Stream:
        """Return the answer, a refusal included; a stream has to be closed."""
        try:
            return ROUTES[query.route].answer(self, query)
        except NoAnswer as none:
            return error(STATUS[none.kind], str(none))
        except Transient as failed:
            return error(503, f"{failed}; try again later")


class Api:
    """The ASGI application for the paths below /api/: an answer needs a place, and following one of fewer."""

    def __init__(self, api: ReadApi) -> None:
        self._api, self.room, self._followers = api, Room(API_ROOM), Room(FOLLOWERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with ExitStack() as held:
            try:
                query = parse(target(scope), Headers(scope=scope).get("accept", ""))
                following, room = query.flag("follow"), self.room
                if following:
                    line = f"{FOLLOWERS} logs are being followed already: try again later, or read without follow"
                    held.enter_context(self._followers.place())
                line = f"{API_ROOM} requests are being answered already: try again later (or the volume hangs)"
                held.enter_context(room.place())
            except NoAnswer as none:
                response: Whole | Streamed = Whole(error(STATUS[none.kind], str(none)))
            except Full:
                response = Whole(error(429, line))
            else:
                reply = await room.run(self._api.answer, query)
                response = Streamed(reply, room) if isinstance(reply, Stream) else Whole(reply)
            await response(scope, receive, send)


def target(scope: Scope) -> str:
    """Return the target of a request as it was sent: what is decoded no longer shows what hid in escapes."""
    parts: tuple[bytes, bytes] = scope["raw_path"], scope["query_string"]
    return b"?".join(filter(None, parts)).decode("latin-1")


def _log(api: ReadApi, query: Query) -> Stream:
    content = api.archive.log(
        *query.names,
        run=query.run,
        attempt=query.number("attempt", 1, 999_999_999) or 0,
        extract=Extract(query.number("tail", 0, LINES_LIMIT), query.flag("timestamps")),
        follow=query.flag("follow"),
    )
    return _stream(content, TEXT, {})


def _listing(listing: Listing) -> Reply:
    headers = {"Coachwork-Run": str(listing.run), "Coachwork-Complete": "true" if listing.complete else "false"}
    return as_json([asdict(file) for file in listing.files], headers)


def _artifact(api: ReadApi, query: Query) -> Reply | Stream:
    name, run, *path = query.names
    tar = TAR in query.accept
    if not path and not tar:
        return _listing(api.archive.artifacts(name, run))
    content = api.archive.artifact(name, run, path, tar=tar)
    file = f"{path[-1] if path else f'{name}-{content.run}'}{'.tar' if tar else ''}"
    saved = f"attachment; filename*=UTF-8''{quote(file, safe='', errors='surrogateescape')}"  # RFC 6266
    return _stream(content, TAR if tar else BYTES, {"Content-Disposition": saved})


def _stream(content: Content, content_type: str, headers: Mapping[str, str]) -> Stream:
    every = {"Coachwork-Run": str(content.run), **SANDBOX, **headers}
    return Stream(content.chunks, content.close, content.size, content_type, every)


class Route(NamedTuple):
    """What answers a page, and the parameters that it takes."""

    answer: Callable[[ReadApi, Query], Reply | Stream]
    parameters: tuple[str, ...] = ()


ROUTES: Final[Mapping[str, Route]] = {
    "runs/NAME": Route(lambda api, query: as_json(api.archive.runs(*query.names))),
    "runs/NAME/RUN": Route(lambda api, query: as_json(api.archive.run(*query.names))),
    "progress/NAME": Route(lambda api, query: as_json(codec.plain(api.archive.progress(*query.names)))),
    "logs/NAME": Route(lambda api, query: as_json(api.archive.logs(query.names[0], query.run)), ("run",)),
    "logs/NAME/STAGE": Route(_log, ("run", "attempt", "follow", "tail", "timestamps")),
    "artifacts/NAME": Route(lambda api, query: _listing(api.archive.artifacts(query.names[0], query.run)), ("run",)),
    "artifacts/NAME/RUN": Route(_artifact),
    "artifacts/NAME/RUN/PATH": Route(_artifact),
    "doctor": Route(lambda api, _query: as_json(api.examine())),
    "version": Route(lambda _api, _query: as_json({"version": metadata.version("coachwork")})),
}
