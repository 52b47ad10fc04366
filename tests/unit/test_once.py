"""A result is computed once, however many threads want it; an exception each time."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller.once import once


def test_a_result_that_many_threads_want_at_once_is_computed_once() -> None:
    calls, everybody = list[int](), threading.Barrier(8)

    def square(number: int) -> int:
        calls.append(number)
        return number * number

    def work(squared: int) -> list[int]:
        everybody.wait(20)
        return [remembered(number) for number in range(squared)]

    remembered = once(10, square)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, [10] * 8)) == [[number * number for number in range(10)]] * 8
    assert Counter(calls) == dict.fromkeys(range(10), 1)
    remembered(10)
    remembered(0)  # the oldest has made room
    assert calls[10:] == [10, 0]


def test_what_fails_is_tried_again() -> None:
    calls = list[int]()

    def fails(number: int) -> int:
        calls.append(number)
        if len(calls) == 1:
            raise ValueError
        return number

    remembered = once(10, fails)
    with pytest.raises(ValueError, match=r"^$"):
        remembered(1)
    assert (remembered(1), remembered(1), calls) == (1, 1, [1, 1])
