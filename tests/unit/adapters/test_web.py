"""The HTTP port, over a real socket."""

import http.client
import io
import json
import os
import re
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters.volume import Archive
from controller.adapters.web.api import API_ROOM, FOLLOWERS, ROUTES, parse
from controller.adapters.web.changes import Changes
from controller.adapters.web.listener import OF_ONE_ADDRESS, READ_BYTES
from controller.adapters.web.ports import LiveRequest, Site
from controller.adapters.web.server import WebServer
from controller.core.archive import NoAnswer
from controller.core.errors import Transient
from controller.core.model import StageRecord
from tests.support.eventually import eventually
from tests.support.keptruns import JOB, KeptRuns
from tests.support.readers import SHOWN, TOKEN, may_read


@dataclass
class Controller:
    trouble: str = ""
    scraped_with: list[str] = field(default_factory=list)

    def metrics(self, accept: str) -> tuple[str, bytes]:
        self.scraped_with.append(accept)
        return "text/plain; version=0.0.4", b"coachwork_active_runs 1\n"

    def ready(self) -> str:
        if self.trouble == "defect":
            raise RuntimeError("bug")
        return self.trouble

    def healthy(self) -> str:
        return ""


class Fixed(Changes):
    """Requests that are all there is to know of them: iris, which runs."""

    def requests(self) -> Sequence[LiveRequest]:
        return [
            LiveRequest(
                "iris", self.version("iris"), lambda: ({}, {"data": {"phase": "Running", "request-uid": ""}}, {})
            )
        ]

    def request(self, name: str) -> LiveRequest | None:
        return next((item for item in self.requests() if item.name == name), None)


class Broken(Fixed):
    def requests(self) -> Sequence[LiveRequest]:
        raise RuntimeError("bug")


@pytest.fixture
def live() -> Fixed:
    return Fixed()


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    return KeptRuns(tmp_path)


def server_of(controller: Controller, archive: Archive, live: Fixed | None = None) -> WebServer:
    site = Site(live or Fixed(), archive, "ml", "pod", "1", lambda: {"version": "1", "findings": []})
    return WebServer(0, site, may_read, metrics=controller.metrics, healthy=controller.healthy, ready=controller.ready)


@pytest.fixture
def server(controller: Controller, kept: KeptRuns, live: Fixed) -> Iterator[WebServer]:
    made = server_of(controller, kept.archive, live)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def port(server: WebServer) -> int:
    return server.port


