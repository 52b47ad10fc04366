"""The page of a run while it goes on, in a real browser: `coachwork run --ui`, whose stages do what the test says."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.support.browser import Window, command_line, page_of, window
from tests.support.cli import CommandLine, Running, write
from tests.support.eventually import eventually
from tests.support.world import project

OBEYS = """
import os, pathlib, time
order = pathlib.Path(os.environ["DESK"], os.environ["COACHWORK_STAGE"] + os.environ["COACHWORK_ATTEMPT"])
done = 0
while True:
    *lines, _ = (order.read_text() if order.exists() else "").split("\\n")
    for line in lines[done:]:
        if line == "end":
            pathlib.Path(os.environ["COACHWORK_METRICS"]).write_text('{"accuracy": 0.967}')
            raise SystemExit
        if line == "fail":
            raise ValueError("column petal_width is missing")
        print(line, flush=True)
    done = len(lines)
    time.sleep(0.02)
"""
PICTURE: ViewportSize = {"width": 1100, "height": 700}
STAGES = ("load", "train", "tidy", "report")


@dataclass
class Theatre:
    """A run under way, and what directs it."""

    line: CommandLine
    running: Running
    desk: Path
    address: str

    def say(self, attempt: str, words: str) -> None:
        """Let an attempt, as train1, print a line; `end` and `fail` are what they say."""
        with (self.desk / attempt).open("a") as order:
            order.write(f"{words}\n")

    def states(self) -> dict[str, str]:
        """Return what `coachwork status` says of each stage."""
        said = json.loads(self.line.run("status", "iris", "--local", "--output", "json").out)
        return {name: stage["state"] for name, stage in said["stages"].items()}


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    with tempfile.TemporaryDirectory() as root:  # its address is on the pictures, and short
        yield from _theatre(Path(root))


def _theatre(tmp_path: Path) -> Iterator[Theatre]:
    files = project("load >> train, tidy >> report", retries=1)
    line, desk = command_line(tmp_path), tmp_path / "desk"
    desk.mkdir()
    folder = write(tmp_path / "iris", files | {f"{stage}/run.py": OBEYS for stage in STAGES})
    running = line.start("run", str(folder), "--ui", "--env", f"DESK={desk}")
    yield Theatre(line, running, desk, page_of(running))
    if running.process.poll() is None:
        running.interrupt()
    running.end()


def test_every_change_of_a_run_comes_by_itself(
    theatre: Theatre, browser: Browser, opened: Window, screenshot: Callable[[Window, str], None]
) -> None:
    page = opened.page

    def shown(**states: str) -> None:
        for stage, state in states.items():
            expect(page.locator(f"#node-{stage} .state")).to_contain_text(state)
        eventually(lambda: states.items() <= theatre.states().items())

    page.goto(theatre.address)
    shown(load="Running", train="Waiting", tidy="Waiting", report="Waiting")
    with window(browser) as other:
        other.page.goto(theatre.address)
        other.page.locator("#node-load a").click()
        for words in ("reading iris.csv", "<b>150</b> rows, 5 columns"):
            theatre.say("load1", words)
            expect(other.page.locator("#log")).to_contain_text(words)
        theatre.say("load1", "end")
        expect(other.page.locator("#log-attempt")).to_contain_text("Completed")
    shown(load="Done", train="Running", tidy="Running", report="Waiting")
    theatre.say("train1", "fail")
    theatre.say("tidy1", "end")
    expect(page.locator("#node-train .state")).to_contain_text("attempt 2")
    expect(page.locator("#attempt-1-of-train")).to_contain_text("ValueError: column petal_width is missing")
    shown(load="Done", train="Running", tidy="Done", report="Waiting")
    page.set_viewport_size(PICTURE)
    screenshot(opened, "run")
    with window(browser, viewport=PICTURE, color_scheme="dark") as other:
        other.page.goto(theatre.address)
        other.page.locator("#node-train a").click()
        for epoch in range(1, 13):
            theatre.say("train2", f"epoch {epoch:2}: loss {1 / (1 + epoch):.3f}")
        expect(other.page.locator("#log")).to_contain_text("epoch 12: loss 0.077")
        expect(other.page.locator("#log")).not_to_contain_text("petal_width")  # of the attempt before
        screenshot(other, "log")
    theatre.say("train2", "end")
    shown(train="Done", report="Running")
    theatre.say("report1", "end")
    shown(report="Done")
    expect(page.locator("h1")).to_contain_text("Ready")
    expect(page.locator("#stage-train")).to_contain_text("accuracy 0.967")


def test_a_lost_connection_is_said(theatre: Theatre, opened: Window) -> None:
    page = opened.page
    page.goto(theatre.address)
    expect(page.locator("#node-load .state")).to_contain_text("Running")
    expect(page.locator("#connection")).to_be_hidden()
    theatre.running.interrupt()
    assert theatre.running.end().code == 130
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    again = theatre.line.start("ui", "--local", "--port", str(urlsplit(theatre.address).port))
    address = page_of(again)
    expect(page.locator("#connection")).to_contain_text("open the address that coachwork printed")
    page.goto(address)
    page.get_by_role("link", name="iris").click()
    expect(page.locator("h1")).to_contain_text("Cancelled")
    expect(page.locator("#connection")).to_be_hidden()
    again.interrupt()
    assert again.end().code == 0
