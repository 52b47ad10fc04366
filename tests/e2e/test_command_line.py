"""The commands on a real cluster, with a person's own kubeconfig and no more rights than the Role for people gives."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.bareclient import Browser, to_the_end
from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl
from tests.support.e2e_projects import batch, project, server, service

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "deploy" / "components" / "user-role" / "role.yaml"
SECONDS = 240
SAVE = """
import os, pathlib
words = "trained with " + os.environ.get("ALPHA", "nothing")
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "model.txt").write_text(words)
print("trained")
"""
SLOW = "import time\nprint('begun')\ntime.sleep(600)\n"


class Person:
    """Somebody with a kubeconfig of their own, and nothing else."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def run(self, *arguments: str, code: int = 0, namespace: str = NAMESPACE) -> str:
        """Return what a command printed; it has to end with this code."""
        command = [sys.executable, "-m", "controller", *arguments, "-n", namespace]
        environ = {**os.environ, "KUBECONFIG": str(self._kubeconfig), "COLUMNS": "200"}
        done = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == code, f"{arguments} exited {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def page(self) -> Iterator[Browser]:
        """Yield a browser that was let in by `coachwork ui`; in the end Ctrl-C is pressed."""
        command = [sys.executable, "-m", "controller", "ui", "--no-browser", "-o", "json", "-n", NAMESPACE]
        environ = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        with subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            browser = Browser(json.loads(running.stdout.readline())["page"])
            browser.open()
            yield browser
            running.send_signal(signal.SIGINT)
            assert running.wait(SECONDS) == 0

    def json(self, *arguments: str) -> Any:
        """Return the JSON that a command wrote."""
        return json.loads(self.run(*arguments, "--output", "json"))


@pytest.fixture
def person(coachwork: Coachwork, tmp_path: Path) -> Iterator[Person]:
    """Yield a person who is bound to the Role for people, for one test."""
    name = coachwork.name("person")
    kubectl("-n", NAMESPACE, "apply", "-f", str(ROLE))
    kubectl("-n", NAMESPACE, "create", "serviceaccount", name)
    account = f"--serviceaccount={NAMESPACE}:{name}"
    kubectl("-n", NAMESPACE, "create", "rolebinding", name, "--role=coachwork-user", account)
    try:
        yield Person(kubeconfig(name, tmp_path / "kubeconfig"))
    finally:
        kubectl("-n", NAMESPACE, "delete", "rolebinding,serviceaccount", name)


