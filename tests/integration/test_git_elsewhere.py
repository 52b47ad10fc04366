"""An address that leads to something else than a repository: nothing of what is there is shown to who named it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.git import Git
from controller.core.errors import Invalid, Transient
from tests.support.gitserver import SETTINGS

CANARY = "AKIA-canary"
BODY = f"{CANARY}\nfatal: {CANARY}\nerror: {CANARY}\n{'a' * 40}\t{CANARY}\n".encode()
TYPES = ("text/plain", "text/html", "application/json", "application/octet-stream")


class Internal(BaseHTTPRequestHandler):
    """A service that answers each path /STATUS/TYPE/... with that status and secrets."""

    def log_message(self, *_arguments: Any) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        status, main, kind = self.path.split("/")[1:4]
        self.send_response(int(status))
        self.send_header("Content-Type", f"{main}/{kind}")
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("Location", f"/200/text/plain/{CANARY}")
        self.send_header("WWW-Authenticate", f'Basic realm="{CANARY}"')
        self.end_headers()
        self.wfile.write(BODY)


@pytest.fixture
def internal() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Internal)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", TYPES)
def test_nothing_of_an_answer_that_is_no_repository_is_shown(
    internal: ThreadingHTTPServer, volume: Path, kind: str
) -> None:
    git = Git(volume, SETTINGS)
    for status in (200, 302, 400, 401, 403, 404, 500):
        root = f"http://127.0.0.1:{internal.server_port}/{status}/{kind}"
        with pytest.raises((Invalid, Transient)) as caught:
            git.resolve(f"{root}/latest/meta-data", "main")
        assert CANARY not in f"{caught.value}{caught.value.__dict__}"
    asked = {path.partition("?")[0] for path in internal.asked}  # type: ignore[attr-defined]
    assert asked
    assert not [path for path in asked if not path.endswith(("/info/refs", "/HEAD", f"/{CANARY}"))]
