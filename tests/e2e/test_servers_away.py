"""Servers of the cluster go away in the middle of runs, and come back: runs end as if nothing had been.

These need a cluster for themselves, and E2E_SERVER: a command that is called as `$E2E_SERVER stop|start|pause|resume
NAME`, with the name of a server (kube-apiserver, etcd, kubelet, kube-scheduler, kube-controller-manager).
"""

import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif("E2E_SERVER" not in os.environ, reason="E2E_SERVER does not say how to stop a server"),
]

STAGE = """
import os, pathlib, time
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "starts", "a") as file:
    print(os.environ["COACHWORK_STAGE"], file=file)
time.sleep(5)
"""
STAGES = ("one", "two", "three", "four")
RESTARTS = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
CONTROLLER = ("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/component=controller", "-o")


@contextmanager
def away(server: str, first: str, last: str) -> Iterator[None]:
    """Let a server be away in the block."""
    command = os.environ["E2E_SERVER"].split()
    subprocess.run([*command, first, server], check=True)
    try:
        yield
    finally:
        subprocess.run([*command, last, server], check=True)


def probe(address: str, path: str) -> int:
    """Return the status of the controller's answer, as the kubelet has it."""
    try:
        with urllib.request.urlopen(f"http://{address}:8080/{path}", timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def begin(coachwork: Coachwork, word: str) -> str:
    """Start a run of four stages, and wait until the first one runs."""
    name = coachwork.name(word)
    dag = " >> ".join(STAGES)
    coachwork.git.push(name, project(name, dag, *(batch(stage, STAGE) for stage in STAGES)))
    coachwork.request(name)
    coachwork.running(name, "one")
    return name


def ends_well(coachwork: Coachwork, name: str) -> None:
    record = coachwork.ended(name)
    assert (record["phase"], record["run"]) == ("Ready", "1"), told(record)
    assert coachwork.run_file(name, ".", "cache/starts").split() == [*STAGES]
    assert len(coachwork.objects(name, "jobs")) == len(STAGES)


def test_an_api_server_that_is_away_for_a_minute_costs_a_run_nothing_but_time(coachwork: Coachwork) -> None:
    address = kubectl(*CONTROLLER, "jsonpath={.items[0].status.podIP}")
    restarts = kubectl(*CONTROLLER, RESTARTS)
    name = begin(coachwork, "apiserver")
    with away("kube-apiserver", "stop", "start"):
        eventually(lambda: probe(address, "readyz") == 503, "controller that says so")
        threading.Event().wait(45)
        assert (probe(address, "readyz"), probe(address, "healthz")) == (503, 200)
    eventually(lambda: kubectl("get", "--raw=/readyz"), "API server that is back")
    ends_well(coachwork, name)
    assert probe(address, "readyz") == 200
    assert kubectl(*CONTROLLER, RESTARTS) == restarts


def test_other_servers_that_stand_still_cost_a_run_nothing_but_time(coachwork: Coachwork) -> None:
    restarts = kubectl(*CONTROLLER, RESTARTS)
    name = begin(coachwork, "others")
    for server in ("etcd", "kube-scheduler", "kube-controller-manager", "kubelet"):
        with away(server, "pause", "resume"):
            threading.Event().wait(12)
    ends_well(coachwork, name)
    assert kubectl(*CONTROLLER, RESTARTS) == restarts
