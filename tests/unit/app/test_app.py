"""The worker boundary: however a pass ends, the others go on, and the process can be stopped."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.app.controller import App, Shared, pass_limit, stuck
from controller.app.leading import Alone, Candidate
from controller.core import lease
from controller.core.documents import status as statuses
from controller.core.errors import Conflict, NotYet, Refused, Transient
from controller.core.model import Phase, Record
from controller.core.snapshot import OnChange
from controller.settings import load
from tests.support.byhand import ByHand
from tests.support.eventually import eventually
from tests.support.world import REPOSITORY, Projects, project


class Cluster(ByHand):
    """Its first lists come as soon as `listed` is set; `gate` holds up each write."""

    def __init__(self) -> None:
        super().__init__(hook=self._pause)
        self.listed, self.gate, self.entered = threading.Event(), threading.Event(), threading.Event()
        self.gate.set()
        self.alive, self.stopped = True, False

    def _pause(self, _verb: str, _moment: str) -> None:
        self.entered.set()
        self.gate.wait(20)

    def start(self, on_change: OnChange) -> None:
        self._on_list = on_change

    def wait_synced(self, timeout: float) -> bool:
        if self.listed.wait(min(timeout, 0.1)) and not self.synced:
            super().start(self._on_list)
        return self.synced

    def stop(self) -> None:
        self.stopped = True

    @property
    def healthy(self) -> bool:
        return self.alive


class Process:
    """A controller whose API server is in memory."""

    def __init__(self, root: Path, leases: ByHand | None = None, **settings: str) -> None:
        self.cluster, self.source, self.metrics = Cluster(), Projects(), PrometheusMetrics("0")
        environ = {"COACHWORK_NAMESPACE": "test", "COACHWORK_IMAGE": "python:3.12-slim", "COACHWORK_WORKERS": "1"}
        environ |= {f"COACHWORK_{key.upper()}": value for key, value in settings.items()}
        self.volume = Volume(root)
        shared = Shared(Sweeper(root), Candidate(leases, "own") if leases else Alone())
        self.app = App(load(environ, {}), self.cluster, self.volume, self.source, self.metrics, shared=shared)
        self.stopping = threading.Event()
        self.source.push(project("a"))

    def start(self) -> None:
        self.cluster.listed.set()
        assert self.app.start(self.stopping)

    def phase(self, name: str) -> str:
        status = self.cluster.stored.get(("ConfigMap", f"{name}-status"))
        return status["data"]["phase"] if status else ""

    def passes(self, result: str) -> float:
        return self.metrics.value("coachwork_reconciles_total", result=result) or 0.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    with capture_logs():
        yield made
        made.cluster.gate.set()
        made.app.stop()


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (RuntimeError("a defect"), "defect"),
        (KeyError("metadata"), "defect"),
        (Transient("ApiUnavailable", "no answer"), "transient"),
        (NotYet(3600.0, "it comes"), "not-yet"),
    ],
)
def test_a_request_whose_passes_fail_stops_no_other(process: Process, fault: Exception, result: str) -> None:
    process.cluster.refuse["create", "bad-status"] = fault
    process.cluster.ask("bad", repository=REPOSITORY)
    process.start()
    eventually(lambda: process.passes(result))
    process.cluster.ask("iris", repository=REPOSITORY, project_name="iris")
    eventually(lambda: process.phase("iris") == "Running")
    assert process.app.trouble() == ""


def test_a_request_that_failed_is_tried_again(process: Process) -> None:
    process.cluster.refuse["create", "iris-status"] = RuntimeError("a defect")
    process.cluster.ask("iris", repository=REPOSITORY)
    process.start()
    eventually(lambda: process.passes("defect"))
    process.cluster.refuse.clear()
    eventually(lambda: process.phase("iris") == "Running")


@pytest.mark.parametrize(
    ("fault", "result"),
    [(Refused("no right", forbidden=True), "transient"), (Conflict("the view was stale"), "not-yet")],
)
def test_what_the_api_refuses_is_not_a_defect(process: Process, fault: Exception, result: str) -> None:
    def refuse(_verb: str, moment: str) -> None:
        if moment == "before":
            raise fault

    process.cluster.ask("iris", repository=REPOSITORY)
    process.cluster.hook = refuse
    process.start()
    eventually(lambda: process.passes(result))
    process.cluster.hook = lambda _verb, _moment: None
    eventually(lambda: process.phase("iris") == "Running")
    assert process.passes("defect") == 0


def test_active_runs_get_the_first_passes(tmp_path: Path) -> None:
    process = Process(tmp_path)
    phases: dict[str, Phase] = {"a": "Ready", "b": "Failed", "d": "Running", "e": "Ready", "f": "Running"}
    for name in "abcdef":
        process.cluster.ask(name, repository=REPOSITORY)
    for name, phase in phases.items():
        uid = process.cluster.stored["ConfigMap", name]["metadata"]["uid"]
        process.cluster.put(statuses.manifest(name, uid, "test", Record(uid, phase=phase)))
    with capture_logs() as logs:
        process.start()
        eventually(lambda: process.passes("done") >= len("abcdef"))
        process.app.stop()
    passes = [log["request"] for log in logs if log["event"] == "reconciled"]
    assert [*dict.fromkeys(passes)] == [*"dfcabe"]


def test_nothing_is_judged_before_all_lists_are_there(process: Process) -> None:
    process.cluster.ask("iris", repository=REPOSITORY)
    starting = threading.Thread(target=process.app.start, args=(process.stopping,))
    starting.start()
    assert process.app.unready()
    assert process.app.trouble() == ""
    assert not process.cluster.entered.is_set()
    process.cluster.listed.set()
    starting.join(20)
    eventually(lambda: process.phase("iris") == "Running")
    assert process.app.unready() == ""


def test_a_controller_that_is_stopped_while_it_waits_for_the_lists_stops(process: Process) -> None:
    process.stopping.set()
    assert not process.app.start(process.stopping)
    process.app.stop()
    assert process.cluster.stopped


def test_a_dead_watch_is_trouble_that_a_restart_mends(process: Process) -> None:
    process.start()
    process.cluster.alive = False
    assert process.app.trouble() == "a watch has died"


def test_a_pass_that_hangs_is_trouble_and_says_whose_it_is(tmp_path: Path) -> None:
    process = Process(tmp_path, pass_limit="1", git_resolve_timeout="1", git_fetch_timeout="1")
    process.cluster.ask("iris", repository=REPOSITORY)
    process.cluster.gate.clear()
    with capture_logs():
        process.start()
        assert process.cluster.entered.wait(20)
        assert process.app.trouble() == ""
        assert eventually(process.app.trouble).startswith("a pass over request iris has lasted")
        process.cluster.gate.set()
        eventually(lambda: process.app.trouble() == "")
        process.app.stop()


def test_the_longest_pass_is_the_one_that_is_reported() -> None:
    passes = {"a": 90.0, "b": 10.0, "c": 99.0}
    assert stuck(passes, 100.0, 50.0) == "a pass over request b has lasted 90 s: does the shared volume hang?"
    assert stuck(passes, 100.0, 90.0) == stuck({}, 100.0, 1.0) == ""


def test_a_pass_may_take_what_its_git_may_take() -> None:
    environ = {"COACHWORK_NAMESPACE": "test", "COACHWORK_IMAGE": "x", "COACHWORK_GIT_FETCH_TIMEOUT": "1h"}
    assert pass_limit(load(environ, {})) > 2 * 3600


def test_a_pass_under_way_ends_before_the_watches_do_and_none_begins_afterwards(process: Process) -> None:
    process.cluster.ask("iris", repository=REPOSITORY)
    process.cluster.gate.clear()
    process.start()
    assert process.cluster.entered.wait(20)
    stopping = threading.Thread(target=process.app.stop)
    stopping.start()
    process.cluster.gate.set()
    stopping.join(30)
    assert process.cluster.stopped
    assert process.phase("iris") == "Running"
    process.cluster.ask("other", repository=REPOSITORY, project_name="other")
    assert process.phase("other") == ""


def test_what_a_request_left_on_the_volume_while_no_controller_ran_is_removed(process: Process, tmp_path: Path) -> None:
    left = tmp_path / "runs" / "gone-1b2c3d4e-0000-4000-8000-000000000001"
    left.mkdir(parents=True)
    process.start()
    eventually(lambda: not left.exists())


def test_a_list_of_folders_that_hangs_holds_no_request_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, requests = threading.Event(), Volume.requests
    monkeypatch.setattr(Volume, "requests", lambda volume: answers.wait(60) and requests(volume))
    process = Process(tmp_path, ByHand())
    process.cluster.ask("iris", repository=REPOSITORY)
    with capture_logs():
        process.start()
        eventually(lambda: process.phase("iris") == "Running")
        answers.set()
        process.app.stop()


def test_a_controller_works_only_while_it_leads_and_then_on_all_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = ByHand()
    made = lease.held(None, "other", datetime.now(UTC))
    leases.create({**made, "spec": {**made["spec"], "leaseDurationSeconds": 2}})
    process = Process(tmp_path, leases)
    process.cluster.ask("iris", repository=REPOSITORY)
    with capture_logs() as logs:
        process.start()
        eventually(lambda: "other holds the Lease" in process.app.unready())
        assert process.metrics.value("coachwork_leader") == process.metrics.value("coachwork_ready") == 0
        assert process.app.trouble() == ""
        assert not process.cluster.writes
        eventually(lambda: process.phase("iris") == "Running")
        eventually(lambda: process.metrics.value("coachwork_leader") == process.metrics.value("coachwork_ready") == 1)
        inside, go_on, resolve = threading.Event(), threading.Event(), process.source.resolve

        def slow(*args: Any, **options: Any) -> Any:
            inside.set()
            assert go_on.wait(60)
            return resolve(*args, **options)

        monkeypatch.setattr(process.source, "resolve", slow)
        process.cluster.ask("before", repository=REPOSITORY, project_name="before")
        assert inside.wait(60)
        leases.edit(
            "Lease", lease.NAME, lambda item: item["spec"].update(holderIdentity="other", leaseDurationSeconds=2)
        )
        eventually(process.app.unready)
        process.cluster.ask("wine", repository=REPOSITORY, project_name="wine")
        eventually(lambda: not process.app.unready())
        assert process.passes("not-yet") == 0
        go_on.set()
        eventually(lambda: process.passes("not-yet"))  # it knows only what was so before another led
        eventually(lambda: process.phase("before") == process.phase("wine") == "Running")
        process.app.stop()
    said = [line["event"] for line in logs if line["event"] in ("leading", "not leading", "controller ready")]
    assert said == ["not leading", "leading", "controller ready"] * 2
    assert "holderIdentity" not in leases.stored["Lease", lease.NAME]["spec"]
