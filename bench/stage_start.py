"""From a container's start to its script's first line: without requirements, a warm environment, a cold one, pip.

All on one cluster in one run, in turns, with pandas, scikit-learn and Flask, against Python alone in a pod of the same
image: as process 1 of its container, and `python3 -c pass`. The script itself tells: it reads from /proc when process 1
of its container began (to 10 ms), and the launcher's outcome says when it was ready to work and when it started the
script. The cold environment counts the whole time of its build, pod and all.
"""

import json
import re
import statistics
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.machine import machine, milliseconds, spread
from tests.support.e2e import NAMESPACE, Coachwork, told
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import Failed, kubectl

GIT_NAMESPACE = f"{NAMESPACE}-bench-git"
PACKAGES = ("pandas", "scikit-learn", "flask")
STAGES = 5  # with equal requirements, and as many without, each in a step of its own
ROUNDS = 4
PIP_RUNS = 2
LIMIT = 900  # seconds of a run
CLOCK = """
import os, time
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
lasted = time.clock_gettime(time.CLOCK_BOOTTIME) - began
print("first line after %.3f s at %.3f" % (lasted, time.time()), flush=True)
"""
FIRST_LINE = re.compile(r"first line after ([0-9.]+) s at ([0-9.]+)")
FLOOR = f"""
import subprocess, time
for _ in range({STAGES}):
    began = time.monotonic()
    subprocess.run(["python3", "-c", "pass"], check=True)
    print(time.monotonic() - began)
"""


@contextmanager
def cluster() -> Iterator[Coachwork]:
    """Yield the installation, with a Git server next to it."""
    kubectl("-n", NAMESPACE, "get", "deployment", "coachwork", "-o", "name")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GIT_NAMESPACE, "labels": labels}}
    kubectl("apply", "-f", "-", text=json.dumps(space))
    with tempfile.TemporaryDirectory() as folder:
        git = InClusterGit(GIT_NAMESPACE, Path(folder))
        git.start()
        coachwork = Coachwork(git)
        try:
            yield coachwork
        finally:
            coachwork.clean()
            kubectl("delete", "namespace", GIT_NAMESPACE)  # wholly: another benchmark may follow


IMAGE = "python:3.12-slim"


def unique() -> str:
    """Return requirements that no environment was built for yet; they mean the same as all others of this script."""
    return "\n".join([*PACKAGES, f"six ; platform_version == '{uuid.uuid4().hex}'", ""])


class Start(NamedTuple):
    """Seconds from the beginning of process 1, and what they were."""

    whole: float
    python: float  # until the launcher's first step: its Python and its imports
    launcher: float  # until it started the script
    script: float  # until the script's first line: its Python


def starts(coachwork: Coachwork, name: str, run: int, kind: str) -> list[Start]:
    """Return what the scripts of one run have printed."""
    found = []
    for number in range(STAGES):
        log, outcome = (coachwork.run_file(name, run, f"logs/{kind}{number}/1.{part}") for part in ("log", "json"))
        match = FIRST_LINE.search(log)
        assert match, log
        whole, at = float(match[1]), float(match[2])
        steps = (datetime.fromisoformat(json.loads(outcome)[key]).timestamp() for key in ("started", "script_started"))
        ready, started = steps
        found.append(Start(whole, ready - (at - whole), started - ready, at - started))
    return found


def build_seconds(coachwork: Coachwork, record: dict[str, str]) -> float:
    """Return how long the environment took, from its Job to its publishing."""
    stage: dict[str, Any] = coachwork.stages(record)["environment"]
    return (datetime.fromisoformat(stage["finished"]) - datetime.fromisoformat(stage["started"])).total_seconds()


