"""What a build is doing, taken from what uv says as it begins and ends something; said again while nothing is said.

uv without a terminal names a download or a build once and is silent until it has ended, which may take minutes.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import Dict, Iterator

FIRST, LONGEST = 10.0, 60.0  # seconds of silence; each is twice the one before
SHOWN = 3
_BEGINS = re.compile(r"\s*(?P<what>Downloading|Building) (?P<name>\S+)(?P<size> \(\S+\))?")
_ENDS = re.compile(r"\s*(?:Downloaded|Built) (?P<name>\S+)")
_STEP = re.compile(r"(?:Resolved|Prepared) (?P<count>\d+ packages?)")
_RESOLVED = "Resolved"


class Progress:
    """The step that a build is at, and what of it is under way."""

    def __init__(self) -> None:
        """Begin before the first step."""
        self._step = ""
        self._open: Dict[str, str] = {}  # name of a package -> what happens to it
        self._since = self._said = time.monotonic()
        self._silence = FIRST
        self._lock = threading.RLock()  # a signal's handler may ask what this thread is just noting
        self.warning = ""  # to be said once something is built from source

    def hear(self, line: str) -> None:
        """Note what uv says."""
        begins, ends, step = _BEGINS.match(line), _ENDS.match(line), _STEP.match(line)
        with self._lock:
            self._said, self._silence = time.monotonic(), FIRST
            if begins:
                verb = "downloading" if begins["what"] == "Downloading" else "building from source:"
                self._open[begins["name"]] = f"{verb} {begins['name']}{begins['size'] or ''}"
            elif ends:
                self._open.pop(ends["name"], None)
            elif step:
                happens = "downloading" if line.startswith(_RESOLVED) else "writing"
                self._step, self._since, self._open = f"{happens} {step['count']}", time.monotonic(), {}
        if begins and begins["what"] == "Building":
            if self.warning:
                say(f"warning: {self.warning}")
                self.warning = ""
            say(f"{begins['name']} is built from source: this can take minutes")

    def doing(self) -> str:
        """Return what is under way, and for how long: `downloading torch (750MiB), 40 s`; "" before the first step."""
        with self._lock:
            under_way = list(self._open.values())
            more = f" and {len(under_way) - SHOWN} more" if len(under_way) > SHOWN else ""
            what = f"{', '.join(under_way[:SHOWN])}{more}" if under_way else self._step
            return f"{what}, {time.monotonic() - self._since:.0f} s" if what else ""

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Be at a step, say so, and say so again and again while nothing else is said."""
        say(what)
        with self._lock:
            self._step, self._open = what, {}
            self._since = self._said = time.monotonic()
            self._silence = FIRST
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(max(0.0, self._said + self._silence - time.monotonic())):
            with self._lock:
                if time.monotonic() < self._said + self._silence:
                    continue
                self._said, self._silence = time.monotonic(), min(2 * self._silence, LONGEST)
            say(f"still {self.doing()}")


def say(text: str) -> None:
    """Print a line of Coachwork's own, at once."""
    print(f"coachwork: {text}", flush=True)
