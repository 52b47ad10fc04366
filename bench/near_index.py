"""A package index in the cluster itself: a pod that fetches wheels once with pip, and serves them from its disk.

It speaks what PyPI does of PEP 503 and PEP 658 (the metadata of each wheel as a file of its own), over plain HTTP/1.1.
"""

import json
from collections.abc import Sequence

from tests.support.kubectl import kubectl

PORT = 8080
FETCHED = 600  # seconds
SERVER = f"""
import hashlib, http.server, os, pathlib, re, subprocess, sys, zipfile

FILES = pathlib.Path("/tmp/files")
subprocess.run([sys.executable, "-m", "pip", "download", "-q", "-d", FILES, *sys.argv[1:]], check=True)
PAGES = {{}}
for wheel in sorted(FILES.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (FILES / (wheel.name + ".metadata")).write_bytes(archive.read(metadata))
    link = f'/files/{{wheel.name}}#sha256={{hashlib.sha256(wheel.read_bytes()).hexdigest()}}'
    name = re.sub("[-_.]+", "-", wheel.name.split("-")[0]).lower()
    PAGES[name] = f'<a href="{{link}}" data-core-metadata="true">{{wheel.name}}</a>'.encode()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        last = self.path.rstrip("/").rpartition("/")[2]
        file = FILES / last
        if self.path.startswith("/files/") and file.is_file():
            self.answer(200, file.read_bytes(), "application/octet-stream")
        else:
            page = b"" if self.path == "/" else PAGES.get(last)
            self.answer(404 if page is None else 200, page or b"", "text/html")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""


def start(namespace: str, name: str, image: str, packages: Sequence[str]) -> str:
    """Start an index of these packages and what they need, for the Python of this image; give its address."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": "index",
        "image": image,
        "command": ["python3", "-c", SERVER, *packages],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - in the pod
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {"terminationGracePeriodSeconds": 0, "securityContext": security, "containers": [container]}
    service = {"selector": {"app": name}, "ports": [{"port": PORT}]}
    items = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    wait = ("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={FETCHED}s")
    kubectl("-n", namespace, *wait, seconds=FETCHED + 10)
    return f"http://{name}.{namespace}.svc.cluster.local:{PORT}/simple/"
