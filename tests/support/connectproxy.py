"""An HTTP proxy that only knows CONNECT (RFC 9110, 9.3.6), as clients use it for https; it can refuse."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ConnectProxy:
    """Notes whom it connected to; `refusal` is the status that it answers with instead, 0 for none."""

    port: int = 0
    refusal: int = 0
    targets: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    proxy: ConnectProxy
    timeout = 60

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_CONNECT(self) -> None:
        self.proxy.targets.append(self.path)
        if self.proxy.refusal:
            self.send_response(self.proxy.refusal)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=60) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(there, self.connection))
            back.start()
            _copy(self.connection, there)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serving() -> Iterator[ConnectProxy]:
    """Serve on a free port of 127.0.0.1."""
    proxy = ConnectProxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"proxy": proxy}))
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
