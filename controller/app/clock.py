"""The time of day, as the controller measures with it: nobody sets it while the process lives.

Deadlines, graces and pauses are kept as times of day, in records that outlive a process and on the volume. A clock that
is set by an hour would end what has just begun, keep what is over, and sweep what is in use. So a jump is caught up
with little by little: meanwhile a minute of ours takes 40 seconds to 2 minutes. Only a jump of more than a day is taken
at once: that would take days, and mends a clock that was plainly wrong (a machine that began without the time of day).
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

RATE = 0.5  # seconds that are caught up with in each second
FAR = 24 * 3600.0  # seconds that would take too long
SUSPENDED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux's counts while a machine sleeps, too


def elapsed() -> float:
    """Return the seconds since some moment in the past, even if somebody sets a clock."""
    return time.clock_gettime(SUSPENDED)


class SteadyClock:
    """A clock that jumps or goes back by more than a day only. Safe in several threads."""

    def __init__(self, wall: Callable[[], float] = time.time, passed: Callable[[], float] = elapsed) -> None:
        """Begin with what `wall` says (POSIX seconds), and follow it at the pace of `passed`."""
        self._wall, self._passed = wall, passed
        self._guard = threading.Lock()
        self._now, self._last = wall(), passed()

    def time(self) -> float:
        """Return the time in POSIX seconds."""
        with self._guard:
            last, self._last = self._last, self._passed()
            seconds = max(self._last - last, 0.0)
            gap = self._wall() - (self._now + seconds)
            self._now += seconds + (gap if abs(gap) > FAR else min(max(gap, -RATE * seconds), RATE * seconds))
            return self._now

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)
