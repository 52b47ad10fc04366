"""An API server's front before the cluster of this machine: what commands need of one, over real HTTP.

ConfigMaps of one namespace (get, list, server-side apply, merge patch, delete) and the service proxy to the pages of
the controller. It knows no rights; what a server without them says can be scripted.
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from controller.adapters.volume import Archive
from controller.adapters.web.ports import Site
from controller.adapters.web.server import WebServer
from controller.app.live import Watched
from controller.app.pod import uid_of
from controller.app.waiting import Waiting
from controller.core.model import Object
from tests.support.laptop import NAMESPACE, Laptop

SPACE = f"/api/v1/namespaces/{NAMESPACE}"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/coachwork"
READER = f"{SPACE}/serviceaccounts/coachwork-reader/token"
PAGES = f"{SPACE}/services/http:coachwork:http/proxy"


@dataclass
class Front:
    """The front; `calls` are all that came (method, path), `refusing` is what it answers to every call, if set."""

    machine: Laptop
    kubeconfig: Path
    pages: WebServer = field(init=False)
    port: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusing: tuple[int, Object] | None = None
    installed: bool = True
    deployment: Object = field(default_factory=dict)  # the controller's, where it does not answer
    examination: dict[str, object] = field(default_factory=dict)  # what the controller's own doctor finds
    forbidden: frozenset[str] = frozenset()  # verbs that the person may not use
    tokens: int = 0  # that were made for readers
    no_token: Object = field(default_factory=dict)  # what is answered in place of one

    def replace(self) -> None:
        """Let a controller's pages be there, after others have stopped."""
        view = self.machine.app.view
        archive = Archive(self.machine.volume, lambda name: uid_of(view.request(name)), Waiting(view, lambda _uid: ""))
        site = Site(Watched(view), archive, NAMESPACE, "pod", "0", lambda: self.examination)
        app, metrics = self.machine.app, self.machine.metrics
        self.pages = WebServer(
            0, site, self.may_read, metrics=metrics.exposition, healthy=app.trouble, ready=app.unready
        )
        self.pages.start()
        self.deployment = {}

    def may_read(self, token: str) -> Literal["yes", "unknown"]:
        """Return what the API server says of a token: it knows the last one that it made."""
        return "yes" if self.tokens and token == f"token-{self.tokens}" else "unknown"

    def _token(self) -> tuple[int, Object]:
        """Return a new token of the account that may read."""
        if self.no_token:
            return self.no_token["code"], self.no_token
        self.tokens += 1
        return 201, {
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 600},
            "status": {"token": f"token-{self.tokens}"},
        }

    def _review(self, body: Object) -> tuple[int, Object]:
        kind = "SelfSubjectAccessReview"
        return 201, {
            "kind": kind,
            "status": {"allowed": body["spec"]["resourceAttributes"]["verb"] not in self.forbidden},
        }

    def request(self, method: str, target: str, body: Object | None) -> tuple[int, Object]:
        """Return code and object that answer a call on ConfigMaps, on a page that is away, or about rights."""
        if target == DEPLOYMENT:
            return 200, {"kind": "Deployment", **self.deployment}
        if target == READER:
            return self._token()
        if target.startswith(PAGES):
            return 503, status(503, "ServiceUnavailable", "no endpoints available for service")
        return self._configmap(method, urlsplit(target), body) if target != REVIEWS else self._review(body or {})

    def _configmap(self, method: str, url: SplitResult, body: Object | None) -> tuple[int, Object]:
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        collection, _, name = url.path.partition("/configmaps/")
        if url.path in (SPACE, f"{SPACE}/configmaps"):
            return 200, {"kind": "ConfigMapList", "items": self._listed(query.get("labelSelector", ""))}
        if collection != SPACE:
            return 404, status(404, "NotFound", f"{url.path} not found")
        live = self.machine.cluster.get("ConfigMap", name)
        if live is None and not (method == "PATCH" and body and "apiVersion" in body):
            return 404, status(404, "NotFound", f'configmaps "{name}" not found')
        match method:
            case "GET":
                return 200, live or {}
            case "PATCH":
                return self._patch(live, body or {})
            case _:
                self.machine.cluster.remove("ConfigMap", name)
                return 200, {"kind": "Status", "status": "Success"}

    def _listed(self, selector: str) -> list[Object]:
        label, _, values = selector.partition(" in ")
        wanted = values.strip("()").split(",")
        return [
            item
            for item in self.machine.cluster.objects("ConfigMap")
            if (item["metadata"].get("labels") or {}).get(label) in wanted
        ]

    def _patch(self, live: Object | None, body: Object) -> tuple[int, Object]:
        if live is None:
            return 201, self.machine.cluster.create(body)
        if body["metadata"].get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
            return 409, status(409, "Conflict", "the uid in the precondition does not match")
        item = (
            {**body, "metadata": {**live["metadata"], **body["metadata"]}}
            if "apiVersion" in body
            else merged(live, body)
        )
        return 200, self.machine.cluster.replace(item)


def merged(live: Any, change: Any) -> Any:
    """Return what a JSON merge patch (RFC 7396) makes of a value."""
    if not isinstance(change, dict):
        return change
    base = live if isinstance(live, dict) else {}
    new = {key: merged(base.get(key), value) for key, value in change.items() if value is not None}
    return {**{key: value for key, value in base.items() if key not in change}, **new}


def status(code: int, reason: str, message: str, **details: str) -> Object:
    """Return a Status as the API server writes it."""
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


def _body(handler: BaseHTTPRequestHandler) -> Any:
    size = int(handler.headers.get("Content-Length") or 0)
    return json.loads(handler.rfile.read(size)) if size else None


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments: Any) -> None:
            """Keep standard error clean."""

        def answer(self, code: int, body: Object) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_GET(self) -> None:
            front.calls.append((self.command, self.path))
            body = _body(self)
            if front.refusing:
                self.answer(*front.refusing)
            elif not self.path.startswith(PAGES) or front.deployment:
                self.answer(*front.request(self.command, self.path, body))
            elif not front.installed:
                self.answer(404, status(404, "NotFound", 'services "coachwork" not found', kind="services"))
            else:
                self.forward(self.path.removeprefix(PAGES))

        do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815 - http.server's names

        def forward(self, path: str) -> None:
            """Pass the controller's answer on as it comes, as the API server does."""
            token = {name: value for name, value in self.headers.items() if name == "X-Coachwork-Token"}
            address = f"http://127.0.0.1:{front.pages.port}{path}"
            asked = urllib.request.Request(address, headers={"Accept": self.headers["Accept"], **token})
            try:
                answer: Any = urllib.request.urlopen(asked, timeout=60)  # noqa: S310 (an address of ours)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.end_headers()
                while chunk := answer.read1(65536):
                    self.wfile.write(chunk)

    return Handler


@contextmanager
def front(machine: Laptop, root: Path) -> Iterator[Front]:
    """Return a front before this machine's cluster, with the controller's pages behind it."""
    it = Front(machine, root / "kubeconfig")
    it.replace()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(it))
    it.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    it.kubeconfig.write_text(json.dumps(config(f"http://127.0.0.1:{it.port}")))
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        it.pages.stop()


def config(server: str, namespace: str = NAMESPACE) -> Mapping[str, Any]:
    """Return a kubeconfig that leads to this server."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
    }  # fmt: skip
