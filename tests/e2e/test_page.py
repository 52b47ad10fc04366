"""The page of a real cluster, through `coachwork ui` and a real browser: it says what kubectl says, all the time."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Window, browser, opened, window
from tests.support.e2e import NAMESPACE, VOLUME, Coachwork, Record, eventually, kubectl
from tests.support.e2e_projects import batch, project, server, service

__all__ = ["browser", "opened"]  # fixtures
ROOT = Path(__file__).parents[2]
BRANCH = "<img-src=x-onerror=alert(1)>"
# Its first attempt in a run fails; the second waits for a word from the test.
TRAIN = """
import os, pathlib, time
print("<b>attempt</b>", os.environ["COACHWORK_ATTEMPT"], "with", os.environ["CANARY"], flush=True)
if os.environ["COACHWORK_ATTEMPT"] == "1":
    raise ValueError("not with <i>" + os.environ["CANARY"])
folder = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
while not (folder / "go").exists():
    time.sleep(0.1)
(folder / "<script>alert(1)<script>.csv").write_text("name,x\\n<b>,1\\n")
print("trained", flush=True)
"""
BROKEN = "raise RuntimeError('the model does not <u>fit</u>')\n"


@pytest.fixture
def address() -> Iterator[str]:
    """Yield the address that `coachwork ui` wants to be opened."""
    command = [sys.executable, "-m", "controller", "ui", "--no-browser", "-n", NAMESPACE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}) as ui:
        assert ui.stdout
        found = next(filter(None, (re.search(r"http://\S+", line) for line in ui.stdout)))
        yield found[0]
        ui.send_signal(signal.SIGINT)
        ui.communicate(timeout=30)
        assert ui.returncode == 0


@pytest.fixture
def canary(coachwork: Coachwork) -> Iterator[str]:
    """Yield the value of the key CANARY of the Secret page-canary."""
    value = f"canary/{uuid.uuid4().hex}+?"
    name = coachwork.name("page-canary")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"CANARY": value}}
    kubectl("-n", NAMESPACE, "create", "-f", "-", text=json.dumps(secret))
    yield f"{name} {value}"
    kubectl("-n", NAMESPACE, "delete", "secret", name)


def files(name: str, secret: str, web: str) -> dict[str, str | bytes]:
    train = batch("train", TRAIN, more=f"[secrets]\nCANARY = {secret}\n", retries=1)
    return project(name, "train >> web >> after", train, service("web", web, seconds=15), batch("after", ""))


def agrees(page: Page, coachwork: Coachwork, name: str) -> Record:
    """Wait until the page says of phase, message and stages what the record says; return the record."""
    main = page.locator("#main")

    def same() -> Record | None:
        record = coachwork.status(name)
        text, head = main.inner_text(), page.locator("h1").inner_text()
        rows = {stage: page.locator(f"#stage-{stage}").inner_text() for stage in ("train", "web", "after")}
        stages = all(record.get(f"stage.{stage}", "Waiting") in row for stage, row in rows.items())
        return record if record["phase"] in head and record.get("message", "") in text and stages else None

    record = eventually(same, "page that says what the record says", seconds=20)
    assert record
    return record


def go(coachwork: Coachwork, name: str, run: int) -> None:
    coachwork.shell("touch", f"{VOLUME}/runs/{name}-{coachwork.uid(name)}/{run}/artifacts/go")


def test_a_run_a_roll_back_and_a_cancelled_run_are_followed_and_a_restart_is_survived(
    coachwork: Coachwork, opened: Window, browser: Browser, address: str, canary: str
) -> None:
    name, page = coachwork.name("page"), opened.page
    secret, value = canary.split(" ", 1)
    coachwork.git.push(name, files(name, secret, server("one")), branch=BRANCH)
    coachwork.request(name, ref=BRANCH)
    page.goto(address)
    page.get_by_role("link", name=name).click()
    for stage in ("train", "web", "after"):
        expect(page.locator(f"#node-{stage}")).to_be_visible()
    expect(page.locator("#node-train .state")).to_contain_text("attempt 2", timeout=60_000)
    agrees(page, coachwork, name)
    expect(page.locator("#main")).to_contain_text(BRANCH)
    with window(browser) as other:
        other.page.goto(address)
        other.page.goto(f"{other.page.url}requests/{name}/runs/1/stages/train")
        log = other.page.locator("#log")
        expect(log).to_contain_text("<b>attempt</b> 2 with ***")
        kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/component=controller", "--wait=false")
        expect(page.locator("#connection")).to_contain_text("Connection lost", timeout=60_000)
        coachwork.controller()
        expect(page.locator("#connection")).to_be_hidden(timeout=60_000)
        go(coachwork, name, 1)
        expect(log).to_contain_text("trained", timeout=60_000)
    expect(page.locator("h1")).to_contain_text("Ready", timeout=90_000)
    assert agrees(page, coachwork, name)["release-run"] == "1"

    coachwork.git.push(name, files(name, secret, BROKEN), branch=BRANCH)
    coachwork.annotate(name, trigger="broken")
    expect(page.locator("#node-train .state")).to_contain_text("Running", timeout=60_000)
    agrees(page, coachwork, name)
    go(coachwork, name, 2)
    expect(page.locator("h1")).to_contain_text("Failed", timeout=90_000)
    record = agrees(page, coachwork, name)
    assert (record["release-run"], record["stage.web"]) == ("1", "Failed")
    assert "does not <u>fit</u>" in record["message"]

    coachwork.annotate(name, trigger="again")
    expect(page.locator("#node-train .state")).to_contain_text("Running", timeout=60_000)
    coachwork.annotate(name, cancel="3")
    expect(page.locator("h1")).to_contain_text("Cancelled", timeout=60_000)
    agrees(page, coachwork, name)

    wrong = files(name, secret, server("one")) | {"after/config.ini": "[default]\nSTAGE_TYPE = <b>batch</b>\n"}
    coachwork.git.push(name, wrong, branch=BRANCH)
    coachwork.annotate(name, trigger="wrong")
    expect(page.locator(".problems")).to_contain_text("after/config.ini", timeout=60_000)
    expect(page.locator(".problems")).to_contain_text("<b>batch</b>")
    expect(page.locator("h1")).to_contain_text("Invalid")

    root = page.url.partition("requests/")[0]
    for place in ("", f"requests/{name}", f"requests/{name}/runs/1", f"requests/{name}/compare?runs=1,2",
                  f"requests/{name}/runs/2/stages/train?attempt=1", f"requests/{name}/runs/1/artifacts"):  # fmt: skip
        page.goto(root + place)
        expect(page.locator("h1")).to_have_count(1)
        assert (place, opened.serious(), value in page.content()) == (place, [], False)
    page.get_by_role("link", name="<script>alert(1)<script>.csv").click()
    expect(page.get_by_role("cell", name="<b>")).to_be_visible()
