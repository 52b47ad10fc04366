"""A small API server on 127.0.0.1 that misbehaves on demand: ConfigMaps in it, and no other kind.

Faults are scripted by verb and used up one for each request; without one, it behaves.
"""

import json
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from controller.adapters.kube.kinds import WATCHED
from controller.core.model import Object


class _Listener(ThreadingHTTPServer):
    """Keeps its connections, to break them when the server goes away."""

    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], api: "ApiServer") -> None:
        self.api = api
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up in these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_args: Any) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.serve("watch" if "watch" in query else "list", url.path, query)

    def do_POST(self) -> None:
        self.serve("create", urlsplit(self.path).path, {})

    def serve(self, verb: str, path: str, query: Mapping[str, str]) -> None:
        api, resource = self.server.api, path.rsplit("/", maxsplit=1)[-1]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = api.next_fault(verb, resource, query)
        if fault is not None:
            fault(self)
        elif verb == "create":
            self.answer(201, api.put(**_written(json.loads(body))))
        elif verb == "list":
            self.answer(200, api.page(resource, query))
        else:
            self.begin()
            api.follow(self, resource, query)

    def answer(self, code: int, body: Object, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def hang(self) -> None:
        self.server.api.gone.wait(60)
        self.close_connection = True


Fault: TypeAlias = Callable[[_Handler], None]


def status(code: int, reason: str = "", retry_after: str = "") -> Fault:
    """Answer with an error."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": "scripted"}
    return lambda handler: handler.answer(code, body, {"Retry-After": retry_after} if retry_after else {})


def redirect(to: str) -> Fault:
    """Send the client elsewhere."""
    return lambda handler: handler.answer(307, {}, {"Location": to})


def stream(data: bytes) -> Fault:
    """Answer a watch with these bytes, and end in good order."""

    def act(handler: _Handler) -> None:
        handler.begin()
        if data:
            handler.chunk(data)
        handler.chunk(b"")

    return act


def cut(data: bytes) -> Fault:
    """Answer with these bytes and break the connection."""

    def act(handler: _Handler) -> None:
        handler.begin()
        handler.chunk(data)
        handler.close_connection = True

    return act


def declare(length: int, data: bytes = b"{") -> Fault:
    """Answer that so many bytes come, send these and break the connection."""

    def act(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True

    return act


def silence(handler: _Handler) -> None:
    """Answer a watch, and never say anything."""
    handler.begin()
    handler.hang()


def mute(handler: _Handler) -> None:
    """Take the request, and never answer."""
    handler.hang()


class ApiServer:
    """The server; `calls` are all requests that came (verb, resource)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.gone = threading.Event()
        self._faults: dict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self._change = threading.Condition()
        self._objects: dict[str, Object] = {}
        self._events: list[tuple[int, str, Object]] = []
        self._oldest = 0
        self._version = 100
        self.port = 0
        self.start()

    # --- its life ---

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.gone.clear()
        self._listener = _Listener(("127.0.0.1", self.port), self)
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away: refuse connections and break those that stand."""
        self.gone.set()
        self._listener.shutdown()
        self._listener.server_close()
        for connection in tuple(self._listener.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        with self._change:
            self._change.notify_all()

    def kubeconfig(self, path: Path) -> str:
        """Write a kubeconfig that leads here; return its path."""
        return kubeconfig(path, self.port)

    # --- what is in it ---

    def put(self, name: str, **data: str) -> Object:
        """Make or change a request."""
        with self._change:
            self._version += 1
            event = "MODIFIED" if name in self._objects else "ADDED"
            metadata: Object = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self._version)}
            metadata["labels"] = {"coachwork.io/role": "request"}
            self._objects[name] = {"kind": "ConfigMap", "metadata": metadata, "data": data}
            self._note(event, self._objects[name])
            return self._objects[name]

    def remove(self, name: str) -> None:
        """Delete a request."""
        with self._change:
            self._version += 1
            last = self._objects.pop(name)
            self._note("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": str(self._version)}})

    def compact(self) -> None:
        """Forget what happened: those who watch from before now get 410."""
        with self._change:
            self._oldest, self._events = self._version, []

    def restore(self) -> None:
        """Go back to an older, empty state, as from a backup."""
        with self._change:
            self._version, self._objects, self._events = 10, {}, []

    def _note(self, event: str, item: Object) -> None:
        self._events.append((self._version, event, item))
        self._change.notify_all()

    # --- what it answers ---

    def script(self, verb: str, *faults: Fault, resource: str = "configmaps") -> None:
        """Let the next requests of this verb meet these faults."""
        self._faults[verb, resource].extend(faults)

    def count(self, verb: str, resource: str = "configmaps") -> int:
        """Return how many such requests came."""
        return self.calls.count((verb, resource))

    def next_fault(self, verb: str, resource: str, query: Mapping[str, str]) -> Fault | None:
        """Count a request, and return the fault that it meets."""
        self.calls.append((verb, resource))
        faults = self._faults[verb, resource]
        if faults:
            return faults.popleft()
        if verb == "watch" and int(query["resourceVersion"]) < self._oldest:
            return status(410, "Expired")
        return None

    def page(self, resource: str, query: Mapping[str, str]) -> Object:
        """Return a page of a list: two objects each, so that every list has several."""
        with self._change:
            names = sorted(self._objects) if resource == "configmaps" else []
            names = [name for name in names if name > query.get("continue", "")]
            more = {"continue": names[1]} if len(names) > 2 else {}
            items = [self._objects[name] for name in names[:2]]
            kind = next(row.name for row in WATCHED if row.resource == resource)
            return {"kind": f"{kind}List", "metadata": {"resourceVersion": str(self._version), **more}, "items": items}

    def follow(self, handler: _Handler, resource: str, query: Mapping[str, str]) -> None:
        """Serve a watch until its time is over or the server goes away."""
        version, end = int(query["resourceVersion"]), time.monotonic() + int(query["timeoutSeconds"])
        while not self.gone.is_set() and time.monotonic() < end:
            with self._change:
                news = [entry for entry in self._events if entry[0] > version and resource == "configmaps"]
                if not news:
                    self._change.wait(0.1)
                    continue
            version = news[-1][0]
            for _, event, item in news:
                handler.chunk(json.dumps({"type": event, "object": item}).encode() + b"\n")
        handler.close_connection = True


def _written(manifest: Object) -> dict[str, str]:
    """Return the arguments of `put` for a created ConfigMap."""
    return {"name": manifest["metadata"]["name"], **manifest.get("data", {})}


def kubeconfig(path: Path, port: int, namespace: str = "ns") -> str:
    """Write a kubeconfig that leads to a port of this machine; return its path."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
    }  # fmt: skip
    path.write_text(json.dumps(config))
    return str(path)
