"""Two controllers and one Lease: one leads, whatever the API server and their clocks do."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from controller.app.leading import Candidate
from controller.core import lease
from controller.core.errors import NotYet, Refused, Transient
from tests.support.byhand import ByHand
from tests.support.eventually import eventually

AWAY = Transient("ApiUnavailable", "API server: connection refused")


@dataclass
class Time:
    """A clock that stands still until it is set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Two:
    """Candidates with clocks of their own, which have nothing in common."""

    cluster: ByHand = field(default_factory=ByHand)
    clocks: tuple[Time, Time] = field(default_factory=lambda: (Time(), Time(5.0)))

    def __post_init__(self) -> None:
        self.both = tuple(Candidate(self.cluster, f"pod-{'ab'[number]}", self.clocks[number]) for number in (0, 1))

    def pass_(self, seconds: float, *stand: int) -> None:
        """Let a time pass, in which these stand each second."""
        for _ in range(int(seconds)):
            for clock in self.clocks:
                clock.now += 1.0
            for number in stand:
                self.both[number].stand()

    def leaders(self) -> list[int]:
        return [number for number, one in enumerate(self.both) if not one.standing()]


@pytest.fixture
def two() -> Two:
    made = Two()
    assert made.both[0].stand()
    assert not made.both[1].stand()
    return made


def away(_verb: str, _moment: str) -> None:
    raise AWAY


def test_the_first_leads_and_the_second_says_who_does(two: Two) -> None:
    two.pass_(100, 0, 1)
    assert two.leaders() == [0]
    assert two.both[1].standing() == "another controller leads: pod-a holds the Lease coachwork"
    two.both[0].check()
    with pytest.raises(NotYet, match="pod-a"):
        two.both[1].check()


def test_who_is_lost_is_followed_after_its_time(two: Two) -> None:
    two.pass_(14, 1)
    assert two.leaders() == []
    two.pass_(2, 1)
    assert two.leaders() == [1]


def test_a_leader_that_was_stopped_for_a_minute_finds_that_another_leads(two: Two) -> None:
    two.pass_(60, 1)
    with pytest.raises(NotYet):
        two.both[0].check()
    assert not two.both[0].stand()
    assert two.leaders() == [1]


def test_what_began_before_another_led_is_over_even_once_this_one_leads_again(two: Two) -> None:
    check = two.both[0].term()
    two.pass_(100, 0)
    check()
    two.pass_(20, 1)
    two.both[1].stop()
    assert two.both[0].stand()
    two.both[0].check()
    with pytest.raises(NotYet, match="lost meanwhile"):
        check()
    two.both[0].term()()


def test_who_ends_lets_the_next_one_lead_at_once(two: Two) -> None:
    two.both[0].stop()
    with pytest.raises(NotYet):
        two.both[0].check()
    assert two.both[1].stand()
    assert two.leaders() == [1]


def test_a_new_process_of_the_same_pod_leads_at_once(two: Two) -> None:
    assert Candidate(two.cluster, "pod-a", Time(0.0)).stand()


def test_while_the_api_server_is_away_the_leader_pauses_and_goes_on_when_it_is_back(two: Two) -> None:
    two.cluster.hook = away
    two.pass_(9, 0)
    assert two.leaders() == [0]
    two.pass_(30, 0)
    assert two.both[0].standing() == f"the Lease coachwork can't be held: {AWAY}"
    two.cluster.hook = lambda _verb, _moment: None
    assert two.both[0].stand()
    assert not two.both[0].stand()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_renewal_that_got_no_answer_counts_for_nothing_and_is_in_nobody_s_way(two: Two, moment: str) -> None:
    def lost(_verb: str, when: str) -> None:
        if when == moment:
            raise AWAY

    two.cluster.hook = lost
    two.pass_(9, 0)
    two.cluster.hook = lambda _verb, _moment: None
    two.pass_(1, 0, 1)
    assert two.leaders() == [0]
    two.pass_(20, 0, 1)
    assert two.leaders() == [0]


def test_a_renewal_counts_from_its_begin(two: Two) -> None:
    def slow(_verb: str, when: str) -> None:
        if when == "after":
            two.clocks[0].now += 6.0

    two.cluster.hook = slow
    two.both[0].stand()
    two.clocks[0].now += lease.HELD - 6.0
    assert two.leaders() == []


def test_without_the_right_to_it_nothing_is_done_and_the_remedy_is_said() -> None:
    cluster = ByHand()
    cluster.refuse["get", "coachwork"] = Refused("leases is forbidden", forbidden=True)
    candidate = Candidate(cluster, "pod-a")
    candidate.stand()
    assert candidate.standing().endswith("leases is forbidden: apply deploy/base/role.yaml of this version")


DISTURBANCES: dict[str, Callable[[ByHand], None]] = {
    "deleted": lambda cluster: cluster.remove("Lease", "coachwork"),
    "annotated": lambda cluster: cluster.edit(
        "Lease", "coachwork", lambda item: item["metadata"].update(annotations={"a": "b"})
    ),
    "given to nobody's pod": lambda cluster: cluster.edit(
        "Lease", "coachwork", lambda item: item["spec"].update(holderIdentity="nobody", leaseDurationSeconds=10**6)
    ),
}


@pytest.mark.parametrize("disturb", DISTURBANCES.values(), ids=DISTURBANCES)
def test_whatever_becomes_of_the_lease_one_leads_again(two: Two, disturb: Callable[[ByHand], None]) -> None:
    disturb(two.cluster)
    for _ in range(70):
        two.pass_(1, 1, 0)  # the second looks first
        assert len(two.leaders()) <= 1
    assert two.leaders() == [0] or two.leaders() == [1]


def test_terms_that_begin_while_the_first_is_still_taken_up_are_taken_up_once_after_it() -> None:
    entered, go_on, at_once, calls = threading.Event(), threading.Event(), threading.Lock(), list[bool]()

    def slow() -> None:
        calls.append(at_once.acquire(blocking=False))
        entered.set()
        assert go_on.wait(60)
        at_once.release()

    clock = Time()
    candidate = Candidate(ByHand(), "pod-a", clock)
    candidate.start(slow)
    assert entered.wait(60)
    for _ in range(3):
        clock.now += lease.HELD
        candidate.stand()
    go_on.set()
    eventually(lambda: len(calls) == 2 and not at_once.locked())
    candidate.stop()
    assert calls == [True, True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_can_t_take_up_its_term_says_that_only_a_restart_helps() -> None:
    def broken() -> None:
        raise RuntimeError("a defect")

    candidate = Candidate(ByHand(), "pod-a")
    candidate.start(broken)
    assert eventually(candidate.trouble) == "a thread of the Lease has died"
    candidate.stop()


def test_its_thread_says_when_it_begins_to_lead_and_leaves_the_lease_free() -> None:
    cluster, begun = ByHand(), list[str]()
    candidate = Candidate(cluster, "pod-a")
    candidate.start(lambda: begun.append("a"))
    eventually(lambda: begun)
    assert candidate.trouble() == candidate.standing() == ""
    candidate.stop()
    assert "holderIdentity" not in cluster.stored["Lease", "coachwork"]["spec"]
