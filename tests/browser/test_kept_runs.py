"""The page of runs that are over, in a real browser: what hostile stages left, everybody's eyes and hands, and size."""

import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from tests.support.browser import Window
from tests.support.cli import CommandLine
from tests.support.hostile import CANARY, MARKUP, NAMES

PLACES = (
    "requests/iris/runs/1/stages/load",
    "requests/iris/runs/2/stages/report?attempt=1&timestamps=1",
    "requests/iris/runs/1/artifacts",
    "requests/iris/runs/1/artifacts/table.csv",
    "requests/iris/runs/1/artifacts/report.html",
    "requests/iris/runs/1/artifacts/plots/heat.png",
    "requests/iris/runs/1/artifacts/model.bin",
)
OTHERS = (
    "",
    "requests/iris",
    "requests/iris/runs/2",
    "requests/iris/compare?runs=1,2",
    "api/runs/iris",
    "api/logs/iris",
)
WHOLE_LOG = 64 << 20  # bytes, the most that is kept of a stage's


def enter(it: Window, address: str, place: str = "") -> None:
    """Go to a page as somebody does who has opened the address that the command said."""
    it.page.goto(address)
    if place:
        it.page.goto(urljoin(address, f"/{place}"))


@pytest.mark.parametrize("place", PLACES)
def test_everybody_can_read_a_page(opened: Window, address: str, place: str) -> None:
    page = opened.page
    enter(opened, address, place)
    expect(page.locator("h1")).to_have_count(1)
    assert opened.serious() == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert opened.serious("color-contrast", "link-in-text-block") == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert opened.wide() == []


def test_a_secret_is_on_no_page(opened: Window, address: str) -> None:
    for place in (*OTHERS, *PLACES):
        enter(opened, address, place)
        assert CANARY not in opened.page.content()
    assert "***" in opened.page.goto(urljoin(address, "/api/logs/iris/load?run=1")).text()  # type: ignore[union-attr]


def test_a_keyboard_leads_everywhere(opened: Window, address: str) -> None:
    enter(opened, address)
    for words, place in (
        ("iris", "/requests/iris"),
        ("Run 2", "/requests/iris/runs/2"),
        ("train", "/runs/2/stages/train"),
        ("1", "stages/train?tail=1000&attempt=1"),
    ):
        press(opened, words)
        opened.page.wait_for_url(f"**{place}")
    expect(opened.page.locator("#log")).to_contain_text("not at first")
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("attempt 1")
    expect(opened.page.locator("#log")).not_to_contain_text("not at first")
    expect(opened.page.locator("#log")).to_contain_text("attempt 1")


def press(it: Window, words: str) -> None:
    """Go from link to link with the Tab key until one has these words and shows that it has the focus; follow it."""
    focus = "() => [document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]"
    for _ in range(60):
        it.page.keyboard.press("Tab")
        text, outline = it.page.evaluate(focus)
        if text.strip() == words:
            assert outline != "none"
            it.page.keyboard.press("Enter")
            return
    raise AssertionError(f"the Tab key never comes to {words!r}")


def test_what_hostile_stages_print_is_text(opened: Window, address: str) -> None:
    enter(opened, address, "requests/iris/runs/1/stages/load")
    log = opened.page.locator("#log")
    for text in (f"{MARKUP} <script>alert(2)</script> </pre></main>", "red  bell \\u0007 \\u202eback\\u202c", "3 of 3"):
        expect(log).to_contain_text(text)
    expect(log).not_to_contain_text("1 of 3")
    expect(log).to_contain_text("the secret is ***")
    enter(opened, address, "requests/iris")
    expect(opened.page.locator("#main")).to_contain_text(f"{MARKUP} \\u202e is wrong with ***")
    assert opened.page.locator("#main img").count() == 0