def pod(*commands: list[str], **variables: str) -> str:
    """Return what a pod of the image prints whose containers run these commands, one after the other."""
    name = f"bare-{uuid.uuid4().hex[:6]}"
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    common = {
        "image": IMAGE,
        "env": [{"name": key, "value": value} for key, value in {"HOME": "/tmp", **variables}.items()],  # noqa: S108
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    *first, last = ({**common, "name": f"c{number}", "command": each} for number, each in enumerate(commands))
    spec = {"restartPolicy": "Never", "securityContext": security, "initContainers": first, "containers": [last]}
    metadata = {"name": name, "namespace": GIT_NAMESPACE}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl("create", "-f", "-", text=json.dumps(manifest))
    wait = ("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={LIMIT}s")
    kubectl("-n", GIT_NAMESPACE, *wait, seconds=LIMIT + 10)
    return kubectl("-n", GIT_NAMESPACE, "logs", name, "--all-containers")


def with_pip() -> float:
    """Return the first line's time of a pod that installs with pip by itself."""
    install = "python3 -m venv /tmp/e && /tmp/e/bin/pip install -q $PACKAGES >&2"
    command = ["sh", "-c", f'{install} && exec /tmp/e/bin/python -c "$SCRIPT"']
    match = FIRST_LINE.search(pod(command, PACKAGES=" ".join(PACKAGES), SCRIPT=CLOCK))
    assert match, "the pod said nothing"
    return float(match[1])


def counted(before: dict[str, float], after: dict[str, float], operation: str) -> float:
    """Return how many git calls of one kind were made in between."""
    keys = [key for key in after if key.startswith("coachwork_git") and f'operation="{operation}"' in key]
    return sum(after[key] - before.get(key, 0.0) for key in keys if "total" in key)


def measure(coachwork: Coachwork) -> None:
    """Do it all, and print what came of it."""
    name = coachwork.name("bench")
    stages = [batch(f"warm{number}", CLOCK, requirements=unique()) for number in range(STAGES)]
    same = stages[0]["warm0/requirements.txt"]
    stages += [batch(f"bare{number}", CLOCK) for number in range(STAGES)]
    files = project(name, " >> ".join(f"warm{number} >> bare{number}" for number in range(STAGES)), *stages)
    files |= {f"warm{number}/requirements.txt": same for number in range(STAGES)}
    coachwork.git.push(name, files)
    before = coachwork.metrics()
    coachwork.request(name, image=IMAGE)
    record = coachwork.ended(name, seconds=LIMIT)
    assert record["phase"] == "Ready", told(record)
    after = coachwork.metrics()
    warm, bare = list[Start](), list[Start]()
    pip, alone, floor = list[float](), list[float](), list[float]()
    for number in range(1, ROUNDS + 1):  # in turns, so that a busy moment of the machine meets all alike
        if number > 1:
            coachwork.trigger(name, f"again-{number}", seconds=LIMIT)
        warm += starts(coachwork, name, number, "warm")
        bare += starts(coachwork, name, number, "bare")
        alone += [float(found[1]) for found in FIRST_LINE.finditer(pod(*[["python3", "-c", CLOCK]] * STAGES))]
        floor += map(float, pod(["python3", "-c", FLOOR]).split())
        pip += [with_pip()] if number <= PIP_RUNS else []
    show(warm, bare, alone, floor)
    first, median = build_seconds(coachwork, record) + warm[0].whole, statistics.median(pip)
    print(f"pip in the pod         {spread(pip)}")
    print(f"cold environment       {first:7.2f} s  (built once for {STAGES} stages, pod and all, then the start)")
    print(
        f"warm is {median / statistics.median(start.whole for start in warm):.0f} times faster than pip; "
        f"cold {median / first:.1f} times"
    )
    folder = json.loads(coachwork.run_file(name, 1, "run.json"))["environments"][0]["folder"]
    builds = coachwork.shell("ls", f"/var/lib/coachwork/builds/{folder}/logs").split()
    print(f"builds for {STAGES} stages with equal requirements: {sum(item.endswith('.log') for item in builds)}")
    print(
        f"git calls of a run of {2 * STAGES} stages: {counted(before, after, 'ls-remote'):g} ls-remote, "
        f"{counted(before, after, 'fetch'):g} fetch, {counted(before, after, 'clone'):g} clone"
    )


def show(warm: list[Start], bare: list[Start], alone: list[float], floor: list[float]) -> None:
    """Print how long starts took, what they were, and what Python alone takes."""
    for title, found in (("without requirements", bare), ("warm environment", warm)):
        whole, python, launcher, script = (statistics.median(column) for column in zip(*found, strict=True))
        parts = f"{python * 1e3:.0f} + {launcher * 1e3:.0f} + {script * 1e3:.0f} ms"
        print(f"{title:<22} {milliseconds([start.whole for start in found])}  = {parts}", end="")
        print(f", {whole / statistics.median(alone):.1f} times Python alone")
    print(f"{'Python alone, as PID 1':<22} {milliseconds(alone)}")
    print(f"{'python3 -c pass':<22} {milliseconds(floor)}")
    print("(the sums: container, launcher's Python and imports + launcher's own work + script's Python)")


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    print(f"machine: {machine()}")
    print(
        f"method:  one run on one cluster, {IMAGE}, {', '.join(PACKAGES)}; process 1's start to the script's first "
        f"line, {ROUNDS} runs with {STAGES} stages of each kind, one at a time"
    )
    try:
        with cluster() as coachwork:
            measure(coachwork)
    except Failed as failed:
        sys.exit(f"bench.stage_start: {failed}")


if __name__ == "__main__":
    main()
