"""List, then watch one kind in one namespace, and keep what is there in a `WatchCache`.

Own loop, because the client's informer spins when the server goes away and hangs on half-open connections. It knows
nothing of HTTP: a `Feed` gives pages and lines. It refuses to guess: whatever it does not understand ends the round,
and the next one begins after a pause, from the last version that it knows, or with a new list.
"""

import json
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from controller.core.errors import Conflict, Expired, NotYet, Refused, Transient
from controller.core.model import Object
from controller.core.snapshot import OnChange, Snapshot

SERVER_SECONDS = (270, 310)  # the server ends a watch after so long; drawn, so that watches don't end all at once
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds between rounds
SETTLED = 5.0  # seconds: a watch that stood so long was a good one, even if nothing happened in it
RELIST_AFTER = 3  # rounds in a row without progress: perhaps the version is what the server can't take
STOP_LIMIT = 2.0  # seconds that stop() waits; a thread that is still connecting ends by its own deadline

_draw = random.SystemRandom()
_log = structlog.get_logger(__name__)


class WatchStream(Protocol):
    """The lines of a watch as they come."""

    def close(self) -> None:
        """Drop the connection."""

    def __iter__(self) -> Iterator[bytes]:
        """Return each line; raises Transient where the stream breaks."""

    def abort(self) -> None:
        """End the iteration from another thread."""


class Feed(Protocol):
    """What a watch needs of one kind in one namespace. Each method may raise Expired and the errors of the core."""

    @property
    def kind(self) -> str:
        """Return the kind's name."""

    def page(self, token: str) -> Object:
        """Return a page of the list: the first ("") or the one that a `continue` token names."""

    def lines(self, version: str, seconds: int) -> WatchStream:
        """Begin to watch after this version, for so long at most."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of an object, and the version that it is of, or one since in which nothing of it has changed."""

    snapshot: Snapshot
    version: str


class WatchCache:
    """What is held of one kind's objects, by name, from the watch and our own writes. Safe to use from many threads.

    A version is never replaced by an older one, whichever comes first.
    """

    def __init__(self, kind: str, on_change: OnChange) -> None:
        self._kind = kind
        self._on_change = on_change
        self._lock = threading.Lock()
        self._objects: dict[str, Held] = {}
        self._version = ""  # the watch has brought everything up to here

    def get(self, name: str) -> Object | None:
        """Return what is held of the object of this name."""
        with self._lock:
            found = self._objects.get(name)
        return found.snapshot.opened() if found else None

    def held(self, item: Object) -> Held | None:
        """Return what is to be held of an object, None for one that nobody reads."""
        snapshot = Snapshot.of(self._kind, item)
        return Held(snapshot, _version(item)) if snapshot else None

    def put(self, answer: Object) -> None:
        """Store the answer to a write of ours, unless the watch has already passed it."""
        new = self.held(answer)
        with self._lock:
            if new and not (self._version and not _later(new.version, self._version)):
                self._set(new)

    def note(self, event: str, item: Object) -> None:
        """Store what the watch brings: ADDED, MODIFIED or DELETED."""
        new, name, version = self.held(item), _name(item), _version(item)
        with self._lock:
            self._version = version
            old = self._objects.get(name)
            if event != "DELETED":
                if new:
                    self._set(new)
            elif old and not _later(old.version, version, unsure=False):  # else we have created one of this name since
                del self._objects[name]
                self._report(old, None)

    def leaving(self, name: str, uid: str, since: str) -> None:
        """Mark an object that we have deleted: nobody deletes it again before the watch reports it gone."""
        with self._lock:
            old = self._objects.get(name)
            if old and old.snapshot.opened()["metadata"].get("uid") == uid:
                new = self._objects[name] = replace(old, snapshot=old.snapshot.marked(since))
                self._report(old, new)

    def passed(self, version: str) -> None:
        """Note that the watch has brought everything up to this version (a bookmark)."""
        with self._lock:
            self._version = version

    def replace(self, listed: Iterable[Held], version: str) -> None:
        """Store a whole list: what it lacks is gone, except what we wrote after it was made."""
        fresh = {new.snapshot.name: new for new in listed}
        with self._lock:
            before = self._objects
            if self._version.isdecimal() and _later(self._version, version, unsure=False):
                later = dict[str, Held]()  # the server's history was set back (restored from a backup)
            else:
                later = {name: old for name, old in before.items() if _later(old.version, version, unsure=False)}
            shared = {name: _shared(before.get(name), new) for name, new in fresh.items()}
            self._objects, self._version = {**shared, **later}, version
            for name in sorted({*before, *self._objects}):
                self._report(before.get(name), self._objects.get(name))

    def _set(self, new: Held) -> None:
        """Store `new` if it is newer."""
        old = self._objects.get(new.snapshot.name)
        if old is None or _later(new.version, old.version):
            self._objects[new.snapshot.name] = new = _shared(old, new)
            self._report(old, new)

    def _report(self, old: Held | None, new: Held | None) -> None:
        """Report what really changed."""
        before, after = (one.snapshot if one else None for one in (old, new))
        if before != after:
            self._on_change(self._kind, before, after)


def _shared(old: Held | None, new: Held) -> Held:
    """Return `new` with the snapshot of `old` where they are equal: others hold that one, too."""
    return replace(new, snapshot=old.snapshot) if old and old.snapshot == new.snapshot else new


