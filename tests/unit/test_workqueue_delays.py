"""What keeps a key from coming back at a steady, short pace."""

from controller.workqueue import BACKOFF_FIRST, WorkQueue
from tests.support.eventually import eventually


def test_a_wait_that_does_not_end_grows_to_half_a_minute_and_begins_again_after_a_good_pass() -> None:
    queue = WorkQueue()
    delays = [queue.wait("iris", 0.5) for _ in range(10)]
    assert delays[:3] == [0.5, 1.0, 2.0]
    assert delays[-1] == 30.0
    queue.forget("iris")
    assert queue.wait("iris", 0.5) == 0.5


def test_a_long_wait_stays_as_long_as_it_was_wished() -> None:
    queue = WorkQueue()
    assert [queue.wait("iris", 60.0) for _ in range(3)] == [60.0] * 3


def test_news_during_a_back_off_is_looked_at_and_does_not_lengthen_it() -> None:
    queue = WorkQueue()
    queue.retry("iris", at_least=60.0)
    for _ in range(10):
        queue.add("iris")
        assert queue.get() == "iris"
        assert queue.retry("iris") <= BACKOFF_FIRST
        queue.done("iris")


def test_a_pass_that_outlasts_its_back_off_resets_it_whatever_caused_it() -> None:
    queue = WorkQueue()
    queue.retry("iris")
    queue.add("iris")
    assert queue.get() == "iris"
    queue.add_after("iris", 0.0)  # what it waited for has come due while it is worked on
    eventually(lambda: queue.retry("iris") > BACKOFF_FIRST)


def test_a_key_that_is_taken_is_taken_for_what_was_wished_for_later_too() -> None:
    now = [0.0]
    queue = WorkQueue(lambda: now[0])
    queue.add_after("iris", 1.0)
    queue.add("iris")
    assert queue.get() == "iris"
    queue.add_after("iris", 3.0)  # what is wished for meanwhile stands
    queue.done("iris")
    now[0] = 2.0
    queue.add("other")
    assert queue.get() == "other"
    now[0] = 3.0
    assert queue.get() == "iris"


def test_the_oldest_key_has_waited_since_it_was_added_first_not_last() -> None:
    now = [0.0]
    queue = WorkQueue(lambda: now[0])
    assert queue.oldest() == 0.0
    queue.add("iris")
    now[0] = 5.0
    queue.add("wine", first=True)
    queue.add("iris", first=True)
    now[0] = 7.0
    assert queue.oldest() == 7.0
    assert queue.get() == "wine"
    assert queue.oldest() == 7.0
    assert queue.get() == "iris"
    queue.add("iris")
    assert queue.oldest() == 0.0
    now[0] = 8.0
    queue.done("iris")
    now[0] = 10.0
    assert queue.oldest() == 2.0
