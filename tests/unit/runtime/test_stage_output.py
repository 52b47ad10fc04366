"""Destinations of output that are slow, stuck or full, and whose the last words are."""

import os
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from controller.runtime.stage_output import ROOM, SMALL, UNREAD, Drain, Output, Sink, within
from controller.runtime.stage_redact import Redactor
from tests.support.launching import wait_for


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


def test_what_waits_takes_the_memory_of_its_bytes_and_not_of_an_object_for_each() -> None:
    gate = threading.Event()
    taken: list[bytes] = []

    def hang(chunk: bytes) -> None:
        gate.wait(60)
        taken.append(chunk)

    sink = Sink(hang, patience=60)
    tracemalloc.start()
    try:
        for number in range(20_000):
            sink.put(b"%d" % (number % 10))
        assert tracemalloc.get_traced_memory()[0] < 400_000
    finally:
        tracemalloc.stop()
    gate.set()
    assert sink.close(60)
    assert b"".join(taken) == b"0123456789" * 2_000


def test_a_file_in_the_place_of_a_runtime_takes_no_more_than_that_would(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = Output(file.fileno(), Redactor([]))
        for _ in range(3 * UNREAD // ROOM):
            output.take(b"x" * (ROOM // 2))
            output.take(b"y" * (ROOM // 2))
        output.close(60)
    assert (tmp_path / "log").stat().st_size == UNREAD


def test_a_failing_destination_is_counted() -> None:
    def full(_chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    sink = Sink(full, patience=1)
    sink.put(b"12345")
    assert sink.close(60)
    assert (sink.dropped, sink.failure) == (5, "No space left on device")


def test_a_gap_is_noted_where_it_is() -> None:
    written: list[bytes] = []
    outcomes = iter([True, False, False, True, True])

    def full_for_a_while(chunk: bytes) -> None:
        if not next(outcomes):
            raise OSError(28, "No space left on device")
        written.append(chunk)

    sink = Sink(full_for_a_while, patience=1)
    for chunk in (b"before", b"l" * SMALL, b"l" * SMALL, b"after"):
        sink.put(chunk)
    assert sink.close(60)
    note = b"\ncoachwork: 8192 bytes are missing here: No space left on device\n"
    assert written == [b"before", note, b"after"]
    assert sink.dropped == 2 * SMALL


def test_a_gap_of_a_destination_that_was_too_slow_is_noted_where_it_is() -> None:
    gate, written = threading.Event(), list[bytes]()

    def slow(chunk: bytes) -> None:
        gate.wait(60)
        written.append(chunk)

    sink = Sink(slow, patience=0.01)
    for chunk in (b"x" * ROOM, b"lost"):
        sink.put(chunk)
    gate.set()
    until = time.monotonic() + 60
    while len(written) < 2 and time.monotonic() < until:
        sink.put(b"y")
    assert sink.close(60)
    assert b"".join(written).lstrip(b"x").startswith(b"\ncoachwork: ")
    assert b"bytes are missing here: too slow\ny" in b"".join(written)


def test_work_on_a_volume_that_hangs_is_given_up() -> None:
    gate = threading.Event()

    def hang() -> None:
        gate.wait(60)

    assert within(0.05, hang) == "hangs"
    gate.set()
    assert within(60, lambda: None) == ""


def test_work_on_a_volume_that_fails_ends_there() -> None:
    assert within(60, lambda: Path("/none").stat()) == "No such file or directory"
    assert within(60, lambda: int("x")).startswith("invalid literal")


# --- whose words they are -------------------------------------------------------------------------------


@pytest.mark.parametrize("read_before", [True, False])
def test_what_comes_after_a_process_has_ended_is_not_its_last_word(tmp_path: Path, *, read_before: bool) -> None:
    with (tmp_path / "out").open("wb") as out:
        output = Output(out.fileno(), Redactor(["s3cr3t"]))
        drain = Drain(output)
        writer = os.dup(drain.inlet)
        os.write(writer, b"its own s3c")
        if read_before:
            drain.begin()
            wait_for(lambda: (tmp_path / "out").read_bytes() == b"its own s3c", "the words")
        drain.mark()
        os.write(writer, b"r of another")
        os.close(writer)
        if not read_before:
            drain.begin()
        assert drain.ended(60)
        assert output.said == b"its own s3c"
        output.close(60)
    assert (tmp_path / "out").read_bytes() == b"its own s3cr of another"


def test_a_writer_that_stays_is_waited_for_once_only(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        drain = Drain(Output(out.fileno(), Redactor([])))
        writer, over = os.dup(drain.inlet), threading.Event()

        def chatter() -> None:
            while not over.is_set():
                os.write(writer, b"tick\n")

        drain.begin()
        drain.mark()
        thread = threading.Thread(target=chatter)
        thread.start()
        assert not drain.ended(0.5)  # without the mark as long as the writer writes
        over.set()
        thread.join(60)
        os.close(writer)
        assert drain.ended(60)
