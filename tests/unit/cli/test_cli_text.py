"""Texts on a terminal: lined up, short, and unable to do anything there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli import text
from controller.core.errors import Invalid

calm = settings(deadline=None)  # a busy machine is no failure


@calm
@given(st.text())
def test_no_line_of_a_stage_acts_on_a_terminal(line: str) -> None:
    assert text.plain(line).isprintable()


def test_a_line_keeps_its_words_and_loses_its_colours() -> None:
    assert text.plain("\x1b[31mloss\x1b[0m\t0.1") == "loss    0.1"
    assert len(text.plain("x" * 5000)) == 5000


@calm
@given(st.lists(st.binary().filter(lambda some: b"\r" not in some)), st.integers(0, 3))
def test_a_log_comes_line_by_line_however_it_is_cut(pieces: list[bytes], endless: int) -> None:
    lines, chunks = text.Lines(), [*pieces, *[b"x" * text.LONGEST] * endless]
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    assert len(lines.rest) <= text.LONGEST
    found += lines.feed(b"", last=True)
    whole = b"".join(chunks).decode(errors="replace")
    assert "".join(found) == whole.replace("\n", "")
    if len(whole) <= text.LONGEST:
        assert found == whole.removesuffix("\n").split("\n") or not whole


def test_columns_are_as_wide_as_they_need_and_long_texts_go_on_below() -> None:
    rows = [("iris", "Ready", "all is well"), ("long-name", "Failed", "stage train: \x1b[2Jno rows")]
    assert text.columns(("name", "phase", "message"), rows) == [
        "name        phase    message",
        "iris        Ready    all is well",
        "long-name   Failed   stage train: no rows",
    ]
    rows = [("iris", "Failed", "train/run.py:3: ValueError: no rows")]
    assert text.columns(("name", "phase", "message"), rows, 50)[1:] == [
        "iris   Failed   train/run.py:3: ValueError: no",
        "                rows",
    ]
    assert text.columns(("name", "phase", "message"), rows, 40)[1:] == [
        "iris   Failed",
        "   train/run.py:3: ValueError: no rows",
    ]


def test_how_long_something_takes_is_measured_until_now_while_it_goes_on() -> None:
    now = datetime(2026, 11, 23, 6, 1, tzinfo=UTC)
    assert text.took("2026-11-23T06:00:00Z", "", now) == "1 min 0 s"
    assert text.took("2026-11-23T06:00:00Z", "2026-11-23T06:00:05Z", now) == "5 s"
    assert text.took("", "", now) == ""
    assert text.ago("2026-11-23T06:00:00Z", now) == "1 min 0 s ago"


def test_pairs_and_durations_of_options_are_checked() -> None:
    assert text.pairs("--env", ["A=1", "B=x=y", "C="]) == [("A", "1"), ("B", "x=y"), ("C", "")]
    with pytest.raises(Invalid) as wrong:
        text.pairs("--env", ["A", "=1", "B=1"])
    assert len(wrong.value.problems) == 2
    assert [text.seconds("--timeout", item) for item in ("", "30s", "5m", "1h30m")] == [None, 30, 300, 5400]
    for item in ("x", "5", "-1s", "1d", "s"):
        with pytest.raises(Invalid):
            text.seconds("--timeout", item)
