"""What a controller exports after real runs: as documented, as Prometheus wants it, and nothing of what is secret."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from controller.adapters.kube.kinds import CALLS, RIGHTS, WATCHED
from tests.support.eventually import eventually
from tests.support.laptop import Laptop, batch, laptop, project, service
from tests.support.metricsdoc import bounds, documented, exported, series

CANARY = "canary-4711-secret"
TRAIN = """
import json, os
attempt = int(os.environ["COACHWORK_ATTEMPT"])
print("the key is", os.environ["KEY"])
with open(os.environ["COACHWORK_METRICS"], "w") as metrics:
    json.dump({"accuracy": 0.9}, metrics)
raise SystemExit(attempt == 1)
"""
ANSWER = """
import http.server, os
http.server.HTTPServer(("0.0.0.0", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """Yield a machine after a good run with a retry, a bad one, one that is active, and one without a branch."""
    with laptop(tmp_path_factory.mktemp("metrics"), {"aws": {"KEY": CANARY}}) as machine:
        retried = batch(TRAIN, more="[secrets]\nKEY = aws\n").copy()
        retried["config.ini"] = retried["config.ini"].replace("RETRIES = 0", "RETRIES = 2")
        machine.repository.commit(project("train >> api", train=retried, api=service(ANSWER, 5391)))
        machine.ask()
        machine.wait("Ready")
        machine.repository.commit(project("train", train=batch("raise SystemExit(3)")))
        machine.trigger("worse")
        machine.wait("Failed", run=2)
        machine.ask("lost", ref="no-such-branch", schedule="@daily")
        eventually(lambda: machine.status("lost").get("phase") == "Invalid")
        machine.repository.commit(project("wait", wait=batch("import time; time.sleep(600)")))
        machine.ask("active")
        eventually(lambda: "run" in machine.status("active"))
        machine.metrics.api.expect(
            CALLS, [(verb, resource) for (_, resource), verbs in RIGHTS.items() for verb in verbs]
        )
        for kind in WATCHED:
            machine.metrics.api.show_watch(kind.resource, lambda: 1.0)
        yield machine


@pytest.fixture(scope="module")
def scrape(machine: Laptop) -> str:
    return machine.metrics.exposition("")[1].decode()


def test_every_metric_is_documented_with_its_type_and_labels_and_none_is_invented(scrape: str) -> None:
    found, promised = exported(scrape), documented()
    unused = {"coachwork_request_pending_since_timestamp_seconds"}  # nothing waits here
    assert found.keys() == promised.keys()
    assert {name: found[name].type for name in found} == {name: promised[name].type for name in found}
    assert {name: found[name].labels for name in found.keys() - unused} == {
        name: promised[name].labels for name in found.keys() - unused
    }


def test_no_metric_has_more_series_than_is_documented(scrape: str) -> None:
    found, most = series(scrape), bounds(requests=4)
    assert {name: number for name, number in found.items() if number > most.get(name, 10_000)} == {}
    exact = {
        "coachwork_failures_total",
        "coachwork_git_failures_total",
        "coachwork_retries_total",
        "coachwork_stages_total",
    }
    assert {name: found[name] for name in exact} == {name: most[name] for name in exact}


def test_promtool_finds_nothing_to_say(scrape: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus), and only it can lint metrics")
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=scrape, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_runs_did_shows(machine: Laptop) -> None:
    def value(metric: str, /, **labels: str) -> float | None:
        return machine.metrics.value(f"coachwork_{metric}", **labels)

    assert value("runs_total", outcome="Succeeded") == value("runs_total", outcome="Failed") == 1
    assert value("runs_total", outcome="Invalid") == 1
    assert value("retries_total", reason="ExitCode") == 1
    assert value("failures_total", reason="ExitCode") == value("failures_total", reason="RefNotFound") == 1
    assert (value("git_failures_total", reason="RefNotFound") or 0) >= 1
    assert value("attempts_total", kind="batch", outcome="failed") == 2
    assert value("stages_total", kind="service", state="Done") == 1
    assert (value("redactions_total", place="stage") or 0) >= 2
    assert 0 < (value("stage_start_seconds_sum", kind="batch") or 0) < 20
    assert value("stage_start_seconds_count", kind="batch") == 2
    assert value("request_failure", request="demo", reason="ExitCode") == 1
    assert value("request_failure", request="lost", reason="RefNotFound") == 1
    assert value("request_last_slot_timestamp_seconds", request="lost") == 0
    assert (value("request_next_slot_timestamp_seconds", request="lost") or 0) % 86_400 == 0
    assert value("request_run_started_timestamp_seconds", request="active")
    assert value("stage_metric", request="demo", stage="train", name="accuracy") == 0.9
    assert (value("workers"), value("ready")) == (2, 1)


def test_no_secret_shows(scrape: str) -> None:
    assert CANARY not in scrape


def test_a_request_that_is_gone_leaves_no_series(machine: Laptop) -> None:
    machine.ask("gone", **{"run-on-create": "false"})
    eventually(lambda: 'request="gone"' in machine.metrics.exposition("")[1].decode())
    machine.cluster.remove("ConfigMap", "gone")
    eventually(lambda: 'request="gone"' not in machine.metrics.exposition("")[1].decode())
