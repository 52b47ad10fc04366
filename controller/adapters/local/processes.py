"""Process groups of this machine: started, waited for, told to end, killed with everything that they started.

What left its group is found by its parents and, where the system shows environments (Linux), by the pod's mark.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from controller.adapters.local.machine import LEASH, MARK

SWEEP_LIMIT = 3.0  # seconds for what was killed to be gone
_PROC = Path("/proc")


class Process:
    """One running container. `ended(exit code)` is called from a thread of its own, when nothing of it is left."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], private: Path, ended: Callable[[int], None]
    ) -> None:
        """Start it in the pod's private folder, where its output goes to `log`. Raises OSError."""
        self._mark, self._ended = environment[MARK], ended
        held, self._leash = os.pipe()
        with (private / "log").open("ab") as output, os.fdopen(held), contextlib.ExitStack() as failed:
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
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill everything of it; nothing if it has ended."""
        if self._popen.returncode is None:
            _kill(self._popen.pid, family(self._popen.pid, self._mark))

    def join(self, seconds: float) -> bool:
        """Wait at most so long for its end; whether it came."""
        self._thread.join(max(seconds, 0.0))
        return not self._thread.is_alive()

    def _wait(self) -> None:
        code = self._popen.wait()
        os.close(self._leash)
        sweep(self._popen.pid, self._mark)
        self._ended(128 - code if code < 0 else code)


def sweep(group: int, mark: str) -> None:
    """Kill what a container's main process left behind, and wait until it is gone."""
    end = time.monotonic() + SWEEP_LIMIT
    _kill(group, [])
    while (left := family(group, mark)) and time.monotonic() < end:
        _kill(group, left)
        time.sleep(0.01)  # nobody tells when a process that is not our child is gone


def family(root: int, mark: str) -> list[int]:
    """Give the living processes below `root`, and those that carry the pod's mark."""
    linux = _PROC.is_dir()
    parents = parents_by_proc() if linux else parents_by_ps()
    found = [root]
    for parent in found:
        found.extend(pid for pid, above in parents.items() if above == parent)
    return [pid for pid in parents if pid in found[1:] or (linux and _carries(pid, mark))]


def _kill(group: int, pids: Sequence[int]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def parents_by_proc() -> dict[int, int]:
    """Give the parent of each living process from proc(5): Linux."""
    found = [_stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return {pid: parent for pid, parent, state in found if state not in ("Z", "X", "")}


def parents_by_ps() -> dict[int, int]:
    """Give the parent of each living process from ps(1): everywhere else."""
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if len(row) > 2 and row[2][0] != "Z"}  # noqa: PLR2004 - columns


def _stat(pid: int) -> tuple[int, int, str]:
    """Give pid, parent and state; the state is "" of a process that has gone."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return pid, int(fields[1]), fields[0].decode()
    except (OSError, IndexError, ValueError):
        return pid, 0, ""


def _carries(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
