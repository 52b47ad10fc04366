"""A stage's output: one stream to the container's own output and to the log on the volume, the end kept for its words.

Each destination has a bounded queue and a thread, so that a slow, full, hanging or closed one drops bytes with a
note and never holds up the script for longer than its patience in all.
"""

from __future__ import annotations

import collections
import fcntl
import os
import select
import stat
import sys
import termios
import threading
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Callable, Deque, List, Optional, Tuple

    from controller.runtime.stage_log import LogFile
    from controller.runtime.stage_redact import Redactor

ROOM = 8 * 1024 * 1024  # bytes that may wait for one destination
CHUNK, SMALL = 64 * 1024, 4096
UNREAD = 16 * 1024 * 1024  # bytes that go to a file instead of a runtime, which turns its own over: on a laptop
TAIL = 192 * 1024  # bytes kept for the last words: others may have filled the pipe behind them, and one chunk
EARLY = 256 * 1024  # bytes kept until the log is open
STDOUT_PATIENCE, LOG_PATIENCE = 60.0, 5.0  # seconds
MANY = 100  # waits for a stream that still moves
_INT = 4  # bytes of a C int
PAUSE = 1.0  # seconds without output after which nothing is held back any longer


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
        self._gap = 0  # bytes dropped since the last that was queued
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
                self._gap += len(chunk)
                self.failure = self.failure or "too slow"
                return
            if self._gap:
                chunk, self._gap = _missing(self._gap, "too slow") + chunk, 0
            self._waiting += len(chunk)
            if len(self._queue) > 1 and len(self._queue[-1]) < SMALL:  # an object each would take 50 times its bytes
                chunk = self._queue.pop() + chunk
            self._queue.append(chunk)
            self._change.notify_all()

    def close(self, limit: float) -> bool:
        """Write what waits for `limit` seconds at most, and drop and count the rest; return whether nothing hangs."""
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
        lost, why = 0, ""
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._queue) or self._closed)
                if not self._queue:
                    return
                chunk = self._queue[0]
            try:
                if lost:
                    self._write(_missing(lost, why))
                lost = 0
                self._write(chunk)
            except OSError as error:
                why = error.strerror or str(error)
                self.failure = self.failure or why
                self.dropped += len(chunk)
                lost += len(chunk)
            with self._change:
                self._waiting -= len(self._queue.popleft())
                self._change.notify_all()


