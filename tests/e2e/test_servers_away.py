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
from contextlib import ExitStack, contextmanager

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
ABSENCE = 10  # seconds: longer than a stage; nobody says that a scheduler is missed
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


def test_servers_that_go_away_in_mid_run_cost_it_nothing_but_time(coachwork: Coachwork) -> None:
    address, restarts = kubectl(*CONTROLLER, "jsonpath={.items[0].status.podIP}"), kubectl(*CONTROLLER, RESTARTS)
    name = coachwork.name("servers")
    coachwork.git.push(name, project(name, " >> ".join(STAGES), *(batch(stage, STAGE) for stage in STAGES)))
    coachwork.request(name)

    for stage, server, first, last in (
        ("one", "kube-apiserver", "stop", "start"),
        ("two", "etcd", "pause", "resume"),
    ):
        coachwork.running(name, stage)
        with away(server, first, last):
            eventually(lambda: probe(address, "readyz") == 503, f"controller that is not ready without {server}")
            assert probe(address, "healthz") == 200
        eventually(lambda: kubectl("get", "--raw=/readyz"), "API server that is back")

    coachwork.running(name, "three")
    with ExitStack() as servers:
        for server in ("kube-scheduler", "kube-controller-manager", "kubelet"):
            servers.enter_context(away(server, "stop", "start"))
        threading.Event().wait(ABSENCE)

    record = coachwork.ended(name)
    assert (record["phase"], record["run"]) == ("Ready", "1"), told(record)
    assert coachwork.run_file(name, ".", "cache/starts").split() == [*STAGES]
    assert len(coachwork.objects(name, "jobs")) == len(STAGES)
    eventually(lambda: probe(address, "readyz") == 200, "controller that is ready again")
    assert kubectl(*CONTROLLER, RESTARTS) == restarts
