"""What connections may take of the HTTP port: places, bytes, seconds and memory. Over a real socket."""

import asyncio
import http.client
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest
from starlette.types import ASGIApp

from controller.adapters.web import events
from controller.adapters.web.api import API_ROOM
from controller.adapters.web.changes import NAMES, Changes
from controller.adapters.web.events import READERS
from controller.adapters.web.guard import OwnPage
from controller.adapters.web.listener import CONNECTIONS, OF_ONE_ADDRESS, Limits, Listener
from controller.adapters.web.ports import LiveRequest, Site
from controller.adapters.web.readers import ASKING
from controller.adapters.web.relay import Relay
from controller.adapters.web.replies import Reply, Room, Stream, Streamed, Whole
from controller.adapters.web.server import PAGES, PROBES, SCRAPES, WebServer
from controller.core.errors import Transient
from tests.support.readers import SHOWN, TOKEN, may_read

SOON = 0.3  # seconds for a request
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def listening(app: ASGIApp, most: int = 1000) -> Iterator[int]:
    server = Listener("web", ("127.0.0.1", 0), app, Limits(SOON, most))
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@contextmanager
def connected(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as connection:
        yield connection


HELLO = Whole(Reply(200, b"hello\n"))


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
def test_a_request_that_comes_a_byte_at_a_time_keeps_no_place(before: bytes) -> None:
    with listening(HELLO) as port, connected(port) as slow:
        slow.sendall(before)
        if before:
            _until(slow, b"hello\n")
        sent = 0
        with suppress(ConnectionError):  # closed while a byte was on its way
            while sent < 900 and not select.select([slow], [], [], 0.02)[0]:  # until it is closed
                sent += slow.send(b"x")
            assert sent < 900
            assert slow.recv(1000) == b""


def test_a_connection_serves_again_and_is_closed_when_nothing_comes() -> None:
    with listening(HELLO) as port, connected(port) as calm:
        for _ in range(3):
            calm.sendall(GET)
            _until(calm, b"hello\n")
        assert calm.recv(1) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: ".ljust(1000, b"x"), b"431"),
        (b"GET / HTTP/1.1\r\nX: ".ljust(100_000, b"x") + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", b"200"),
    ],
    ids=["endless", "at once", "a body that never comes"],
)
def test_no_more_is_read_of_a_request_than_one_needs(sent: bytes, status: bytes) -> None:
    with listening(HELLO) as port, connected(port) as endless:
        endless.sendall(sent)
        assert endless.recv(1000).split()[1] == status


def test_a_reader_that_takes_nothing_keeps_little_in_memory_and_its_end_is_noticed() -> None:
    made, closed = [0], threading.Event()

    def pieces() -> Iterator[bytes]:
        while True:
            made[0] += 1
            yield bytes(1 << 16)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Streamed(Stream(pieces(), closed.set, None), Room(1))(scope, receive, send)

    with listening(app) as port, connected(port) as reader:
        reader.sendall(GET)
        assert reader.recv(10)
        before = -1
        while before != made[0]:  # sockets hold some megabytes
            before = made[0]
            select.select([], [], [], 0.2)
        assert made[0] < 500
        assert not closed.is_set()
        reader.close()
        assert closed.wait(20)


def test_addresses_that_hold_all_places_leave_one_for_another() -> None:
    with listening(HELLO) as port, ExitStack() as stack:
        held = [stack.enter_context(connected(port, f"127.0.0.{end}")) for end in (2, 3) for _ in range(OF_ONE_ADDRESS)]
        assert len(held) == CONNECTIONS
        probe = stack.enter_context(connected(port, "127.0.0.4"))
        probe.sendall(GET)
        _until(probe, b"hello\n")


# --- probes ----------------------------------------------------------------------------------------


class Hanging:
    """A volume that does not answer; `entered` counts those who ask it."""

    def __init__(self) -> None:
        self.release, self.entered = threading.Event(), threading.Semaphore(0)

    def runs(self, *_args: object, **_more: object) -> Any:
        self.entered.release()
        self.release.wait(60)
        raise Transient("VolumeUnavailable", "the shared volume: Stale file handle")

    run = logs = log = artifacts = artifact = progress = runs


class Nothing(Changes):
    def requests(self) -> Sequence[LiveRequest]:
        return ()

    def request(self, _name: str) -> LiveRequest | None:
        return None


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    it = Hanging()
    yield it
    it.release.set()


@contextmanager
def serving(archive: Any, metrics: Callable[[], object] = str) -> Iterator[WebServer]:
    site = Site(Nothing(), archive, "ml", "pod", "1")
    server = WebServer(
        0, site, may_read, metrics=lambda _: ("text/plain", str(metrics()).encode()), healthy=str, ready=str
    )
    server.start()
    try:
        yield server
    finally:
        archive.release.set()
        server.stop()


def status(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=SHOWN)
        return connection.getresponse().status


