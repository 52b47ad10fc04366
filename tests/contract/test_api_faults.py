"""A controller's process, and between it and a real API server a proxy that does what networks and servers do.

Whatever a call meets, runs end as if nothing had been: nothing twice, nothing lost, no restart, no busy loop.
"""

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from tests.support.apiproxy import kubeconfig
from tests.support.e2e_projects import batch, project, service
from tests.support.eventually import eventually
from tests.support.faultyapi import (
    Fault,
    FaultyApi,
    Object,
    Upstream,
    cut,
    garbage,
    half_open,
    hang,
    hang_late,
    page,
    reset,
    reset_late,
    says,
    slow,
    status,
)  # fmt: skip
from tests.support.freeport import free_port
from tests.support.standin import StandIn

pytestmark = [pytest.mark.timeout(400), pytest.mark.cluster]

FAULTS: Mapping[str, Fault] = {
    "unauthorized": status(401, "Unauthorized"),
    "forbidden": status(403, "Forbidden"),
    "conflict": status(409, "Conflict"),
    "taken": status(409, "AlreadyExists"),
    "gone": status(410, "Expired"),
    "overloaded": status(429, "TooManyRequests"),
    "overloaded-1s": status(429, "TooManyRequests", Retry_After="1"),
    "unknown": status(500, message="client: etcd cluster is unavailable or misconfigured"),
    "unavailable": status(503, "ServiceUnavailable"),
    "page-404": page(404),
    "page-500": page(500),
    "reset": reset,
    "reset-late": reset_late,
    "cut": cut,
    "garbage": garbage(b"{}"),
    "slow": slow,
}
Cases: TypeAlias = dict[str, tuple[Fault, tuple[str, ...]]]
VERBS = (("create", "get"), ("update", "patch", "delete"))
WATCHED = (
    "configmaps", "events", "jobs", "cronjobs", "pods", "deployments", "services", "ingresses",
    "horizontalpodautoscalers", "poddisruptionbudgets",
)  # fmt: skip


