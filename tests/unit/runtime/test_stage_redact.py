"""What blanks the values of secrets in a stream."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.stage_redact import Redactor, forms

LETTERS = st.text("abc+/ ", min_size=4, max_size=7)


def streamed(redactor: Redactor, chunks: list[bytes]) -> bytes:
    return b"".join([*(redactor.feed(chunk) for chunk in chunks), redactor.flush()])


@pytest.mark.parametrize(
    "written",
    [
        "s3cr3t/v&lue",
        base64.b64encode(b"s3cr3t/v&lue").decode(),
        urllib.parse.quote("s3cr3t/v&lue"),
        urllib.parse.quote("s3cr3t/v&lue", safe="").lower(),
    ],
)
def test_a_value_is_blanked_however_it_is_written(written: str) -> None:
    redactor = Redactor(["s3cr3t/v&lue"])
    assert redactor.text(f"a {written} b {written}") == "a *** b ***"
    assert redactor.count == 2


@pytest.mark.parametrize("user", ["u", "me", "you", "user"])
def test_a_value_inside_of_basic_authentication_is_blanked(user: str) -> None:
    header = base64.b64encode(f"{user}:s3cr3t-value".encode()).decode()
    shown = Redactor(["s3cr3t-value"]).text(f"Authorization: Basic {header}")
    assert "***" in shown
    assert b"ecret" not in base64.b64decode(shown.split()[-1].replace("***", "") + "====")


def test_a_value_with_a_line_break_at_its_end_is_blanked_without_it() -> None:
    assert Redactor(["s3cr3t\n"]).text("is s3cr3t.") == "is ***."


def test_short_values_are_left_alone() -> None:
    redactor = Redactor(["abc", "", "x"])
    assert redactor.text("abc x") == "abc x"
    assert redactor.feed(b"abc x") == b"abc x"


def test_nothing_is_held_back_that_cannot_be_the_beginning_of_a_value() -> None:
    redactor = Redactor(["secret"])
    assert redactor.feed(b"all of this\nse") == b"all of this\n"
    assert redactor.feed(b"ven") == b"seven"
    assert redactor.feed(b" secre") == b" "
    assert redactor.flush() == b"secre"


def test_values_that_begin_alike_are_both_blanked_whole() -> None:
    redactor = Redactor(["secret", "secret-and-more"])
    assert streamed(redactor, [b"secret", b"-and-", b"more secret."]) == b"*** ***."
    assert redactor.count == 2


def test_values_that_overlap_are_blanked_as_one() -> None:
    assert Redactor(["left", "ftovers"]).text("a leftovers b") == "a *** b"


@given(st.lists(LETTERS, min_size=1, max_size=3), st.lists(st.text("abc+/ ", max_size=9), max_size=12))
def test_no_value_survives_however_the_stream_is_cut(values: list[str], parts: list[str]) -> None:
    chunks = [part.encode() for part in parts]
    redactor = Redactor(values)
    shown = streamed(redactor, chunks)
    assert shown == streamed(Redactor(values), [b"".join(chunks)])
    assert redactor.count == shown.count(b"***")
    for value in values:
        assert value.encode() not in shown


@given(st.lists(LETTERS, min_size=1, max_size=3), st.lists(st.binary(max_size=9), max_size=12))
def test_what_is_held_back_is_shorter_than_the_longest_form(values: list[str], chunks: list[bytes]) -> None:
    redactor, fed, shown = Redactor(values), 0, 0
    longest = max(len(form) for value in values for form in forms(value.encode()))
    if not any(len(value.strip()) >= 4 or value == value.strip() for value in values):
        longest = max(map(len, values))
    for chunk in chunks:
        fed += len(chunk)
        shown += len(redactor.feed(chunk))
        if not redactor.count:
            assert fed - shown < longest


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4 and "*" not in text), st.integers(0, 2))
def test_any_value_is_found_in_all_its_forms(value: str, before: int) -> None:
    raw = value.encode("utf-8", "replace")
    value = raw.decode()
    inside = base64.b64encode(b"x" * before + raw + b"yz").decode()
    for written in (value, base64.b64encode(raw).decode(), urllib.parse.quote(value, safe=""), inside):
        assert "***" in Redactor([value]).text(json.dumps(["a"]) + written)
