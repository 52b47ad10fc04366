"""The one thread in which everything of the local cluster happens, and its timers.

Store changes, ended processes and probe results arrive here as calls, so that nothing else needs a lock. A call that
raises is a defect: the thread ends, and the cluster is no longer healthy.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timer:
    """A call that is due at some time, unless it is cancelled before."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """Keep the call from happening; nothing if it has."""
        self.cancelled = True


class Scheduler:
    """Makes calls in the order in which they are due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="local-cluster", daemon=True)

    @property
    def alive(self) -> bool:
        """Return whether calls are made."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start to make calls; nothing if that has started."""
        with self._changed:
            if self._thread.ident is None:
                self._thread.start()

    def stop(self) -> None:
        """Make no more calls, and wait for the one that is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Make `call` in so many seconds. From any thread; calls of equal delay keep their order."""
        timer = Timer(call)
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), timer))
            self._changed.notify()
        return timer

    def soon(self, call: Callable[[], None]) -> None:
        """Make `call` as soon as what came before is done."""
        self.after(0.0, call)

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            timer.call()

    def _next(self) -> Timer | None:
        """Return the timer that is due, None when it is time to stop."""
        with self._changed:
            while not self._stopping:
                pause = self._heap[0][0] - time.monotonic() if self._heap else None
                if pause is not None and pause <= 0:
                    timer = heapq.heappop(self._heap)[2]
                    if not timer.cancelled:
                        return timer
                    continue
                self._changed.wait(pause)
            return None