def kubeconfig(account: str, path: Path) -> Path:
    """Write the kubeconfig of a ServiceAccount; return its path."""
    config = json.loads(kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    token = kubectl("-n", NAMESPACE, "create", "token", account)
    config["users"] = [{"name": account, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = account
    path.write_text(json.dumps(config))
    return path


def test_a_project_goes_from_its_repository_to_a_service_with_one_command(coachwork: Coachwork, person: Person) -> None:
    name = coachwork.name("deploy")
    files = project(name, "train >> serve\nREUSE = True", batch("train", SAVE), service("serve", server("hello")))
    coachwork.git.push(name, files)
    url = f"http://{name}--serve.{NAMESPACE}:5000/hook"
    kubectl("-n", NAMESPACE, "create", "secret", "generic", name, f"--from-literal=url={url}")
    output = person.run("deploy", coachwork.git.url(name), "--env", "ALPHA=0.1", "--notify-secret", name)
    assert re.search("^Ready: run 1 at ", output, re.MULTILINE)
    assert f"port-forward service/{name}--serve " in output
    assert person.json("watch", name)["services"]["serve"].startswith(f"http://{name}--serve.{NAMESPACE}:")
    coachwork.answer(f"{name}--serve", "hello")
    assert re.search(rf"^{name} +Ready +1 ", person.run("status"), re.MULTILINE)
    assert f"http://{name}--serve.{NAMESPACE}:5000" in person.run("status", name)
    assert "unknown" not in person.run("version")
    person.run("rerun", name, "--from", "serve", "--wait")
    shown = person.run("logs", name, "train", "--tail", "1")
    assert "train did not run in run 2 (Reused): this is its log of run 1\n" in shown
    assert "trained\n" in shown
    shown = person.run("logs", name, "train", "--timestamps")
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ trained$", shown, re.MULTILINE)
    for edit, state, why in (
        ("README.md", "Reused", "no input has changed since run 2"),
        ("train/main.py", "Done", "not reused: train/main.py has changed since run 3"),
    ):
        coachwork.git.push(name, {**files, edit: f"{SAVE}# changed\n"})
        person.run("trigger", name, "--wait")
        assert re.search(rf"^train +{state} .*{why}", shown := person.run("status", name), re.MULTILINE), shown
    assert [entry["path"] for entry in person.json("artifacts", name)] == ["model.txt"]
    coachwork.git.push(name, project(name, "train", batch("train", "raise ValueError('no rows')")))
    person.run("trigger", name, "--wait", code=1)
    eventually(lambda: '"event": "Failed"' in person.run("logs", name, "serve", "--run", "good"), "notification")
    coachwork.wait_for(name, lambda data: "notices" not in data, "record of the notification")
    assert "notify problem" not in person.run("status", name)
    kubectl("-n", NAMESPACE, "delete", "secret", name)
    assert f"Service/{name}--serve" in person.run("delete", name, "--yes"), "the last run has no such stage"
    eventually(lambda: not coachwork.objects(name, "deployments,services,pods"), "end of all that it owned")


def test_a_trigger_with_parameters_runs_once_and_a_rerun_repeats_it(
    coachwork: Coachwork, person: Person, tmp_path: Path
) -> None:
    name = coachwork.name("trigger")
    coachwork.git.push(name, project(name, "train", batch("train", SAVE)))
    person.run("deploy", coachwork.git.url(name), "--name", name)
    for _ in range(2):
        person.run("trigger", name, "--id", "slot-1", "--set", "ALPHA=0.5", "--wait")
    coachwork.git.push(name, project(name, "train", batch("train", "raise ValueError('no rows')")))
    output = person.run("trigger", name, "--wait", code=1)
    assert "ValueError: no rows" in output
    assert "the last lines of stage train:" in output
    assert "variable" not in (changed := person.run("diff", name))
    assert re.search(r"^commit ", changed, re.MULTILINE)
    assert re.search(r"^train +Done .*Failed", changed, re.MULTILINE)
    person.run("rerun", name, "--run", "good", "--wait")
    person.run("artifacts", name, "model.txt", "--to", str(tmp_path))
    assert (tmp_path / "model.txt").read_text() == "trained with 0.5"
    outcomes = [(run["run"], run["outcome"]) for run in person.json("runs", name)]
    assert outcomes == [(4, "Succeeded"), (3, "Failed"), (2, "Succeeded"), (1, "Succeeded")]


def test_a_run_that_takes_too_long_is_let_go_then_cancelled(coachwork: Coachwork, person: Person) -> None:
    name = coachwork.name("cancel")
    coachwork.git.push(name, project(name, "train", batch("train", SLOW, seconds=900)))
    person.run("deploy", coachwork.git.url(name), "--name", name, "--timeout", "5s", code=124)
    person.run("cancel", name)
    person.run("watch", name, code=5)
    person.run("trigger", name, "--id", "x", "--wait", "--timeout", "1s", code=124)


def test_a_missing_right_or_a_mistyped_name_is_answered_with_the_remedy(coachwork: Coachwork, person: Person) -> None:
    name = coachwork.name("nobody")
    assert f'no request "{name}" in namespace {NAMESPACE}' in person.run("status", name, code=3)
    output = person.run("status", name, code=4, namespace="kube-system")
    assert "no right to get configmaps in namespace kube-system" in output
    assert "coachwork-user" in output


def test_the_page_comes_through_the_api_server_as_it_happens_and_outlives_its_controller(
    coachwork: Coachwork, person: Person
) -> None:
    name = coachwork.name("page")
    coachwork.git.push(name, project(name, "wait", batch("wait", SLOW, seconds=900)))
    coachwork.request(name)
    coachwork.running(name, "wait")
    with person.page() as browser:
        assert name in browser.ask("/")[1]
        with browser.asking(f"/api/logs/{name}/wait?follow=1") as log:
            while log.readline() != b"begun\n":  # it is still running: nothing holds lines back on the way
                pass
        with browser.asking(f"/events?request={name}") as events:
            assert events.headers["Content-Type"] == "text/event-stream"
            _event(events, b"change")
            person.run("cancel", name)
            _event(events, b"change")
            kubectl("-n", NAMESPACE, "delete", "pod", coachwork.controller(), "--wait=false")
            to_the_end(events)
        eventually(lambda: browser.ask(f"/requests/{name}")[0] == 200, "page of the next controller")


def _event(events: http.client.HTTPResponse, kind: bytes) -> None:
    while (line := events.readline()) != b"event: %s\n" % kind:
        assert line
