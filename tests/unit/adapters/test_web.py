"""The HTTP port, asked over a real socket."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from controller.adapters.web import CONNECTIONS, WebServer


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


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def port(controller: Controller) -> Iterator[int]:
    server = WebServer(0, metrics=controller.metrics, healthy=controller.healthy, ready=controller.ready)
    server.start()
    yield server.port
    server.stop()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Accept": "text/plain"})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers


def test_metrics_come_with_their_content_type_and_the_scraper_is_heard(port: int, controller: Controller) -> None:
    status, body, headers = ask(port, "/metrics?x=1")
    assert (status, body) == (200, "coachwork_active_runs 1\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4"
    assert controller.scraped_with == ["text/plain"]


def test_a_ready_and_healthy_controller_says_ok(port: int) -> None:
    assert ask(port, "/readyz")[:2] == (200, "ok\n")
    assert ask(port, "/healthz")[:2] == (200, "ok\n")


def test_a_controller_that_is_not_ready_says_why(port: int, controller: Controller) -> None:
    controller.trouble = "pods not listed yet"
    assert ask(port, "/readyz")[:2] == (503, "pods not listed yet\n")
    assert ask(port, "/healthz")[0] == 200


def test_a_defect_in_a_page_is_a_500_and_the_next_request_is_answered(port: int, controller: Controller) -> None:
    controller.trouble = "defect"
    assert ask(port, "/readyz")[0] == 500
    controller.trouble = ""
    assert ask(port, "/readyz")[0] == 200


def test_head_gives_the_length_and_no_body(port: int) -> None:
    status, body, headers = ask(port, "/readyz", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", "3")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/%00"])
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


def test_more_connections_than_there_is_room_for_are_closed_unanswered(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as surplus:
        assert surplus.recv(1) == b""
    for connection in silent:
        connection.close()


def test_a_stopped_server_refuses_connections(controller: Controller) -> None:
    server = WebServer(0, metrics=controller.metrics, healthy=controller.healthy, ready=controller.ready)
    server.start()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=10)