class Controller:
    """The process, in a namespace of its own, with repositories of this machine."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.namespace, self.upstream, self.folder = f"contract-{uuid.uuid4().hex[:12]}", upstream, folder
        self.api, self.port = FaultyApi(upstream), free_port()
        upstream.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        for account in ("coachwork-stage", "coachwork-trigger"):
            path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts"
            upstream.call("POST", path, {"metadata": {"name": account}})
        self.standin = StandIn(upstream, self.namespace)
        self.standin.start()
        (folder / "volume").mkdir()
        settings = {
            "NAMESPACE": self.namespace, "IMAGE": "nowhere/none:1", "VOLUME": str(folder / "volume"), "NODE": "nowhere",
            "KUBECONFIG": kubeconfig(folder / "kubeconfig", self.api.port, self.namespace), "PORT": str(self.port),
            "ALLOW_FILE_REPOSITORIES": "true", "WORKERS": "16", "GIT_CONCURRENCY": "8",
        }  # fmt: skip
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controller", "controller"], stdout=log, stderr=log,
                env=os.environ | {f"COACHWORK_{key}": text for key, text in settings.items()},
            )  # fmt: skip
        self.sick: list[str] = []
        self._watching = threading.Thread(target=self._look, daemon=True)
        eventually(lambda: self.probe("readyz")[0] == 200, 60)
        self._watching.start()

    def stop(self) -> None:
        """End all."""
        self.process.terminate()
        self.process.wait(60)
        self.standin.stop()
        self.api.stop()
        self.upstream.call("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def _look(self) -> None:
        """Do as the liveness probe does."""
        while self.process.poll() is None:
            code, text = self.probe("healthz")
            if code == 503:
                self.sick.append(text)
            time.sleep(1)

    def probe(self, path: str) -> tuple[int, str]:
        """Return what the controller answers; 0 for nothing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- requests ---

    def commit(self, name: str, files: Mapping[str, str | bytes]) -> str:
        """Make the files the content of a repository; return its address."""
        folder = self.folder / "git" / name
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(str(text))
        git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *command], check=True, capture_output=True)
        return f"file://{folder}"

    def config_map(self, name: str, method: str = "GET", body: object = None) -> Object:
        """Call a ConfigMap."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return self.upstream.call(method, path if method == "POST" else f"{path}/{name}", body, kind)

    def secret(self, name: str, data: Mapping[str, str]) -> None:
        """Make a Secret."""
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        self.upstream.call("POST", path, {"metadata": {"name": name}, "stringData": data})

    def request(self, name: str, address: str, **data: str) -> None:
        """Make a request."""
        metadata = {"name": name, "labels": {"coachwork.io/role": "request"}}
        keys = {key.replace("_", "-"): text for key, text in data.items()}
        self.config_map(name, "POST", {"metadata": metadata, "data": {"repository": address, **keys}})

    def change(self, name: str, trigger: str, **data: str | None) -> None:
        """Trigger a run, with other keys."""
        keys = {key.replace("_", "-"): text for key, text in data.items()}
        annotations = {"coachwork.io/trigger": trigger}
        self.config_map(name, "PATCH", {"metadata": {"annotations": annotations}, "data": keys})

    def records(self) -> dict[str, dict[str, str]]:
        """Return all records, by request."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps?labelSelector=coachwork.io/role%3Dstatus"
        items = self.upstream.call("GET", path)["items"]
        return {item["metadata"]["name"].removesuffix("-status"): item["data"] for item in items}

    def ended(self, run: str, names: list[str], seconds: float) -> None:
        """Wait until this run of all these is over and good."""

        def missing() -> dict[str, str]:
            known = self.records()
            states = {name: known.get(name, {}) for name in names}
            return {
                name: f"{data.get('phase')} {data.get('run')} {data.get('reason')} {data.get('message')}"
                for name, data in states.items()
                if (data.get("phase"), data.get("run")) != ("Ready", run)
            }

        end = time.monotonic() + seconds
        while left := missing():
            lines = [f"{self.log}:", *(f"{name}: {text}" for name, text in left.items())]
            assert time.monotonic() < end, "\n".join(lines)
            assert self.process.poll() is None, "the controller has ended"
            time.sleep(0.5)

    def names(self, group: str, resource: str) -> set[str]:
        """Return the names of all objects of a resource."""
        items = self.upstream.call("GET", f"{group}/namespaces/{self.namespace}/{resource}")["items"]
        return {item["metadata"]["name"] for item in items}

    def unharmed(self) -> None:
        """Check what holds whatever has happened: one Job a run and stage, one pod a Job, no defect, always alive."""
        assert self.process.poll() is None
        assert not self.sick
        assert {name: uids for name, uids in self.standin.jobs.items() if len(uids) > 1} == {}
        assert {uid: pods for uid, pods in self.standin.pods.items() if len(pods) > 1} == {}
        defects = [line for line in self.log.read_text().splitlines() if '"level": "error"' in line or line[:1] != "{"]
        assert not defects, "\n".join(defects[:20])


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    made = Controller(tmp_path, Upstream.of(os.environ["KUBECONFIG"]))
    try:
        yield made
    finally:
        made.stop()


def first(name: str) -> dict[str, str | bytes]:
    secrets = f"[secrets]\nKEY = {name}-key\n"
    stages = (batch("load", "", more=secrets), service("web", ""), service("old", ""))
    return project(name, "load >> web, old", *stages)


def second(name: str) -> dict[str, str | bytes]:
    return project(name, "load >> web", batch("load", ""), service("web", "", port=5001))


def test_a_fault_at_each_write_or_read_of_an_object_changes_no_end(controller: Controller) -> None:
    """Meet each fault at the first call of each verb on each kind of object of a request, in two runs."""
    cases: Cases = {f"{fault}-{'-'.join(verbs)}": (FAULTS[fault], verbs) for fault in FAULTS for verbs in VERBS}
    cases |= {f"hang-{verb}": (hang, (verb,)) for verb in chain(*VERBS)}
    cases |= {f"late-{verb}": (hang_late, (verb,)) for verb in chain(*VERBS)}
    rules = {}
    for name, (fault, verbs) in cases.items():
        for verb in verbs:
            each = fault not in (hang, hang_late)  # these take half a minute
            rules[name, verb] = controller.api.script(verb, fault, name=name, each=each)
        controller.secret(f"{name}-key", {"KEY": "value"})
        controller.request(name, controller.commit(name, first(name)), schedule="0 0 1 1 *", keep_runs="1")
    controller.ended("1", [*cases], 150)
    for name in cases:
        controller.commit(name, second(name))
        controller.change(name, "again", schedule=None)
    controller.ended("2", [*cases], 150)
    controller.unharmed()
    assert [case for case, rule in rules.items() if not rule.seen] == []
    kept = {name: yaml.safe_load(data["history"]) for name, data in controller.records().items()}
    outcomes = {name: [(past["run"], past["outcome"]) for past in history] for name, history in kept.items()}
    assert {name: runs for name, runs in outcomes.items() if sorted(runs) != [(1, "Succeeded"), (2, "Succeeded")]} == {}
    eventually(lambda: controller.names("/apis/apps/v1", "deployments") == {f"{name}--web" for name in cases}, 60)


