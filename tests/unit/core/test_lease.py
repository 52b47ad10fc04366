"""Who may take the Lease, by one clock only."""

from datetime import UTC, datetime

import pytest

from controller.core import lease
from controller.core.model import Object

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def held_by(holder: str, version: str = "1", **spec: object) -> Object:
    made = lease.held(None, holder, NOON)
    return {**made, "metadata": {**made["metadata"], "resourceVersion": version}, "spec": {**made["spec"], **spec}}


def test_another_holds_it_until_it_has_looked_the_same_for_its_time() -> None:
    first = lease.look(None, held_by("other"), 100.0)
    assert not lease.is_free(first, "own", 114.9)
    renewed = lease.look(first, held_by("other", "2"), 114.0)
    assert not lease.is_free(renewed, "own", 128.9)
    assert lease.look(renewed, held_by("other", "2"), 120.0) == renewed
    assert lease.is_free(renewed, "own", 129.0)


def test_its_own_a_free_one_and_one_that_never_was_are_free_at_once() -> None:
    released = lease.released(held_by("other"))
    assert "holderIdentity" not in released["spec"]
    for live in (held_by("own"), released, None):
        assert lease.is_free(lease.look(None, live, 5.0), "own", 5.0)


def test_one_that_is_deleted_while_it_is_held_is_held_on_for_its_time() -> None:
    gone = lease.look(lease.look(None, held_by("other"), 0.0), None, 10.0)
    assert lease.look(gone, None, 20.0) == gone
    assert not lease.is_free(gone, "own", 24.9)
    assert lease.is_free(gone, "own", 25.0)
    assert lease.is_free(gone, "other", 10.0)


@pytest.mark.parametrize(("granted", "waits"), [(10**9, 60.0), (-5, 1.0), ("x", 15.0), (None, 15.0)])
def test_a_time_that_somebody_wrote_into_it_is_not_waited_for_long(granted: object, waits: float) -> None:
    sight = lease.look(None, held_by("other", leaseDurationSeconds=granted), 0.0)
    assert not lease.is_free(sight, "own", waits - 0.1)
    assert lease.is_free(sight, "own", waits)


def test_a_lease_that_somebody_broke_is_read_as_free() -> None:
    broken_specs: tuple[object, ...] = (None, "x", [], {"holderIdentity": None, "leaseTransitions": "x"})
    for spec in broken_specs:
        broken = {**held_by("other"), "spec": spec}
        assert lease.is_free(lease.look(None, broken, 0.0), "own", 0.0)
        assert lease.held(broken, "own", NOON)["spec"]["leaseTransitions"] == 1


def test_it_says_who_holds_it_since_when_and_how_often_that_has_changed() -> None:
    first = held_by("a")
    again = lease.held(first, "a", NOON.replace(hour=13))
    assert again["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T12:00:00.000000Z",
        "renewTime": "2026-01-01T13:00:00.000000Z",
        "leaseTransitions": 0,
    }
    taken = lease.held(again, "b", NOON.replace(hour=14))["spec"]
    assert (taken["acquireTime"], taken["leaseTransitions"]) == ("2026-01-01T14:00:00.000000Z", 1)


def test_a_holder_stops_before_another_may_take_over() -> None:
    assert 2 * lease.RENEWAL < lease.HELD < lease.GRANTED
