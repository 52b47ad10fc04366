"""Who finds something taken is called when it is free, and does not wait: locks, and places by host."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from controller.adapters.git.command import TimedOut
from controller.adapters.git.places import Places
from controller.adapters.locks import Locks
from controller.core.errors import Busy, NotYet, Transient


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


@dataclass
class Visitors:
    """Those who want places of slow.example, and who of them was called."""

    places: Places
    called: list[str] = field(default_factory=list)

    def enter(self, name: str, host: str = "slow") -> ExitStack:
        stack = ExitStack()
        stack.enter_context(self.places.take(f"https://{host}.example/{name}", 1, question=True))
        return stack

    def refused(self, name: str, host: str = "slow") -> Busy:
        with pytest.raises(Busy) as caught:
            self.enter(name, host)
        return caught.value

    def line_up(self, name: str, host: str = "slow") -> None:
        self.refused(name, host).then(lambda: self.called.append(name))


def test_places_call_as_many_addresses_of_a_host_as_find_room_those_first_that_came_first() -> None:
    visitors = Visitors(Places(4, 0, 30))
    slow = [visitors.enter(name) for name in "ab"]
    for name in "cddef":
        visitors.line_up(name)
    quick = [visitors.enter(name, "quick") for name in "xy"]
    visitors.line_up("z", "other")
    slow.pop().close()
    assert visitors.called == ["c", "z"]
    quick.pop().close()
    assert visitors.called == ["c", "z", "d", "d"]  # one place for each host's address, and all requests of that
    again = visitors.enter("e")  # it came by itself
    again.close()
    assert visitors.called[4:] == ["e", "f"]
    slow.pop().close()
    assert visitors.called[6:] == []


def test_no_place_is_given_to_those_who_are_not_to_be_called() -> None:
    visitors = Visitors(Places(2, 0, 30))
    first = visitors.enter("a")
    late = visitors.refused("b")
    visitors.refused("c")
    visitors.line_up("d")
    first.close()
    assert visitors.called == ["d"]
    late.then(lambda: visitors.called.append("b"))  # there is room already
    assert visitors.called == ["d", "b"]


def test_who_is_overtaken_on_the_way_to_a_place_is_called_for_the_next() -> None:
    visitors = Visitors(Places(2, 0, 30))
    first = visitors.enter("a")
    for name in "bcd":
        visitors.line_up(name)
    first.close()
    faster = visitors.enter("e")
    visitors.line_up("b")
    faster.close()
    assert visitors.called == ["b", "b"]
    visitors.enter("b").close()
    visitors.enter("c").close()
    assert visitors.called[2:] == ["c", "d"]


def test_a_host_that_timed_out_waits_for_places_that_others_have() -> None:
    visitors = Visitors(Places(4, 0, 0))
    with pytest.raises(Transient, match="no end within 1 s"), visitors.enter("a"):
        raise TimedOut
    others = [visitors.enter(name, host) for host in ("quick", "other") for name in "xy"]
    visitors.line_up("a")
    others[0].close()
    assert visitors.called == ["a"]