LINES: Mapping[str, Fault] = {
    "no-json": says(b"no JSON\n"),
    "half-a-line": says(b'{"type": "ADDED", "object": {"metadata": {"na'),
    "no-event": says(b"[]\n"),
    "no-object": says(b'{"type": "DELETED"}\n'),
    "no-version": says(b'{"type": "ADDED", "object": {"metadata": {"name": "ghost"}}}\n'),
    "no-shape": says(
        b'{"type": "ADDED", "object": {"metadata": {"name": "x", "resourceVersion": "1"}, "status": 7}}\n'
    ),
    "strange": says(b'{"type": "STRANGE", "object": {"metadata": {"name": "x", "resourceVersion": "1"}}}\n'),
    "expired": says(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}\n'),
    "error": says(b'{"type": "ERROR", "object": {"kind": "Status", "code": 500}}\n'),
}


def test_a_fault_at_each_list_and_watch_hides_nothing_that_happens(controller: Controller) -> None:
    """Break all watches; what begins them again, and what lists, meets a fault; meanwhile a run is asked for."""
    controller.request("iris", controller.commit("iris", first("iris")))
    controller.secret("iris-key", {"KEY": "value"})
    controller.ended("1", ["iris"], 60)
    steps = [{"watch": faults} for faults in batched((*FAULTS.values(), *LINES.values()))]
    steps += [{"watch": [FAULTS["gone"]] * len(WATCHED), "list": faults} for faults in batched([*FAULTS.values()])]
    steps += [{"watch": [half_open, hang] * (len(WATCHED) // 2)}]  # a hundred seconds
    for number, step in enumerate(steps, 2):
        rules = [
            controller.api.script(verb, fault, resource=resource, each=True)
            for verb, faults in step.items()
            for fault, resource in zip(faults, WATCHED, strict=True)
        ]
        controller.api.drop()
        eventually(lambda rules=tuple(rules): all(rule.seen for rule in rules), 60)  # type: ignore[misc]
        controller.change("iris", str(number))
        controller.ended(str(number), ["iris"], 200)
    controller.unharmed()
    assert controller.standin.runs("iris") == len(steps) + 1


def batched(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Return the faults in groups of one for each watched resource; the last is filled up with the first ones."""
    size = len(WATCHED)
    return [[faults[(at + place) % len(faults)] for place in range(size)] for at in range(0, len(faults), size)]


OUTAGES = ("unauthorized", "overloaded-1s", "page-500", "reset", "garbage")


def test_an_outage_is_neither_ready_nor_dead_nor_busy(controller: Controller) -> None:
    """Let every call meet a fault, until the controller says so; calls and CPU are counted, runs go on afterwards."""
    names = [f"iris-{number}" for number in range(4)]
    for name in names:
        controller.request(name, controller.commit(name, project(name, "load", batch("load", ""))))
    controller.ended("1", names, 60)
    used = {}
    for run, fault in enumerate(OUTAGES, 2):
        for name in names:
            controller.change(name, fault)
        with controller.api.out(FAULTS[fault]):
            began, calls, cpu = time.monotonic(), controller.api.count(), controller.cpu()
            eventually(lambda: controller.probe("readyz")[0] == 503, 60)
            why = controller.probe("readyz")[1]
            used[fault] = (time.monotonic() - began, controller.api.count() - calls, controller.cpu() - cpu, why)
        eventually(lambda: controller.probe("readyz")[0] == 200, 120)
        controller.ended(str(run), names, 120)
    for seconds, calls, cpu, why in used.values():
        assert "Lease" in why, used
        assert calls <= 20 * seconds + 100, used
        assert cpu <= 0.5 * seconds + 3, used
    controller.unharmed()
