"""A package index inside the cluster that wants a name and a password (PEP 503, HTTP basic authentication)."""

import base64
import json
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.support.incluster_git import TIMEOUT

PORT = 8080
USER = "reader"

SERVER = f"""
import base64, http.server, os, pathlib

FILES = pathlib.Path("/files")
WANTED = "Basic " + base64.b64encode(("{USER}:" + os.environ["PASSWORD"]).encode()).decode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/ready":
            return self.answer(200, b"")
        if self.headers.get("Authorization") != WANTED:
            return self.answer(401, b"", ("WWW-Authenticate", "Basic"))
        parts = self.path.strip("/").split("/")
        if parts[0] == "files" and (FILES / parts[-1]).is_file():
            return self.answer(200, (FILES / parts[-1]).read_bytes())
        names = [item.name for item in FILES.iterdir() if item.name.split("-")[0] == parts[-1]]
        page = "".join(f'<a href="/files/{{name}}">{{name}}</a>' for name in names)
        return self.answer(200 if names else 404, page.encode(), ("Content-Type", "text/html"))

    def answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""


class InClusterIndex:
    """The index in one namespace; `files` are its packages."""

    password = "pa55-of-the-index"

    def __init__(self, namespace: str, name: str, files: Mapping[str, bytes]) -> None:
        """Take a namespace that exists, and a name that is free in it."""
        self._namespace, self._name, self._files = namespace, name, files

    def address(self, *, with_password: bool) -> str:
        """Return the address of the index for a package installer."""
        who = f"{USER}:{self.password}@" if with_password else ""
        return f"http://{who}{self._name}.{self._namespace}.svc.cluster.local/simple/"

    def start(self) -> None:
        """Apply the manifests and wait until the server answers."""
        items = {"apiVersion": "v1", "kind": "List", "items": self._manifests()}
        self._kubectl("apply", "-f", "-", text=json.dumps(items))
        self._kubectl("wait", "--for=condition=Ready", f"pod/{self._name}", f"--timeout={TIMEOUT}s")

    def stop(self) -> None:
        """Remove it all."""
        self._kubectl("delete", f"pod/{self._name}", f"service/{self._name}", f"configmap/{self._name}", "--wait=false")

    def _manifests(self) -> list[dict[str, Any]]:
        meta = {"name": self._name, "namespace": self._namespace, "labels": {"app": self._name}}
        files = {name: base64.b64encode(content).decode() for name, content in self._files.items()}
        return [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": meta,
                "data": {"server.py": SERVER},
                "binaryData": files,
            },
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": self._pod()},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"selector": {"app": self._name}, "ports": [{"port": 80, "targetPort": PORT}]},
            },
        ]

    def _pod(self) -> dict[str, Any]:
        security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
        container = {
            "name": "index",
            "image": "coachwork:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "/files/server.py"],
            "env": [{"name": "PASSWORD", "value": self.password}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": PORT}, "periodSeconds": 1},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }
        return {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": security,
            "containers": [container],
            "volumes": [{"name": "files", "configMap": {"name": self._name}}],
        }

    def _kubectl(self, *arguments: str, text: str | None = None) -> None:
        command = ["kubectl", "-n", self._namespace, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT + 30, check=False)
        assert done.returncode == 0, done.stderr
