"""The few places for git processes that talk to remotes, shared fairly among hosts.

Refuses to let one host have all of them, and to wait again for one that has just not answered.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from controller.adapters.git.command import TimedOut
from controller.adapters.git.remote import place
from controller.adapters.locks import BACK
from controller.core.errors import Busy, NotYet, Transient
from controller.core.inputs.repository import server

Call: TypeAlias = Callable[[], object]

TAKEN = "all places for Git are taken by other repositories"


class Places:
    """Places by host. A host that did not answer is left alone, but for one try after each pause, until it does."""

    def __init__(self, count: int, wait: float, pause: float) -> None:
        """Make so many places; the longest wait for one and the pause after a time-out are in seconds."""
        self._count, self._share = count, (count + 1) // 2
        self._wait, self._pause = wait, pause
        self._taken: Counter[str] = Counter()
        self._silent: dict[str, tuple[float, float]] = {}  # host: when it may be tried again, the limit it exceeded
        self._lines: dict[str, dict[str, list[Call]]] = defaultdict(dict)  # host: whom to call, by address, in order
        self._changed = threading.Condition()

    @contextmanager
    def take(self, url: str, limit: float, *, question: bool) -> Iterator[None]:
        """Hold a place for what has to end within `limit` seconds: a question, or a transfer, which may just be large.

        Raises NotYet where all are taken (Busy where nobody is to wait), Transient (GitTimeout) in place of TimedOut,
        and where a question to the host timed out of late.
        """
        there = server(url)
        host = f"{there.host}:{there.port}" if there else ""  # "": this machine
        waiting = self._enter(host, url, limit)
        silent: float | None = 0.0  # the limit that the host exceeded, 0: it answered, None: nobody knows
        try:
            yield
        except TimedOut:
            silent = limit if question else None
            raise _unanswered(url, limit) from None
        finally:
            with self._changed:
                self._taken -= Counter({host: 1})
                if silent is not None:
                    self._silent.pop(host, None)
                if silent:
                    self._silent[host] = (time.monotonic() + self._pause, silent)
                self._changed.notify_all()
                called = self._called()
            for call in (*waiting, *called):
                call()

    def _enter(self, host: str, url: str, limit: float) -> list[Call]:
        """Take a place; return whom to call at its end: those who wait for one for the same address."""
        deadline = time.monotonic() + self._wait
        with self._changed:
            while True:
                again, exceeded = self._silent.get(host, (0.0, 0.0))
                if time.monotonic() < again:
                    raise _unanswered(url, exceeded)
                if self._free(host):
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    raise NotYet(BACK, TAKEN) if self._wait else Busy(BACK, TAKEN, partial(self._line_up, host, url))
            self._taken[host] += 1
            if host in self._silent:  # this is the one try: the others need not wait for its end
                self._silent[host] = (time.monotonic() + limit + self._pause, self._silent[host][1])
            return self._lines.get(host, {}).pop(url, [])

    def _free(self, host: str) -> int:
        """Return how many places there are for the host now."""
        return max(min(self._share - self._taken[host], self._count - self._taken.total()), 0)

    def _line_up(self, host: str, url: str, call: Call) -> None:
        """Call once there is a place for the address; nothing is kept free for those who do not want to be called."""
        with self._changed:
            if not (free := self._free(host)):
                self._lines[host].setdefault(url, []).append(call)
        if free:
            call()

    def _called(self) -> list[Call]:
        """Return whose turn it is: of each host as many addresses as find a place now, those that came first.

        An address stays where it is in its line until it has a place: somebody else may be faster than who is called.
        """
        called = list[Call]()
        for host, line in list(self._lines.items()):
            for url in [url for url, calls in line.items() if calls][: self._free(host)]:
                called += line[url]
                line[url] = []
            if not any(line.values()):
                del self._lines[host]
        return called


def _unanswered(url: str, limit: float) -> Transient:
    return Transient("GitTimeout", f"{place(url)}: no end within {limit:g} s; it is tried again: check the server")
