"""The list of all requests."""

from datetime import UTC, datetime

import pytest

from controller.core.documents.status import brief, write
from controller.core.model import Phase, Record, RunSpec
from controller.core.pages.listing import PAGE, UNRECORDED, Row, page, row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def item(name: str, phase: Phase = "Ready", message: str = "") -> Row:
    return row(name, {}, brief(write(Record("u", phase, message=message)), "u"))


def shown(items: list[Row], search: str = "", phase: str = "") -> list[str]:
    return [one.name for one in page(items, search, phase, 1).shown]


def test_requests_that_need_somebody_come_first_then_those_that_run() -> None:
    active = row("z", {}, brief(write(Record("u", "Running", spec=RunSpec("r", "c", ".", "t", "i"))), "u"))
    assert shown([item("a"), active, item("c", "Failed"), item("b", "Degraded")]) == ["b", "c", "z", "a"]


@pytest.mark.parametrize(
    ("search", "phase", "names"),
    [
        ("", "", ["iris", "irises", "wine"]),
        ("IRIS", "", ["iris", "irises"]),
        ("iris rows", "", ["irises"]),
        ("iris", "Ready", ["iris"]),
        ("<b>", "", []),
    ],
)
def test_requests_are_found_by_words_of_their_name_and_message(search: str, phase: str, names: list[str]) -> None:
    items = [item("iris"), item("irises", "Running", "no Rows"), item("wine", "Pending")]
    assert sorted(shown(items, search, phase)) == names


def test_a_thousand_requests_come_in_pages_with_all_their_phases_counted() -> None:
    items = [item(f"r{at:04}", "Failed" if at % 10 == 0 else "Ready") for at in range(1000)]
    last = page(items, "", "", 99)
    assert (len(last.shown), last.found, last.number, last.pages) == (PAGE, 1000, 10, 10)
    assert last.shown[-1].name == "r0999"
    assert last.phases == (("Failed", 100), ("Ready", 900))
    assert page(items, "", "Failed", 1).phases == last.phases


def test_a_row_says_how_a_request_stands() -> None:
    spec = RunSpec("r", "abc", ".", "t", "i")
    record = Record("u", "Failed", message="no \u202erows", run=3, spec=spec, finished="x")
    found = row("iris", {"schedule": "0 6 * * *"}, brief({**write(record), "message": record.message}, "u"))
    assert (found.phase, found.tone, found.commit, found.active) == ("Failed", "bad", "abc", False)
    assert found.message == "no \\u202erows"  # what would turn the line around is seen
    assert found.next(NOW) == "2026-01-01T06:00:00Z"


def test_a_request_that_the_controller_has_not_noticed_says_so() -> None:
    assert row("iris", {}, None).message == UNRECORDED
