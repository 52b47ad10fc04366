"""How long `coachwork --help` takes, side by side with a bare Python and with the import of the Kubernetes client."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.machine import machine, spread

TIMES = 15
TIMEOUT = 60  # seconds of one command


def seconds(command: Sequence[str]) -> float:
    """Return how long a command takes."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure in turns, so that a busy moment of the machine meets all alike."""
    coachwork = str(Path(sys.executable).with_name("coachwork"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import kubernetes'": [sys.executable, "-c", "import kubernetes.client"],
        "coachwork --help": [coachwork, "--help"],
        "coachwork logs --help": [coachwork, "logs", "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        seconds(command)  # byte code is compiled, files are in the cache
    for _ in range(TIMES):
        for name, command in commands.items():
            found[name].append(seconds(command))
    print(f"machine: {machine()}")
    print(f"method:  {TIMES} times each, in turns, wall clock of the whole process, files cached")
    bare = statistics.median(found["python -c pass"])
    for name, times in found.items():
        print(f"{name:32} {spread(times)}  {statistics.median(times) / bare:5.1f} x bare Python")


if __name__ == "__main__":
    main()
