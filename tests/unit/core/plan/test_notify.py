"""Who asked for it is notified once of each run that failed or recovered; the record says what is owed until then."""

import pytest

from controller.core.errors import Transient
from controller.core.plan import Notify, needs
from controller.core.plan.notify import MOST, PAUSES
from tests.support.desk import Desk
from tests.support.world import project


def started(dag: str = "a", **services: int) -> Desk:
    desk = Desk()
    desk.push(project(dag, services=services))
    desk.ask(notify_secret="slack")
    desk.settle()
    return desk


def again(desk: Desk, code: int, **asked: str) -> None:
    """Run it once more, to an end with this code of stage a."""
    desk.ask(notify_secret="slack", trigger=f"t{desk.record.run}", **asked)
    desk.settle()
    desk.end_job(f"iris-a-{desk.record.run}", code, "ValueError: no rows")
    desk.settle()


def sent(desk: Desk) -> list[tuple[int, str]]:
    letters = [item.letter for item in desk.actions if isinstance(item, Notify)]
    assert len({letter.key for letter in letters}) == len(letters)
    return [(letter.run, letter.event) for letter in letters]


def test_each_run_that_failed_and_the_first_that_succeeded_after_it_are_told_once() -> None:
    desk = started()
    desk.end_job("iris-a-1")
    desk.settle()
    for code in (3, 3, 0, 0, 3):
        again(desk, code)
    assert sent(desk) == [(2, "Failed"), (3, "Failed"), (4, "Recovered"), (6, "Failed")]
    assert (desk.record.notices, desk.record.notify_problem) == ((), "")
    (first, *_) = (item.letter for item in desk.actions if isinstance(item, Notify))
    assert (first.request, first.secret, first.reason) == ("iris", "slack", "ExitCode")
    assert first.message == "stage a: ValueError: no rows"


def test_a_run_whose_services_went_back_says_so() -> None:
    desk = started("web", web=5000)
    desk.roll_out()
    desk.settle()
    desk.push(project("web", services={"web": 6000}))
    desk.ask(notify_secret="slack", trigger="new")
    desk.settle()
    desk.break_down("iris--web", "no answer")
    desk.settle()
    assert sent(desk) == [(2, "RolledBack")]


def test_a_run_that_left_the_services_of_a_good_one_alone_or_had_none_failed_and_nothing_more() -> None:
    desk = started("web", web=5000)
    desk.break_down("iris--web", "no answer")
    desk.settle()
    desk.pods.clear()
    desk.ask(notify_secret="slack", trigger="good")
    desk.finish_all()
    desk.push(project("a >> web", services={"web": 5000}))
    again(desk, 3)
    assert sent(desk) == [(1, "Failed"), (2, "Recovered"), (3, "Failed")]


def test_a_run_that_somebody_cancelled_is_told_nobody() -> None:
    desk = started()
    desk.ask(notify_secret="slack", cancel="1")
    desk.settle()
    assert (desk.record.phase, sent(desk)) == ("Cancelled", [])


def test_nobody_is_told_where_nobody_asked_and_what_waits_goes_with_the_wish() -> None:
    desk = started()
    desk.answers = ["the receiver answered 500"]
    desk.end_job("iris-a-1", 3)
    assert desk.settle().notices
    desk.ask()
    assert (desk.settle().notices, desk.record.notify_problem) == ((), "")
    again_without = Desk(source=desk.source)
    again_without.ask()
    again_without.settle()
    again_without.end_job("iris-a-1", 3)
    again_without.settle()
    assert sent(again_without) == []


def test_a_run_that_fails_while_its_request_is_invalid_is_told_once_that_is_mended() -> None:
    desk = started()
    desk.ask(notify_secret="slack", keep_runs="x")
    desk.end_job("iris-a-1", 3)
    assert (desk.settle().active, sent(desk)) == (False, [])
    desk.ask(notify_secret="slack")
    desk.settle()
    assert sent(desk) == [(1, "Failed")]


