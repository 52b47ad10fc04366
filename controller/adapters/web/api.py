"""The pages below /api/: run records, logs and artifacts of kept runs, only read.

What is asked is bounded here, before the volume is touched: a volume that hangs holds the few places of these pages,
never those of /healthz and /metrics. Refuses whatever leads elsewhere: `..`, NUL and slashes that hide in escapes.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Final, Protocol
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from controller.adapters.web.replies import BYTES, TAR, TEXT, Reply, Stream, as_json, error
from controller.core.errors import Transient
from controller.core.kept import Content, Listing, NoAnswer
from controller.core.text import nearest, quoted

PREFIX: Final = "/api/"
API_ROOM: Final = 16  # requests at once, those that follow included
FOLLOWERS: Final = 10
LINES_LIMIT: Final = 1_000_000  # that `tail` may ask for
ROUTES: Final[Mapping[str, tuple[str, ...]]] = {  # each with the parameters that it takes
    "runs/NAME": (),
    "runs/NAME/RUN": (),
    "logs/NAME": ("run",),
    "logs/NAME/STAGE": ("run", "attempt", "follow", "tail"),
    "artifacts/NAME": ("run",),
    "artifacts/NAME/RUN": (),
    "artifacts/NAME/RUN/PATH": (),
    "doctor": (),
}
STATUS: Final = {"wrong": 400, "absent": 404, "gone": 410}
SHELTERED: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox"
}  # no browser takes a stage's bytes for a page


Examine = Callable[[], Mapping[str, object]]
"""Gives what the doctor found. Raises Transient."""


class Archive(Protocol):
    """What kept runs can be asked for. Each method raises NoAnswer and Transient."""

    def runs(self, name: str) -> Sequence[Mapping[str, object]]:
        """Give what is told of each kept run, newest first."""

    def run(self, name: str, run: str) -> Mapping[str, object]:
        """Give what is told of one run: a number, latest or good."""

    def logs(self, name: str, run: str = "") -> Sequence[Mapping[str, object]]:
        """Give all attempts of all stages of a run; "": the latest."""

    def log(self, name: str, stage: str, *, run: str, attempt: int, lines: int | None, follow: bool) -> Content:
        """Give one log; run "", attempt 0: the newest; lines None: all."""

    def artifacts(self, name: str, run: str = "") -> Listing:
        """Give the artifacts of a run; "": the last good one."""

    def artifact(self, name: str, run: str, path: Sequence[str], *, tar: bool) -> Content:
        """Give one file of a run's artifacts, or a folder of them as an archive."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question, taken apart: the components of its path below /api/, its parameters, the Accept header."""

    parts: tuple[str, ...]
    parameters: Mapping[str, str]
    accept: str

    def flag(self, name: str) -> bool:
        """Give a parameter that says yes or no. Raises NoAnswer."""
        text = self.parameters.get(name, "").lower()
        if text not in ("", "0", "1", "false", "true"):
            raise NoAnswer("wrong", f"{name}: expected 1 or 0, got {quoted(text)}")
        return text in ("1", "true")

    def number(self, name: str, low: int, high: int) -> int | None:
        """Give a parameter that is a whole number, None where it is not given. Raises NoAnswer."""
        text = self.parameters.get(name, "")
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise NoAnswer("wrong", f"{name}: expected a whole number from {low} to {high}, got {quoted(text)}")
        return int(text)


