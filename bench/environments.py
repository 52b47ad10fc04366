"""From nothing to packages that a stage uses: pandas, scikit-learn and Flask from an index in the cluster.

    python -m bench.environments [--times N] [--at-once N]

Each time with requirements that nobody has asked for, so with an empty cache. The moments are from what has
milliseconds: the bench itself, the builder's outcome, the time of the environment's last file, the controller's log,
and the script, which reads from /proc when process 1 of its container began. So all clocks have to be one: this wants a
cluster on this machine. Then what importing them costs: from source, from the environment a minute later, and as
compileall leaves them; and how often requests at once with equal requirements are built.
"""

import argparse
import base64
import json
import re
import statistics
import sys
import time
import uuid
from itertools import pairwise

from bench import near_index
from bench.machine import machine, milliseconds, posix
from bench.stage_start import CLOCK, FIRST_LINE, GIT_NAMESPACE, IMAGE, LIMIT, PACKAGES, cluster, unique
from tests.support.e2e import NAMESPACE, VOLUME, Coachwork, told
from tests.support.e2e_projects import batch, project
from tests.support.kubectl import Failed, kubectl

MINUTE = 60.0
ROUNDS = 3  # imports of each kind
IMPORTS = (
    CLOCK
    + f"""
import compileall, os, resource, shutil, subprocess, sys, sysconfig

def imported(kind, place=""):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-B", "-c", "import pandas, sklearn, flask"]
    subprocess.run(command, check=True, env={{**os.environ, "PYTHONPATH": place}})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print("imported", kind, time.monotonic() - began, cpu, flush=True)

imported("first")
if os.environ["COACHWORK_RUN"] != "1":
    other = os.environ["HOME"] + "-other"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(sysconfig.get_path("purelib"), other, ignore=without)
    for _ in range({ROUNDS}):
        imported("source", other)
    compileall.compile_dir(other, quiet=2)
    for _ in range({ROUNDS}):
        imported("environment")
        imported("compileall", other)
"""
)
MOMENTS = (
    "request applied", "builder begins", "installation begins", "packages complete", "controller woken",
    "stage's container", "stage's first line",
)  # fmt: skip
IMPORTED = re.compile(r"imported (\w+) ([0-9.]+) ([0-9.]+)")

Moments = dict[str, float]


def begin(coachwork: Coachwork, name: str, secret: str) -> None:
    """Request a run with packages that nobody has asked for: each build begins with an empty cache."""
    coachwork.git.push(name, project(name, "one", batch("one", IMPORTS, requirements=unique(), seconds=LIMIT)))
    coachwork.request(name, image=IMAGE, index_secret=secret)


def folder(coachwork: Coachwork, name: str) -> str:
    """Return the environment that a run has used."""
    return str(json.loads(coachwork.run_file(name, 1, "run.json"))["environments"][0]["folder"])


def ready(coachwork: Coachwork, name: str) -> None:
    """Wait for the end of a run, which has to be a good one."""
    record = coachwork.ended(name, seconds=LIMIT)
    if record["phase"] != "Ready":
        raise Failed(told(record))


def cold(coachwork: Coachwork, name: str, secret: str) -> tuple[Moments, float]:
    """Make a first run; give its moments, and how long after the last of them all was compiled."""
    applied = time.time()
    begin(coachwork, name, secret)
    ready(coachwork, name)
    key = folder(coachwork, name)
    shown = coachwork.shell("stat", "-c", "%.9Y", f"{VOLUME}/environments/{key}/.complete")
    uncompiled = f"until ! test -e {VOLUME}/environments/{key}/.uncompiled; do sleep 0.2; done"
    coachwork.shell("sh", "-c", f"{uncompiled}; until test -e {VOLUME}/builds/{key}/logs/1.json; do sleep 0.2; done")
    outcome = json.loads(coachwork.shell("cat", f"{VOLUME}/builds/{key}/logs/1.json"))
    lines = [json.loads(line) for line in coachwork.log().splitlines() if line.startswith("{")]
    woken = [posix(line["time"]) for line in lines if line["event"] == "woken" and line["by"] == key]
    match = FIRST_LINE.search(coachwork.run_file(name, 1, "logs/one/1.log"))
    assert match, "the script said nothing"
    first = float(match[2])
    return {
        "request applied": applied,
        "builder begins": posix(outcome["started"]),
        "installation begins": posix(outcome["script_started"]),
        "packages complete": float(shown),
        "controller woken": min(woken, default=0.0),
        "stage's container": first - float(match[1]),
        "stage's first line": first,
    }, posix(outcome["finished"]) - first


