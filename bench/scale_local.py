"""What a run costs, by the number of requests at once: LocalCluster's API, a scripted kubelet, virtual time.

The reconciler, its view, queue, planner, documents and volume are the real ones; API server and Git are in memory, so
that what they cost is their doubles' cost: it is named, and not counted as the controller's.
"""

import cProfile
import pstats
import resource
import sys
import tempfile
from pathlib import Path
from types import FunctionType
from typing import Any

from bench.machine import machine
from controller.core.documents import run as runs
from controller.core.documents import status as statuses
from controller.core.plan.decide import decide
from controller.reconciler.gather import Gatherer
from controller.reconciler.journal import Journal
from controller.reconciler.observe import observe
from tests.support.fleet import Fleet

SHARE = 10  # the smaller fleet is so much smaller
PROFILED = 200  # requests at most
MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
DOUBLES = ("api", "source", "cluster")
PARTS: dict[str, Any] = {
    "decide": decide,
    "observe": observe,
    "gather": Gatherer.gather,
    "journal read": Journal.read,
    "journal copy": Journal.copy,
    "documents: record read": statuses.read,
    "documents: record write": statuses.write,
    "documents: record copy": statuses.copy,
    "documents: run.json": runs.write,
}


def measured(count: int) -> Fleet:
    """Return a fleet of so many requests after its run, on a volume in memory where there is one."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        fleet = Fleet(Path(folder), count)
        fleet.run()
    return fleet


def cost(fleet: Fleet) -> float:
    """Return the controller's CPU seconds for a run."""
    return sum(seconds for section, seconds in fleet.cpu.items() if section not in DOUBLES) / fleet.requests


def show(fleet: Fleet) -> None:
    """Print what a run of this fleet cost."""
    doubles = sum(fleet.cpu[section] for section in DOUBLES) / fleet.requests
    sections = ", ".join(
        f"{name} {fleet.cpu[name] / fleet.requests * 1000:.2f}" for name in ("passes", "volume", "view")
    )
    print(
        f"{fleet.requests:6} requests: {cost(fleet) * 1000:6.2f} ms CPU a run "
        f"({sections}; doubles {doubles * 1000:.2f})"
    )
    writes = sum(n for call, n in fleet.calls.items() if _is_write(call))
    print(f"       a run: {1 / cost(fleet):.0f}/s of CPU, {fleet.passes / fleet.requests:.2f} passes, ", end="")
    print(f"{writes / fleet.requests:.2f} writes besides Events")
    print("      ", ", ".join(f"{call}: {n / fleet.requests:.2f}" for call, n in sorted(fleet.calls.items())))
    print(f"       peak memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _is_write(call: str) -> bool:
    section, verb, *kind = call.split()
    return section == "api" and verb in ("create", "replace", "apply", "delete") and kind != ["Event"]


def profile(count: int) -> None:
    """Print where the CPU of the passes goes, by a profiler that makes calls dearer than they are."""
    profiler = cProfile.Profile()
    profiler.enable()
    measured(count)
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    found: dict[Any, Any] = stats.stats
    places = {(code.co_filename, code.co_firstlineno): name for name, code in _codes()}
    whole = sum(entry[3] for place, entry in found.items() if place[2] == "reconcile")
    print(f"share of the passes' CPU, with what each calls (cProfile, {count} requests):")
    for place, (_, calls, _, seconds, _) in sorted(found.items(), key=lambda item: -item[1][3]):
        if name := places.get(place[:2]):
            print(f"       {seconds / whole * 100:5.1f} %  {name} ({calls / count:.1f} calls a run)")
    syncs = sum(entry[1] for place, entry in found.items() if "fsync" in place[2])
    every = sum(entry[1] for entry in found.values())
    print(f"       {syncs / count:.1f} fsync and {every / count:.0f} calls of functions a run")


def _codes() -> list[tuple[str, Any]]:
    return [(name, part.__code__) for name, part in PARTS.items() if isinstance(part, FunctionType)]


def main(count: int) -> None:
    """Measure `count` requests at once, and a tenth of them."""
    print(f"machine: {machine()}")
    print("method:  CPU of one process and thread, side by side in one run; volume in memory, API and Git by doubles")
    small = measured(max(count // SHARE, 1))
    show(small)
    large = measured(count)
    show(large)
    print(f"       CPU a run at {large.requests} is {cost(large) / cost(small):.2f} times that at {small.requests}")
    profile(min(count, PROFILED))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
