"""The ini format, held against Python's configparser."""

import configparser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.inputs.project.ini import Sections, parse
from tests.support.examples import share

LINES = st.lists(
    st.sampled_from(
        [
            "[a]",
            "[b]",
            "[a] ; x",
            "A = 1",
            "b=2 ; two",
            "c: x # y",
            "d = 1;2",
            "e =",
            "  more",
            "\tmore ; no",
            "; x",
            "  # x",
            "",
            "   ",
            "f = %(x)s",
            "nonsense",
            " G = 5",
            "= 1",
            "[a",
            "h = a = b",
            "i = https://host",
        ]
    ),
    max_size=12,
)


def by_configparser(text: str) -> Sections | None:
    reader = configparser.ConfigParser(interpolation=None, default_section="\n", inline_comment_prefixes=(";", "#"))
    try:
        reader.read_string(text)
    except configparser.Error:
        return None
    return {name: {key.upper(): _solid(value) for key, value in reader[name].items()} for name in reader.sections()}


def _solid(value: str) -> str:
    """Return a value without the blank lines inside it, which mean nothing in a project."""
    return "\n".join(line for line in value.split("\n") if line)


@settings(deadline=None, max_examples=share(3))
@given(LINES)
def test_it_reads_what_configparser_reads_and_refuses_what_it_refuses(lines: list[str]) -> None:
    text = "\n".join(lines)
    sections, problems = parse(text)
    expected = by_configparser(text)
    assert (expected is None) == bool(problems)
    if expected is not None:
        assert sections == {name: dict(values) for name, values in expected.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a ; b", "a"),
        ("a;b", "a;b"),
        ("'a ; b' ; c", "a ; b"),
        ('"a # b"', "a # b"),
        ('"a" b', '"a" b'),
        ('""', ""),
        ('"', '"'),
        ("it's", "it's"),
        ("50% %(x)s", "50% %(x)s"),
        ("a\n  b ; c\n  d", "a\nb\nd"),
    ],
)
def test_a_value_is_taken_without_quotes_and_comments(text: str, value: str) -> None:
    assert parse(f"[s]\nK = {text}") == ({"s": {"K": value}}, ())


def test_every_mistake_is_reported_with_its_line() -> None:
    _, problems = parse("[a]\nA = 1\na = 2\nA = 3\noops\n[a]\n[b\n")
    assert [problem.split(":")[0] for problem in problems] == ["line 3", "line 4", "line 5", "line 6", "line 7"]


def test_variables_keep_their_case() -> None:
    assert parse("[env]\na = 1\nA = 2") == ({"env": {"a": "1", "A": "2"}}, ())
