"""Whether the shared volume answers, asked by a thread that may hang with it: who wants to know must not.

A volume that is slow is only slow. One that hangs keeps each thread that touches it, and all that `/healthz` could do
about it is a restart (App.trouble); `/readyz` says it at once.
"""

import threading
import time
from collections.abc import Callable

from controller.core.errors import Transient

INTERVAL = 10.0  # seconds between two questions
LIMIT = 30.0  # seconds: a file server may fail over meanwhile


class Pulse:
    """Asks the volume by `ask`, which raises Transient or may never return, from `start` on; `now` is monotonic."""

    def __init__(self, ask: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._now = ask, now
        self._asked: float | None = None  # when the question was put that has no answer yet
        self._error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; does not wait for a volume that hangs."""
        self._stopping.set()

    def trouble(self) -> str:
        """Return what is wrong with the volume, "" if nothing. Never waits."""
        asked = self._asked
        waited = 0.0 if asked is None else self._now() - asked
        return (
            f"the shared volume has not answered for {waited:.0f} s: does it hang?" if waited > LIMIT else self._error
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._asked = self._now()
            try:
                self._ask()
            except Transient as error:
                self._error = str(error)
            else:
                self._error = ""
            self._asked = None
            self._stopping.wait(INTERVAL)
