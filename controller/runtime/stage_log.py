"""The file of one attempt's output on the volume: its number, its cap, its turns, its last line."""

from __future__ import annotations

import os
import time
from contextlib import suppress

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Tuple

    from controller.runtime.stage_order import clear
else:  # published side by side: the script's folder is where Python looks first
    from stage_order import clear

TOO_LONG = 10  # digits of an attempt's number
MARKS = 1024 * 1024  # bytes of marks; then a minute lies between two of them
NOT_OPEN = -2
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # follows no link, and waits for no pipe


class LogFile:
    """One attempt's log: at most `cap` bytes, then an announced end or (rotate) a new file and the old one as .1.

    The log's bytes are the stage's own. When they came, marks beside it say, in n.log.times: an offset in the log, and
    the second (Unix) in which what stands there was written. Marks are a courtesy: what can't be marked has none.
    """

    def __init__(self, path: str, descriptor: int, cap: int, rotate: bool) -> None:
        """Write to `descriptor`, the new, empty file at `path`."""
        self.size = 0
        self.capped = False
        self._path, self._descriptor, self._cap, self._rotate = path, descriptor, cap, rotate
        from hashlib import sha256  # noqa: PLC0415 - a script does not wait for this import

        self._begin_hash = sha256
        self._hash = sha256()
        self._marks, self._marked, self._marker = 0, 0, NOT_OPEN

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file as it was written so far (after rotating: of the newest file)."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append within the cap; a file is filled to the end of a line before the next one begins. Raises OSError."""
        if self.capped:
            return
        while self.size + len(chunk) > self._cap:
            room = max(0, self._cap - self.size)
            if not self._rotate:
                self.capped = True
                self._append(chunk[:room])
                self._append(f"\ncoachwork: this log was capped at {self._cap} bytes; the rest was not kept\n".encode())
                return
            cut = chunk.rfind(b"\n", 0, room) + 1 or (0 if self.size else max(1, room))
            self._append(chunk[:cut])
            self._turn()
            chunk = chunk[cut:]
        self._append(chunk)

    def sync(self) -> None:
        """Flush it to the disk: some storage reports its failures only now. Raises OSError."""
        os.fsync(self._descriptor)

    def end(self, complete: bool) -> None:
        """Write the last line, about all before it, which is on the disk, and close. Raises OSError."""
        verdict = "complete" if complete else "not complete"
        line = f"coachwork: end of the log: {self.size} bytes, sha256 {self.sha256}, {verdict}\n".encode()
        self._mark()
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.close(self._descriptor)
        if self._marker >= 0:
            os.close(self._marker)

    def _open_marks(self) -> int:
        try:
            return _fresh(f"{self._path}.times")
        except OSError:
            return -1

    def _mark(self) -> None:
        now = int(time.time())
        if self._marker == NOT_OPEN:
            self._marker = self._open_marks()
        if self._marker >= 0 and abs(now - self._marked) >= (1 if self._marks < MARKS else 60):
            try:
                self._marks += os.write(self._marker, b"%d %d\n" % (self.size, now))
                self._marked = now
            except OSError:
                return

    def _append(self, chunk: bytes) -> None:
        self._mark()
        while chunk:
            written = os.write(self._descriptor, chunk)
            self._hash.update(chunk[:written])
            self.size += written
            chunk = chunk[written:]

    def _turn(self) -> None:
        """Begin a fresh file. The name `n.log` never disappears meanwhile: it is what marks the attempt as taken."""
        fresh, old = f"{self._path}.new", f"{self._path}.1"
        descriptor = _fresh(fresh)
        try:
            self._append(f"coachwork: the log goes on in a new file after {self._cap} bytes\n".encode())
            _hold_back(self._path, old)
        except OSError:
            os.close(descriptor)
            raise
        os.rename(fresh, self._path)
        os.close(self._descriptor)
        self._descriptor, self.size, self._hash = descriptor, 0, self._begin_hash()
        if self._marker >= 0:
            os.close(self._marker)
            with suppress(OSError):  # those of an older file would say wrong times of this one
                clear(f"{old}.times")
            with suppress(OSError):
                os.rename(f"{self._path}.times", f"{old}.times")
            self._marks, self._marked, self._marker = 0, 0, NOT_OPEN


def _fresh(path: str) -> int:
    """Create a file, in place of what a script left there; return its descriptor. Raises OSError."""
    clear(path)
    return os.open(path, FRESH, 0o664)


def _hold_back(path: str, old: str) -> None:
    """Give a file a second name, or, on storage without hard links, another one. Raises OSError."""
    try:
        clear(old)
        os.link(path, old)
    except OSError:
        os.rename(path, old)


def newest(folder: str) -> int:
    """Return the number of the last attempt in `folder`, 0 for none. Raises OSError."""
    names = [name.split(".") for name in os.listdir(folder)]  # a pattern would be compiled before each script
    kept = [number for number, *kind in names if kind[:1] in (["log"], ["json"]) and len(number) < TOO_LONG]
    return max((int(number) for number in kept if number.isdecimal()), default=0)


def claim(folder: str) -> Tuple[int, int]:
    """Create the log of the next free attempt number in `folder`; return the number and a descriptor. Raises OSError.

    Exclusive creation decides between replicas that race.
    """
    number = newest(folder) + 1
    while True:
        try:
            return number, os.open(os.path.join(folder, f"{number}.log"), FRESH, 0o664)
        except FileExistsError:
            number += 1
