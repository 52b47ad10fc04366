"""A package index of this process that tells days of upload (PEP 691, 700) and metadata alone (PEP 658): no wheels."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Releases = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By package and version: the day of upload ("": not told), then what it requires; `sdist` alone: it has no wheel."""


@contextmanager
def serving(releases: Releases) -> Iterator[str]:
    """Give the index's address while it is there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            body = page(releases, name) if kind == "simple" else metadata(releases, name)
            self.send_response(200 if body else 404)
            self.send_header(
                "Content-Type", "application/vnd.pypi.simple.v1+json" if kind == "simple" else "text/plain"
            )
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def page(releases: Releases, name: str) -> str:
    """Give the page of one package, "" for an unknown one."""
    if name not in releases:
        return ""
    plain = name.replace("-", "_")
    files = []
    for version, (day, *needs) in releases[name].items():
        sdist = needs == ["sdist"]
        file = f"{plain}-{version}.tar.gz" if sdist else f"{plain}-{version}-py3-none-any.whl"
        more = {} if sdist else {"core-metadata": True}
        told = {"upload-time": f"{day}T08:00:00Z"} if day else {}
        files.append({"filename": file, "url": f"/files/{file}", "hashes": {}, **told, **more})
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": list(releases[name]), "files": files})


def metadata(releases: Releases, file: str) -> str:
    """Give the METADATA of a wheel."""
    name, version = file.split("-")[:2] if file.endswith(".whl.metadata") else ("", "")
    if not name:
        return ""
    needs = releases[name.replace("_", "-")][version][1:]
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    return "\n".join(lines) + "\n"
