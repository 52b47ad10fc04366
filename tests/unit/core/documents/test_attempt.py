"""What launchers, of whatever version, and stages in their place leave of an attempt."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.core.documents import attempt, codec
from controller.core.model import Attempt

LAPTOP = Path(__file__).parents[3] / "support" / "records-0.1.0" / "laptop.json"
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)


def test_what_the_launchers_of_0_1_0_left_is_read_whole() -> None:
    left = json.loads(LAPTOP.read_text(encoding="utf-8"))
    texts = [text for name, text in {**left["files"], **left["volume"]}.items() if "/logs/" in name and text[:1] == "{"]
    assert len(texts) > 5
    for text in texts:
        end, written = attempt.read(text), json.loads(text)
        assert not end.unknown
        assert {key: getattr(end, key) for key in written if key not in ("notes", "warnings")} == {
            key: value for key, value in written.items() if key not in ("notes", "warnings")
        }


def test_what_a_later_launcher_adds_is_ignored() -> None:
    later = json.dumps({"exit_code": 3, "reason": "ExitCode", "traces": {"rmse": 1}, "version": 2})
    assert attempt.of_log(2, later) == Attempt(2, ended=True, exit_code=3, reason="ExitCode")


@example({"exit_code": 10**40})
@given(st.dictionaries(st.sampled_from(["exit_code", "reason", "message", "notes", "bytes", "metrics"]), VALUES))
def test_whatever_a_stage_leaves_there_is_read(left: dict[str, object]) -> None:
    end = attempt.of_log(1, json.dumps(left))
    code = left.get("exit_code")
    assert end.ended == (type(code) is int and abs(code) <= codec.LARGEST)


@pytest.mark.parametrize("code", [False, True, "0", 0.0, None, [0]])
def test_an_exit_code_is_a_number(code: object) -> None:
    assert attempt.of_log(1, json.dumps({"exit_code": code})) == Attempt(1, ended=False)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", ""),
        ("[", ""),
        ('{"environment": 1}', ""),
        ('{"environment": "../../runs"}', ""),
        ('{"environment": "0123456789abcdef0123-2", "was": {}}', "0123456789abcdef0123-2"),
    ],
)
def test_only_the_name_of_an_environment_can_be_called_outdated(text: str, folder: str) -> None:
    assert attempt.read_outdated(text) == folder


def test_words_of_a_script_that_are_not_utf_8_hide_nothing() -> None:
    text = json.dumps({"exit_code": 1, "reason": "ExitCode", "message": "ValueError: caf\ufffd"}, ensure_ascii=False)
    assert attempt.of_log(1, text).message == "ValueError: caf\ufffd"


def test_no_count_is_beyond_all_measure() -> None:
    assert attempt.of_log(1, json.dumps({"exit_code": 0, "redacted": 10**400})).redacted == 0
    assert attempt.of_log(1, json.dumps({"exit_code": 0, "redacted": 10**15})).redacted == 10**6


def test_of_a_stages_numbers_only_finite_ones_with_plain_names_are_taken() -> None:
    good: dict[str, object] = {"accuracy": 0.93, "rows": 1200, "f1-score/macro": 0, "top@5": -1e-9}
    odd = {"": 1, "a b": 1, "x" * 65: 1, "é": 1, "text": "1", "yes": True, "none": None, "list": [1], "deep": {"a": 1}}
    left = json.dumps(
        {"exit_code": 0, "metrics": {**odd, **good, "nan": float("nan"), "inf": float("-inf"), "big": 10**400}}
    )
    assert attempt.of_log(1, left).metrics == good
    (large,) = attempt.of_log(1, json.dumps({"exit_code": 0, "metrics": {"rows": 10**300}})).metrics.values()
    assert len(str(large)) < 10, "as few digits as a float has"
    many = json.dumps({"exit_code": 0, "metrics": {f"n{number}": number for number in range(60)}})
    assert [*attempt.of_log(1, many).metrics] == [f"n{number}" for number in range(50)]