class Api:
    """Answers what is asked below /api/."""

    def __init__(self, archive: Archive, examine: Examine) -> None:
        """Take what the answers come from."""
        self._archive, self._examine = archive, examine
        self._room, self._followers = threading.Semaphore(API_ROOM), threading.Semaphore(FOLLOWERS)

    def serve(self, target: str, accept: str, send: Callable[[Reply | Stream], None]) -> None:
        """Answer with `send`, which returns when all is sent; its places are held until then."""
        with ExitStack() as held:
            send(self._answer(target, accept, held))

    def _answer(self, target: str, accept: str, held: ExitStack) -> Reply | Stream:
        try:
            query = parse(target, accept)
            follow = query.flag("follow")
        except NoAnswer as wrong:
            return error(STATUS[wrong.kind], str(wrong))
        if follow and not _take(self._followers, held):
            return error(429, f"{FOLLOWERS} logs are being followed already: try again later, or read without follow")
        if not _take(self._room, held):
            return error(429, f"{API_ROOM} requests are being answered already: try again later (or the volume hangs)")
        try:
            reply = self._reply(query, follow=follow)
        except NoAnswer as none:
            return error(STATUS[none.kind], str(none))
        except Transient as failed:
            return error(503, f"{failed}; try again later")
        if isinstance(reply, Stream):
            held.callback(reply.close)
        return reply

    def _reply(self, query: Query, *, follow: bool) -> Reply | Stream:
        if query.parts == ("doctor",):
            return as_json(self._examine())
        return self._kept(query, follow=follow)

    def _kept(self, query: Query, *, follow: bool) -> Reply | Stream:
        """Answer from what runs left behind."""
        match query.parts:
            case ("runs", name):
                return as_json(self._archive.runs(name))
            case ("runs", name, run):
                return as_json(self._archive.run(name, run))
            case ("logs", name):
                return as_json(self._archive.logs(name, query.parameters.get("run", "")))
            case ("logs", name, stage):
                return self._log(query, name, stage, follow=follow)
            case ("artifacts", name):
                return self._listing(name, query.parameters.get("run", ""))
            case ("artifacts", name, run, *path):
                return self._artifact(query, name, run, path)
        raise NoAnswer("absent", f"there is no such page; there are {', '.join(PREFIX + route for route in ROUTES)}")

    def _log(self, query: Query, name: str, stage: str, *, follow: bool) -> Stream:
        content = self._archive.log(
            name,
            stage,
            run=query.parameters.get("run", ""),
            attempt=query.number("attempt", 1, 999_999_999) or 0,
            lines=query.number("tail", 0, LINES_LIMIT),
            follow=follow,
        )
        return _stream(content, TEXT)

    def _listing(self, name: str, run: str) -> Reply:
        listing = self._archive.artifacts(name, run)
        headers = {"Coachwork-Run": str(listing.run), "Coachwork-Complete": "true" if listing.complete else "false"}
        return as_json([asdict(file) for file in listing.files], headers)

    def _artifact(self, query: Query, name: str, run: str, path: Sequence[str]) -> Reply | Stream:
        tar = TAR in query.accept
        if not path and not tar:
            return self._listing(name, run)
        content = self._archive.artifact(name, run, path, tar=tar)
        file = f"{path[-1] if path else f'{name}-{content.run}'}{'.tar' if tar else ''}"
        saved = f"attachment; filename*=UTF-8''{quote(file, safe='', errors='surrogateescape')}"  # RFC 6266
        return _stream(content, TAR if tar else BYTES, {"Content-Disposition": saved})


def parse(target: str, accept: str) -> Query:
    """Take a request's target apart. Raises NoAnswer where it could lead elsewhere, or asks for what there is not."""
    path, _, text = target.removeprefix(PREFIX).partition("?")
    parts = tuple(_component(part) for part in path.removesuffix("/").split("/"))
    known = next((keys for route, keys in ROUTES.items() if _takes(route, parts)), ())
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise NoAnswer("wrong", "too many parameters") from None
    for name, _ in pairs:
        if name not in known:
            raise NoAnswer("wrong", f"there is no parameter {quoted(name)} here; {nearest(name, known)}")
    return Query(parts, dict(pairs), accept)


def _takes(route: str, parts: Sequence[str]) -> bool:
    names = route.split("/")
    return names[0] == parts[0] and (len(names) == len(parts) or (names[-1] == "PATH" and len(parts) > len(names)))


def _component(part: str) -> str:
    """Give one component of a path as a file's name is written in Python. Raises NoAnswer."""
    name = unquote_to_bytes(part.encode("latin-1", "replace")).decode(
        "utf-8", "surrogateescape"
    )  # as http.server read it
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise NoAnswer("wrong", f"{quoted(name)} in the path: expected a name")
    return name


def _stream(content: Content, content_type: str, headers: Mapping[str, str] | None = None) -> Stream:
    told = {"Coachwork-Run": str(content.run), **SHELTERED, **(headers or {})}
    return Stream(content.chunks, content.close, content.size, content_type, told)


def _take(places: threading.Semaphore, held: ExitStack) -> bool:
    """Take one of the places until all that is held is given back."""
    if not places.acquire(blocking=False):
        return False
    held.callback(places.release)
    return True
