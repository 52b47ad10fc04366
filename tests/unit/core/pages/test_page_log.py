from typing import Any

import pytest

from controller.core.pages.log import LogPage, log_page


def attempt(number: int, exit_code: int | None = None, **more: Any) -> dict[str, Any]:
    times = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:05Z" if exit_code is not None else ""}
    words = {"reason": "", "message": "", "notes": [], "bytes": 2048, "environment_of": [], **more}
    ended = exit_code is not None
    return {"stage": "train it", "run": 3, "attempt": number, "ended": ended, "exit_code": exit_code, **times, **words}


def page(state: str, *entries: dict[str, Any], outcome: str = "", **chosen: Any) -> LogPage:
    run = {"run": 3, "outcome": outcome, "stages": {"train it": {"state": state, "message": "a\nb"}}}
    return log_page("iris", run, "train it", entries, **chosen)


def test_attempts_say_how_they_ended() -> None:
    found = page("Running", attempt(1, 1, reason="ScriptFailed", message="train.py, line 3"), attempt(2))
    first, second = found.attempts
    assert (first.verdict, first.failed, first.took, first.size) == ("ScriptFailed", True, "1 min 5 s", "2 KiB")
    assert (second.verdict, second.failed, second.took) == ("", False, "")
    assert (found.shown, found.message) == (second, "a b")


@pytest.mark.parametrize(
    ("found", "follows"),
    [
        (page("Waiting"), True),
        (page("Running", attempt(1)), True),
        (page("Running", attempt(1, 1)), True),  # another attempt may come
        (page("Running", attempt(1, 1), attempt=1), False),
        (page("Running", attempt(1, 1), attempt(2), attempt=2), True),
        (page("Done", attempt(1, 0), outcome="Succeeded"), False),
        (page("Done", attempt(1), outcome="Succeeded"), True),  # a service
        (page("Failed", attempt(1), outcome="Failed"), False),  # its launcher was killed
        (page("Waiting", outcome="Cancelled"), False),
    ],
)
def test_a_log_is_followed_as_long_as_more_can_come(found: LogPage, follows: bool) -> None:
    assert (found.follows, "follow=1" in found.source) == (follows, follows)


def test_a_reader_chooses_an_attempt_how_much_of_it_and_its_times() -> None:
    chosen = page("Done", attempt(1, 0), attempt(2, 0), attempt=1, tail="10000", timestamps=True)
    assert chosen.source == "api/logs/iris/train%20it?run=3&attempt=1&tail=10000&timestamps=1"
    assert chosen.whole == "api/logs/iris/train%20it?run=3&attempt=1&timestamps=1"
    assert chosen.shown
    assert chosen.shown.number == 1
    assert page("Done", attempt(1, 0), tail="lots").tail == "1000"


def test_an_environment_is_named_with_its_stages_where_there_are_several() -> None:
    names = {"environment": ["a", "b"], "environment-2": ["c"]}
    entries = [attempt(1, 0, stage=name, environment_of=stages) for name, stages in names.items()]
    run = {"run": 3, "outcome": "Succeeded", "stages": {}}
    assert log_page("iris", run, "environment", entries).title == "environment (a, b)"
