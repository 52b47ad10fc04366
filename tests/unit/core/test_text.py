"""Foreign text in our sentences: printable, on one line, bounded, and the same from whichever side it comes."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from controller.core import text
from controller.runtime import stage_text

HOSTILE = st.text() | st.from_regex(r"(\x1b[\[\]][0-9;]*[a-zA-Z\x07]|[a-z ]|://|@|\s){0,40}", fullmatch=True)
WORDS = st.lists(st.text(max_size=20), max_size=8)

CLEANED = [
    ("", ""),
    ("no rows in data.csv", "no rows in data.csv"),
    ("  two  spaces stay  ", "two  spaces stay"),
    ("line\n\tbreaks \r\n and tabs", "line breaks and tabs"),
    ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07words", "red words"),
    ("a bell\x07, a joiner\u200d, a mark\u202e", "a bell\\x07, a joiner\\u200d, a mark\\u202e"),
    ("half \udcff a character", "half \\udcff a character"),
    ("not to be broken", "not to be broken"),
    ("ein Gerät, 機械, 🚂", "ein Gerät, 機械, 🚂"),
    ("https://me:pa@ss@host/x@v1", "https://***@host/x@v1"),
    ("'http://a', 'b@c'", "'http://a', 'b@c'"),
    ("git+https://token@host/x, ssh://git@host, ssh://u:p@h", "git+https://***@host/x, ssh://git@host, ssh://***@h"),
    ("mail me@example.com", "mail me@example.com"),
]


@pytest.mark.parametrize("clean", [text.clean, text.fit, stage_text.clean], ids=["core", "record", "runtime"])
@pytest.mark.parametrize(("given", "expected"), CLEANED)
def test_text_is_cleaned_in_one_way_everywhere(clean: Callable[[str], str], given: str, expected: str) -> None:
    assert clean(given) == expected


@given(HOSTILE, st.integers(min_value=4, max_value=100))
@example("https://" + "a" * text.READ_LIMIT + "@host", 80)
@example("\n" * text.READ_LIMIT + "words", 80)
def test_clean_text_is_one_printable_bounded_line_and_stays_as_it_is(given: str, limit: int) -> None:
    line, record, launcher = text.clean(given, limit), text.fit(given, limit), stage_text.clean(given, limit)
    assert len(line) <= limit
    assert max(len(record.encode()), len(launcher.encode())) <= limit
    assert record == launcher
    for cleaned, again in ((line, text.clean(line, limit)), (record, text.fit(record, limit))):
        assert cleaned.isprintable()
        assert cleaned == again


@given(st.from_regex(r"[A-Za-z0-9!$+=;:@-]{12,60}", fullmatch=True), HOSTILE, st.integers(min_value=4, max_value=400))
def test_no_credentials_of_an_address_survive_any_cut(secret: str, around: str, limit: int) -> None:
    assume(secret[:8] not in f"{around} {text.visible(around)}")  # else it is there twice, once as no credential
    foreign = f"{around} https://user:{secret}@example.com {around}"
    for line in (text.clean(foreign, limit), text.fit(foreign, limit), text.quoted(foreign), text.masked(foreign)):
        assert secret[:8] not in line


def test_what_is_cut_shows_it() -> None:
    assert text.clean("x" * 999, 10) == "xxxxxxxxx…"
    assert text.fit("é" * 999, 10) == "ééé…"
    assert text.shorten("exact", 5) == "exact"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "nothing"), (True, "true"), (3, "3"), (0.5, "0.5"), ({}, "a mapping"), ([1], "a list"), ((), "a list"),
        ("two  spaces\n", '"two  spaces\\n"'), ("no\xa0break", '"no\\xa0break"'), ("\x1b[31m", '"\\x1b[31m"'),
        ("x" * 99, f'"{"x" * 59}…"'), ("https://me:secret@host", '"https://***@host"'),
    ],
)  # fmt: skip
def test_a_quoted_value_shows_each_of_its_characters(value: object, expected: str) -> None:
    assert text.quoted(value) == expected


@given(st.none() | st.integers() | st.floats() | HOSTILE | WORDS | st.dictionaries(st.text(), st.text()))
def test_any_value_is_quoted_in_one_short_printable_line(value: object) -> None:
    assert text.quoted(value).isprintable()
    assert len(text.quoted(value)) <= text.QUOTE_LIMIT + 2


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("trian", ["train", "serve"], "did you mean train?"),
        ("SCHEDUL", ["schedule"], "did you mean schedule?"),
        ("x", ["serve", "train"], "choose from serve, train"),
        ("x", [f"stage-{number:02}" for number in range(40)], " and 10 more"),
        ("x", [], "none exists"),
        ("a\nb", ["a\nc"], "did you mean a c?"),
    ],
)
def test_an_unknown_word_leads_to_the_nearest_known_one(word: str, known: list[str], expected: str) -> None:
    assert text.nearest(word, known).endswith(expected)


@given(st.text(), WORDS)
def test_a_remedy_never_acts_and_never_fails(word: str, known: list[str]) -> None:
    assert text.nearest(word, known).isprintable()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1h0m1s", 3601), ("", None), ("x", None), ("5", None),
     ("-1s", None), ("1d", None), ("s", None), ("1s1m", None), ("1.5h", None),
      ("\u0663s", None), ("9" * 9 + "h", None)],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(written: str, seconds: int | None) -> None:
    assert text.parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(None, ""), (-3, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3601, "1 h 0 min"), (7800, "2 h 10 min"),
     (100_000, "1 d 3 h")],
)  # fmt: skip
def test_a_duration_is_shown_in_two_units_at_most(seconds: float | None, written: str) -> None:
    assert text.format_duration(seconds) == written


@pytest.mark.parametrize(
    ("written", "amount"),
    [("2", "2"), ("500m", "0.5"), ("64Mi", str(64 << 20)), ("1.5Gi", str(3 << 29)), ("1k", "1000"), ("2e3", "2000"),
     ("+1E", "1e18"), (".5", "0.5"), ("1Ki", "1024"), ("", None), ("Mi", None), ("-1", None), ("64MB", None),
     ("1e3Ki", None), ("1e999", None), ("\u0663", None)],
)  # fmt: skip
def test_a_quantity_is_read_as_kubernetes_does(written: str, amount: str | None) -> None:
    assert text.parse_quantity(written) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (3 << 20, "3 MiB"),
        (5 << 29, "2.5 GiB"),
        (9 << 50, "9216 TiB"),
    ],
)
def test_a_size_is_shown_in_the_unit_that_fits(count: int, written: str) -> None:
    assert text.format_size(count) == stage_text.size(count) == written


@given(st.integers(min_value=0, max_value=1 << 70))
def test_a_size_is_the_same_from_both_sides(count: int) -> None:
    assert text.format_size(count) == stage_text.size(count)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("plain", ""), ("\u200dx", "holds the invisible character U+200D at its start: delete it"),
     ("a\xa0b", 'holds the invisible character U+00A0 after "a": delete it'), ("line\nbreak", "")],
)  # fmt: skip
def test_a_character_that_nobody_sees_is_named(given: str, expected: str) -> None:
    assert text.invisible(given) == expected
