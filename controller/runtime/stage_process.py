"""The script as a process: started in its own session, signalled, killed, reaped; and everything that it left.

As PID 1 of a container (elsewhere as a subreaper) the launcher inherits every orphan, so it can reap and end them.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import subprocess
import threading
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Callable, Deque, Dict, List, Optional, Set, Tuple

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
STOPPING = (signal.SIGTERM, signal.SIGINT)
SWEEP_LIMIT = 3.0  # seconds
HEIRS_LIMIT = 0.5  # seconds for those that end with the script by themselves
CHASE, NEXT = 0.02, 16  # seconds, and numbers of processes
TICK = 1.0  # seconds; only a net below the wake-up descriptor


class Stopped(Exception):
    """A signal came before the script started."""


class Keeper:
    """Holds the signals of the launcher and the one process that they are for."""

    def __init__(self, grace: float) -> None:
        """Take over SIGTERM, SIGINT and SIGCHLD; `grace` is the time between SIGTERM and SIGKILL in seconds."""
        self.why = ""  # why we ended the script: Terminated, TimedOut, StartupTimeout; "": we did not
        self.stopped = False  # by a signal
        self._grace = grace
        self._preparing = True
        self._pid = 0
        self._status: Optional[int] = None
        self._kill_at = 0.0  # monotonic; 0: not yet
        self._alone = False  # whether nothing is left: orphans are our children
        self._reaped: Deque[int] = collections.deque(maxlen=NEXT)
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # as `rest` has left them
        if os.getpid() != 1:
            with contextlib.suppress(ImportError, OSError, AttributeError):
                import ctypes  # noqa: PLC0415 - needed on a laptop only, and costs time

                ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def commit(self) -> None:
        """Stop letting signals interrupt us: from here they are for the script, as soon as there is one."""
        self._preparing = False

    def rest(self, seconds: float) -> bool:
        """Wait; return False if a signal has come. Else no other is taken until another process takes our place."""
        try:
            self._preparing = True
            time.sleep(0.0 if self.stopped else seconds)
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        except Stopped:
            return False
        return not self.stopped

    def start(self, command: List[str], folder: str, environment: Dict[str, str], output: int) -> None:
        """Start the script; both its outputs go to the descriptor `output`. Raises OSError, Stopped."""
        if self.why:
            raise Stopped
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pid = process.pid
        process.returncode = 0  # it is reaped here, with all orphans, and not by subprocess
        if self._kill_at:  # a signal came while there was no process yet
            self._signal(signal.SIGTERM)

    def end(self, why: str, number: int = signal.SIGTERM) -> None:
        """Send the script a signal and remember why; after the grace its whole group is killed."""
        if not self.why:
            self.why = why
            self._kill_at = time.monotonic() + self._grace
        self._signal(number)

    def wait(self, check: Callable[[], float]) -> int:
        """Wait for the script's end; return its exit code, or -n for signal n.

        `check` is called after every event; it may call `end`, and returns how long to wait at most (seconds).
        """
        while not self._reap():
            pause = min(check(), TICK)
            if self._kill_at:
                left = self._kill_at - time.monotonic()
                if left <= 0:
                    self._kill_group()
                    left = 0.1
                pause = min(pause, left)
            select.select([self._pipe[0]], [], [], max(0.0, pause))
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe[0], 4096)
        assert self._status is not None  # noqa: S101 - for the type checker: _reap said so
        return self._status

    def has_ended(self) -> bool:
        """Return whether the script is known to have ended, reaped or not (from another thread)."""
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return False
        try:
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def wake(self) -> None:
        """Make `wait` check again (from another thread)."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._pipe[1], b"\0")

    def sweep(self) -> Tuple[int, bool]:
        """Kill at once what the script left running; return how many processes, and whether heirs were waited for.

        Heirs live off a pipe from the script and end when it has: a `tee` that its output goes through, a tracker
        that tidies shared memory up, the server that forks a pool's processes, as that which compiles packages.
        """
        heirs = set(filter(_is_heir, descendants()))
        killed = self._kill_all(heirs)
        until = time.monotonic() + HEIRS_LIMIT
        while heirs.intersection(descendants()) and time.monotonic() < until:
            self._pause()
        killed |= self._kill_all(None)
        return len(killed), bool(heirs)

    def _kill_all(self, heirs: Optional[Set[int]]) -> Set[int]:
        """Kill all but these heirs, and what they start meanwhile, which joins them; None: spare nobody."""
        killed: Set[int] = set()
        until = time.monotonic() + SWEEP_LIMIT
        if not os.path.isdir("/proc"):
            self._kill_group()  # the rest is the local cluster's to find
        while time.monotonic() < until:
            self._reap()
            left = set(descendants())
            if heirs is not None:
                heirs.update(filter(_is_heir, left - heirs))
                left -= heirs
            if not left and (heirs is not None or self._alone):
                break
            killed |= left
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if heirs is None:
                killed |= self._chase()
            self._pause()
        return killed

    def _chase(self) -> Set[int]:
        """Kill what follows those that have just ended: what forks and ends at once is gone before all are listed.

        A successor has one of the next numbers, and is our child by now.
        """
        killed: Set[int] = set()
        until, own = time.monotonic() + CHASE, os.getpid()
        while time.monotonic() < until and not self._alone:
            self._reaped.clear()
            self._reap()
            for pid in {number + more for number in self._reaped for more in range(1, NEXT)}:
                if parent(pid) == own:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
        return killed

    def _pause(self) -> None:
        """Wait a moment for a process to end, and collect those that have."""
        select.select([self._pipe[0]], [], [], 0.02)
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe[0], 4096)
        self._reap()

    def _handle(self, number: int, _frame: object) -> None:
        self.stopped = True
        if self._preparing:
            self.why = "Terminated"
            raise Stopped
        self.end("Terminated", number)

    def _signal(self, number: int) -> None:
        if self._pid and self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGKILL)

    def _reap(self) -> bool:
        """Collect whatever has ended; return whether the script is among it, now or before."""
        self._alone = True
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    self._alone = False
                    break
                self._reaped.append(pid)
                if pid == self._pid:
                    self._status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self._status is not None


