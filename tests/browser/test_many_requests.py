"""The list of a place with 1,000 requests, in a real browser, while they change all the time."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.support.browser import Window
from tests.support.keptruns import KeptRuns
from tests.support.shownpage import Place, idle, served

COUNT, SHOWN = 1000, 100


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(KeptRuns(tmp_path_factory.mktemp("volume")))
    for number in range(COUNT):
        place.put(f"model-{number:04}", idle("Ready"))
    return place


@pytest.fixture
def restless(place: Place) -> Iterator[None]:
    """Let one request after the other change, all of them but the first, dozens a second."""
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.wait(0.02):
            number = number % (COUNT - 1) + 1
            place.put(f"model-{number:04}", idle("Ready", "as ever"))

    thread = threading.Thread(target=change)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("restless")
def test_among_a_thousand_requests_that_change_one_is_found_and_followed(place: Place, opened: Window) -> None:
    page = opened.page
    with served(place) as address:
        page.goto(address)
        expect(page.locator("#requests tr")).to_have_count(SHOWN)
        first = page.locator("#request-model-0000").element_handle()
        search = page.get_by_role("searchbox")
        search.press_sequentially("0000")
        expect(page.locator("#requests tr")).to_have_count(1)
        assert page.url.endswith("?q=0000")
        expect(search).to_be_focused()
        place.put("model-0000", idle("Failed", "<b>stage train</b>: it failed"))
        row = page.locator("#request-model-0000")
        expect(row).to_contain_text("Failed")
        expect(row).to_contain_text("<b>stage train</b>: it failed")
        assert row.evaluate("(row, before) => row === before", first), "the row was made again, and not changed"
