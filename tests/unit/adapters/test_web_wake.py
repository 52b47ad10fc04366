"""The port at which pods say that they are done."""

import select
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from controller.adapters.web.rate import ADDRESSES
from controller.adapters.web.wake import BYTES, CALLS, Bell, WakeServer

IRIS = "/wake/iris"


class Woken(list[str]):
    """The names that were called; something waits for iris."""

    def __call__(self, name: str) -> bool:
        self.append(name)
        return name == "iris"


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def server(woken: Woken) -> Iterator[WakeServer]:
    made = WakeServer(0, woken, lambda _status: None)
    made.start()
    yield made
    made.stop()


def say(server: WakeServer, words: str) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(words.encode() + b"\r\n\r\n")
        return connection.recv(1000).split()[1]


@pytest.mark.parametrize(
    ("words", "status", "names"),
    [
        (f"POST {IRIS} HTTP/1.0", b"202", ["iris"]),
        (f"POST {IRIS} HTTP/1.0\r\nContent-Length: 1099511627776", b"202", ["iris"]),  # nobody waits for it
        ("POST /wake/nobody HTTP/1.0", b"404", ["nobody"]),
        ("POST /wake/ HTTP/1.0", b"404", [""]),
        ("POST /metrics HTTP/1.0", b"404", []),
        (f"GET {IRIS} HTTP/1.0", b"405", []),
        ("GET /api/runs/iris HTTP/1.0", b"405", []),
        (f"POST {IRIS} HTTP/1.0\r\nX: ".ljust(BYTES - 4, "x"), b"202", ["iris"]),
    ],
)
def test_a_call_wakes_what_it_names_and_nothing_can_be_read(
    server: WakeServer, woken: Woken, words: str, status: bytes, names: list[str]
) -> None:
    assert (say(server, words), woken) == (status, names)


def test_no_more_is_read_of_a_call_than_one_needs(server: WakeServer, woken: Woken) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as endless:
        endless.sendall(f"POST {IRIS} HTTP/1.0\r\nX: ".ljust(BYTES, "x").encode())
        assert endless.recv(1000).split()[1] == b"431"
    assert not woken


def test_a_call_that_comes_a_byte_at_a_time_keeps_no_place(server: WakeServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        sent = 0
        while sent < BYTES and not select.select([slow], [], [], 0.05)[0]:  # until it is closed
            sent += slow.send(b"x")
        assert sent < BYTES / 2


def test_calls_of_one_address_are_bounded_and_those_of_others_count(woken: Woken) -> None:
    now = [100.0]
    counted = Counter[int]()
    bell = Bell(woken, lambda status: counted.update([status]), lambda: now[0])
    answers = [bell.ring("10.0.0.1", IRIS).status for _ in range(1000)]
    assert answers == [202] * CALLS + [429] * (1000 - CALLS)
    assert bell.ring("10.0.0.2", IRIS).status == 202
    assert len(woken) == CALLS + 1
    now[0] += 1
    assert bell.ring("10.0.0.1", IRIS).status == 202
    assert counted == {202: CALLS + 2, 429: 1000 - CALLS}


def test_addresses_are_bounded(woken: Woken) -> None:
    bell = Bell(woken, lambda _status: None, lambda: 100.0)
    assert {bell.ring(str(number), IRIS).status for number in range(ADDRESSES)} == {202}
    assert [bell.ring(address, IRIS).status for address in ("one more", "0")] == [429, 202]
