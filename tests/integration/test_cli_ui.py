"""`coachwork ui`: the page of a cluster, or of this machine, for one browser on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bareclient import Browser, to_the_end
from tests.support.cli import CommandLine, Running, write
from tests.support.eventually import eventually
from tests.support.front import Front, front
from tests.support.front import status as refused
from tests.support.laptop import batch, laptop
from tests.support.laptop import project as files
from tests.support.world import project


def opened(running: Running) -> Browser:
    return Browser(running.line(_is_page).removeprefix("page: "))


def _is_page(line: str) -> bool:
    return line.startswith("page: ")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Front]:
    with laptop(tmp_path) as machine, front(machine, tmp_path) as it:
        yield it


@contextmanager
def ui(there: Front, home: Path, *arguments: str) -> Iterator[Running]:
    running = CommandLine(home).start("ui", *arguments, "--no-browser", "--kubeconfig", str(there.kubeconfig))
    try:
        yield running
    finally:
        running.interrupt()
        assert running.end().code == 0


def test_a_browser_that_was_let_in_sees_what_the_cluster_shows(there: Front, tmp_path: Path) -> None:
    there.machine.repository.commit(files("train", train=batch("print('trained')")))
    there.machine.ask()
    there.machine.wait("Ready")
    with ui(there, tmp_path / "home", "demo") as running:
        browser = opened(running)
        assert browser.open() == "/requests/demo"
        status, page = browser.ask("/")
        assert (status, "demo" in page) == (200, True)
        assert "\ntrained\n" in browser.ask("/api/logs/demo/train?follow=1")[1]
        assert json.loads(browser.ask("/api/runs/demo/9")[1])["code"] == 404
        with browser.asking("/events?request=demo") as events:
            assert events.headers["Content-Type"] == "text/event-stream"
            assert len(events.headers.get_all("Date", [])) == 1, "the controller's: ages are by its clock"
            assert events.readline().startswith(b"event: change")


def test_nobody_else_is_let_in(there: Front, tmp_path: Path) -> None:
    with ui(there, tmp_path / "home") as running:
        browser = opened(running)
        assert browser.ask("/")[0] == 403
        assert browser.ask("/?token=guessed")[0] == 403
        assert browser.ask(browser.opening, Host=f"evil.example:{browser.port}")[0] == 403
        browser.open()
        assert browser.ask("/", Host=f"evil.example:{browser.port}")[0] == 403, "a name that leads here now"
        assert browser.ask("/", Host=f"localhost:{browser.port}")[0] == 200
        assert [browser.ask("/", method)[0] for method in ("POST", "PUT", "PATCH", "DELETE")] == [405] * 4


def test_it_goes_on_when_the_controller_was_replaced_and_says_so(there: Front, tmp_path: Path) -> None:
    with ui(there, tmp_path / "home") as running:
        browser = opened(running)
        browser.open()
        with browser.asking("/events") as events:
            assert events.readline()
            there.pages.stop()
            there.deployment = {"spec": {"replicas": 1}, "status": {}}
            to_the_end(events)
        status, line = browser.ask("/")
        assert (status, "Deployment coachwork has 0 of 1 pods ready" in line) == (503, True)
        running.error(lambda line: line.endswith("; trying again"))
        there.tokens += 1  # the one that was made before is no good any more
        there.replace()
        eventually(lambda: browser.ask("/")[0] == 200)
        running.error(lambda line: line == "the controller answers again")


def test_what_the_api_server_refuses_is_said_with_its_remedy(there: Front, tmp_path: Path) -> None:
    with ui(there, tmp_path / "home") as running:
        browser = opened(running)
        browser.open()
        for code, line in ((401, "they may have expired, log in again"), (403, "no right to get services/proxy in")):
            there.refusing = code, refused(code, "", "no")
            status, said = browser.ask("/requests/demo")
            assert (status, line in said) == (503, True), said


def test_without_a_token_nothing_is_shown_and_what_is_missing_is_said(there: Front, tmp_path: Path) -> None:
    there.machine.repository.commit(files("train", train=batch("print('trained')")))
    there.machine.ask()
    there.machine.wait("Ready")
    shell = CommandLine(tmp_path / "home")
    where = ("--kubeconfig", str(there.kubeconfig))
    for code, line in (
        (
            403,
            "no right to create serviceaccounts/token of coachwork-reader in namespace laptop: ask its administrator",
        ),
        (404, "no ServiceAccount coachwork-reader in namespace laptop: apply deploy/ of the controller's release"),
    ):
        there.no_token = refused(code, "", "no", kind="serviceaccounts")
        ended = shell.run("logs", "demo", "train", *where)
        assert (ended.code, line in ended.err, "trained" in ended.out) == (4, True, False), ended.err
    there.no_token = {}
    ended = shell.run("logs", "demo", "train", *where)
    assert "trained\n" in ended.out, ended


def test_waiting_for_a_controller_ends_with_ctrl_c(there: Front, tmp_path: Path) -> None:
    there.pages.stop()
    there.deployment = {"spec": {"replicas": 1}, "status": {}}
    running = CommandLine(tmp_path / "home").start("ui", "--no-browser", "--kubeconfig", str(there.kubeconfig))
    running.error(lambda line: "; waiting for it" in line)
    running.interrupt()
    assert running.end().code == 130


def test_runs_of_this_machine_are_shown_without_a_cluster(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "iris", project("train") | {"train/run.py": "print('trained')"})
    running = coachwork.start("run", str(folder), "--ui")
    browser = Browser(running.error(_is_page).removeprefix("page: "))
    assert browser.open() == "/requests/iris"
    running.line(lambda line: line.startswith("Ready: run 1"))
    assert "\ntrained\n" in browser.ask("/api/logs/iris/train")[1]
    coachwork.run("run", str(write(tmp_path / "other" / "iris", project("train"))))
    assert f"file://{folder}<" in browser.ask("/requests/iris")[1], "not of another one of its name"
    with browser.asking("/events?request=iris") as events:
        assert events.readline().startswith(b"event: change")
        running.interrupt()
        ended = running.end()
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "stopping the page"), "the outcome is that of the run"
    running = coachwork.start("ui", "iris", "--local", "--no-browser")
    browser = opened(running)
    browser.open()
    assert "iris" in browser.ask("/")[1]
    running.interrupt()
    assert running.end().code == 0


def test_a_port_that_is_taken_is_said_to_be(there: Front, tmp_path: Path) -> None:
    shell = CommandLine(tmp_path / "home")
    ended = shell.run("ui", "--port", str(there.port), "--no-browser", "--kubeconfig", str(there.kubeconfig))
    assert (ended.code, ended.err) == (2, f"--port {there.port}: Address already in use: name another one")
