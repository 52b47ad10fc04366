"""Who finds something taken is called when it is free, and does not wait: locks, and places by host."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from controller.adapters.git.places import Places
from controller.adapters.locks import Locks
from controller.core.errors import Busy, NotYet


def test_all_who_found_a_lock_taken_are_called_when_it_is_free(tmp_path: Path) -> None:
    locks, file, called = Locks(0), tmp_path / "lock", list[int]()
    with locks.hold(file, "iris"):
        for number in range(3):
            with (
                pytest.raises(Busy, match=r"^iris: another pass is working on it$") as caught,
                locks.hold(file, "iris"),
            ):
                raise AssertionError("two hold it")
            caught.value.then(partial(called.append, number))
        assert called == []
    assert called == [0, 1, 2]
    caught.value.then(lambda: called.append(3))  # too late to be called, so at once
    assert called[3:] == [3]
    with locks.hold(file, "iris"):
        pass


def test_who_waits_a_little_is_called_by_nobody(tmp_path: Path) -> None:
    locks = Locks(0.01)
    with locks.hold(tmp_path / "lock", "iris"), pytest.raises(NotYet) as caught, locks.hold(tmp_path / "lock", "iris"):
        raise AssertionError("two hold it")
    assert not isinstance(caught.value, Busy)


def test_places_call_as_many_addresses_of_a_host_as_find_room_those_first_that_came_first() -> None:
    places, called = Places(4, 0, 30), list[str]()

    def ask(url: str) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(places.take(url, 1, question=True))
        return stack

    def refused(url: str) -> None:
        with pytest.raises(Busy) as caught:
            ask(url)
        caught.value.then(lambda: called.append(url.rpartition("/")[2]))

    slow = [ask(f"https://slow.example/{name}") for name in "ab"]
    for name in "cddef":
        refused(f"https://slow.example/{name}")
    quick = [ask(f"https://quick.example/{name}") for name in "xy"]
    refused("https://other.example/z")
    slow.pop().close()
    assert called == ["c", "z"]
    quick.pop().close()
    assert called == ["c", "z", "d", "d"]  # one place for each host's address, and all requests of that
    again = ask("https://slow.example/e")  # it came by itself
    again.close()
    assert called[4:] == ["e", "f"]
    slow.pop().close()
    assert called[6:] == []
