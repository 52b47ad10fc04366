"""Which requests have changed, for readers that wait for it on the event loop: one that does not cost nothing."""

import asyncio
import threading
from collections import defaultdict
from typing import Final

NAMES: Final = 20_000  # that are remembered; then all are forgotten, which looks like a change of each


class Changes:
    """Versions of requests, that grow with each change. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._versions: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)  # by name; "": for a change of any
        self._loop: asyncio.AbstractEventLoop | None = None  # of those who wait

    def note(self, name: str) -> None:
        """Take note of a change: quick, and where nobody waits that is all."""
        with self._lock:
            if len(self._versions) >= NAMES:
                self._versions.clear()
            self._last = self._versions[name] = self._last + 1
            waiting = [event for key in (name, "") for event in self._waiting.get(key, ())]
            loop = self._loop
        if loop and waiting and not loop.is_closed():
            for event in waiting:
                loop.call_soon_threadsafe(event.set)

    def version(self, name: str = "") -> int:
        """Return the version of this request, or of all."""
        with self._lock:
            return self._versions.get(name, 0) if name else self._last

    async def wait(self, name: str, version: int, seconds: float) -> int:
        """Wait, so many seconds at most, until the version is another one; return it."""
        event = asyncio.Event()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._waiting[name].add(event)
        try:
            if self.version(name) == version:
                async with asyncio.timeout(seconds):
                    await event.wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting[name].discard(event)
                if not self._waiting[name]:
                    del self._waiting[name]
        return self.version(name)