def ask(
    port: int, path: str, method: str = "GET", accept: str = "text/plain"
) -> tuple[int, str, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Accept": accept, **SHOWN})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers


def test_metrics_come_with_their_content_type_and_the_scraper_is_heard(port: int, controller: Controller) -> None:
    status, body, headers = ask(port, "/metrics?x=1")
    assert (status, body) == (200, "coachwork_active_runs 1\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4"
    assert controller.scraped_with == ["text/plain"]


def test_a_controller_says_that_it_is_ready_or_why_it_is_not(port: int, controller: Controller) -> None:
    assert ask(port, "/readyz")[:2] == ask(port, "/healthz")[:2] == (200, "ok\n")
    controller.trouble = "pods not listed yet"
    assert ask(port, "/readyz")[:2] == (503, "pods not listed yet\n")
    assert ask(port, "/healthz")[0] == 200


def test_a_defect_in_a_page_is_a_500_and_the_next_request_is_answered(port: int, controller: Controller) -> None:
    controller.trouble = "defect"
    assert ask(port, "/readyz")[0] == 500
    controller.trouble = ""
    assert ask(port, "/readyz")[0] == 200


def test_a_defect_in_a_page_for_people_is_said_on_it(controller: Controller, kept: KeptRuns) -> None:
    server = server_of(controller, kept.archive, Broken())
    server.start()
    status, body, _ = ask(server.port, "/")
    assert (status, "the controller&#39;s log says why" in body) == (500, True)
    assert ask(server.port, "/healthz")[0] == 200
    server.stop()


def test_head_gives_the_length_and_no_body(port: int) -> None:
    status, body, headers = ask(port, "/readyz", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", "3")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/../etc/passwd", "/%00"])
def test_everything_else_is_not_found(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_pages_are_only_read(port: int, method: str) -> None:
    status, _, headers = ask(port, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_garbage_gets_an_error_and_the_server_lives(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as garbage:
        garbage.sendall(b"\x16\x03\x01\x00\xff rubbish\r\n\r\n")
        assert b"400" in garbage.recv(1000)
    assert ask(port, "/healthz")[0] == 200


def test_no_more_is_read_of_a_request_than_one_needs(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as endless:
        endless.sendall(b"GET /healthz HTTP/1.0\r\nX: ".ljust(READ_BYTES, b"x"))
        assert b"431" in endless.recv(1000)


def test_more_connections_than_there_is_room_for_are_closed_unanswered(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(OF_ONE_ADDRESS)]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as surplus, suppress(ConnectionError):
        surplus.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert surplus.recv(1) == b""
    for connection in silent:
        connection.close()


def test_a_stopped_server_refuses_connections(controller: Controller, kept: KeptRuns) -> None:
    server = server_of(controller, kept.archive)
    server.start()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=10)


# --- the page --------------------------------------------------------------------------------------


def test_the_page_shows_the_requests_and_loads_nothing_from_elsewhere(port: int) -> None:
    status, body, headers = ask(port, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "iris" in body
    assert 'href="./static/style.css"' in body
    assert ask(port, "/static/style.css")[0] == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")


def test_a_reader_learns_that_a_request_has_changed(port: int, live: Fixed) -> None:
    with ExitStack() as stack:
        response = following(port, stack, "/events?request=iris")
        assert response.headers["Content-Type"] == "text/event-stream"
        assert _event(response) == {"version": 0}
        live.note("iris")
        assert _event(response) == {"version": 1}


def _event(response: http.client.HTTPResponse) -> object:
    while not (line := response.readline()).startswith(b"data: "):
        assert line
    return json.loads(line.removeprefix(b"data: "))


# --- below /api/ -----------------------------------------------------------------------------------

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "http.md"


def error(port: int, path: str) -> tuple[int, str]:
    """Return the status and the one line of a refusal."""
    status, body, headers = ask(port, path)
    assert headers["Content-Type"] == "application/json"
    line = json.loads(body)["error"]
    assert line == line.strip()
    assert "\n" not in line
    return status, line


def test_the_documented_pages_are_those_of_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `/api/(\S+)` \|", text, re.MULTILINE)) == set(ROUTES)
    assert set(re.findall(r"^\| `(\w+)=", text, re.MULTILINE)) == {
        name for route in ROUTES.values() for name in route.parameters
    }


def test_runs_are_shown_as_json(port: int, kept: KeptRuns) -> None:
    kept.run(1, outcome="Succeeded")
    (run,) = json.loads(ask(port, "/api/runs/iris")[1])
    assert (run["run"], run["outcome"]) == (1, "Succeeded")
    assert json.loads(ask(port, "/api/runs/iris/good")[1])["run"] == 1


def test_a_log_is_plain_text_for_every_browser(port: int, kept: KeptRuns) -> None:
    kept.log(2, "train", 1, b"<script>\n")
    status, body, headers = ask(port, "/api/logs/iris/train?tail=1")
    assert (status, body, headers["Content-Length"]) == (200, "<script>\n", "9")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert (headers["X-Content-Type-Options"], headers["Coachwork-Run"]) == ("nosniff", "2")
    assert "sandbox" in headers["Content-Security-Policy"]
    assert ask(port, "/api/logs/iris/train", "HEAD")[1] == ""


def test_an_artifact_is_a_download_under_its_name(port: int, kept: KeptRuns) -> None:
    name = 'a"\r\n\udcff.html'
    kept.artifact(1, f"sub/{name}", b"<script>")
    (file,) = json.loads(ask(port, "/api/artifacts/iris/1")[1])
    path = quote(file["path"], errors="surrogateescape")
    status, body, headers = ask(port, f"/api/artifacts/iris/1/{path}")
    assert (status, body, headers["Content-Length"]) == (200, "<script>", "8")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%22%0D%0A%FF.html"


def test_all_artifacts_of_a_run_come_as_one_archive(port: int, kept: KeptRuns) -> None:
    kept.artifact(1, "a/b", b"1")
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/api/artifacts/iris/1", headers={"Accept": "application/x-tar", **SHOWN})
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/x-tar"
        with tarfile.open(fileobj=io.BytesIO(response.read())) as tar:
            assert tar.getnames() == ["a/b"]


@pytest.mark.parametrize(
    ("path", "status", "line"),
    [
        ("/api/", 400, "expected a name"),
        ("/api/nothing", 404, "no such page; there are /api/runs/NAME, "),
        ("/api/runs/irsi", 404, "did you mean iris?"),
        ("/api/runs/iris/1", 410, "no longer kept"),
        ("/api/runs/iris/x%0ay", 400, r'got "x\ny"'),
        ("/api/logs/iris/train?tail=two", 400, 'tail: expected a whole number from 0 to 1000000, got "two"'),
        ("/api/logs/iris/train?tail=9999999", 400, "tail: expected"),
        ("/api/logs/iris/train?attempt=0", 400, "attempt: expected a whole number from 1"),
        ("/api/logs/iris/train?follow=yes", 400, "follow: expected 1 or 0"),
        ("/api/logs/iris/train?folow=1", 400, 'unknown parameter "folow"; did you mean follow?'),
        ("/api/logs/iris/train?" + "run=1&" * 30, 400, "too many parameters"),
        ("/api/artifacts/iris/2/..%2frun.json", 400, "expected a name"),
        ("/api/artifacts/iris/2/%2e%2e/run.json", 400, "expected a name"),
        ("/api/artifacts/iris/2/../run.json", 400, "expected a name"),
        ("/api/artifacts/iris/2/a%00", 400, "expected a name"),
        ("/api/artifacts/iris/2//a", 400, "expected a name"),
        ("/api/runs/..", 400, "expected a name"),
    ],
)
def test_a_wrong_question_gets_one_line_with_the_remedy(
    port: int, kept: KeptRuns, path: str, status: int, line: str
) -> None:
    kept.run(2, outcome="Succeeded")
    found, words = error(port, path)
    assert found == status
    assert line in words


@given(st.binary(max_size=60))
def test_no_path_of_any_bytes_is_a_defect_or_leads_up(path: bytes) -> None:
    try:
        query = parse("/api/" + path.decode("latin-1"), "")
    except NoAnswer:
        return
    assert not {"", ".", ".."} & {*query.names}
    assert not any("/" in part or "\0" in part for part in query.names)


def test_a_volume_that_fails_is_a_503_with_its_cause(controller: Controller) -> None:
    class Failing:
        """A volume that has gone away, for every question."""

        def runs(self, name: str) -> Sequence[Mapping[str, object]]:
            raise Transient("VolumeUnavailable", f"the shared volume: could not list {name}: Stale file handle")

        run = logs = log = artifacts = artifact = runs

    server = server_of(controller, Failing())  # type: ignore[arg-type]
    server.start()
    assert error(server.port, "/api/runs/iris") == (
        503,
        "the shared volume: could not list iris: Stale file handle; try again later",
    )
    server.stop()


# --- following -------------------------------------------------------------------------------------


def following(port: int, stack: ExitStack, path: str = "/api/logs/iris/train?follow=1") -> http.client.HTTPResponse:
    """Begin to follow; a client that the test leaves goes away."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    stack.callback(connection.close)
    connection.request("GET", path, headers=SHOWN)
    response = connection.getresponse()
    stack.callback(response.close)
    return response


@pytest.fixture
def running(kept: KeptRuns) -> Path:
    """Return the log of an attempt that is under way."""
    path = kept.log(1, "train", 1, b"begun\n")
    kept.record(1, {"train": StageRecord(state="Running", objects=JOB)})
    return path


def test_a_followed_log_comes_as_it_is_written_and_ends_with_the_attempt(
    port: int, kept: KeptRuns, running: Path
) -> None:
    with ExitStack() as stack:
        response = following(port, stack, "/api/logs/iris/train?follow=1&attempt=1")
        assert response.headers["Content-Length"] is None
        assert response.readline() == b"begun\n"
        with running.open("ab") as file:
            file.write(b"more\n")
        assert response.readline() == b"more\n"
        kept.end(running)
        assert response.read() == b""


def test_so_many_follow_that_no_other_page_waits_for_them(port: int, running: Path) -> None:
    assert running.exists()
    with ExitStack() as stack:
        for _ in range(FOLLOWERS):
            assert following(port, stack).readline() == b"begun\n"
        status, line = error(port, "/api/logs/iris/train?follow=1")
        assert status == 429
        assert "without follow" in line
        assert ask(port, "/healthz")[0] == ask(port, "/metrics")[0] == ask(port, "/api/logs/iris/train")[0] == 200
    eventually(lambda: _can_follow(port))


def _can_follow(port: int) -> bool:
    with ExitStack() as stack:
        return following(port, stack).status == 200


def test_a_volume_that_hangs_holds_up_neither_health_nor_metrics(controller: Controller) -> None:
    release, entered = threading.Event(), threading.Semaphore(0)

    class Hanging:
        """A volume that does not answer."""

        def runs(self, _name: str) -> Sequence[Mapping[str, object]]:
            entered.release()
            release.wait(60)
            return ()

        run = logs = log = artifacts = artifact = runs

    server = server_of(controller, Hanging())  # type: ignore[arg-type]
    server.start()
    with ExitStack() as stack:
        for _ in range(API_ROOM):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            connection.sendall(f"GET /api/runs/iris HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert entered.acquire(timeout=20)
        assert error(server.port, "/api/runs/iris")[0] == 429
        assert ask(server.port, "/healthz")[0] == ask(server.port, "/metrics")[0] == 200
        release.set()
    server.stop()


def test_a_stopping_server_breaks_followers_off_so_that_they_know(controller: Controller, kept: KeptRuns) -> None:
    kept.log(1, "train", 1, b"begun\n")
    kept.record(1, {"train": StageRecord(state="Running", objects=JOB)})
    server = server_of(controller, kept.archive)
    server.start()
    with ExitStack() as stack:
        response = following(server.port, stack)
        assert response.readline() == b"begun\n"
        server.stop()
        with pytest.raises(ConnectionResetError):
            response.read()


def test_a_file_that_shrinks_while_it_is_sent_breaks_the_download_off(port: int, kept: KeptRuns) -> None:
    size = 64 << 20  # more than sockets hold, and no more than a client may allocate at once
    path = kept.artifact(1, "huge")
    os.truncate(path, size)
    with ExitStack() as stack:
        response = following(port, stack, "/api/artifacts/iris/1/huge")
        assert response.headers["Content-Length"] == str(size)
        assert len(response.read(1000)) == 1000
        os.truncate(path, 1000)
        with pytest.raises(ConnectionResetError):
            response.read()
