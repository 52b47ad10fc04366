"""The queue's one invariant (client-go's): a key is never worked on twice at a time, and no wish is lost."""

import itertools
import threading
import time
import weakref
from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.workqueue import BACKOFF_FIRST, BACKOFF_LIMIT, STREAK, WorkQueue
from tests.support.eventually import eventually
from tests.support.examples import share

KEYS = st.sampled_from("abc")


class Model(RuleBasedStateMachine):
    """The queue beside the simplest thing that could be right."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue()
        self.first: deque[str] = deque()
        self.waiting: deque[str] = deque()
        self.streak = 0
        self.again: dict[str, bool] = {}
        self.active: set[str] = set()

    @rule(key=KEYS, first=st.booleans())
    def add(self, key: str, *, first: bool = False) -> None:
        self.queue.add(key, first=first)
        if key in self.active:
            self.again[key] = first or self.again.get(key, False)
        elif key in self.waiting and first:
            self.waiting.remove(key)
            self.first.append(key)
        elif key not in (*self.first, *self.waiting):
            (self.first if first else self.waiting).append(key)

    @rule(key=KEYS)
    def add_before_a_later_wish(self, key: str) -> None:
        self.queue.add_after(key, 3600.0)
        self.add(key)

    @precondition(lambda self: self.first or self.waiting)
    @rule()
    def get(self) -> None:
        key = self.queue.get()
        ahead = bool(self.first) and (self.streak < STREAK or not self.waiting)
        self.streak = self.streak + 1 if ahead else 0
        assert key == (self.first if ahead else self.waiting).popleft()
        assert key not in self.active
        self.active.add(key)

    @precondition(lambda self: self.active)
    @rule(which=st.integers(0, 2))
    def done(self, which: int) -> None:
        key = sorted(self.active)[which % len(self.active)]
        self.queue.done(key)
        self.active.discard(key)
        if key in self.again:
            (self.first if self.again.pop(key) else self.waiting).append(key)

    @invariant()
    def agrees(self) -> None:
        assert len(self.queue) == len(self.first) + len(self.waiting)


TestModel = Model.TestCase
TestModel.settings = settings(deadline=None, max_examples=share(0.3))


def test_what_has_begun_goes_on_before_what_begins_and_nothing_waits_for_ever() -> None:
    queue = WorkQueue()
    for number in range(3):
        queue.add(f"new-{number}")
    queue.add("new-2", first=True)  # its run has begun meanwhile
    for number in range(STREAK):
        queue.add(f"active-{number}", first=True)
    taken = [queue.get() for _ in range(len(queue))]
    assert taken == [
        "new-2",
        *(f"active-{number}" for number in range(STREAK - 1)),
        "new-0",
        f"active-{STREAK - 1}",
        "new-1",
    ]


def test_many_workers_never_share_a_key_and_lose_no_addition() -> None:
    queue, guard = WorkQueue(), threading.Lock()
    at_work: Counter[str] = Counter()
    shared: list[str] = []
    added = dict.fromkeys("abcd", 0)
    seen = dict.fromkeys("abcd", 0)

    def work() -> None:
        while (key := queue.get()) is not None:
            with guard:
                at_work[key] += 1
                shared.extend([key] if at_work[key] > 1 else [])
            told = added[key]  # read after the key was taken: an addition from now on makes it come again
            with guard:
                seen[key] = max(seen[key], told)
                at_work[key] -= 1
            queue.done(key)

    def ask(key: str) -> None:
        for number in range(1, 501):
            added[key] = number
            (queue.add if number % 2 else lambda key: queue.add_after(key, 0.0))(key)

    workers = [threading.Thread(target=work) for _ in range(8)]
    askers = [threading.Thread(target=ask, args=(key,)) for key in "abcd"]
    for thread in (*workers, *askers):
        thread.start()
    for thread in askers:
        thread.join(60)
    eventually(lambda: set(seen.values()) == {500})
    queue.close()
    for thread in workers:
        thread.join(60)
    assert not shared


def test_an_earlier_wish_comes_before_a_later_one_whichever_was_first() -> None:
    for delays in ((0.0, 3600.0), (3600.0, 0.0)):
        queue = WorkQueue()
        for delay in delays:
            queue.add_after("a", delay)
        assert queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0


def test_a_worker_that_waits_wakes_for_an_earlier_wish() -> None:
    queue, taken = WorkQueue(), list[str | None]()
    queue.add_after("late", 3600.0)
    worker = threading.Thread(target=lambda: taken.append(queue.get()), daemon=True)
    worker.start()
    queue.add_after("soon", 0.01)
    eventually(lambda: taken == ["soon"])


def test_several_keys_that_come_due_at_once_wake_several_workers() -> None:
    queue, got = WorkQueue(), set[str | None]()
    workers = [threading.Thread(target=lambda: got.add(queue.get()), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    for key in "abc":
        queue.add_after(key, 0.02)
    eventually(lambda: got == set("abc"))


@given(st.integers(1, 80))
@settings(deadline=None)
def test_the_back_off_doubles_with_jitter_and_is_bounded(times: int) -> None:
    queue = WorkQueue()
    delays = [queue.retry("a") for _ in range(times)]
    for failures, delay in enumerate(delays):
        ceiling = min(BACKOFF_FIRST * 2.0**failures, BACKOFF_LIMIT)
        assert ceiling / 2 <= delay <= ceiling
    assert queue.failures("a") == times
    queue.forget("a")
    assert queue.failures("a") == 0
    assert queue.retry("a") <= BACKOFF_FIRST


def test_the_servers_own_wish_is_the_least_that_a_retry_waits() -> None:
    assert WorkQueue().retry("a", at_least=120.0) == 120.0


def test_closing_frees_all_that_wait_and_takes_no_more() -> None:
    queue, ended = WorkQueue(), list[str | None]()
    workers = [threading.Thread(target=lambda: ended.append(queue.get()), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(20)
    assert ended == [None, None, None]
    queue.add("a")
    assert queue.get() is None


def test_the_latest_addition_of_a_key_is_known_while_it_is_worked_on() -> None:
    queue = WorkQueue()
    queue.add("a")
    between = time.monotonic()
    assert queue.get() == "a"
    assert queue.added("a") <= between
    queue.add("a")  # meanwhile: what the pass finds from now on may be as new as this
    assert queue.added("a") > between
    queue.done("a")
    again = time.monotonic()
    queue.add("a")
    assert queue.get() == "a"
    assert queue.added("a") > again


def test_a_key_that_only_waits_counts_from_its_news_and_any_other_from_when_it_comes_due() -> None:
    def waits(queue: WorkQueue) -> None:
        queue.wait("a", 0.01)

    def is_tried_again(queue: WorkQueue) -> None:
        queue.retry("a", at_least=0.01)

    def is_due_later(queue: WorkQueue) -> None:
        queue.add_after("a", 0.02)

    for ways, as_before in (
        ((waits,), True),
        ((is_tried_again,), False),
        ((is_due_later,), False),
        ((waits, is_due_later), False),
        ((is_due_later, waits), False),
    ):
        queue = WorkQueue()
        queue.add("a")
        assert queue.get() == "a"
        between = time.monotonic()
        for come_back in ways:
            come_back(queue)
        queue.done("a")
        assert queue.get() == "a"
        assert (queue.added("a") <= between) is as_before, ways


def test_a_parked_key_comes_when_it_is_called_and_once_or_else_after_its_delay() -> None:
    for called_early in (True, False):
        queue = WorkQueue()
        queue.add("a")
        assert queue.get() == "a"
        between = time.monotonic()
        queue.park("a", 3600.0)
        if called_early:  # before the pass that parked it is over
            queue.call("a")
        queue.done("a")
        if not called_early:
            queue.call("a")
        queue.call("a")
        assert queue.get() == "a"
        assert queue.added("a") <= between
        queue.done("a")
        assert len(queue) == 0
    queue.park("a", 0.0)
    assert queue.get() == "a"
    queue.call("a")  # it has come already
    queue.done("a")
    assert len(queue) == 0


class Key(str):
    """A key that can be seen to be kept."""

    __slots__ = ("__weakref__",)


def test_wishes_that_no_longer_stand_do_not_add_up() -> None:
    queue, keys = WorkQueue(lambda: next(seconds)), list[weakref.ref[Key]]()
    seconds = itertools.count()
    queue.add_after("earlier", 80000.0)
    for _ in range(2000):  # passes, each of which wishes for one a day later
        queue.add("iris")
        queue.get()
        queue.add_after(key := Key("iris"), 86400.0)
        queue.done("iris")
        keys.append(weakref.ref(key))
    del key
    assert sum(kept() is not None for kept in keys) < 100
