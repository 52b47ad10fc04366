"""The whole app on one machine: real repositories, a real volume, real processes, no cluster."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from controller.core.model import Object
from tests.support.eventually import eventually
from tests.support.laptop import Laptop, batch, laptop, project, service

SAVE = """
import os, pathlib
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "model").write_text("trained")
"""
LOAD = """
import os, pathlib
artifacts = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
artifacts.joinpath("report").write_text((artifacts / "model").read_text() + " and read " + os.environ["COACHWORK_RUN"])
"""
ANSWER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"VERSION")
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
SLOW = """
import os, pathlib, time
artifacts = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
with open(artifacts / "starts", "a") as starts:
    starts.write("x")
while not (artifacts / "go-on").exists():
    time.sleep(0.01)
"""

KILLS = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # how a killed thread ends


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path, {"aws": {"KEY": "hush"}}) as machine:
        yield machine


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own service
        return str(answer.read().decode())


def test_steps_follow_each_other_by_the_calls_of_pods_alone(tmp_path: Path) -> None:
    with laptop(tmp_path, deaf=True) as machine:
        machine.repository.commit(project("save >> load", save=batch(SAVE), load=batch(LOAD)))
        machine.ask()
        machine.wait("Ready")


def test_a_stage_that_fails_once_is_tried_again(machine: Laptop) -> None:
    script = "import os, sys\nsys.exit(os.environ['COACHWORK_ATTEMPT'] == '1')\n"
    files = batch(script) | {"config.ini": batch("")["config.ini"].replace("RETRIES = 0", "RETRIES = 1")}
    machine.repository.commit(project("train", train=files))
    machine.ask()
    machine.wait("Ready")
    (job,) = machine.cluster.objects("Job")
    assert (job["status"]["failed"], job["status"]["succeeded"]) == (1, 1)


def test_each_event_is_sent_once_however_many_passes_a_run_waits(
    machine: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, create = list[str](), machine.cluster.create

    def counted(manifest: Object) -> Object:
        sent.extend([manifest["reason"]] if manifest["kind"] == "Event" and "source" in manifest else [])
        return create(manifest)

    monkeypatch.setattr(machine.cluster, "create", counted)
    machine.repository.commit(project("train", train=batch("", more="[secrets]\nKEY = gcp\n")))
    machine.ask()
    eventually(lambda: machine.status().get("reason") == "SecretMissing")
    for text in ("t1", "t2", "t3", "t4"):  # each is a pass
        machine.trigger(text)
        eventually(lambda text=text: machine.status().get("queued-trigger") == text)  # type: ignore[misc]
    assert sent == ["RunStarted"]


def test_a_broken_new_version_of_a_service_is_rolled_back_and_the_old_answers_all_the_time(machine: Laptop) -> None:
    machine.repository.commit(project("web", web=service(ANSWER.replace("VERSION", "one"), 5000)))
    machine.ask()
    machine.wait("Ready")
    address = machine.cluster.addresses()["demo--web"]
    with answering(lambda: get(address) == "one"):
        machine.repository.commit(project("web", web=service("raise ImportError('broken')\n", 5000, start=2)))
        machine.trigger("second")
        status = machine.wait("Failed", run=2)
        assert "ImportError: broken" in status["message"]
        eventually(lambda: len(machine.cluster.objects("Pod")) == 1)
    assert machine.cluster.addresses()["demo--web"] == address


def test_a_worse_model_is_not_served_and_the_old_one_answers_all_the_time(machine: Laptop) -> None:
    train = """
