"""Process groups of this machine: started, waited for, terminated, killed with everything that they started.

What left its group is found by its parents and by the pod's mark in its environment.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from controller.adapters.local.machine import LEASH, MARK

SWEEP_LIMIT = 3.0  # seconds for what was killed to be gone
LAST = 2.0  # seconds for a main process to end once all below it was killed


class Process:
    """One running container. `ended(exit code)` is called from a thread of its own, when nothing of it is left."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], private: Path, ended: Callable[[int], None]
    ) -> None:
        """Start it in the pod's private folder, where its output goes to `log`. Raises OSError."""
        self._mark, self._ended = environment[MARK], ended
        with open(private / "log", "ab", opener=plain) as output, ExitStack() as begun, ExitStack() as failed:
            held, self._leash = os.pipe()
            begun.callback(os.close, held)
            failed.callback(os.close, self._leash)
            self._popen = subprocess.Popen(
                argv,
                env={**environment, LEASH: str(held)},
                pass_fds=[held],
                cwd=private,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            failed.pop_all()
        self._thread = threading.Thread(target=self._wait, name=f"local-pod-{self._popen.pid}", daemon=True)
        self._thread.start()

    def terminate(self) -> None:
        """Send SIGTERM to the container's main process."""
        with suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill everything of it, in a thread; nothing if it has ended.

        The main process goes last: orphans are a launcher's own, so that it finds those that never stand still.
        """
        threading.Thread(target=self._kill, name=f"local-kill-{self._popen.pid}", daemon=True).start()

    def _kill(self) -> None:
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._popen.pid)
            if self._popen.returncode is not None:
                return
            _kill({*main.children(recursive=True), *marked(self._mark)} - {main})
            if not self.join(LAST):
                _kill({*main.children(recursive=True), *marked(self._mark), main}, self._popen.pid)

    def join(self, seconds: float) -> bool:
        """Wait at most so long for its end; return whether it came."""
        self._thread.join(max(seconds, 0.0))
        return not self._thread.is_alive()

    def _wait(self) -> None:
        code = self._popen.wait()
        os.close(self._leash)
        sweep(self._popen.pid, self._mark)
        self._ended(128 - code if code < 0 else code)


def plain(path: str, flags: int) -> int:
    """Open a file where a container may have left a link, or a pipe that nobody else opens. Raises OSError."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def sweep(group: int, mark: str) -> None:
    """Kill what a container's main process left behind, and wait until it is gone."""
    end = time.monotonic() + SWEEP_LIMIT
    _kill([], group)
    while (left := marked(mark)) and time.monotonic() < end:
        _kill(left, group)
        psutil.wait_procs(left, timeout=0.1)


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes that carry a pod's mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone by now
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def _kill(processes: Iterable[psutil.Process], group: int = 0) -> None:
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
