"""The numbers of stages as they are shown, and the gates that they have to pass."""

import pytest

from controller.core import numbers
from controller.core.model import Comparison


@pytest.mark.parametrize(
    ("text", "comparisons"),
    [
        ("accuracy >= 0.9", [Comparison("accuracy", ">=", "0.9", 0.9)]),
        (
            "accuracy>=.9 , rmse < 2e-3",
            [Comparison("accuracy", ">=", ".9", 0.9), Comparison("rmse", "<", "2e-3", 0.002)],
        ),
        ("f1-score/macro == -1", [Comparison("f1-score/macro", "==", "-1", -1)]),
        ("rmse <= previous * 1.05", [Comparison("rmse", "<=", "previous * 1.05", 1.05, "*")]),
        ("rmse <= previous", [Comparison("rmse", "<=", "previous", 1, "*")]),
        ("a > previous+3,\nb > previous -.5", [
            Comparison("a", ">", "previous+3", 3, "+"), Comparison("b", ">", "previous -.5", 0.5, "-"),
        ]),
        ("previous >= previous", [Comparison("previous", ">=", "previous", 1, "*")]),
        ("", []),
    ],
)  # fmt: skip
def test_a_gate_is_read(text: str, comparisons: list[Comparison]) -> None:
    assert numbers.parse(text) == (tuple(comparisons), ())


@pytest.mark.parametrize(
    "text",
    [
        "accuracy", "accuracy = 0.9", "accuracy => 0.9", "accuracy != 1", "0.9 <= accuracy", "accuracy >= 90%",
        "accuracy >= 0.9 and rmse < 2", "accuracy >= previous / 2", "accuracy >= 0.9 * previous", "accuracy >= nan",
        "accuracy >= 1e400", "a b >= 1", "accuracy >= previous * previous", "accuracy >= __import__('os')",
    ],
)  # fmt: skip
def test_what_is_no_comparison_is_named_with_an_example(text: str) -> None:
    (problem,) = numbers.parse(f"rows >= 1, {text}")[1]
    assert problem.startswith("expected comparisons like accuracy >= 0.9, rmse <= previous * 1.05, got ")
    assert text[:10] in problem


def test_a_comma_is_no_gate_that_lets_everything_pass() -> None:
    assert numbers.parse(" , ")[1] == (f'expected {numbers.LIKE}, got ","',)


def test_a_gate_has_few_comparisons() -> None:
    assert numbers.parse(", ".join(f"n{number} > 0" for number in range(21)))[1] == ("has 21 comparisons: 20 at most",)


@pytest.mark.parametrize(
    ("text", "before", "limit", "words"),
    [
        ("rmse <= 2", {"rmse": 1}, 2, "<= 2"),
        ("rmse <= previous * 1.05", {"rmse": 2.0}, 2.1, "<= previous * 1.05, which is 2.1"),
        ("rmse <= previous + 1", {"rmse": -3}, -2, "<= previous + 1, which is -2"),
        ("rmse <= previous - 0.02", {"rmse": 0.91}, 0.89, "<= previous - 0.02, which is 0.89"),
        ("rmse <= previous", {"rmse": 1200}, 1200, "<= previous, which is 1200"),
        ("rmse <= previous * 1.05", {}, None, "<= previous * 1.05"),
        ("rmse <= previous * 1e90", {"rmse": 1e300}, None, "<= previous * 1e90"),
    ],
)
def test_a_launcher_is_given_the_limit(text: str, before: dict[str, float], limit: float | None, words: str) -> None:
    gate, _ = numbers.parse(text)
    assert numbers.order(gate, before) == [["rmse", "<=", limit if limit is None else pytest.approx(limit), words]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1200, "1200"), (3.0, "3"), (0.93, "0.93"), (0.123456789, "0.123457"), (-1e-9, "-1e-09"), (0, "0"),
        (123456.789, "123457"), (999_999_999_999, "999999999999"), (1e12, "1e+12"), (2.0**80, "1.20893e+24"),
    ],
)  # fmt: skip
def test_a_number_is_shown_short(value: float, text: str) -> None:
    assert numbers.shown(value) == text


def test_of_a_run_only_the_first_numbers_are_in_the_history() -> None:
    run = {"train": {"a": 1.0, "b": 2.0}, "none": {}, "score": {"c": 3.0, "d": 4.0}}
    assert numbers.first(run, 3) == {"train": {"a": 1.0, "b": 2.0}, "score": {"c": 3.0}}