import json, os, pathlib
accuracy = ACCURACY
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "model").write_text(str(accuracy))
pathlib.Path(os.environ["COACHWORK_METRICS"]).write_text(json.dumps({"accuracy": accuracy}))
"""
    model = "(pathlib.Path(os.environ['COACHWORK_ARTIFACTS']) / 'model').read_bytes()"
    web = service(ANSWER.replace('b"VERSION"', model).replace("import http", "import pathlib, http"), 5000)

    def trained(accuracy: float) -> None:
        gated = batch(train.replace("ACCURACY", str(accuracy)))
        gated["config.ini"] = gated["config.ini"].replace("RETRIES = 0", "RETRIES = 2\nREQUIRE = accuracy >= previous")
        machine.repository.commit(project("train >> web", train=gated, web=web))

    trained(0.9)
    machine.ask()
    machine.wait("Ready")
    address = machine.cluster.addresses()["demo--web"]
    with answering(lambda: get(address) == "0.9"):
        trained(0.8)
        machine.trigger("worse")
        status = machine.wait("Failed", run=2)
        assert status["reason"] == "RequirementNotMet"
        assert status["message"] == "stage train: accuracy is 0.8, REQUIRE wants >= previous, which is 0.9"
        assert yaml.safe_load(status["stages"])["train"]["attempts"] == 1
    trained(0.95)
    machine.trigger("better")
    assert yaml.safe_load(machine.wait("Ready", run=3)["release-numbers"]) == {"train": {"accuracy": 0.95}}
    eventually(lambda: get(machine.cluster.addresses()["demo--web"]) == "0.95")


def test_a_service_that_somebody_scales_to_nothing_or_deletes_answers_again(machine: Laptop) -> None:
    machine.repository.commit(project("web", web=service(ANSWER.replace("VERSION", "one"), 5000)))
    machine.ask()
    machine.wait("Ready")
    machine.cluster.edit("Deployment", "demo--web", lambda item: {**item, "spec": {**item["spec"], "replicas": 0}})
    eventually(lambda: machine.status()["phase"] == "Degraded")
    machine.wait("Ready")
    machine.cluster.remove("Deployment", "demo--web")
    eventually(lambda: machine.status()["phase"] == "Degraded")
    machine.wait("Ready")
    assert get(machine.cluster.addresses()["demo--web"]) == "one"
    said = [item["message"] for item in machine.cluster.objects("Event") if item["reason"] == "ServiceDrifted"]
    assert "kubectl-edit changed spec.replicas" in said[0]
    assert "was deleted" in said[-1]


class answering:  # noqa: N801 - reads as what it holds
    """Asks a service again and again, and fails if it ever does not answer."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self.ask, self.over, self.answers = ask, threading.Event(), list[bool]()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.over.wait(0.01):
            try:
                self.answers.append(self.ask())
            except OSError:
                self.answers.append(False)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        assert all(self.answers)
        assert self.answers


def test_deleting_the_request_removes_everything(machine: Laptop) -> None:
    files = project("train >> web", train=batch(SAVE), web=service(ANSWER, 5000))
    machine.repository.commit(files)
    machine.ask()
    machine.wait("Ready")
    machine.cluster.remove("ConfigMap", "demo")
    kinds = ("ConfigMap", "Job", "Deployment", "Service", "Pod")
    eventually(lambda: not any(machine.cluster.objects(kind) for kind in kinds), 30)
    eventually(lambda: not list(machine.volume.glob("runs/demo-*")))


@KILLS
def test_a_controller_that_was_killed_in_the_middle_of_a_stage_goes_on_with_it(machine: Laptop) -> None:
    machine.repository.commit(project("slow >> load", slow=batch(SLOW + SAVE), load=batch(LOAD)))
    machine.ask()
    eventually(lambda: machine.artifact("starts"))
    machine.kill()
    machine.begin()
    (artifacts,) = machine.volume.glob("runs/demo-*/1/artifacts")
    (artifacts / "go-on").touch()
    machine.wait("Ready")
    assert machine.artifact("starts") == "x"
    assert [job["metadata"]["name"] for job in machine.cluster.objects("Job")] == ["demo-slow-1", "demo-load-1"]


@KILLS
def test_a_stage_that_ended_while_no_controller_ran_is_found_done(machine: Laptop) -> None:
    machine.repository.commit(project("slow", slow=batch(SLOW)))
    machine.ask()
    eventually(lambda: machine.artifact("starts"))
    machine.kill()
    (artifacts,) = machine.volume.glob("runs/demo-*/1/artifacts")
    (artifacts / "go-on").touch()
    eventually(lambda: machine.cluster.objects("Job")[0]["status"].get("succeeded"))
    machine.begin()
    machine.wait("Ready")
    assert machine.artifact("starts") == "x"


def test_twenty_requests_at_once_all_end_well_and_each_stage_runs_once(machine: Laptop) -> None:
    machine.repository.commit(project("save >> load", save=batch(SAVE), load=batch(LOAD)))
    requests = [f"demo-{number}" for number in range(20)]
    for name in requests:
        machine.ask(name)
    eventually(lambda: all(machine.status(name).get("phase") == "Ready" for name in requests), 100)
    reports = list(machine.volume.glob("runs/demo-*/1/artifacts/report"))
    assert len(reports) == len(requests)
    assert len(list(machine.volume.glob("runs/demo-*/1/logs/*/*.log"))) == 2 * len(requests)
