"""Logs and artifacts as a program gets them: with a kubeconfig, a token, and the API server's service proxy."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.e2e import NAMESPACE, VOLUME, Coachwork, ask, eventually, kubectl
from tests.support.e2e_projects import batch, project

PAGES = f"/api/v1/namespaces/{NAMESPACE}/services/http:coachwork:http/proxy"
# What docs/how-to/when-something-fails.md shows.
SHOW = 'kubectl -n "$0" create token coachwork-reader | sed "s/^/X-Coachwork-Token: /" | exec curl -sSN -H @- "$1"'
FOLLOWERS = 10  # at once
# Says that it runs, waits for a word from the test, and leaves a model.
PATIENT = """
import os, pathlib, time

print("the stage runs")
artifacts = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
while not (artifacts / "go").exists():
    time.sleep(0.1)
(artifacts / "models").mkdir()
(artifacts / "models" / "model.txt").write_text("weights of " + "x" * 100_000)
(artifacts / "passwd").symlink_to("/etc/passwd")
print("the stage ends")
"""


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """Yield the address of the pages by way of `kubectl proxy`."""
    with subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout
        yield f"http://{proxy.stdout.readline().split()[-1]}{PAGES}"
        proxy.kill()


@contextmanager
def following(address: str) -> Iterator["subprocess.Popen[str]"]:
    """Follow a page as a user at a shell does; the client is killed at the end."""
    command = ["bash", "-c", SHOW, NAMESPACE, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as client:
        try:
            yield client
        finally:
            with suppress(ProcessLookupError):
                os.killpg(client.pid, signal.SIGKILL)


def page(address: str) -> str:
    """Return one of the controller's pages as the shown line prints it."""
    with following(address) as client:
        assert client.stdout
        return client.stdout.read()


def read_until(client: "subprocess.Popen[str]", wanted: str) -> bool:
    """Read lines until one is the wanted one; whether it came before the end."""
    assert client.stdout
    return any(line.strip() == wanted for line in client.stdout)


def let_go(coachwork: Coachwork, name: str) -> None:
    """Let the patient stage of run 1 go on."""
    coachwork.shell("touch", f"{VOLUME}/runs/{name}-{coachwork.uid(name)}/1/artifacts/go")


def start(coachwork: Coachwork, word: str) -> str:
    """Start a project with a patient stage; return its name."""
    name = coachwork.name(word)
    coachwork.git.push(name, project(name, "wait", batch("wait", PATIENT)))
    coachwork.request(name)
    coachwork.running(name, "wait")
    return name


def test_a_log_is_followed_while_the_stage_runs_and_ends_with_it(coachwork: Coachwork, root: str) -> None:
    name = start(coachwork, "followed")
    with following(f"{root}/api/logs/{name}/wait?follow=1") as client:
        assert read_until(client, "the stage runs")
        assert coachwork.status(name)["phase"] == "Running"
        (run,) = json.loads(page(f"{root}/api/runs/{name}"))
        assert (run["run"], run["outcome"]) == (1, "")
        let_go(coachwork, name)
        assert read_until(client, "the stage ends")
        assert client.stdout
        client.stdout.read()
        assert client.wait(60) == 0
    assert coachwork.ended(name)["phase"] == "Ready"


def test_logs_and_artifacts_are_there_when_the_job_is_gone(coachwork: Coachwork, root: str) -> None:
    name = start(coachwork, "kept")
    let_go(coachwork, name)
    assert coachwork.ended(name)["phase"] == "Ready"
    kubectl("-n", NAMESPACE, "delete", "job", "-l", f"coachwork.io/request={name}", "--wait=true")
    eventually(lambda: not coachwork.pods(name), "end of the pods")
    (entry,) = json.loads(page(f"{root}/api/logs/{name}"))
    assert (entry["stage"], entry["attempt"], entry["exit_code"], entry["complete"]) == ("wait", 1, 0, True)
    log = page(f"{root}/api/logs/{name}/wait")
    assert log.splitlines().count("the stage ends") == 1
    before = log[: log.rindex("coachwork: end of the log")].encode()
    assert (entry["bytes"], entry["sha256"]) == (len(before), hashlib.sha256(before).hexdigest())
    files = {item["path"]: item["size"] for item in json.loads(page(f"{root}/api/artifacts/{name}"))}
    assert files == {"go": 0, "models/model.txt": 100_011}
    assert page(f"{root}/api/artifacts/{name}/good/models/model.txt") == "weights of " + "x" * 100_000
    assert json.loads(page(f"{root}/api/runs/{name}/latest"))["outcome"] == "Succeeded"


def test_clients_that_went_away_make_room_for_others(coachwork: Coachwork, root: str) -> None:
    name = start(coachwork, "left")
    path = f"{root}/api/logs/{name}/wait?follow=1"

    def follows() -> bool:
        with following(path) as client:
            return read_until(client, "the stage runs")

    for number in range(FOLLOWERS + 5):
        eventually(follows, f"room for follower {number}", seconds=60)
    let_go(coachwork, name)
    assert coachwork.ended(name)["phase"] == "Ready"


def test_what_is_not_there_says_so_in_one_line(coachwork: Coachwork, root: str) -> None:
    name = start(coachwork, "asked")
    let_go(coachwork, name)
    assert coachwork.ended(name)["phase"] == "Ready"
    for path, words in (
        (f"/api/runs/{name}x", f"did you mean {name}?"),
        (f"/api/logs/{name}/wiat", "did you mean wait?"),
        (f"/api/logs/{name}/wait?run=7", "has no run 7 yet"),
        (f"/api/artifacts/{name}/1/passwd", "plain files only"),
        (f"/api/artifacts/{name}/1/..%2Frun.json", "expected"),  # resolved by the API server, or refused by us
    ):
        assert words in json.loads(page(root + path))["error"]


def test_nobody_else_reads_through_the_api_server_or_from_within_the_cluster(coachwork: Coachwork, root: str) -> None:
    stage = kubectl("-n", NAMESPACE, "create", "token", "coachwork-stage").strip()
    reader = kubectl("-n", NAMESPACE, "create", "token", "coachwork-reader").strip()

    def shown(address: str, token: str) -> int:
        """Return the status of a page, once a controller answers: another test may just have killed it."""
        headers = {"X-Coachwork-Token": token} if token else {}
        return eventually(lambda: status if (status := ask(address, headers=headers).status) not in (0, 503) else 0, "")

    for address in (root, coachwork.address("coachwork")):
        for path in ("/", "/api/doctor", "/api/runs/x", "/requests/x", "/static/page.js"):
            statuses = [shown(address + path, token) for token in ("", "made-up", stage)]
            assert (path, statuses) == (path, [401, 401, 403])
        assert shown(address + "/static/page.js", reader) == 200
