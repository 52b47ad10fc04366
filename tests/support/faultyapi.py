"""A proxy before a real API server that does to chosen calls what networks, load balancers and sick servers do.

It speaks plain HTTP to its clients, and to the server with the credentials of a kubeconfig, as an administrator.
"""

import http.client
import json
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
HANG = 600.0  # seconds: longer than any client waits
SLOWNESS = 2.0  # seconds before an answer, and again in the middle of it


@dataclass(frozen=True)
class Upstream:
    """A real API server, as the administrator of its kubeconfig."""

    host: str
    port: int
    tls: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: str) -> "Upstream":
        """Return the server of the first cluster and user of a kubeconfig that names files."""
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as adapters/kube/login.py
        tls.load_cert_chain(user["client-certificate"], user["client-key"])
        url = urlsplit(cluster["server"])
        return cls(url.hostname or "", url.port or 443, tls)

    def connect(self, timeout: float = HANG) -> http.client.HTTPSConnection:
        """Return a connection."""
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Object:
        """Make one call; return the object answered. AssertionError for an answer of 300 and above."""
        connection = self.connect(30.0)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status}: {content.decode()[:300]}"
        return dict(json.loads(content))


@dataclass(frozen=True)
class Call:
    """One call that came, as RBAC names it; `name` is the object's, "" for lists and watches."""

    verb: str
    resource: str
    name: str


Fault: TypeAlias = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client, with what it asks for at this moment."""

    protocol_version = "HTTP/1.1"
    server: "_Listener"
    call: Call
    body: bytes
    upstream: http.client.HTTPSConnection | None = None

    def log_message(self, *_args: Any) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class names them

    def finish(self) -> None:
        super().finish()
        if self.upstream:
            self.upstream.close()

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.call = _call(self.command, self.path, self.body)
        fault = self.server.proxy.meet(self.call)
        with suppress(OSError, http.client.HTTPException):
            (fault or pass_on)(self)
            return
        self.close_connection = True  # the client hung up, or the server

    def forward(self) -> http.client.HTTPResponse:
        """Let the server have the call; return its answer, whose body is unread."""
        self.upstream = self.upstream or self.server.proxy.upstream.connect()
        headers = {key: self.headers[key] for key in ("Accept", "Content-Type") if self.headers[key]}
        for last in (False, True):
            try:
                self.upstream.request(self.command, self.path, self.body or None, headers)
                return self.upstream.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):  # it had been idle for long
                self.upstream.close()
                if last or self.command != "GET":
                    raise
        raise AssertionError

    def answer(self, code: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        """Answer the client."""
        self.send_response(code)
        fields = {"Content-Type": kind, "Content-Length": str(len(content)), **headers}
        for key, value in fields.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def begin(self) -> None:
        """Begin an answer that comes in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """Send one chunk, none: the end."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def reset(self) -> None:
        """Break the connection as a crashed peer does."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing until the client gives up, or all streams are dropped."""
        self.server.proxy.dropped().wait(HANG)
        self.close_connection = True


def _call(method: str, target: str, body: bytes) -> Call:
    """Return what a request asks for."""
    url = urlsplit(target)
    parts = url.path.strip("/").split("/")
    parts = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
    name = parts[1] if len(parts) > 1 else ""
    verb = VERBS.get(method) or ("get" if name else "watch" if "watch" in parse_qs(url.query) else "list")
    if verb == "create":
        with suppress(ValueError, KeyError, TypeError):
            name = json.loads(body)["metadata"]["name"]
    return Call(verb, parts[0], name)


# --- faults ------------------------------------------------------------------------------------------


def pass_on(exchange: Exchange) -> None:
    """Let the server answer."""
    answer = exchange.forward()
    if exchange.call.verb == "watch" and answer.status == 200:
        exchange.begin()
        with exchange.server.proxy.streaming(exchange.upstream):
            while data := answer.read1(1 << 16):
                exchange.chunk(data)
        exchange.chunk(b"")
        exchange.close_connection = True
    else:
        exchange.answer(answer.status, answer.read(), answer.headers["Content-Type"] or "", **_kept(answer))


def _kept(answer: http.client.HTTPResponse) -> Mapping[str, str]:
    return {"Retry-After": answer.headers["Retry-After"]} if answer.headers["Retry-After"] else {}


