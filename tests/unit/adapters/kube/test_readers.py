"""The token with which people read, and what the controller asks about it: as the bearer, and as nobody else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.kube.cluster import connect
from controller.adapters.kube.login import login, nobody
from controller.adapters.kube.readers import EARLY, SECONDS, UNKNOWN, Judge, Token
from controller.adapters.kube.transport import Call, Timeouts, Transport
from controller.core.errors import Transient
from tests.support.front import config


class Server(ThreadingHTTPServer):
    """An API server of which only reviews and tokens are asked; `came` are Authorization, path and body."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, Any]] = []
        self.status = 201
        self.answer: dict[str, Any] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def judge(self, root: Path) -> Judge:
        """Return what the controller, which has credentials of its own, asks with."""
        return connect("ml", kubeconfig=self.kubeconfig(root)).judge()

    def kubeconfig(self, root: Path) -> str:
        path = root / "config"
        path.write_text(json.dumps(config(f"http://127.0.0.1:{self.server_port}")))
        return str(path)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_arguments: Any) -> None:
        """Keep standard error clean."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.came.append((self.headers.get("Authorization", ""), self.path, body))
        answer = (
            {"kind": body["kind"], **self.server.answer}
            if self.server.status == 201
            else {"kind": "Status", "code": self.server.status}
        )
        text = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    threading.Thread(target=it.serve_forever, args=(0.02,), daemon=True).start()
    yield it
    it.shutdown()
    it.server_close()


@pytest.mark.parametrize(
    ("status", "answer", "judged"),
    [
        (201, {"status": {"allowed": True}}, "yes"),
        (201, {"status": {"allowed": False}}, "no"),
        (201, {}, "no"),
        (401, {}, "unknown"),
        (403, {}, "no"),
    ],
)
def test_the_bearer_of_a_token_is_who_is_asked_about(
    server: Server, tmp_path: Path, status: int, answer: Any, judged: str
) -> None:
    server.status, server.answer = status, answer
    assert server.judge(tmp_path).may_read("theirs") == judged
    ((authorization, _, review),) = server.came
    assert authorization == "Bearer theirs", "not the controller's own"
    assert review["spec"]["resourceAttributes"] == {
        "namespace": "ml", "verb": "get", "group": "", "resource": "services", "subresource": "proxy",
        "name": "http:coachwork:http",
    }  # fmt: skip


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_server_in_trouble_decides_nothing(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(Transient):
        server.judge(tmp_path).may_read("theirs")


def test_no_credential_of_the_controllers_own_goes_with_a_question(server: Server, tmp_path: Path) -> None:
    client, _ = login(server.kubeconfig(tmp_path), "")
    own = client.configuration
    own.cert_file, own.key_file, own.username, own.password = "cert", "key", "user", "secret"
    asked = nobody(client).configuration
    assert (asked.cert_file, asked.key_file, asked.username, asked.password) == (None,) * 4
    assert (asked.api_key, asked.refresh_api_key_hook) == ({}, None)
    assert (asked.host, asked.ssl_ca_cert, asked.verify_ssl) == (own.host, own.ssl_ca_cert, own.verify_ssl)
    assert (own.cert_file, bool(own.api_key)) == ("cert", True)


def test_a_token_is_used_until_shortly_before_its_end_and_replaced_where_it_is_not_known(
    server: Server, tmp_path: Path
) -> None:
    now, sent = [1000.0], list[str]()
    client, _ = login(server.kubeconfig(tmp_path), "")
    token = Token(Transport(client, lambda *_: None, Timeouts()), "ml", lambda: now[0])

    def send(call: Call) -> str:
        ((name, value),) = call.headers
        sent.append(value)
        if value == "revoked":
            raise Transient(UNKNOWN, "the API server does not accept this token")
        assert (name, value in repr(call)) == ("X-Coachwork-Token", False)
        return value

    def shows(value: str, lifetime: int | None = None) -> str:
        server.answer = {"spec": {"expirationSeconds": lifetime}, "status": {"token": value}}
        return token.shown(Call("get", "services/proxy", "GET", "/"), send)

    assert (shows("first"), shows("second")) == ("first", "first")
    now[0] += EARLY * SECONDS
    assert shows("second", 100) == "second"
    now[0] += EARLY * 100
    with pytest.raises(Transient) as refused:
        shows("revoked")
    assert (refused.value.reason, sent) == (UNKNOWN, ["first", "first", "second", "revoked", "revoked"])
    assert shows("third") == "third"
    ((_, path, body), *_) = server.came
    assert path == "/api/v1/namespaces/ml/serviceaccounts/coachwork-reader/token"
    assert body["spec"] == {"expirationSeconds": 600}
