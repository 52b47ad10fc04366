"""Pages of requests in every state, in a real browser: for everybody, on every screen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from controller.core.errors import Transient
from controller.core.model import Record, StageRecord
from tests.support.browser import window
from tests.support.keptruns import KeptRuns
from tests.support.shownpage import SPEC, UID, Place, ago, idle, retried, served

PAGES = (
    "",
    "?q=nothing+like+it",
    "requests/iris",
    "requests/fraud",
    "requests/spam",
    "requests/new",
    "requests/iris/runs/7",
    "requests/iris/compare?runs=6,7",
    "requests/unknown",
)
WORD = "a-word-that-is-much-longer-than-any-screen-is-wide" * 4


def active() -> Record:
    """Return the record of a run with a stage in each state."""
    lacking = "0/3 nodes are available: insufficient memory; waits up to 10 min, then fails"
    stages = {
        "environment": StageRecord("Reused"),
        "prepare": StageRecord("Done", started=ago(60), finished=ago(38), attempts=1, metrics={"rows": 15000}),
        "train": StageRecord("Running", started=ago(38), attempts=2),
        "report": StageRecord("Running", "Unschedulable", lacking, started=ago(38), waiting_for="schedule"),
        "serve": StageRecord("Waiting"),
        WORD: StageRecord("Failed", "ExitCode", WORD, started=ago(38), finished=ago(30), attempts=3),
        "stopped": StageRecord("Stopped", started=ago(38)),
    }
    spec = replace(SPEC, steps=(("prepare",), ("train", "report", WORD, "stopped"), ("serve",)))
    history = idle("Ready").history
    return Record(
        UID, "Running", "StepRunning", "run 13, step 2", run=13, step=2, spec=spec, started=ago(60), stages=stages,
        history=history,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Place, str]]:
    place = Place(KeptRuns(tmp_path))
    for run in (6, 7):
        record, attempts = retried(run)
        place.leave(replace(record, spec=replace(SPEC, commit=f"{run}" * 40)), attempts, f"flask==3.{run}\n")
    place.put("iris", record, repository="https://git.example/iris", schedule="0 6 * * *")
    place.put("fraud", active())
    place.put("spam", replace(idle("Invalid", f"3 problems: {WORD}"), problems=(WORD, "b", "c")))
    place.put("wine", idle("Failed", f"stage train: train/train.py:12: ValueError: {WORD}"))
    place.put("new", Record(UID))
    with served(place) as address:
        yield place, address


@pytest.mark.parametrize(
    "screen",
    [{}, {"color_scheme": "dark", "viewport": {"width": 400, "height": 800}}],
    ids=["wide and light", "narrow and dark"],
)
def test_nothing_on_any_page_keeps_anybody_out(
    browser: Browser, place: tuple[Place, str], screen: dict[str, Any]
) -> None:
    with window(browser, **screen) as shown:
        for path in PAGES:
            shown.page.goto(place[1] + path)
            assert (path, shown.serious(), shown.wide()) == (path, [], [])


def test_of_a_thousand_requests_one_is_found_and_opened_with_the_keyboard_alone(
    browser: Browser, place: tuple[Place, str]
) -> None:
    for number in range(1000):
        place[0].put(f"team-{number}", Record(UID))
    with window(browser) as shown:
        page = shown.page
        page.goto(place[1])
        expect(page.locator("#requests tr")).to_have_count(100)
        page.keyboard.press("/")
        page.keyboard.type("iris")
        expect(page.locator("#requests tr")).to_have_count(1)
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.textContent") != "iris":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("iris Ready")


def test_a_page_follows_what_changes_and_keeps_the_readers_place(browser: Browser, place: tuple[Place, str]) -> None:
    with window(browser) as shown:
        page = shown.page
        page.goto(f"{place[1]}requests/fraud")
        page.get_by_text("The same in seconds").click()
        page.locator("#node-train a").focus()
        page.evaluate(
            "() => { getSelection().selectAllChildren(document.querySelector('#node-serve a')); scrollTo(0, 40) }"
        )
        record = active()
        done = {**record.stages, "train": StageRecord("Done", started=ago(38), finished=ago(1), attempts=2)}
        place[0].put("fraud", replace(record, stages=done))
        expect(page.locator("#node-train .state")).to_have_text("Done, attempt 2")
        expect(page.locator("#node-train a")).to_be_focused()
        expect(page.locator("#seconds table")).to_be_visible()
        assert page.evaluate("() => [String(getSelection()), scrollY]") == ["serve", 40]


def test_a_page_that_fails_for_a_moment_leaves_what_is_shown(
    browser: Browser, place: tuple[Place, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> object:
        raise Transient("VolumeUnavailable", "the volume does not answer")

    it, address = place
    it.kept.log(7, "train", 1, b"epoch 1\n")
    with window(browser) as shown:
        shown.page.goto(f"{address}requests/iris/runs/7/stages/train")
        expect(shown.page.locator("#log")).to_contain_text("epoch 1")
        with monkeypatch.context() as patched:
            patched.setattr(it.kept.archive, "run", fails)
            it.note("iris")
            expect(shown.page.locator("#connection")).to_contain_text("(the volume does not answer; try again later)")
        expect(shown.page.locator("#connection")).to_be_hidden()
        expect(shown.page.locator("#log")).to_contain_text("epoch 1")


def test_who_searches_does_not_wait_for_the_next_look(browser: Browser, place: tuple[Place, str]) -> None:
    with window(browser) as shown:
        page = shown.page
        page.clock.install(time=0)
        page.clock.pause_at(60)
        with page.expect_response(lambda answer: answer.request.resource_type == "fetch"):
            page.goto(place[1])
        page.get_by_role("searchbox").fill("iris")
        page.clock.run_for(300)
        expect(page.locator("#requests tr")).to_have_count(1)
