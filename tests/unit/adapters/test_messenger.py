"""What a messenger does with letters that it can't send: it says why, and holds a bounded number of them."""

import queue
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.adapters.messenger import KEPT, THREADS, WAITING, Messenger
from controller.core.errors import Refused, Transient
from controller.core.model import Object
from controller.core.notices import Letter

LETTER = Letter("u", "hook", 0, "iris", 7, "Failed", "a" * 40, "ExitCode", "no rows", "2026-01-01T00:00:00Z")
SECONDS = 60
ABSENT = "notify-secret hook: not found in the controller's namespace: "


class Sender:
    """A messenger whose Secrets are read by this, whom it has woken, and how often it succeeded."""

    def __init__(self, secret: Callable[[str], Object | None]) -> None:
        self.woken, self.counted = queue.Queue[str](), list[bool]()
        self.messenger = Messenger(secret, self.woken.put, lambda: lambda: None, self.counted.append)

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            self.woken.get(timeout=SECONDS)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Transient("ApiUnavailable", "the API server does not answer"), "the API server does not answer"),
        (Refused("may not get Secrets", forbidden=True), "may not get Secrets"),
        (KeyError("sesame"), "defect: KeyError"),
    ],
)
def test_a_secret_that_can_t_be_read_is_the_problem_and_the_next_letter_is_sent(fault: Exception, problem: str) -> None:
    faults = [fault] * (THREADS + 1)  # as many as would end all threads, and another one

    def secret(_name: str) -> None:
        if faults:
            raise faults.pop()

    sender = Sender(secret)
    for run in range(THREADS + 1):
        sender.messenger.send(replace(LETTER, run=run))
    sender.wait(THREADS + 1)
    assert set(sender.messenger.letters("u").values()) == {problem}
    sender.messenger.send(LETTER)
    sender.wait()
    assert str(sender.messenger.letters("u")[LETTER.key]).startswith(ABSENT)
    assert sender.counted == [False] * (THREADS + 2)


def test_letters_that_nobody_takes_hold_a_bounded_number_of_threads_and_places() -> None:
    hanging, going_on = queue.Queue[str](), threading.Event()

    def secret(name: str) -> None:
        hanging.put(name)
        going_on.wait(SECONDS)

    sender, before = Sender(secret), threading.active_count()
    for run in range(THREADS):
        sender.messenger.send(replace(LETTER, run=run))
    for _ in range(THREADS):
        hanging.get(timeout=SECONDS)
    for run in range(THREADS, THREADS + WAITING + 1):
        sender.messenger.send(replace(LETTER, run=run))
    sender.wait()
    found = list(sender.messenger.letters("u").values())
    assert found[-1] == "too many other notifications wait"
    assert set(found[:-1]) == {None}
    assert threading.active_count() <= before + THREADS
    going_on.set()
    sender.wait(THREADS + WAITING)
    assert not [problem for problem in sender.messenger.letters("u").values() if problem is None]


def test_what_became_of_letters_that_nobody_asks_about_is_forgotten_in_the_end() -> None:
    sender = Sender(lambda _name: None)
    for number in range(KEPT + 1):
        sender.messenger.send(replace(LETTER, uid=f"u{number}"))
    sender.wait(KEPT + 1)
    sender.messenger.send(LETTER)
    assert sum(bool(sender.messenger.letters(f"u{number}")) for number in range(KEPT + 1)) < KEPT