class Watch:
    """The thread that keeps one cache up to date. Only a defect ends it; `alive` says whether it runs."""

    def __init__(self, feed: Feed, cache: WatchCache) -> None:
        self._feed = feed
        self._cache = cache
        self._version = ""  # "": list first
        self._progress = False
        self._heard = time.monotonic()
        self._lines: WatchStream | None = None
        self._synced = threading.Event()
        self._stopping, self._awake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{feed.kind}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to end, whatever it is waiting for. Does not wait."""
        self._stopping.set()
        self._awake.set()
        if (lines := self._lines) is not None:
            lines.abort()

    def hurry(self) -> None:
        """Let the next round begin now if a pause is under way, unless the server has asked for it."""
        self._awake.set()

    def stop(self) -> None:
        """End the thread; nothing is reported after that but a change that is being reported at this moment."""
        self.request_stop()
        self._thread.join(STOP_LIMIT)

    @property
    def kind(self) -> str:
        """Return the kind that is watched."""
        return self._feed.kind

    def age(self) -> float:
        """Return the seconds since the server last said anything of this kind: bookmarks come each minute."""
        return time.monotonic() - self._heard

    @property
    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    @property
    def synced(self) -> bool:
        """Return whether the first list is in the cache."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds for the first list, and return whether it is there."""
        return self._synced.wait(timeout)

    def _run(self) -> None:
        """Make rounds until stopped: list if needed, then watch to the end of the stream.

        After each comes a pause: longer while nothing gets through.
        """
        failures = 0
        while not self._stopping.is_set():
            self._progress = False
            error: Exception | None = None  # what ended the round; none for an ordinary end
            try:
                if not self._version:
                    self._list()
                self._watch()
            except (Conflict, NotYet, Refused, Transient) as caught:
                error = caught
            failures = 0 if self._progress else failures + 1
            if isinstance(error, Expired) or failures >= RELIST_AFTER:
                self._version = ""
            least = getattr(error, "retry_after", None) or 0.0
            wait = max(pause(failures), least)
            if error is not None and not self._progress and not self._stopping.is_set():
                _log.warning("watch interrupted", kind=self._feed.kind, error=str(error), failures=failures, wait=wait)
            self._stopping.wait(least)
            self._awake.clear()
            if not self._stopping.is_set():
                self._awake.wait(wait - least)

    def _list(self) -> None:
        """Read all pages, and only then change the cache."""
        listed, token = list[Held | None](), ""
        while not self._stopping.is_set():
            page = self._feed.page(token)
            metadata = _metadata(page)
            listed += (self._cache.held(_checked(item)) for item in page.get("items") or ())
            token = metadata.get("continue") or ""
            if not token:
                self._cache.replace(filter(None, listed), _version(page))
                self._version, self._heard = _version(page), time.monotonic()
                self._synced.set()
                return

    def _watch(self) -> None:
        """Follow the stream from the last version on."""
        lines = self._lines = self._feed.lines(self._version, _draw.randint(*SERVER_SECONDS))
        began = time.monotonic()
        try:
            if self._stopping.is_set():  # after the loop checked it: request_stop did not know these lines
                return
            for line in lines:
                if self._stopping.is_set():
                    return
                self._take(line)
                self._progress, self._heard = True, time.monotonic()
        finally:
            self._lines = None
            lines.close()
            self._progress = self._progress or time.monotonic() - began >= SETTLED

    def _take(self, line: bytes) -> None:
        """Act on one event. Raises Expired or Transient for an ERROR, and for what is not an event."""
        try:
            parsed: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Transient("ApiUnavailable", "watch: a line is not JSON") from error
        if not isinstance(parsed, dict) or not isinstance(subject := parsed.get("object"), dict):
            raise Transient("ApiUnavailable", "watch: a line is not an event")
        event = str(parsed.get("type"))
        if event == "ERROR":
            if subject.get("code") == 410:  # noqa: PLR2004 - Gone
                raise Expired("the version is too old")
            raise Transient("ApiUnavailable", f"watch: the server reports an error {subject.get('code')}")
        if event == "BOOKMARK":
            self._cache.passed(_version(subject))
        elif event in {"ADDED", "MODIFIED", "DELETED"}:
            self._cache.note(event, _checked(subject))
        else:
            raise Transient("ApiUnavailable", "watch: an event of an unknown type")
        self._version = _version(subject)


def pause(failures: int) -> float:
    """Return the seconds before the next round: doubled with each failure, bounded, with jitter of one half."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 16))
    return _draw.uniform(longest / 2, longest)


def _metadata(subject: Object) -> dict[str, Any]:
    """Return the metadata, which must have a version: nothing can be compared without it."""
    metadata = subject.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("resourceVersion"):
        raise Transient("ApiUnavailable", "API server: an object without a resourceVersion")
    return metadata


def _checked(subject: Any) -> Object:
    """Return the object if it is one with a name and a version."""
    if not isinstance(subject, dict) or not _metadata(subject).get("name"):
        raise Transient("ApiUnavailable", "API server: an object without a name")
    return subject


def _name(subject: Object) -> str:
    """Return the object's name."""
    return str(subject["metadata"]["name"])


def _version(subject: Object) -> str:
    """Return the resourceVersion of an object or a list."""
    return str(_metadata(subject)["resourceVersion"])


def _later(one: str, other: str, *, unsure: bool = True) -> bool:
    """Return whether version `one` is later; `unsure` where they differ but can't be compared."""
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return unsure and one != other
