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
        """Kill everything of it; nothing if it has ended."""
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._popen.pid).children(recursive=True)
            if self._popen.returncode is None:
                _kill(self._popen.pid, [*below, *marked(self._mark)])

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
    _kill(group, [])
    while (left := marked(mark)) and time.monotonic() < end:
        _kill(group, left)
        psutil.wait_procs(left, timeout=0.1)


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes that carry a pod's mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone by now
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def _kill(group: int, processes: Iterable[psutil.Process]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