def obey_leash(descriptor: str) -> None:
    """Treat the end of this pipe ("": none) as SIGTERM: on a laptop, the process that started us may be killed."""

    def hold() -> None:
        with contextlib.suppress(OSError):
            while os.read(int(descriptor), 1):
                pass
            os.kill(os.getpid(), signal.SIGTERM)

    if descriptor:
        threading.Thread(target=hold, daemon=True).start()


def descendants() -> List[int]:
    """Return all living processes below this one (proc(5), stat: state and parent follow the name in brackets)."""
    below: Dict[int, List[int]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else [])):
        below.setdefault(parent(pid), []).append(pid)
    found = [os.getpid()]
    for pid in found:
        found.extend(below.get(pid, ()))
    return found[1:]


def parent(pid: int) -> int:
    """Return the parent of a living process, -1 where there is none."""
    with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read(4096).rpartition(b")")[2].split()
        if fields[0] not in (b"Z", b"X"):
            return int(fields[1])
    return -1


def _is_heir(pid: int) -> bool:
    """Return whether a process reads from a pipe (ours has none), or is a helper of multiprocessing.

    One that is on its way out has neither files nor a command any more, and is one, too: it ends by itself.
    """
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{pid}/fd/0").startswith("pipe:"):
            return True
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read(4096)
        return not command or b"multiprocessing.resource_tracker" in command or b"multiprocessing.forkserver" in command
    return True


def oom_kills() -> int:
    """Return how often the kernel has killed for memory in this container's cgroup (v2, then v1); 0 if unknown."""
    for path, key in (
        ("/sys/fs/cgroup/memory.events", "oom_kill"),
        ("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill"),
        ("/sys/fs/cgroup/memory/memory.failcnt", ""),  # kernels before 4.13
    ):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            for fields in map(str.split, file.read(4096).splitlines()):
                if fields and fields[:-1] == ([key] if key else []) and fields[-1].isdigit():
                    return int(fields[-1])
    return 0
