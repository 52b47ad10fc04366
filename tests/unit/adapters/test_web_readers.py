"""Who may read the controller's pages, and what is asked about it."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.adapters.web.listener import Listener
from controller.adapters.web.readers import (
    ASKING,
    AWAY_SECONDS,
    BAD_SECONDS,
    GOOD_SECONDS,
    KEPT,
    QUESTIONS,
    Answer,
    Readers,
)
from controller.adapters.web.replies import Reply, Whole
from controller.core.errors import Transient


@dataclass
class Server:
    """An API server that knows some tokens; `asked` are those that it was asked about."""

    answers: dict[str, Answer] = field(default_factory=lambda: {"good": "yes", "other": "no"})
    now: float = 1000.0
    asked: list[str] = field(default_factory=list)
    away: bool = False
    hanging: threading.Event | None = None
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    refused: list[int] = field(default_factory=list)
    port: int = 0

    def may_read(self, token: str) -> Answer:
        self.asked.append(token)
        self.entered.release()
        if self.hanging:
            self.hanging.wait(60)
        if self.away:
            raise Transient("ApiUnavailable", "API server: connection refused")
        return self.answers.get(token, "unknown")

    def ask(self, path: str = "/api/runs/iris", **headers: str) -> tuple[int, str]:
        """Return the status, and the line of a refusal."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            body = answer.read().decode()
            assert (answer.status in (401, 403)) is (answer.headers["WWW-Authenticate"] == "Bearer")
            return answer.status, str(json.loads(body)["error"]) if body.startswith("{") else body

    def shows(self, token: str) -> int:
        """Return the status of a page for whose token this is."""
        return self.ask(X_Coachwork_Token=token)[0]


async def secret(scope: Any, receive: Any, send: Any) -> None:
    await Whole(Reply(200, b"secret"))(scope, receive, send)


@contextmanager
def serving() -> Iterator[Server]:
    it = Server()
    readers = Readers(secret, ("/healthz", "/metrics"), it.may_read, it.refused.append, lambda: it.now)
    listener = Listener("test", ("127.0.0.1", 0), readers)
    it.port = listener.port
    listener.start()
    try:
        yield it
    finally:
        if it.hanging:
            it.hanging.set()
        listener.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as it:
        yield it


def test_a_token_of_somebody_who_may_read_shows_pages_in_either_header(server: Server) -> None:
    for name, text in (
        ("X_Coachwork_Token", "good"),
        ("Authorization", "Bearer good"),
        ("authorization", "bearer good"),
    ):
        assert server.ask(**{name: text}) == (200, "secret")
    assert (server.refused, server.asked) == ([], ["good"])


@pytest.mark.parametrize(
    "path", ["/", "/api/doctor", "/events", "/static/page.js", "/healthz/", "/api/../healthz", "//"]
)
def test_nothing_but_what_is_public_is_shown_to_anybody_else(server: Server, path: str) -> None:
    assert server.ask("/healthz") == server.ask("/metrics?x=1") == (200, "secret")
    for token, status, line in (("other", 403, "services/proxy"), ("stale", 401, "get another one")):
        assert server.ask(path, X_Coachwork_Token=token)[0] == status
        assert line in server.ask(path, X_Coachwork_Token=token)[1]
    assert "kubectl create token coachwork-reader" in server.ask(path)[1]
    assert server.asked == ["other", "stale"]
    assert server.refused == [403, 403, 401, 401, 401]


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Coachwork_Token": "good,good"},
        {"X_Coachwork_Token": "a" * 8193},
        {"X_Coachwork_Token": "good\tx"},
        {"Authorization": "Basic good"},
        {"Authorization": "Bearer"},
        {"Authorization": "good"},
        {"X_Remote_User": "admin"},
    ],
)
def test_what_is_no_token_is_not_asked_about(server: Server, headers: dict[str, str]) -> None:
    assert (server.ask(**headers)[0], server.asked) == (401, [])


def test_an_answer_is_good_for_a_minute_and_a_refusal_for_less(server: Server) -> None:
    assert (server.shows("good"), server.shows("late")) == (200, 401)
    server.answers = {"late": "yes"}
    server.now += BAD_SECONDS - 1
    assert (server.shows("good"), server.shows("late")) == (200, 401)
    server.now += 1
    assert (server.shows("good"), server.shows("late")) == (200, 200)
    server.now += GOOD_SECONDS - BAD_SECONDS
    assert (server.shows("good"), server.shows("late")) == (401, 200)
    assert server.asked == ["good", "late", "late", "good"]


def test_readers_go_on_for_their_minute_while_the_api_server_is_away(server: Server) -> None:
    assert server.shows("good") == 200
    server.away = True
    assert (server.shows("good"), server.ask("/healthz")[0]) == (200, 200)
    assert server.ask(X_Coachwork_Token="new") == (
        503, "who may read can't be found out: API server: connection refused; try again later",
    )  # fmt: skip
    assert [server.shows(token) for token in ("new", "newer")] == [503, 503]
    assert server.asked == ["good", "new"], "it is left alone for a moment"
    server.now += GOOD_SECONDS
    assert server.shows("good") == 503
    server.away = False
    server.now += AWAY_SECONDS
    assert server.shows("good") == 200


def test_a_flood_of_made_up_tokens_asks_little_and_pushes_no_reader_out(server: Server) -> None:
    assert server.shows("good") == 200
    flood = [server.shows(f"made-up-{number}") for number in range(QUESTIONS + 20)]
    assert (flood.count(401), flood.count(429)) == (QUESTIONS - 1, 21)
    for second in range(1, KEPT // QUESTIONS + 2):
        server.now = 1000.0 + second
        for number in range(QUESTIONS):
            server.shows(f"{second}-{number}")
    server.asked.clear()
    assert (server.shows("good"), server.asked) == (200, [])


def test_an_api_server_that_hangs_keeps_few_waiting_and_nobody_else(server: Server) -> None:
    assert server.shows("good") == 200
    assert server.entered.acquire(timeout=20)
    server.hanging = threading.Event()
    waiting = [threading.Thread(target=server.shows, args=(f"new-{number}",)) for number in range(ASKING)]
    for thread in waiting:
        thread.start()
        assert server.entered.acquire(timeout=20)
    assert (server.shows("one-more"), server.shows("good"), server.ask("/healthz")[0]) == (429, 200, 200)
    server.hanging.set()
    for thread in waiting:
        thread.join(20)
    assert server.shows("one-more") == 401
