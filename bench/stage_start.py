"""From a stage's container's start to its script's first line: pip in the pod, a cold environment, a warm one.

All on one cluster in one run, with pandas, scikit-learn and Flask. The script itself tells: it reads from /proc when
process 1 of its container began. The cold environment counts the whole time of its build, pod and all.
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
from typing import Any

from bench.machine import machine, spread
from tests.support.e2e import NAMESPACE, Coachwork, told
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import Failed, kubectl

GIT_NAMESPACE = f"{NAMESPACE}-bench-git"
PACKAGES = ("pandas", "scikit-learn", "flask")
STAGES = 5  # with equal requirements, each in a step of its own
WARM_RUNS = 3
PIP_RUNS = 2
LIMIT = 900  # seconds of a run
CLOCK = """
import os, time
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
print("first line after %.3f s" % (time.clock_gettime(time.CLOCK_BOOTTIME) - began), flush=True)
"""
FIRST_LINE = re.compile(r"first line after ([0-9.]+) s")


@contextmanager
def cluster() -> Iterator[Coachwork]:
    """Give the installation, with a Git server beside it."""
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
            kubectl("delete", "namespace", GIT_NAMESPACE, "--wait=false")


IMAGE = "python:3.12-slim"


def unique() -> str:
    """Give requirements that no environment was built for yet; they mean the same as all others of this script."""
    return "\n".join([*PACKAGES, f"six ; platform_version == '{uuid.uuid4().hex}'", ""])


def first_lines(coachwork: Coachwork, name: str, run: int) -> list[float]:
    """Give what the scripts of one run have told."""
    logs = (coachwork.run_file(name, run, f"logs/s{number}/1.log") for number in range(STAGES))
    return [float(match[1]) for log in logs if (match := FIRST_LINE.search(log))]


def build_seconds(coachwork: Coachwork, record: dict[str, str]) -> float:
    """Give how long the environment took, from its Job to its publishing."""
    stage: dict[str, Any] = coachwork.stages(record)["environment"]
    return (datetime.fromisoformat(stage["finished"]) - datetime.fromisoformat(stage["started"])).total_seconds()


def with_pip() -> float:
    """Give the first line's time of a pod that installs with pip by itself."""
    name = f"pip-{uuid.uuid4().hex[:6]}"
    install = "python3 -m venv /tmp/e && /tmp/e/bin/pip install -q $PACKAGES >&2"
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": "pip",
        "image": IMAGE,
        "command": ["sh", "-c", f'{install} && exec /tmp/e/bin/python -c "$SCRIPT"'],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - in the pod
            {"name": "PACKAGES", "value": " ".join(PACKAGES)},
            {"name": "SCRIPT", "value": CLOCK},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": GIT_NAMESPACE}, "spec": spec}
    kubectl("create", "-f", "-", text=json.dumps(pod))
    wait = ("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={LIMIT}s")
    kubectl("-n", GIT_NAMESPACE, *wait, seconds=LIMIT + 10)
    match = FIRST_LINE.search(kubectl("-n", GIT_NAMESPACE, "logs", name))
    assert match, "the pod said nothing"
    return float(match[1])


def counted(before: dict[str, float], after: dict[str, float], operation: str) -> float:
    """Give how many git calls of one kind were made in between."""
    keys = [key for key in after if key.startswith("coachwork_git") and f'operation="{operation}"' in key]
    return sum(after[key] - before.get(key, 0.0) for key in keys if "total" in key)


def measure(coachwork: Coachwork) -> None:
    """Do it all, and print what came of it."""
    name = coachwork.name("bench")
    stages = [batch(f"s{number}", CLOCK, requirements=unique()) for number in range(STAGES)]
    same = stages[0]["s0/requirements.txt"]
    files = project(name, " >> ".join(f"s{number}" for number in range(STAGES)), *stages)
    files |= {f"s{number}/requirements.txt": same for number in range(STAGES)}
    coachwork.git.push(name, files)
    before = coachwork.metrics()
    coachwork.request(name, image=IMAGE)
    record = coachwork.ended(name, seconds=LIMIT)
    assert record["phase"] == "Ready", told(record)
    after = coachwork.metrics()
    cold = build_seconds(coachwork, record)
    warm = first_lines(coachwork, name, 1)
    pip = []
    for number in range(WARM_RUNS):  # in turns, so that a busy moment of the machine meets all alike
        pip += [with_pip()] if number < PIP_RUNS else []
        record = coachwork.trigger(name, f"again-{number}", seconds=LIMIT)
        warm += first_lines(coachwork, name, number + 2)
    folder = json.loads(coachwork.run_file(name, 1, "run.json"))["environments"][0]["folder"]
    builds = coachwork.shell("ls", f"/var/lib/coachwork/builds/{folder}/logs").split()
    print(f"pip in the pod       {spread(pip)}")
    print(
        f"cold environment     {cold + warm[0]:7.2f} s  (built once for {STAGES} stages, pod and all, then the start)"
    )
    print(f"warm environment     {spread(warm)}")
    print(
        f"warm is {statistics.median(pip) / statistics.median(warm):.0f} times faster than pip; "
        f"cold {statistics.median(pip) / (cold + warm[0]):.1f} times"
    )
    print(f"builds for {STAGES} stages with equal requirements: {sum(item.endswith('.log') for item in builds)}")
    print(
        f"git calls of a run of {STAGES} stages: {counted(before, after, 'ls-remote'):g} ls-remote, "
        f"{counted(before, after, 'fetch'):g} fetch, {counted(before, after, 'clone'):g} clone"
    )


def main() -> None:
    """Measure on the cluster of KUBECONFIG."""
    print(f"machine: {machine()}")
    print(
        f"method:  one run on one cluster, {IMAGE}, {', '.join(PACKAGES)}; process 1's start to the script's first line"
    )
    try:
        with cluster() as coachwork:
            measure(coachwork)
    except Failed as failed:
        sys.exit(f"bench.stage_start: {failed}")


if __name__ == "__main__":
    main()
