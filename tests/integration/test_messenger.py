"""Letters to a real receiver."""

import base64
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from controller.adapters.messenger import Messenger
from controller.core.errors import NotYet
from controller.core.notices import Letter, Receiver
from tests.support.eventually import eventually

LETTER = Letter("u", "hook", 0, "iris", 7, "Failed", "a" * 40, "ExitCode", "no rows", "2026-01-01T00:00:00Z")
SECONDS = 60


@dataclass
class Hook:
    """A receiver on this machine's own address; what it got, and what it answers."""

    address: str
    server: ThreadingHTTPServer
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200
    drips: bool = False
    pause: float = 0.0  # before the answer
    held: threading.Event | None = None  # the answer waits for it

    def secure(self, authority: trustme.CA) -> None:
        """Answer by TLS from now on."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(urlsplit(self.address).hostname or "").configure_cert(tls)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.address = self.address.replace("http:", "https:")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: which address would be ours
        own = probe.getsockname()[0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            held = found.held
            content = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append((self.path, dict(self.headers), json.loads(content)))
            time.sleep(found.pause)
            if held:
                held.wait(SECONDS)
            while found.drips:
                self.wfile.write(b"H")
                time.sleep(0.2)
            self.send_response(found.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("", 0), Handler) as server:
        found = Hook(f"http://{own}:{server.server_port}/in?key=sesame", server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        found.drips = False
        server.shutdown()


class Sender:
    """A messenger, and what it tells."""

    def __init__(self, url: str, key: str = "") -> None:
        values = {"url": url, **({"hmac-key": key} if key else {})}
        data = {name: base64.b64encode(text.encode()).decode() for name, text in values.items()}
        self.woken, self.counted = queue.Queue[str](), list[bool]()
        self.leads = True
        self.messenger = Messenger(lambda _: {"data": data}, self.woken.put, lambda: self.check, self.counted.append)

    def check(self) -> None:
        if not self.leads:
            self.woken.put("")
            raise NotYet(1.0, "another leads")

    def send(self) -> str | None:
        """Send the letter; return what became of it."""
        self.messenger.send(LETTER)
        self.messenger.send(LETTER)  # as a pass that looks again does
        self.woken.get(timeout=SECONDS)
        return self.messenger.letters("u").get(LETTER.key)


def test_a_letter_arrives_once_signed_and_wakes_its_request(hook: Hook) -> None:
    sender = Sender(hook.address, "sesame")
    assert sender.send() == ""
    ((path, headers, content),) = hook.got
    assert (path, content["text"]) == ("/in?key=sesame", "iris: run 7 of commit aaaaaaaaaaaa failed: no rows")
    assert (headers["Idempotency-Key"], headers["X-Coachwork-Signature"][:7]) == ("u-7", "sha256=")
    assert sender.counted == [True]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_refused_or_redirected_has_not_arrived_and_is_followed_nowhere(hook: Hook, status: int) -> None:
    hook.status = status
    sender = Sender(hook.address)
    assert sender.send() == f"the receiver answered {status}"
    assert (len(hook.got), sender.counted) == (1, [False])


FORBIDDEN = "the receiver's address is a loopback or link-local one, or a cloud's metadata service"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]"],  # noqa: S104 (to no such)
)
def test_the_pod_itself_and_its_node_are_no_receivers(hook: Hook, host: str) -> None:
    port = urlsplit(hook.address).port
    assert Sender(f"http://{host}:{port}/").send() == FORBIDDEN
    assert hook.got == []


def test_a_certificate_is_verified(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    hook.secure(authority)
    assert Sender(hook.address).send() == "the receiver's certificate can't be verified"
    assert hook.got == []
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert Sender(hook.address).send() == ""
    assert len(hook.got) == 1


def test_nobody_is_there(hook: Hook) -> None:
    closed = hook.address.rpartition(":")[0] + ":9/?key=sesame"
    assert (problem := Sender(closed).send())
    assert problem.startswith("can't be sent (")
    assert "sesame" not in problem


def test_one_that_no_longer_leads_sends_nothing(hook: Hook) -> None:
    sender = Sender(hook.address)
    sender.leads = False
    sender.messenger.send(LETTER)
    sender.woken.get(timeout=SECONDS)
    eventually(lambda: LETTER.key not in sender.messenger.letters("u"))
    assert hook.got == []
    sender.leads = True
    assert sender.send() == ""


def test_one_that_is_under_way_stays_known_where_another_of_the_request_is_over(hook: Hook) -> None:
    hook.held = held = threading.Event()
    sender, other = Sender(hook.address), replace(LETTER, run=8)
    sender.messenger.send(other)
    eventually(lambda: hook.got)
    hook.held = None
    assert sender.send() == ""
    assert sender.messenger.letters("u")[other.key] is None
    held.set()
    assert sender.woken.get(timeout=SECONDS) == "iris"
    assert sender.messenger.letters("u") == {other.key: ""}


def test_its_secret_is_never_shown() -> None:
    assert "sesame" not in repr(Receiver(urlsplit("https://hooks.example/sesame"), "sesame"))
    assert Sender("sesame").send() == "notify-secret hook, key url: expected an address, https://HOST/PATH"


@pytest.mark.long
def test_a_receiver_has_the_whole_time_to_answer(hook: Hook) -> None:
    hook.pause = 6.0
    assert Sender(hook.address).send() == ""


@pytest.mark.long
def test_an_answer_that_drips_holds_a_thread_for_a_bounded_time(hook: Hook) -> None:
    hook.drips = True
    assert Sender(hook.address).send() == "no answer within 10 s"


@pytest.mark.long
def test_a_name_that_no_resolver_knows_holds_a_thread_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def resolve(*_: object, **__: object) -> None:
        released.wait(SECONDS)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sender = Sender("https://hooks.example/sesame")
    assert sender.send() == "no answer within 10 s"
    released.set()
