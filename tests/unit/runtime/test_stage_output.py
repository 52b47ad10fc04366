"""Destinations of output that are slow, stuck or full."""

import threading

from controller.runtime.stage_output import ROOM, Sink, within


def test_a_destination_that_hangs_holds_nobody_up() -> None:
    gate = threading.Event()

    def hang(_chunk: bytes) -> None:
        gate.wait(60)

    sink = Sink(hang, patience=0.05)
    chunk = b"x" * (ROOM // 4)
    for _ in range(40):
        sink.put(chunk)
    assert sink.failure == "too slow"
    assert sink.dropped == 36 * len(chunk)
    assert not sink.close(0.05)
    assert sink.dropped == 40 * len(chunk)
    gate.set()


def test_a_slow_destination_gets_all_within_its_patience() -> None:
    taken: list[int] = []
    sink = Sink(lambda chunk: taken.append(len(chunk)), patience=60)
    for _ in range(100):
        sink.put(b"x" * (ROOM // 3))
    assert sink.close(60)
    assert sum(taken) == 100 * (ROOM // 3)
    assert (sink.dropped, sink.failure) == (0, "")


def test_a_failing_destination_is_counted() -> None:
    def full(_chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    sink = Sink(full, patience=1)
    sink.put(b"12345")
    assert sink.close(60)
    assert (sink.dropped, sink.failure) == (5, "No space left on device")


def test_work_on_a_volume_that_hangs_is_given_up() -> None:
    gate = threading.Event()

    def hang() -> None:
        gate.wait(60)

    assert within(0.05, hang) == "hangs"
    gate.set()
    assert within(60, lambda: None) == ""
