"""What the time of a run is spent on: a project of trivial steps, from the request to Ready, moment by moment.

    python -m bench.anatomy [--steps N] [--times N] [--at-once]

Events and managedFields are in whole seconds. So the moments are from what has milliseconds: the bench's own watches,
the controller's log, the outcomes on the volume, and the scripts themselves, which read from /proc when process 1 of
their container began. All clocks have to be one, so this wants a cluster on this machine. Two rows are there only where
the controller's log has lines of git (COACHWORK_LOG_LEVEL=DEBUG). A call does not say which stage it is of: at once, it
may be another's.
"""

import argparse
import json
import re
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.machine import machine, p95, posix
from bench.stage_start import cluster
from tests.support.e2e import NAMESPACE, Coachwork, told
from tests.support.e2e_projects import batch, project
from tests.support.kubectl import Failed, stream

LIMIT = 120.0  # seconds of a run
STAND = 1.0  # seconds until the watches stand
SETTLED = 3.0  # seconds until the cluster has noticed the end of the last pod
KINDS = ("configmaps", "jobs", "pods")
SCRIPT = """
import os, time
first = time.time()
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
running = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
print("moments", time.time() - running, first, time.time(), flush=True)
"""
BEFORE = ("request applied", "request seen", "ref resolved", "checkout", "record")
STEP = (
    "Job", "pod", "scheduled", "container started", "launcher", "script begins", "script ends", "outcome written",
    "wake-up", "next record",
)  # fmt: skip
LAST = "next Job"  # of the last step: none, the next record says Ready
NOTICED = "pod seen ended"  # for comparison: what a controller without wake-ups would wait for

LABEL = re.compile(r'"([^"]*)"')

Moments = dict[str, float]


@dataclass
class Seen:
    """What the watches of one request brought, and when."""

    name: str
    first: dict[tuple[str, ...], float] = field(default_factory=dict)  # by what was seen

    def follow(self, kind: str, which: Sequence[str], deadline: float) -> None:
        """Note the first time of everything that objects of one kind show."""
        command = ["kubectl", "-n", NAMESPACE, "get", kind, *which, "--watch", "--output-watch-events", "-o", "json"]
        for change in stream(command, deadline):
            at = time.time()
            for what in _shown(kind, change["object"]):
                self.first.setdefault(what, at)


