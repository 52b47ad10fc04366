"""What blanks the values of secrets in a stream."""

import base64
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.stage_redact import Redactor, forms

LETTERS = st.text("abc+/ ", min_size=4, max_size=7)


def streamed(redactor: Redactor, chunks: list[bytes]) -> bytes:
    return b"".join([*(redactor.feed(chunk) for chunk in chunks), redactor.flush()])


VALUE = 's3cr3t/v&lue \\ "it\'s"\tü\n€'


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
        urllib.parse.quote(VALUE),
        urllib.parse.quote(VALUE, safe="").lower(),
        urllib.parse.quote_plus(VALUE),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        repr(VALUE)[1:-1],
        ascii(VALUE)[1:-1],
        repr(VALUE.encode())[2:-1],
    ],
)
def test_a_value_is_blanked_however_it_is_written(written: str) -> None:
    redactor = Redactor([VALUE])
    assert redactor.text(f"a {written} b {written}") == "a *** b ***"
    assert redactor.count == 2


def test_each_line_of_a_value_of_several_is_blanked_and_the_password_of_an_address() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n  short\nw0BAQEFAASCBKcwggSj\n-----END KEY-----\n"
    assert Redactor([key]).text("1: MIIEvQIBADANBgkqhkiG\r\n2: w0BAQEFAASCBKcwggSj, short") == "1: ***\r\n2: ***, short"
    redactor = Redactor(["postgresql://me:p%40ssw0rd@db.example.com/iris"])
    assert redactor.text("of me at db.example.com: p%40ssw0rd, p@ssw0rd") == "of me at db.example.com: ***, ***"


def test_a_long_value_of_many_lines_does_not_slow_down_what_is_said() -> None:
    redactor = Redactor(["\n".join(f"{number:064x}" for number in range(1900))])  # no variable holds more
    began = time.process_time()
    for _ in range(3):
        redactor.feed(b"0" * (64 << 10))
    assert time.process_time() - began < 40


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
    encoded = (base64.b64encode(raw).decode(), urllib.parse.quote(value, safe=""), raw.hex())
    for written in (value, *encoded, inside, repr(value), repr(raw), json.dumps(value)):
        assert "***" in Redactor([value]).text(json.dumps(["a"]) + written)