class Output:
    """Everything that is said: by the script, by the installer and by the launcher itself; secrets are blanked."""

    def __init__(self, descriptor: int, redactor: Redactor) -> None:
        """Write to `descriptor`, the container's own output; to a log, too, once one is open."""
        self.said = b""  # the end of what a process said, up to its own end
        self._tail = b""
        self._redactor = redactor

        room = UNREAD if stat.S_ISREG(os.fstat(descriptor).st_mode) else sys.maxsize

        def write(chunk: bytes) -> None:
            nonlocal room
            chunk = chunk[:room]
            room -= len(chunk)
            while chunk:
                chunk = chunk[os.write(descriptor, chunk) :]

        self._stdout = Sink(write, STDOUT_PATIENCE)
        self._log: Optional[Sink] = None
        self._file: Optional[LogFile] = None
        self._early = b""
        self._notes: List[str] = []
        self._line_begun = False
        self._lock = threading.RLock()

    def say(self, text: str) -> None:
        """Write one line of the launcher's own."""
        with self._lock:
            line = f"coachwork: {self._redactor.text(text)}\n".encode("utf-8", "replace")
            self._pass_on(b"\n" + line if self._line_begun else line)

    def take(self, chunk: bytes) -> None:
        """Pass on output of a process."""
        with self._lock:
            self._add(self._redactor.feed(chunk))

    def begin(self) -> None:
        """Forget what was said before: another process starts."""
        with self._lock:
            self.said = self._tail = b""

    def seal(self) -> None:
        """Keep what was said so far as the process's own: what comes is of others that it left."""
        with self._lock:
            self._add(self._redactor.flush())
            self.said = self._tail

    def pause(self) -> None:
        """Pass on what is held back."""
        with self._lock:
            self._add(self._redactor.flush())

    def note(self, defect: str) -> None:
        """Remember why the log is not complete."""
        self._notes.append(defect)

    def open_log(self, file: LogFile) -> None:
        """Start to write the log, with what was said so far."""
        with self._lock:
            self._file, self._log = file, Sink(file.write, LOG_PATIENCE)
            if self._early:
                self._log.put(self._early)

    def close(self, limit: float) -> Tuple[int, str, List[str]]:
        """Write out what waits, `limit` seconds for each destination; return the log's size, SHA-256 and defects."""
        size, digest = 0, ""
        if self._log and self._file:
            failed = within(limit, self._file.sync) if self._log.close(limit) else "hangs"
            if self._log.failure or failed:
                self.note(f"{self._log.dropped} bytes are missing in the log: {self._log.failure or failed}")
            if self._file.capped:
                self.note("the log was capped")
            size, digest = self._file.size, self._file.sha256
            if failed != "hangs":
                file, complete = self._file, not self._notes
                within(limit, lambda: file.end(complete))
        self._stdout.close(limit)
        return size, digest, self._notes

    def _add(self, chunk: bytes) -> None:
        if chunk:
            self._tail = (self._tail + chunk)[-TAIL:]
            self._pass_on(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        """Hand bytes to all destinations; before the log is open they are kept for it."""
        self._line_begun = not chunk.endswith(b"\n")
        if self._log:
            self._log.put(chunk)
        else:
            self._early = (self._early + chunk)[-EARLY:]
        self._stdout.put(chunk)


def within(limit: float, work: Callable[[], object]) -> str:
    """Do `work` in a thread for at most `limit` seconds (a volume may hang); return what went wrong, "" for nothing."""
    outcome = ["hangs"]

    def run() -> None:
        try:
            work()
            outcome[0] = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller goes on
            outcome[0] = getattr(error, "strerror", None) or str(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    return outcome[0]


class Drain:
    """Reads one pipe to its end, in a thread."""

    def __init__(self, output: Output) -> None:
        """Open the pipe: `inlet` is for the writer and is closed here by `begin`."""
        self._outlet, self.inlet = os.pipe()
        self._output = output
        self._stopped = False
        self._taken = self._read = 0
        self._mark: Optional[int] = None  # what of the stream was there at the writer's end
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self, has_ended: Callable[[], bool] = lambda: False) -> None:
        """Close our copy of the inlet (the writer has its own by now) and start to read; mark when it `has_ended`."""
        os.close(self.inlet)
        self._has_ended = has_ended
        self._thread.start()

    def mark(self, *, again: bool = False) -> None:
        """Mark what is in the pipe by now as the last that the writer itself said; `again`: even if it was marked."""
        with self._reading:
            if self._mark is not None and not again:
                return
            waiting = fcntl.ioctl(self._outlet, termios.FIONREAD, bytes(_INT))
            self._mark = self._read + int.from_bytes(waiting, sys.byteorder)
            if self._taken >= self._mark:
                self._output.seal()

    def ended(self, limit: float) -> bool:
        """Return whether the stream ends before nothing has come for `limit` seconds, some minutes at most in all.

        Beyond the mark, what others go on to write is waited for once.
        """
        for _ in range(MANY):
            before = self._taken
            self._thread.join(limit)
            if not self._thread.is_alive():
                return True
            if self._taken == before or (self._mark is not None and self._taken > self._mark):
                return False
        return False

    def abandon(self) -> None:
        """Stop reading, although somebody still holds the pipe open."""
        self._stopped = True
        if self._mark is not None and self._taken < self._mark:
            self._output.seal()
        self._output.note("what a process that could not be ended went on to write was not read")

    def _run(self) -> None:
        while True:
            if not _readable(self._outlet, PAUSE):
                self._output.pause()
                _readable(self._outlet, None)
            if self._mark is None and self._has_ended():  # noticed here first: what comes is of others
                self.mark()
            with self._reading:
                chunk = os.read(self._outlet, CHUNK)
                self._read += len(chunk)
            if not chunk or self._stopped:
                self._output.pause()
                return
            self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        """Pass on what was read, and note what was said up to the mark."""
        own = len(chunk) if self._mark is None else max(0, min(len(chunk), self._mark - self._taken))
        if own:  # a mark that is set meanwhile lies behind all that has been read
            self._output.take(chunk[:own])
            with self._reading:
                self._taken += own
                at_mark = self._taken == self._mark
            if at_mark:
                self._output.seal()
        if chunk[own:]:
            self._output.take(chunk[own:])
            self._taken += len(chunk) - own


def _readable(descriptor: int, limit: Optional[float]) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if limit is None else limit * 1000))


def _missing(count: int, why: str) -> bytes:
    return f"\ncoachwork: {count} bytes are missing here: {why}\n".encode("utf-8", "replace")