def test_what_does_not_arrive_is_tried_again_later_and_later_and_then_given_up() -> None:
    desk = started()
    desk.answers = ["the receiver answered 500"] * (len(PAUSES) + 1)
    desk.end_job("iris-a-1", 3)
    kept = desk.settle()
    for number, pause in enumerate(PAUSES, start=1):
        assert kept.notify_problem == "notification of run 1: the receiver answered 500"
        assert [letter.run for letter in kept.notices] == [1]
        assert len(sent(desk)) == number
        assert desk.pass_().requeue_after == pause.total_seconds()
        desk.clock.pass_(pause.total_seconds())
        kept = desk.settle()
    assert kept.notices == ()
    assert kept.notify_problem == "notification of run 1 was given up after 7 tries: the receiver answered 500"
    assert kept.notify_problem in desk.news("NotificationFailed")
    again(desk, 0)
    assert sent(desk)[-1] == (2, "Recovered")
    assert desk.record.notify_problem == ""


def test_a_clock_that_is_set_back_keeps_no_notification_waiting() -> None:
    desk = started()
    desk.answers = ["the receiver answered 500"]
    desk.end_job("iris-a-1", 3)
    desk.settle()
    desk.clock.pass_(-365 * 24 * 3600)
    desk.settle()
    assert sent(desk) == [(1, "Failed"), (1, "Failed")]
    assert not desk.record.notices


@pytest.mark.parametrize(("poll", "least", "most"), [("10s", 0, 10), ("1h", 30, 30)])
def test_neither_a_poll_nor_the_next_try_waits_for_the_other(poll: str, least: float, most: float) -> None:
    desk = started()
    desk.answers = ["the receiver answered 500"]
    desk.ask(notify_secret="slack", poll=poll)
    desk.end_job("iris-a-1", 3)
    desk.settle()
    due = desk.pass_().requeue_after
    assert due is not None
    assert least <= due <= most


def test_one_that_is_under_way_is_not_sent_again_and_nothing_waits_for_it() -> None:
    desk = started()
    desk.answers = [None]
    desk.end_job("iris-a-1", 3)
    desk.settle()
    again(desk, 3)
    assert sent(desk) == [(1, "Failed")]
    assert [notice.run for notice in desk.record.notices] == [1, 2]
    (key,) = desk.letters
    desk.letters[key] = ""
    desk.settle()
    assert sent(desk) == [(1, "Failed"), (2, "Failed")]
    assert not desk.record.notices


def test_it_is_sent_and_recorded_while_the_next_run_has_to_wait() -> None:
    desk = started()
    desk.answers = ["the receiver answered 500"]
    desk.end_job("iris-a-1", 3)
    desk.settle()
    desk.faults[needs.Commit] = Transient("GitUnreachable", "no answer")
    desk.ask(notify_secret="slack", trigger="next")
    desk.clock.pass_(PAUSES[0].total_seconds())
    assert isinstance(desk.pass_().error, Transient)
    assert sent(desk) == [(1, "Failed")] * 2
    assert isinstance(desk.pass_().error, Transient)
    assert (desk.record.reason, desk.record.notices, desk.record.notify_problem) == ("GitUnreachable", (), "")


def test_a_receiver_that_is_away_for_long_gets_the_newest() -> None:
    desk = started()
    desk.answers = [None] * 9
    desk.end_job("iris-a-1", 3)
    desk.settle()
    for _ in range(MOST + 2):
        again(desk, 3)
    assert [notice.run for notice in desk.record.notices] == list(range(4, 14))


@pytest.mark.parametrize("code", [0, 3])
def test_an_invalid_request_forgets_nothing_of_it(code: int) -> None:
    desk = started()
    desk.answers = [None]
    desk.end_job("iris-a-1", 3)
    desk.settle()
    desk.ask(notify_secret="slack", keep_runs="x")
    assert [notice.run for notice in desk.settle().notices] == [1]
    desk.letters[next(iter(desk.letters))] = "" if code == 0 else "no"
    desk.ask(notify_secret="slack")
    assert bool(desk.settle().notices) == bool(code)
