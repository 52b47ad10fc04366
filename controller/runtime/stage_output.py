"""A stage's output: one stream to the container's own output and to the log on the volume, the end kept for its words.

Each destination has a bounded queue and a thread, so that a slow, full, hanging or closed one drops bytes with a
note and never holds up the script for longer than its patience in all.
"""

from __future__ import annotations

import collections
import hashlib
import os
import re
import threading
import time
from typing import Callable, Deque, List, Optional, Tuple

ROOM = 8 * 1024 * 1024  # bytes that may wait for one destination
CHUNK = 64 * 1024
TAIL = 64 * 1024  # bytes kept for the last words
EARLY = 256 * 1024  # bytes kept until the log is open
STDOUT_PATIENCE, LOG_PATIENCE = 60.0, 5.0  # seconds


class Sink:
    """One destination: what is put in is written by a thread, in order."""

    def __init__(self, write: Callable[[bytes], None], patience: float) -> None:
        """Start the thread; `patience` is how long, in all, a full queue may hold up those who put (seconds)."""
        self.dropped = 0  # bytes
        self.failure = ""
        self._write = write
        self._patience = patience
        self._queue: Deque[bytes] = collections.deque()
        self._waiting = 0
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, chunk: bytes) -> None:
        """Queue the bytes, or drop and count them if the destination has used up its patience."""
        with self._change:
            started = time.monotonic()
            if self._waiting + len(chunk) > ROOM and self._patience > 0:
                self._change.wait_for(lambda: self._waiting + len(chunk) <= ROOM, self._patience)
                self._patience -= time.monotonic() - started
            if self._waiting + len(chunk) > ROOM:
                self.dropped += len(chunk)
                self.failure = self.failure or "too slow"
                return
            self._queue.append(chunk)
            self._waiting += len(chunk)
            self._change.notify_all()

    def close(self, limit: float) -> bool:
        """Write what waits, for at most `limit` seconds; the rest is dropped and counted. Whether nothing hangs."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(limit)
        with self._change:
            if self._thread.is_alive():
                self.dropped += self._waiting
                self.failure = self.failure or "hangs"
                return False
        return True

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._queue) or self._closed)
                if not self._queue:
                    return
                chunk = self._queue[0]
            try:
                self._write(chunk)
            except OSError as error:
                self.failure = self.failure or (error.strerror or str(error))
                self.dropped += len(chunk)
            with self._change:
                self._waiting -= len(self._queue.popleft())
                self._change.notify_all()


class LogFile:
    """One attempt's log: at most `cap` bytes, then an announced end or (rotate) a fresh file and the old one as .1."""

    def __init__(self, path: str, descriptor: int, cap: int, rotate: bool) -> None:
        """Take the descriptor of the new, empty file at `path`."""
        self.size = 0
        self.capped = False
        self._path, self._descriptor, self._cap, self._rotate = path, descriptor, cap, rotate
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Give the SHA-256 of the file as it was written so far (after rotating: of the newest file)."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append within the cap. Raises OSError."""
        if self.capped:
            return
        if self.size + len(chunk) <= self._cap:
            self._append(chunk)
        elif self._rotate:
            self._append(f"\ncoachwork: the log goes on in a new file after {self._cap} bytes\n".encode())
            self._turn()
            self._append(chunk)
        else:
            self.capped = True
            self._append(chunk[: max(0, self._cap - self.size)])
            self._append(f"\ncoachwork: this log was capped at {self._cap} bytes; the rest was not kept\n".encode())

    def close(self) -> None:
        """Have it on the disk. Raises OSError."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _append(self, chunk: bytes) -> None:
        while chunk:
            written = os.write(self._descriptor, chunk)
            self._hash.update(chunk[:written])
            self.size += written
            chunk = chunk[written:]

    def _turn(self) -> None:
        """Begin a fresh file. The name `n.log` never disappears meanwhile: it is what marks the attempt as taken."""
        fresh, old = f"{self._path}.new", f"{self._path}.1"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o664)
        try:
            if os.path.exists(old):
                os.unlink(old)
            os.link(self._path, old)
        except OSError:  # no hard links on this storage
            os.rename(self._path, old)
        os.rename(fresh, self._path)
        os.close(self._descriptor)
        self._descriptor, self.size, self._hash = descriptor, 0, hashlib.sha256()


def claim(folder: str) -> Tuple[int, int]:
    """Create the log of the next free attempt number in `folder`; give the number and a descriptor. Raises OSError.

    Exclusive creation decides between replicas that race.
    """
    taken = [
        int(match.group(1)) for match in map(re.compile(r"(\d{1,9})\.(log|json)").match, os.listdir(folder)) if match
    ]
    number = max(taken, default=0) + 1
    while True:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return number, os.open(os.path.join(folder, f"{number}.log"), flags, 0o664)
        except FileExistsError:
            number += 1


class Output:
    """Everything that is said: by the script, by the installer and by the launcher itself."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor of the container's own output."""
        self.tail = b""  # the end of the script's output
        self._stdout = Sink(lambda chunk: _write_all(descriptor, chunk), STDOUT_PATIENCE)
        self._log: Optional[Sink] = None
        self._file: Optional[LogFile] = None
        self._early = b""

    def say(self, text: str) -> None:
        """Announce one line of the launcher's own."""
        self.pass_on(f"coachwork: {text}\n".encode("utf-8", "replace"))

    def script(self, chunk: bytes) -> None:
        """Take output of the script."""
        self.tail = (self.tail + chunk)[-TAIL:]
        self.pass_on(chunk)

    def pass_on(self, chunk: bytes) -> None:
        """Hand bytes to all destinations; before the log is open they are kept for it."""
        if self._log:
            self._log.put(chunk)
        else:
            self._early = (self._early + chunk)[-EARLY:]
        self._stdout.put(chunk)

    def open_log(self, file: LogFile) -> None:
        """Begin to write the log, with what was said so far."""
        self._file, self._log = file, Sink(file.write, LOG_PATIENCE)
        if self._early:
            self._log.put(self._early)

    def close(self, limit: float) -> Tuple[int, str, List[str]]:
        """Write out what waits, `limit` seconds for each destination; give the log's size, SHA-256 and defects."""
        notes = []
        size, digest = 0, ""
        if self._log and self._file:
            failed = within(limit, self._file.close) if self._log.close(limit) else "hangs"
            if self._log.failure or failed:
                notes.append(f"{self._log.dropped} bytes are missing in the log: {self._log.failure or failed}")
            if self._file.capped:
                notes.append("the log was capped")
            size, digest = self._file.size, self._file.sha256
        self._stdout.close(limit)
        return size, digest, notes


def within(limit: float, work: Callable[[], None]) -> str:
    """Do `work` in a thread for at most `limit` seconds (a volume may hang); give what went wrong, "" if nothing."""
    outcome = ["hangs"]

    def run() -> None:
        try:
            work()
            outcome[0] = ""
        except OSError as error:
            outcome[0] = error.strerror or str(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    return outcome[0]


class Drain:
    """Reads one pipe to its end, in a thread."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        """Open the pipe: `inlet` is for the writer and is closed here by `begin`."""
        self._outlet, self.inlet = os.pipe()
        self._take = take
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Close our copy of the inlet (the writer has its own by now) and start to read."""
        os.close(self.inlet)
        self._thread.start()

    def ended(self, limit: float) -> bool:
        """Wait at most `limit` seconds for the end of the stream."""
        self._thread.join(limit)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Take no more, although somebody still holds the pipe open."""
        self._stopped = True

    def _run(self) -> None:
        while True:
            chunk = os.read(self._outlet, CHUNK)
            if not chunk or self._stopped:
                return
            self._take(chunk)


def _write_all(descriptor: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]
