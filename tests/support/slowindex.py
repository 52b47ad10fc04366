"""A package index of this process that sends the first third of a large package, and the rest on a word."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.launching import wheel
from tests.support.serving import serving

SENT = 1 << 20  # bytes, of three times as many


@contextmanager
def half(folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """Return the index's HOST:PORT/PATH, which has the package `plume`, and what lets it go on."""
    go = threading.Event()
    made = wheel(folder, "plume", "6.0", f"VALUE = {'6' * 3 * SENT!r}")
    (folder / f"{made.name}.metadata").write_text("Metadata-Version: 2.1\nName: plume\nVersion: 6.0\n")
    page = f'<a href="/{made.name}" data-core-metadata="true">{made.name}</a>'.encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_page = self.path.startswith("/simple/")
            body = page if is_page else (folder / self.path[1:]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if is_page else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:SENT])
            if body[SENT:] and go.wait(60):
                self.wfile.write(body[SENT:])

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with serving(Handler) as port:
        try:
            yield f"127.0.0.1:{port}/simple/", go
        finally:
            go.set()
