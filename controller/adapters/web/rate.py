"""How many calls of one address count within a second, and calls of how many addresses."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

ADDRESSES: Final = 2000  # in a second


class PerSecond:
    """Admits so many calls of an address within each second. Safe to use from many threads."""

    def __init__(self, calls: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = calls, clock
        self._lock = threading.Lock()
        self._second = 0.0
        self._calls: Counter[str] = Counter()  # in this second, by address

    def admits(self, address: str) -> bool:
        """Count a call of this address; return whether it is one of those that are answered."""
        second = self._clock() // 1
        with self._lock:
            if second != self._second:
                self._second, self._calls = second, Counter()
            if address not in self._calls and len(self._calls) >= ADDRESSES:
                return False
            self._calls[address] += 1
            return self._calls[address] <= self._most
