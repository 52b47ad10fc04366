"""The keys that wait to be reconciled: ready, active, delayed; those first whose turn lets go on what has begun.

The one invariant is client-go's (`util/workqueue`): a key is never worked on twice at a time, and one that is added
while it is worked on comes again afterwards. Failures of a key are counted here, for its back-off, and when a key was
added last is known, which tells what answers to its questions are new enough (docs/adr/0030).
"""

import heapq
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

BACKOFF_FIRST, BACKOFF_LIMIT = 0.5, 300.0
PATIENCE = 30.0  # seconds between looks at what is only not there yet
STREAK = 8  # keys in a row that are taken before those that came earlier: nobody waits for ever
SPARE = 64  # wishes that no longer stand and are kept, with as many more as stand: the heap is rebuilt seldom


class WorkQueue:
    """A thread-safe queue of keys, each there at most once. `clock` returns seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: OrderedDict[str, float] = OrderedDict()  # since when each waits
        self._ready: OrderedDict[str, float] = OrderedDict()
        self._streak = 0  # keys of `_first` that were taken in a row
        self._active: set[str] = set()
        self._again: dict[str, bool] = {}  # active, and added since it was taken; whether it goes first
        self._delayed: dict[str, float] = {}  # key -> when (monotonic); the earliest wish wins
        self._heap: list[tuple[float, str]] = []  # may hold wishes that no longer stand
        self._added: dict[str, float] = {}  # when a ready or active key was added last, or came due
        self._waiting: dict[str, float] = {}  # the same of a delayed key that only waits to be worked on to its end
        self._failures: dict[str, int] = {}
        self._early: dict[str, float] = {}  # taken before their own time, because something was new -> that time
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Return the number of keys that wait to be taken now."""
        with self._changed:
            return len(self._first) + len(self._ready)

    def oldest(self) -> float:
        """Return for how many seconds the key waits that has waited longest to be taken, 0 where none does."""
        with self._changed:
            since = min((*self._first.values(), *self._ready.values()), default=None)
            return 0.0 if since is None else self._clock() - since

    def add(self, key: str, *, first: bool = False) -> None:
        """Add `key`: it is processed as soon as a worker is free; `first`: before those that are not."""
        with self._changed:
            self._add(key, self._clock(), first=first)
            self._changed.notify()

    def added(self, key: str) -> float:
        """Return when `key`, which is worked on, was added last, by the queue's clock: its news are no newer.

        A delayed key counts from when it came due; one that comes back from `wait`, from when it was added before.
        """
        with self._changed:
            return self._added.get(key, self._clock())

    def add_after(self, key: str, delay: float) -> None:
        """Add `key` in `delay` seconds, or earlier if something else adds it."""
        self._add_after(key, delay)

    def _add_after(self, key: str, delay: float, *, waits: bool = False) -> None:
        due = self._clock() + max(delay, 0.0)
        with self._changed:
            if waits and key not in self._delayed and key in self._added:
                self._waiting[key] = self._added[key]
            else:
                self._waiting.pop(key, None)
            if due < self._delayed.get(key, float("inf")):
                self._delayed[key] = due
                heapq.heappush(self._heap, (due, key))
                if len(self._heap) > 2 * len(self._delayed) + SPARE:  # a day's wish of each pass would stay for a day
                    self._heap = [(moment, other) for other, moment in self._delayed.items()]
                    heapq.heapify(self._heap)
                self._changed.notify()

    def retry(self, key: str, *, at_least: float = 0.0, at_most: float = BACKOFF_LIMIT) -> float:
        """Add `key` after an exponential back-off with jitter; return that delay in seconds."""
        ceiling = min(BACKOFF_FIRST * self._growth(key), at_most)
        delay: float = max(ceiling * random.uniform(0.5, 1.0), at_least)  # noqa: S311 (jitter, no secret)
        self.add_after(key, delay)
        return delay

    def wait(self, key: str, delay: float) -> float:
        """Add `key` in `delay` seconds, and later each time in a row that it is still too early.

        Returns the delay. What is waited for mostly comes with an event of its own; a short delay must not become a
        steady load where it never comes.
        """
        longer = min(delay * self._growth(key), max(delay, PATIENCE))
        self._add_after(key, longer, waits=True)
        return longer

    def park(self, key: str, delay: float) -> None:
        """Add `key` when it is called, or else in `delay` seconds."""
        self._add_after(key, delay, waits=True)

    def call(self, key: str) -> None:
        """Add a key that was parked, if it still waits to be called."""
        with self._changed:
            if self._delayed.pop(key, None) is not None:
                self._add(key, self._waiting.pop(key, self._clock()))
                self._changed.notify()

    def failures(self, key: str) -> int:
        """Return how often in a row `key` was retried."""
        with self._changed:
            return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """Forget the failures of `key`: its last pass went well."""
        with self._changed:
            self._failures.pop(key, None)

    def get(self) -> str | None:
        """Wait for a key and take it; None once the queue is closed. `done` must follow.

        What was wished for later is done by that: its worker says when the key is to come again.
        """
        with self._changed:
            while True:
                wait = self._promote()
                if self._closed:
                    return None
                if self._first or self._ready:
                    ahead = bool(self._first) and (self._streak < STREAK or not self._ready)
                    self._streak = self._streak + 1 if ahead else 0
                    key, _ = (self._first if ahead else self._ready).popitem(last=False)
                    self._active.add(key)
                    self._waiting.pop(key, None)
                    if (due := self._delayed.pop(key, None)) is not None:
                        self._early[key] = due
                    if self._first or self._ready:
                        self._changed.notify()  # several may have come due at once
                    return key
                self._changed.wait(wait)

    def done(self, key: str) -> None:
        """Say that the work on `key` is over; it comes again at once if it was added meanwhile."""
        with self._changed:
            self._active.discard(key)
            self._early.pop(key, None)
            if (first := self._again.pop(key, None)) is not None:
                (self._first if first else self._ready)[key] = self._clock()
                self._changed.notify()
            else:
                self._added.pop(key, None)

    def close(self) -> None:
        """Let every `get` return None. What is being worked on goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _growth(self, key: str) -> float:
        """Count one more pass in a row that came to no end; return the factor for its delay (1, 2, 4, 8).

        One that news brought in the middle of a back-off, and that ended there, is not counted: a busy request would be
        punished for its news, with a minute for a few seconds without an API server.
        """
        with self._changed:
            failures = self._failures.get(key, 0)
            in_time = self._early.get(key, 0.0) <= self._clock()
            if in_time or not failures:
                failures = self._failures[key] = failures + 1
        return 2.0 ** min(failures - 1, 20)

    def _add(self, key: str, moment: float, *, first: bool = False) -> None:
        now = self._clock()
        self._added[key] = max(moment, self._added.get(key, moment))
        if key in self._active:
            self._again[key] = first or self._again.get(key, False)
        elif first:
            self._first.setdefault(key, self._ready.pop(key, now))
        elif key not in self._first:
            self._ready.setdefault(key, now)

    def _promote(self) -> float | None:
        """Move what is due to the ready keys; return the seconds until the next is due, None if nothing waits."""
        now = self._clock()
        while self._heap:
            due, key = self._heap[0]
            if self._delayed.get(key) != due:
                heapq.heappop(self._heap)
            elif due <= now:
                heapq.heappop(self._heap)
                del self._delayed[key]
                self._add(key, self._waiting.pop(key, due))
            else:
                return due - now
        return None
