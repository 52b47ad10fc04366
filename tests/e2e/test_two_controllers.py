"""Two controllers of one namespace, and one that is stopped and goes on: one acts at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project

pytestmark = pytest.mark.alone
SLOW = """
import os, pathlib, time
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "starts", "a") as file:
    print(os.environ["COACHWORK_STAGE"], file=file)
time.sleep(8)
"""
SIGNAL = """
import os, pathlib, signal, sys
for process in pathlib.Path("/proc").glob("[0-9]*"):
    words = (process / "cmdline").read_bytes().split(b"\\0")
    if b"controller" in words and int(process.name) != os.getpid():
        os.kill(int(process.name), getattr(signal, sys.argv[1]))
"""
ASK = """
import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8080" + sys.argv[1], timeout=5).read().decode())
"""
WRITES = ("create", "update", "patch", "delete")


def within(deployment: str, script: str, argument: str) -> str:
    """Return what a Python script prints in the controller's container."""
    call = ("-n", NAMESPACE, "exec", f"deployment/{deployment}", "--", "python", "-c", script, argument)
    return kubectl(*call, seconds=20)


def writes(deployment: str) -> float:
    """Return how often a controller has called the API server to change anything but its Lease."""
    lines = within(deployment, ASK, "/metrics").splitlines()
    calls = [
        line for line in lines if line.startswith("coachwork_api_calls_total{") and 'resource="leases"' not in line
    ]
    return sum(float(line.split()[-1]) for line in calls if any(f'verb="{verb}"' in line for verb in WRITES))


def holder() -> str:
    return kubectl("-n", NAMESPACE, "get", "lease", "coachwork", "-o", "jsonpath={.spec.holderIdentity}")


def leader() -> str:
    """Return which Deployment's pod holds the Lease."""
    return "second" if holder().startswith("second-") else "coachwork" if holder().startswith("coachwork-") else ""


def log(deployment: str) -> list[dict[str, str]]:
    lines = kubectl("-n", NAMESPACE, "logs", f"deployment/{deployment}", "--tail=-1").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def standing(deployment: str) -> dict[str, str]:
    """Return what a controller's log said last about whether it leads."""
    return [line for line in log(deployment) if line["event"] in ("leading", "not leading")][-1]


@contextmanager
def second(coachwork: Coachwork) -> Iterator[None]:
    """Start another controller like the first, on the same volume; the Service does not lead to it."""
    own = {"app.kubernetes.io/name": "coachwork", "app.kubernetes.io/component": "second"}
    first = coachwork.get("deployment", "coachwork")
    template = {**first["spec"]["template"]}
    template["metadata"] = {**template["metadata"], "labels": own}
    spec = {**first["spec"], "selector": {"matchLabels": own}, "template": template}
    metadata = {"name": "second", "namespace": NAMESPACE, "labels": own}
    coachwork.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    try:
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "deployment", "second", "--cascade=foreground")


def test_a_controller_that_was_stopped_does_nothing_once_another_leads(coachwork: Coachwork) -> None:
    name = coachwork.name("two")
    coachwork.git.push(name, project(name, "one >> three", batch("one", SLOW), batch("three", SLOW)))
    assert leader() == "coachwork"
    with second(coachwork):
        eventually(lambda: [line for line in log("second") if line["event"] == "not leading"], "second that stands by")
        first_pod = holder()
        assert first_pod in standing("second")["because"]
        coachwork.request(name)
        coachwork.running(name, "one")
        within("coachwork", SIGNAL, "SIGSTOP")
        try:
            record = coachwork.ended(name)
            assert (record["phase"], record["run"], leader()) == ("Ready", "1", "second"), told(record)
        finally:
            within("coachwork", SIGNAL, "SIGCONT")
        eventually(lambda: "second-" in standing("coachwork").get("because", ""), "first that stands by")
        before = writes("coachwork")
        record = coachwork.trigger(name, "led-by-the-second")
        assert (record["phase"], record["run"], leader()) == ("Ready", "2", "second"), told(record)
        assert writes("coachwork") == before
        assert standing("coachwork")["event"] == "not leading"
    eventually(lambda: holder() == first_pod, "first that leads again", seconds=10)  # the second set the Lease free
    record = coachwork.trigger(name, "led-by-the-first")
    assert (record["phase"], record["run"]) == ("Ready", "3"), told(record)
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one", "three"] * 3
    assert [past["outcome"] for past in coachwork.history(record)] == ["Succeeded"] * 3