def status(code: int, reason: str = "", message: str = "scripted", **headers: str) -> Fault:
    """Answer with the API server's own kind of error; the call does not reach it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    body |= {"reason": reason} if reason else {}
    return lambda exchange: exchange.answer(code, json.dumps(body).encode(), **headers)


def page(code: int, text: str = "<html><h1>Sorry</h1></html>") -> Fault:
    """Answer with the page of a proxy on the way; the call does not reach the server."""
    return lambda exchange: exchange.answer(code, text.encode(), "text/html")


def reset(exchange: Exchange) -> None:
    """Break the connection before the server has the call."""
    exchange.reset()


def reset_late(exchange: Exchange) -> None:
    """Break the connection after the server has committed."""
    exchange.forward().read(1)
    exchange.reset()


def hang(exchange: Exchange) -> None:
    """Never answer; the call does not reach the server."""
    exchange.hang()


def hang_late(exchange: Exchange) -> None:
    """Never answer; the server has committed."""
    exchange.forward().read(1)
    exchange.hang()


def cut(exchange: Exchange) -> None:
    """Commit, and break off in the middle of the answer."""
    content = exchange.forward().read(60)
    exchange.send_response(200)
    exchange.send_header("Content-Length", str(len(content)))
    exchange.end_headers()
    exchange.wfile.write(content[: len(content) // 2])
    exchange.wfile.flush()
    exchange.reset()


def garbage(content: bytes) -> Fault:
    """Answer 200 with this; the call does not reach the server."""
    return lambda exchange: exchange.answer(200, content)


def slow(exchange: Exchange) -> None:
    """Let the server answer, in its own time."""
    time.sleep(SLOWNESS)
    answer = exchange.forward()
    if exchange.call.verb == "watch":
        exchange.begin()
        with exchange.server.proxy.streaming(exchange.upstream):
            while data := answer.read1(1 << 16):
                for at in range(0, len(data), 100):  # events in pieces
                    exchange.chunk(data[at : at + 100])
                    time.sleep(SLOWNESS / 100)
        exchange.close_connection = True
        return
    content = answer.read()
    exchange.send_response(answer.status)
    exchange.send_header("Content-Length", str(len(content)))
    exchange.end_headers()
    exchange.wfile.write(content[:20])
    exchange.wfile.flush()
    time.sleep(SLOWNESS)
    exchange.wfile.write(content[20:])


def says(line: bytes) -> Fault:
    """Answer a watch with this, and end in good order."""

    def act(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line)
        exchange.chunk(b"")
        exchange.close_connection = True

    return act


def half_open(exchange: Exchange) -> None:
    """Begin a watch, and never say anything."""
    exchange.begin()
    exchange.hang()


# --- the proxy ---------------------------------------------------------------------------------------


@dataclass
class Rule:
    """What the next calls of a verb meet, one fault each; on the objects whose name begins so, of one resource or any.

    `each`: of every such resource the first call, and the faults are the same for all.
    """

    verb: str
    faults: deque[Fault]
    name: str = ""
    resource: str = ""
    each: bool = False
    seen: set[str] = field(default_factory=set)  # resources

    def meet(self, call: Call) -> Fault | None:
        """Return the fault for a call, None where it is not meant or was met already."""
        meant = call.verb == self.verb and call.name.startswith(self.name) and self.resource in ("", call.resource)
        if not meant or (self.each and call.resource in self.seen):
            return None
        self.seen.add(call.resource)
        return self.faults[0] if self.each else self.faults.popleft() if self.faults else None


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: "FaultyApi") -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up in these tests."""


class FaultyApi:
    """The proxy. `calls` counts what came, by verb and resource."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.calls: Counter[tuple[str, str]] = Counter()
        self.rules: list[Rule] = []
        self.outage: Fault | None = None
        self._lock = threading.Lock()
        self._dropped = threading.Event()
        self._streams: set[http.client.HTTPSConnection | None] = set()
        self._listener = _Listener(self)
        self.port: int = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        self.drop()
        self._listener.shutdown()
        self._listener.server_close()

    def meet(self, call: Call) -> Fault | None:
        """Count a call; return the fault that it meets."""
        with self._lock:
            self.calls[call.verb, call.resource] += 1
            found = (fault for rule in self.rules if (fault := rule.meet(call)))
            return self.outage or next(found, None)

    def script(self, verb: str, *faults: Fault, name: str = "", resource: str = "", each: bool = False) -> Rule:
        """Let calls meet faults; see Rule."""
        rule = Rule(verb, deque(faults), name, resource, each)
        with self._lock:
            self.rules.append(rule)
        return rule

    @contextmanager
    def out(self, fault: Fault) -> Iterator[None]:
        """Let every call meet this fault in the block; what streams ends at its beginning, what hangs at its end."""
        self.outage = fault
        self.drop()
        try:
            yield
        finally:
            self.outage = None
            self.drop()

    def count(self) -> int:
        """Return how many calls came."""
        with self._lock:
            return self.calls.total()

    # --- streams ---

    def drop(self) -> None:
        """Break all streams and all that hangs."""
        with self._lock:
            self._dropped.set()
            self._dropped = threading.Event()
            streams = [*self._streams]
        for stream in streams:
            if stream and stream.sock:
                with suppress(OSError):
                    stream.sock.shutdown(2)

    def dropped(self) -> threading.Event:
        """Return what is set when all that hangs is broken."""
        with self._lock:
            return self._dropped

    @contextmanager
    def streaming(self, connection: http.client.HTTPSConnection | None) -> Iterator[None]:
        """Let `drop` break this connection in the block."""
        with self._lock:
            self._streams.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(connection)