def test_no_reader_is_in_the_way_of_a_probe(hanging: Hanging) -> None:
    assert API_ROOM + PAGES + READERS + PROBES + ASKING < OF_ONE_ADDRESS, (
        "all may come by way of one node, as its probes do"
    )
    with serving(hanging) as server, ExitStack() as stack:

        def ask(path: str) -> socket.socket:
            connection = stack.enter_context(connected(server.port))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Coachwork-Token: {TOKEN}\r\n\r\n".encode())
            return connection

        for path, count in (("/api/runs/iris", API_ROOM), ("/requests/iris/runs/1/artifacts", PAGES)):
            for _ in range(count):
                ask(path)
                assert hanging.entered.acquire(timeout=20)
            assert status(server.port, path) == 429
        for _ in range(READERS):
            assert b"event: change" in _until(ask("/events"), b"change")
        assert status(server.port, "/events") == 429
        assert server.readers() == API_ROOM + PAGES + READERS
        assert {status(server.port, path) for path in ("/healthz", "/readyz", "/metrics", "/static/style.css")} == {200}
    assert server.readers() == 0


def test_no_scrape_is_in_the_way_of_a_probe(hanging: Hanging) -> None:
    with serving(hanging, hanging.runs) as server, ExitStack() as stack:
        for _ in range(2 * SCRAPES):
            stack.enter_context(connected(server.port)).sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        for _ in range(SCRAPES):
            assert hanging.entered.acquire(timeout=20)
        assert {status(server.port, path) for path in ("/healthz", "/readyz")} == {200}


def _until(connection: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        piece = connection.recv(1000)
        assert piece, got
        got += piece
    return got


# --- changes ---------------------------------------------------------------------------------------


def waiting(changes: Changes, name: str, act: Callable[[], None]) -> int:
    """Return the version that one who waits for a change of this request gets, after `act` in another thread."""

    async def wait() -> int:
        known = changes.version(name)
        task = asyncio.create_task(changes.wait(name, known, 60))
        await asyncio.sleep(0)
        await asyncio.to_thread(act)
        return await task

    return asyncio.run(wait())


def test_who_waits_learns_of_a_change_from_another_thread_and_of_no_other_request() -> None:
    changes = Changes()
    changes.note("wine")
    assert waiting(changes, "iris", lambda: changes.note("iris")) == 2
    assert waiting(changes, "", lambda: changes.note("wine")) == 3
    assert (changes.version("iris"), changes.version("wine"), changes.version("nobody")) == (2, 3, 0)
    assert asyncio.run(changes.wait("iris", 2, 0)) == 2, "none came in time"
    assert asyncio.run(changes.wait("iris", 1, 60)) == 2, "it had come before"


class Patient(Changes):
    """Nothing ever changes; `entered` and `left` say whether somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.left = threading.Event(), threading.Event()

    def requests(self) -> Sequence[LiveRequest]:
        return []

    def request(self, _name: str) -> None:
        return None

    async def wait(self, *_args: Any, **_more: Any) -> int:
        self.entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.left.set()
        return 0


def test_nobody_waits_for_a_change_for_a_reader_that_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "CALM", 0.0)
    live = Patient()
    with listening(events.Events(live, Room(1))) as port, connected(port) as reader:
        reader.sendall(GET)
        assert live.entered.wait(20)
        reader.close()
        assert live.left.wait(20)


def test_names_that_are_remembered_are_bounded() -> None:
    changes = Changes()
    for number in range(NAMES + 1):
        changes.note(str(number))
    assert changes.version("0") == 0
    assert changes.version() == NAMES + 1


# --- a page that is passed on ------------------------------------------------------------------------


class Silent:
    """An answer that says one thing, and then nothing until it is given up."""

    status = 200
    headers: Mapping[str, str] = {"Content-Type": "text/event-stream", "Set-Cookie": "a=b", "Server": "x"}

    def __init__(self) -> None:
        self.aborted, self.closed = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"
        self.aborted.wait(60)

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        self.closed.set()


def test_a_reader_that_leaves_keeps_no_place_of_a_relay_and_gets_only_what_it_needs() -> None:
    silent = Silent()
    with listening(Relay(lambda _target, _accept: silent, lambda _line: None)) as port, connected(port) as reader:
        reader.sendall(GET)
        got = _until(reader, b"hello")
        assert b"content-type: text/event-stream" in got
        assert b"set-cookie" not in got
        assert b"server" not in got
        reader.close()
        assert silent.aborted.wait(20)
        assert silent.closed.wait(20)


@pytest.mark.parametrize("path", ["/../../secrets", "/requests/%2e%2E/x", "/..%2F..%2Fsecrets"])
def test_nothing_but_the_page_is_passed_on(path: str) -> None:
    def fetch(target: str, _accept: str) -> Silent:
        raise AssertionError(f"{target} was asked for")

    with listening(Relay(fetch, lambda _line: None)) as port:
        assert status(port, path) == 400


# --- a person's own page -----------------------------------------------------------------------------


def test_an_address_that_a_program_was_started_with_lets_in_once() -> None:
    page = OwnPage(HELLO, 0)
    page.start()
    target = page.opened("requests/iris", once=True).partition(str(page.port))[2]
    assert [status(page.port, target) for _ in range(2)] == [303, 403]
    page.stop()
