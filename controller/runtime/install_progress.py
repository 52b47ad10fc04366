"""What a build is doing, taken from what uv says and draws; said again in its log while nothing is said.

All who look read the same in a small file next to the log, which is written at most twice a second.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_order
    from controller.runtime.install_terminal import Terminal
else:  # published side by side
    import stage_order

FILE = "progress.json"  # in the build's folder
FIRST, LONGEST = 10.0, 60.0  # seconds of silence; each is twice the one before
PAUSE, ALIVE = 0.5, 10.0  # seconds between two writes of the file: at least, and at most
SHOWN = 3
LISTED = 20  # packages in the file
LONGEST_NAME, LONGEST_TEXT = 100, 500
MIB = 1024 * 1024
_BEGINS = re.compile(r"\s*(?P<what>Downloading|Building) (?P<name>\S+)(?P<size> \(\S+\))?")
_ENDS = re.compile(r"\s*(?:Downloaded|Built) (?P<name>\S+)")
_STEP = re.compile(r"(?:Resolved|Prepared) (?P<count>\d+ packages?)")
_RESOLVED = "Resolved"


class Progress:
    """The step that a build is at, and what of it is under way."""

    def __init__(self, path: str = "") -> None:
        """Begin before the first step; `path`: of the file, "" for none."""
        self._path = path
        self._content: Dict[str, Any] = {}  # of the file
        self._written = -ALIVE
        self._step = self._choosing = ""
        self._open: Dict[str, Tuple[str, str]] = {}  # name of a package -> what happens to it, and its size in words
        self._downloads: Mapping[str, Tuple[int, int]] = {}  # name of a package -> bytes that are there, and its size
        self._done = self._of = 0  # packages
        self._begun = stage_order.now()
        self._since = self._said = time.monotonic()
        self._silence = FIRST
        self._lock = threading.RLock()  # a signal's handler may ask what this thread is just noting
        self.warning = ""  # to be said once something is built from source

    def hear(self, line: str, *, quiet: bool = False) -> None:
        """Note what uv says; what it only tries (`quiet`) is no step."""
        begins, ends, step = _BEGINS.match(line), _ENDS.match(line), None if quiet else _STEP.match(line)
        with self._lock:
            self._said, self._silence = time.monotonic(), FIRST
            if begins:
                verb = "downloading" if begins["what"] == "Downloading" else "building from source:"
                self._open[begins["name"]] = (verb, begins["size"] or "")
            elif ends:
                self._open.pop(ends["name"], None)
            elif step:
                self._begin(f"{'downloading' if line.startswith(_RESOLVED) else 'writing'} {step['count']}")
        if begins and begins["what"] == "Building":
            if self.warning:
                say(f"warning: {self.warning}")
                self.warning = ""
            say(f"{begins['name']} is built from source: this can take minutes")

    def see(self, terminal: Terminal) -> None:
        """Note what uv has drawn."""
        with self._lock:
            self._downloads, self._choosing = terminal.downloads, terminal.choosing
            self._done, self._of = terminal.done, terminal.of

    def at(self, package: str) -> None:
        """Note that a step that is not uv's has come to a package."""
        with self._lock:
            self._choosing = package

    def doing(self) -> str:
        """Return what is under way, and for how long: `downloading torch (750MiB), 40 s`; "" before the first step."""
        with self._lock:
            what = self._what()
            return f"{what}, {time.monotonic() - self._since:.0f} s" if what else ""

    def _what(self) -> str:
        names = sorted(self._open, key=lambda name: -self._downloads.get(name, (0, 0))[1])
        groups: Dict[str, List[str]] = {}
        for name in names:
            verb, size = self._open[name]
            groups.setdefault(verb, []).append(f"{name}{self._size(name) or size}")
        under_way = "; ".join(
            f"{verb} {', '.join(found[:SHOWN])}{f' and {len(found) - SHOWN} more' if len(found) > SHOWN else ''}"
            for verb, found in groups.items()
        )
        if under_way:
            return f"{self._done} of {self._of} packages: {under_way}" if self._of else under_way
        named = self._choosing or (f"{self._done} done" if self._of else "")
        return f"{self._step}: {named}" if named else self._step

    def _size(self, name: str) -> str:
        got, size = self._downloads.get(name, (0, 0))
        return f" ({got / MIB:.1f} of {size / MIB:.1f} MiB)" if size else ""

    def _begin(self, step: str) -> None:
        self._step, self._choosing, self._open, self._downloads = step, "", {}, {}
        self._done = self._of = 0
        self._begun, self._since = stage_order.now(), time.monotonic()

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Be at a step, say so, and say so again and again while nothing else is said."""
        say(what)
        with self._lock:
            self._begin(what)
            self._said, self._silence = self._since, FIRST
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(min(PAUSE, max(0.0, self._said + self._silence - time.monotonic()))):
            self._write()
            with self._lock:
                if time.monotonic() < self._said + self._silence:
                    continue
                self._said, self._silence = time.monotonic(), min(2 * self._silence, LONGEST)
            say(f"still {self.doing()}")

    def _write(self) -> None:
        """Write the file if it is time, and there is news, or none has been for so long that we may seem dead."""
        with self._lock:
            largest = sorted(self._downloads.items(), key=lambda item: -item[1][1])[:LISTED]
            downloads = [{"name": name[:LONGEST_NAME], "got": got, "size": size} for name, (got, size) in largest]
            content = {
                "version": 1,
                "step": self._step,
                "doing": self._what()[:LONGEST_TEXT],
                "since": self._begun,
                "done": self._done,
                "of": self._of,
                "downloads": downloads,
            }
        silence = time.monotonic() - self._written
        if self._path and silence >= (PAUSE if content != self._content else ALIVE):
            self._content, self._written = content, time.monotonic()
            with contextlib.suppress(OSError):  # nobody sees it, and it is no reason to end
                stage_order.write_atomically(self._path, {**content, "written": stage_order.now()}, durable=False)


def say(text: str) -> None:
    """Print a line of Coachwork's own, at once."""
    print(f"coachwork: {text}", flush=True)