def _shown(kind: str, item: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    """Yield what an object shows that a moment can be of."""
    stage = item["metadata"]["labels"].get("coachwork.io/stage", "")
    if "coachwork.io/request" not in item["metadata"]["labels"]:
        yield ("request",)
    elif kind == "jobs":
        yield "Job", stage
    elif kind == "pods":
        yield "pod", stage
        if item["spec"].get("nodeName"):
            yield "scheduled", stage
        if item["status"].get("phase") in ("Succeeded", "Failed"):
            yield NOTICED, stage
    else:
        data = item.get("data") or {}
        yield "record", data.get("phase", "")
        yield from (("done", key.removeprefix("stage.")) for key, value in data.items() if value == "Done")


def one_run(coachwork: Coachwork, steps: Sequence[Sequence[str]], name: str) -> tuple[Moments, dict[str, Moments]]:
    """Make one run of a repository that is there; return the moments before its first Job, and those of each stage."""
    seen, deadline = Seen(name), time.monotonic() + LIMIT
    of_it = ("-l", f"coachwork.io/request={name}")
    for kind, which in [
        ("configmaps", ("--field-selector", f"metadata.name={name}")),
        *((kind, of_it) for kind in KINDS),
    ]:
        threading.Thread(target=seen.follow, args=(kind, which, deadline), daemon=True).start()
    time.sleep(STAND)
    began = time.time()
    coachwork.request(name)
    record = coachwork.ended(name, seconds=LIMIT)
    if record["phase"] != "Ready":
        raise Failed(told(record))
    time.sleep(SETTLED)
    lines = [json.loads(line) for line in coachwork.log().splitlines() if line.startswith("{")]
    lines = [line | {"at": posix(line["time"])} for line in lines]
    lines = [line for line in lines if line["at"] >= began]
    passes = [line["at"] - line["seconds"] for line in lines if line.get("request") == name and "seconds" in line]
    git = {line["operation"]: line["at"] for line in reversed(lines) if line["event"] == "git"}
    head = {"request applied": seen.first[("request",)], "request seen": min(passes, default=0.0)}
    head |= {"ref resolved": git.get("ls-remote", 0.0), "checkout": git.get("checkout-index", 0.0)}
    head |= {"record": seen.first.get(("record", "Running"), 0.0), "Ready": seen.first.get(("record", "Ready"), 0.0)}
    woken = [line["at"] for line in lines if line["event"] == "woken" and line["by"] == name]
    stages: dict[str, Moments] = {}
    for number, step in enumerate(steps):
        following = steps[number + 1] if number + 1 < len(steps) else ()
        for stage in step:
            moments = _of_stage(coachwork, seen, name, stage)
            calls = (at for at in woken if at >= moments["script ends"])
            moments["wake-up"] = min(calls, default=0.0)
            moments[LAST] = min((seen.first.get(("Job", each), 0.0) for each in following), default=head["Ready"])
            stages[stage] = moments
    return head, stages


def _of_stage(coachwork: Coachwork, seen: Seen, name: str, stage: str) -> Moments:
    said = next(
        line for line in coachwork.run_file(name, 1, f"logs/{stage}/1.log").splitlines() if line.startswith("moments")
    )
    outcome = json.loads(coachwork.run_file(name, 1, f"logs/{stage}/1.json"))
    began, first, last = map(float, said.split()[1:])
    return {
        **{what: seen.first.get((what, stage), 0.0) for what in ("Job", "pod", "scheduled", NOTICED)},
        "container started": began,
        "launcher": posix(outcome["started"]),
        "script begins": first,
        "script ends": last,
        "outcome written": posix(outcome["finished"]),
        "next record": seen.first.get(("done", stage), 0.0),
    }


def show(label: str, values: Sequence[float]) -> None:
    """Print median and p95 of some durations."""
    if values:
        print(f"{label:44} {statistics.median(values) * 1000:7.0f} ms  {p95(values) * 1000:7.0f} ms  {len(values):4}")


def sections(order: Sequence[str], all_moments: Sequence[Moments]) -> None:
    """Print what lies between each moment and the one before that is known."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for moments in all_moments:
        known = [what for what in order if moments.get(what)]
        for before, after in pairwise(known):
            found[before, after].append(moments[after] - moments[before])
    for (before, after), values in sorted(found.items(), key=lambda item: order.index(item[0][1])):
        show(f"  {before} -> {after}", values)


def measure(coachwork: Coachwork, steps: Sequence[Sequence[str]], times: int) -> None:
    """Do it all, one run after the other, and print what came of it."""
    runs: list[tuple[Moments, dict[str, Moments]]] = []
    before = coachwork.metrics()
    for number in range(times + 1):
        if number == 1:  # the first warms up what is made once
            runs, before = [], coachwork.metrics()
        name = coachwork.name("anatomy")
        files = [batch(stage, SCRIPT) for step in steps for stage in step]
        coachwork.git.push(name, project(name, " >> ".join(map(",".join, steps)), *files))
        runs.append(one_run(coachwork, steps, name))
    counted = {key: value - before.get(key, 0.0) for key, value in coachwork.metrics().items()}
    heads, stages = [head for head, _ in runs], [moments for _, of in runs for moments in of.values()]
    first = [head | {"Job": min(moments["Job"] for moments in of.values())} for head, of in runs]
    print(f"{'':44} {'median':>10}  {'p95':>10}  {'of':>4}")
    print("before the first Job")
    sections((*BEFORE, "Job"), first)
    print("a stage")
    sections((*STEP, LAST), stages)
    print("in all")
    show("request applied -> Ready", [head["Ready"] - head["request applied"] for head in heads])
    show("script ends -> next Job (or Ready)", [moments[LAST] - moments["script ends"] for moments in stages])
    show("script ends -> pod seen ended", [moments[NOTICED] - moments["script ends"] for moments in stages])
    for what, prefix in (
        ("passes", "coachwork_reconciles_total"),
        ("calls of the API server", "coachwork_api_calls_total"),
    ):
        found = {key.removeprefix(prefix): value / times for key, value in counted.items() if key.startswith(prefix)}
        shown = (f"{value:.1f} {','.join(LABEL.findall(key))}" for key, value in found.items() if value)
        print(f"{what} in a run: {'; '.join(sorted(shown, reverse=True))}")
    print("one run, from the request (ms)")
    head, of = runs[-1]
    for stage, moments in {"": head, **of}.items():
        known = (what for what in (*BEFORE, *STEP, LAST, "Ready") if moments.get(what))
        at = (f"{what} {(moments[what] - head['request applied']) * 1000:.0f}" for what in known)
        print(f"  {f'{stage}: ' if stage else ''}{', '.join(at)}")


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    parser = argparse.ArgumentParser(prog="python -m bench.anatomy", description="Where the time of a run goes.")
    parser.add_argument("--steps", type=int, default=1, help="how many stages (1)")
    parser.add_argument("--at-once", action="store_true", help="all in one step")
    parser.add_argument(
        "--times", type=int, default=10, help="runs, one after the other, after one that is not counted (10)"
    )
    given = parser.parse_args()
    names = [f"s{number}" for number in range(given.steps)]
    steps = [names] if given.at_once else [[name] for name in names]
    print(f"machine: {machine()}")
    how = "at once" if given.at_once else "in a row"
    print(f"method:  {given.steps} stages {how}, {given.times} runs one after the other; watched, so seen some ms late")
    try:
        with cluster() as coachwork:
            measure(coachwork, steps, given.times)
    except Failed as failed:
        sys.exit(f"bench.anatomy: {failed}")


if __name__ == "__main__":
    main()