def test_artifacts_are_found_and_shown_whatever_their_names(opened: Window, address: str) -> None:
    enter(opened, address, "requests/iris/runs/1/artifacts")
    top, rows = opened.page.url, opened.page.locator("#files tbody tr")
    opened.page.get_by_role("searchbox").fill("TXT")
    expect(rows).to_have_count(5)
    for name in NAMES[:3]:
        opened.page.goto(top)
        for part in name.split("/"):
            opened.page.get_by_role("link", name=part).click()
        expect(opened.page.locator("pre")).to_have_text(f"this is <b>{name}")
    opened.page.goto(top)
    opened.page.get_by_role("link", name="\\udcff.txt").click()
    expect(opened.page.locator("pre")).to_have_text("not UTF-8")
    with opened.page.expect_download() as download:
        opened.page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text() == "not UTF-8"


def test_previews_show_and_nothing_in_them_acts(opened: Window, address: str) -> None:
    page = opened.page
    enter(opened, address, "requests/iris/runs/1/artifacts")
    top = page.url
    for picture in ("curve.svg", "heat.png"):
        page.goto(f"{top}/plots/{picture}")
        assert page.locator("#main img").evaluate("(it) => it.decode().then(() => it.naturalWidth)") > 0
    page.goto(f"{top}/report.html")
    expect(page.frame_locator("iframe").locator("#p")).to_have_text("as written")
    page.frame_locator("iframe").get_by_role("button").click()
    page.goto(f"{top}/report.html?drawn")  # by itself
    expect(page.locator("#p")).to_have_text("as written")
    page.goto(f"{top}/plots/curve.svg?drawn")
    page.goto(f"{top}/table.csv")
    expect(page.locator("#main tbody tr")).to_have_count(500)
    expect(page.get_by_text("the first 500 rows")).to_be_visible()
    page.goto(f"{top}/scores.json")
    expect(page.locator("pre")).to_contain_text('"<b>a</b>"')
    page.goto(f"{top}/model.bin")
    expect(page.get_by_text("not text: download it")).to_be_visible()
    assert any("sandboxed" in line for line in opened.held_back)


def test_a_log_of_64_mib_can_be_read_and_searched(opened: Window, here: CommandLine, address: str) -> None:
    (log,) = Path(here.home).glob("runs/iris-*/1/logs/tidy/1.log")
    line = "epoch {:07d} the loss is 0.125 and falls\n"
    count = WHOLE_LOG // len(line.format(0))
    log.write_text("".join(map(line.format, range(count))))
    enter(opened, address, "requests/iris/runs/1/stages/tidy")
    first, last = opened.page.locator("#log pre").first, opened.page.locator("#log pre").nth(-2)  # blocks of lines
    expect(last).to_contain_text(f"epoch {count - 1:07d}")
    expect(first).to_contain_text(f"epoch {count - 1000:07d}")
    opened.page.get_by_role("link", name="all", exact=True).click()
    expect(last).to_contain_text(f"epoch {count - 1:07d}")
    expect(first).to_contain_text("epoch 0000000")
    opened.page.locator("#log-find").fill("0000777")
    expect(opened.page.locator("#log")).to_have_text("epoch 0000777 the loss is 0.125 and falls")


def test_a_line_without_end_does_not_hold_the_page_up(opened: Window, here: CommandLine, address: str) -> None:
    (log,) = Path(here.home).glob("runs/iris-*/2/logs/tidy/1.log")
    log.write_text("first\n" + "x" * (16 << 20) + "".join(f"\r{at} of 900000" for at in range(900_000)) + "\nlast\n")
    enter(opened, address, "requests/iris/runs/2/stages/tidy")
    expect(opened.page.locator("#log pre").last).to_have_text("")
    expect(opened.page.locator("#log pre").nth(-2)).to_have_text(re.compile("first.*899999 of 900000.*last", re.DOTALL))


def test_the_page_says_what_the_commands_say(opened: Window, here: CommandLine, address: str) -> None:
    said = json.loads(here.run("status", "iris", "--local", "--output", "json").out)
    enter(opened, address, "requests/iris")
    expect(opened.page.locator("h1")).to_contain_text(said["phase"])
    expect(opened.page.locator("#main")).to_contain_text(said["message"])
    for name, stage in said["stages"].items():
        expect(opened.page.locator(f"#stage-{name}")).to_contain_text(stage["state"])
    for run in json.loads(here.run("runs", "iris", "--local", "--output", "json").out):
        expect(opened.page.locator("#history")).to_contain_text(f"{run['run']} {run['outcome']}")