def imports(coachwork: Coachwork, name: str, run: int) -> dict[str, list[tuple[float, float]]]:
    """Return seconds and processor seconds of the imports of a run, by kind."""
    found: dict[str, list[tuple[float, float]]] = {}
    for kind, seconds, cpu in IMPORTED.findall(coachwork.run_file(name, run, "logs/one/1.log")):
        found.setdefault(kind, []).append((float(seconds), float(cpu)))
    return found


def at_once(coachwork: Coachwork, secret: str, count: int) -> None:
    """Print how often an environment is built that so many requests want at once."""
    names = [coachwork.name("at-once") for _ in range(count)]
    coachwork.git.push(names[0], project(names[0], "one", batch("one", CLOCK, requirements=unique())))
    before = time.time()
    for name in names:
        coachwork.request(
            name, repository=coachwork.git.url(names[0]), project_name=name, image=IMAGE, index_secret=secret
        )
    for name in names:
        ready(coachwork, name)
    folders = {folder(coachwork, name) for name in names}
    logs = [coachwork.shell("ls", f"{VOLUME}/builds/{key}/logs").split() for key in folders]
    builds = sum(log.endswith(".log") for found in logs for log in found)
    lasted = time.time() - before
    print(f"{count} requests at once with equal requirements: {builds} builds, all Ready after {lasted:.1f} s")


def measure(coachwork: Coachwork, secret: str, times: int, count: int) -> None:
    """Do it all, and print what came of it."""
    names = [coachwork.name("cold") for _ in range(times)]
    runs = [cold(coachwork, name, secret) for name in names]
    print("from nothing to usable")
    for before, after in pairwise(MOMENTS):
        both = [moments for moments, _ in runs if moments[before] and moments[after]]
        if both:
            spent = [moments[after] - moments[before] for moments in both]
            print(f"  {before + ' -> ' + after:42} {milliseconds(spent)}")
    for last in MOMENTS[-3:]:
        whole = [moments[last] - moments["request applied"] for moments, _ in runs]
        print(f"{'request applied -> ' + last:44} {milliseconds(whole)}")
    print(f"{'first line -> all is compiled':44} {milliseconds([later for _, later in runs])}")
    time.sleep(max(runs[-1][0]["stage's first line"] + MINUTE - time.time(), 0.0))
    record = coachwork.trigger(names[-1], "a-minute-later", seconds=LIMIT)
    if record["phase"] != "Ready":
        raise Failed(told(record))
    first = [imports(coachwork, name, 1)["first"][0] for name in names]
    later = imports(coachwork, names[-1], 2)
    print(f"imports of {', '.join(PACKAGES)}, a process each; processor time")
    for label, pairs in {
        "in the first run's first second": first,
        "from source": later["source"],
        "from the environment, a minute later": later["environment"],
        "as compileall leaves them": later["compileall"],
    }.items():
        print(f"  {label:42} {milliseconds([cpu for _, cpu in pairs])}")
    ratio = statistics.median(cpu for _, cpu in later["environment"]) / statistics.median(
        cpu for _, cpu in later["compileall"]
    )
    print(f"  a minute later they take {ratio:.2f} times what they take compiled")
    at_once(coachwork, secret, count)


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    parser = argparse.ArgumentParser(prog="python -m bench.environments", description="From nothing to usable.")
    parser.add_argument("--times", type=int, default=3, help="environments from nothing (3)")
    parser.add_argument("--at-once", type=int, default=10, help="requests with equal requirements (10)")
    given = parser.parse_args()
    print(f"machine: {machine()}")
    print(f"method:  {given.times} times, {IMAGE}, {', '.join(PACKAGES)} from an index in the cluster, empty cache")
    secret = f"near-{uuid.uuid4().hex[:6]}"
    try:
        with cluster() as coachwork:
            address = near_index.start(GIT_NAMESPACE, secret, IMAGE, PACKAGES)
            data = {"UV_DEFAULT_INDEX": base64.b64encode(address.encode()).decode()}
            coachwork.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": data})
            try:
                measure(coachwork, secret, given.times, given.at_once)
            finally:
                kubectl("-n", NAMESPACE, "delete", "secret", secret)
    except Failed as failed:
        sys.exit(f"bench.environments: {failed}")


if __name__ == "__main__":
    main()
