"""The pages below /api/, which are only read: a table of routes over what runs left behind.

A request is bounded here, before the volume is touched: a volume that hangs holds the few places of these pages, never
those of /healthz and /metrics. Refuses a path that leads elsewhere: `..`, NUL and slashes that hide in escapes.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from controller.adapters.web.replies import BYTES, TAR, TEXT, Reply, Stream, as_json, error
from controller.core.archive import Content, Extract, Listing, NoAnswer
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


class RunArchive(Protocol):
    """What is read of kept runs. Each method raises NoAnswer and Transient."""

    def runs(self, name: str) -> Sequence[Mapping[str, object]]:
        """Return the record of each kept run, newest first."""

    def run(self, name: str, run: str) -> Mapping[str, object]:
        """Return the record of one run: a number, latest or good."""

    def logs(self, name: str, run: str = "") -> Sequence[Mapping[str, object]]:
        """Return all attempts of all stages of a run; "": the latest."""

    def log(self, name: str, stage: str, *, run: str, attempt: int, extract: Extract, follow: bool) -> Content:
        """Return one log; run "", attempt 0: the newest."""

    def artifacts(self, name: str, run: str = "") -> Listing:
        """Return the artifacts of a run; "": the last good one."""

    def artifact(self, name: str, run: str, path: Sequence[str], *, tar: bool) -> Content:
        """Return one file of a run's artifacts, or a folder of them as an archive."""


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
    first, *names = (_component(part) for part in path.removesuffix("/").split("/"))
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


def _component(part: str) -> str:
    """Return one component of a path as a file's name is written in Python. Raises NoAnswer."""
    octets = unquote_to_bytes(part.encode("latin-1", "replace"))  # as http.server read it
    name = octets.decode("utf-8", "surrogateescape")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise NoAnswer("wrong", f"{quoted(name)} in the path: expected a name")
    return name


class ReadApi:
    """Answers requests below /api/ from an archive, and from what `examine` finds."""

    def __init__(self, archive: RunArchive, examine: Examine) -> None:
        self.archive, self.examine = archive, examine
        self._room, self._followers = threading.Semaphore(API_ROOM), threading.Semaphore(FOLLOWERS)

    def serve(self, target: str, accept: str, send: Callable[[Reply | Stream], None]) -> None:
        """Answer with `send`, which returns when all is sent; its places are held until then."""
        reply: Reply | Stream
        with ExitStack() as held:
            try:
                query = parse(target, accept)
                if query.flag("follow") and not _take(self._followers, held):
                    line = f"{FOLLOWERS} logs are being followed already: try again later, or read without follow"
                    reply = error(429, line)
                elif not _take(self._room, held):
                    line = f"{API_ROOM} requests are being answered already: try again later (or the volume hangs)"
                    reply = error(429, line)
                else:
                    reply = ROUTES[query.route].answer(self, query)
            except NoAnswer as none:
                reply = error(STATUS[none.kind], str(none))
            except Transient as failed:
                reply = error(503, f"{failed}; try again later")
            if isinstance(reply, Stream):
                held.callback(reply.close)
            send(reply)


def _take(places: threading.Semaphore, held: ExitStack) -> bool:
    """Take one of the places until `held` ends."""
    if taken := places.acquire(blocking=False):
        held.callback(places.release)
    return taken


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
    "logs/NAME": Route(lambda api, query: as_json(api.archive.logs(query.names[0], query.run)), ("run",)),
    "logs/NAME/STAGE": Route(_log, ("run", "attempt", "follow", "tail", "timestamps")),
    "artifacts/NAME": Route(lambda api, query: _listing(api.archive.artifacts(query.names[0], query.run)), ("run",)),
    "artifacts/NAME/RUN": Route(_artifact),
    "artifacts/NAME/RUN/PATH": Route(_artifact),
    "doctor": Route(lambda api, _query: as_json(api.examine())),
    "version": Route(lambda _api, _query: as_json({"version": metadata.version("coachwork")})),
}
