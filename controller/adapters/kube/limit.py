"""How many calls of the API server may be under way at once: fewer where it is overloaded, more while it answers.

Additive increase, multiplicative decrease, as TCP's window and Netflix's concurrency-limits. What is under way is
limited, not a rate: it is what the server's own Priority and Fairness counts, and a server that slows down gets fewer
calls by itself. Streams of watches are not counted: they last for minutes and cost it little.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from controller.core.errors import Conflict, NotYet, Refused, Transient

MOST = 64  # more than a controller has threads: a server that is well never makes one wait
PATIENCE = 5.0  # seconds that a call waits for its turn; beyond, its thread is better used elsewhere
LONGEST_HOLD = 30.0  # seconds for which one answer holds all calls; the one that got it may wait longer

OnTurn: TypeAlias = Callable[[int, float], None]
"""Called when a call's turn came or it gave up, and when the limit falls: the limit, the seconds that a call waited."""


class Limit:
    """Turns for calls, first come, first served. Safe to use from many threads."""

    def __init__(
        self, on_turn: OnTurn = lambda _limit, _seconds: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_turn, self._clock = on_turn, clock
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._under_way = 0
        self._limit = float(MOST)
        self._lowered = float("-inf")  # what began before says nothing about the limit since
        self._held_until = self._lowered

    @property
    def present(self) -> int:
        """Return how many calls may be under way."""
        return int(self._limit)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Make one call in the block. Raises Transient(ApiOverloaded) where its turn would come late."""
        began = self._begin()
        answered = False
        try:
            yield
            answered = True
        except Transient as error:
            if error.reason == "ApiOverloaded" or error.retry_after is not None:
                self._lower(began, error.retry_after or 0.0)
            raise
        except (Conflict, NotYet, Refused):
            answered = True
            raise
        finally:
            with self._changed:
                self._under_way -= 1
                if answered:  # one more once as many calls were answered as may be under way
                    self._limit = min(self._limit + 1 / self._limit, MOST)
                self._changed.notify_all()

    def _begin(self) -> float:
        """Wait for the turn; return when it came."""
        came, ticket = self._clock(), object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while (wait := self._wait(ticket)) > 0.0:
                    left = came + PATIENCE - self._clock()
                    if left <= 0.0 or self._held_until - self._clock() > left:
                        after = max(self._held_until - self._clock(), 1.0)
                        raise Transient("ApiOverloaded", "API server: it asked for fewer calls", retry_after=after)
                    self._changed.wait(min(wait, left))
                self._under_way += 1
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
                began = self._clock()
                self._on_turn(self.present, began - came)
        return began

    def _wait(self, ticket: object) -> float:
        """Return how long to wait for a change, 0 where it is this one's turn."""
        if self._waiting[0] is not ticket or self._under_way >= self.present:
            return PATIENCE
        return self._held_until - self._clock()

    def _lower(self, began: float, retry_after: float) -> None:
        """Halve the limit, once for all calls that were under way together, and hold all calls for `retry_after`."""
        with self._changed:
            now = self._clock()
            if began > self._lowered:
                self._limit, self._lowered = max(min(self._limit, self._under_way) / 2, 1.0), now
            self._held_until = max(self._held_until, now + min(retry_after, LONGEST_HOLD))
            self._on_turn(self.present, 0.0)
