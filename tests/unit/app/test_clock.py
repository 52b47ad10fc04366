"""A clock that somebody sets by an hour ends no run early, keeps none for long, and is followed in the end."""

import pytest

from controller.app.clock import SteadyClock

HOUR = 3600.0


class Machine:
    """A clock on a wall, and what has passed in truth."""

    def __init__(self) -> None:
        self.passed, self.set = 1e5, 1e9

    def wall(self) -> float:
        return self.set + self.passed

    def clock(self) -> SteadyClock:
        return SteadyClock(self.wall, lambda: self.passed)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 30.0, -30.0])
def test_a_jump_is_caught_up_with_little_by_little_and_never_backwards(jump: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set += jump
    before = clock.time()
    for _ in range(600):
        machine.passed += 1
        now = clock.time()
        assert 0.5 <= round(now - before, 3) <= 1.5
        before = now
    assert abs(machine.wall() - clock.time()) == pytest.approx(max(abs(jump) - 300, 0.0), abs=0.01)
    machine.passed += 2 * HOUR
    assert clock.time() == pytest.approx(machine.wall())


@pytest.mark.parametrize("jump", [50 * 365 * 24 * HOUR, -25 * HOUR])
def test_a_clock_that_was_plainly_wrong_is_right_at_once(jump: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set += jump
    machine.passed += 1
    assert clock.time() == pytest.approx(machine.wall())


def test_a_clock_that_nobody_sets_is_right() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passed += 0.25
    assert clock.time() == machine.wall()
    assert clock().timestamp() == pytest.approx(machine.wall())
