"""Calls of the API server: a quiet one never makes one wait, an overloaded one gets fewer, in the order they came."""

import threading
from collections import Counter
from functools import partial

import pytest

from controller.adapters.kube.limit import MOST, PATIENCE, Limit
from controller.core.errors import Conflict, Refused, Transient
from tests.support.eventually import eventually

OVERLOADED = Transient("ApiOverloaded", "429")
LATER = Transient("ApiUnavailable", "500", retry_after=1.0)
SILENT = Transient("ApiUnavailable", "no answer")


class Clock:
    """The time that a test sets; `jump` is how much later each question is than the one before. Counts who asks."""

    def __init__(self) -> None:
        self.now, self.jump = 0.0, 0.0
        self.asked = Counter[str]()

    def __call__(self) -> float:
        self.asked[threading.current_thread().name] += 1
        self.now += self.jump
        return self.now

    def has_asked_twice(self, name: str) -> bool:
        return self.asked[name] > 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> Limit:
    return Limit(clock=clock)


def make(limit: Limit, *errors: Exception | None) -> None:
    """Make as many calls as errors, all under way before the first of them ends, each with its error."""
    turns = [limit.turn() for _ in errors]
    for turn in turns:
        turn.__enter__()
    for turn, error in zip(turns, errors, strict=True):
        turn.__exit__(type(error) if error else None, error, None)


def test_a_server_that_is_well_makes_no_call_wait(limit: Limit) -> None:
    make(limit, *[None] * MOST)
    make(limit, *[SILENT] * MOST)
    assert limit.present == MOST


@pytest.mark.parametrize(
    ("errors", "left"),
    [
        ([OVERLOADED], 1),
        ([LATER] + [SILENT] * 7, 4),
        ([OVERLOADED] * 8, 4),  # one and the same overload
        ([OVERLOADED] * 40, 20),
        ([OVERLOADED, *[None] * 4], 3),
        ([OVERLOADED, Conflict("409"), Refused("403", forbidden=True)], 2),
    ],
)
def test_an_overload_halves_what_was_under_way_once_and_answers_raise_it(
    limit: Limit, errors: list[Exception | None], left: int
) -> None:
    make(limit, *errors)
    assert limit.present == left


def test_calls_that_began_later_halve_it_again_but_one_may_always_be_under_way(limit: Limit, clock: Clock) -> None:
    found = []
    for calls in (8, 4, 2, 1):
        clock.now += 10.0
        make(limit, *[OVERLOADED] * calls)
        found.append(limit.present)
    assert found == [4, 2, 1, 1]


def test_answers_bring_the_limit_back_to_its_most(limit: Limit) -> None:
    make(limit, OVERLOADED)
    for _ in range(MOST**2):
        make(limit, None)
    assert limit.present == MOST


def test_no_call_is_made_before_the_server_wants_one(limit: Limit, clock: Clock) -> None:
    make(limit, Transient("ApiOverloaded", "429", retry_after=30.0), Transient("ApiOverloaded", "429", retry_after=5.0))
    clock.now = 20.0
    with pytest.raises(Transient, match="asked for fewer calls") as caught, limit.turn():
        pytest.fail("a call was made")
    assert (caught.value.reason, caught.value.retry_after) == ("ApiOverloaded", 10.0)
    clock.now = 30.0
    make(limit, None)


def test_one_answer_holds_all_calls_for_half_a_minute_at_most(limit: Limit, clock: Clock) -> None:
    make(limit, Transient("ApiOverloaded", "429", retry_after=300.0))
    clock.now = 30.0
    make(limit, None)


def test_what_is_reported_holds_a_limit_that_fell_and_the_waits_of_calls_that_gave_up(clock: Clock) -> None:
    said: list[tuple[int, float]] = []
    limit = Limit(lambda *turn: said.append(turn), clock)
    make(limit, OVERLOADED)
    assert said == [(MOST, 0.0), (1, 0.0)]
    with limit.turn():
        said.clear()
        clock.jump = 2.0
        with pytest.raises(Transient), limit.turn():
            pytest.fail("a call was made")
    assert [present for present, _ in said] == [1]
    assert said[0][1] >= PATIENCE


def test_a_call_whose_turn_does_not_come_gives_its_thread_back(limit: Limit, clock: Clock) -> None:
    make(limit, OVERLOADED)
    with limit.turn():  # the only one that may be under way
        clock.jump = 10.0
        with pytest.raises(Transient, match="asked for fewer calls"), limit.turn():
            pytest.fail("a call was made")


def test_turns_come_in_the_order_in_which_they_were_asked_for(limit: Limit, clock: Clock) -> None:
    make(limit, OVERLOADED)
    done: list[str] = []

    def call() -> None:
        with limit.turn():
            done.append(threading.current_thread().name)

    threads = [threading.Thread(target=call, name=name) for name in "abcdef"]
    with limit.turn():
        for thread in threads:
            thread.start()
            eventually(partial(clock.has_asked_twice, thread.name))  # it is in the queue
    for thread in threads:
        thread.join()
    assert done == list("abcdef")
