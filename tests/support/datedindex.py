"""A package index of this process that tells days of upload (PEP 691, 700), with wheels that hold nothing."""

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Releases = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By package and version: the day of upload ("": not said), then what it requires; `sdist` alone: it has no wheel."""


@contextmanager
def serving(releases: Releases) -> Iterator[str]:
    """Return the index's address while it is there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            body = page(releases, name).encode() if kind == "simple" else file(releases, name)
            self.send_response(200 if body else 404)
            self.send_header(
                "Content-Type", "application/vnd.pypi.simple.v1+json" if kind == "simple" else "text/plain"
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep silent."""

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
    """Return the page of one package, "" for an unknown one."""
    if name not in releases:
        return ""
    plain = name.replace("-", "_")
    files = []
    for version, (day, *needs) in releases[name].items():
        sdist = needs == ["sdist"]
        file = f"{plain}-{version}.tar.gz" if sdist else f"{plain}-{version}-py3-none-any.whl"
        more = {} if sdist else {"core-metadata": True}
        dated = {"upload-time": f"{day}T08:00:00Z"} if day else {}
        files.append({"filename": file, "url": f"/files/{file}", "hashes": {}, **dated, **more})
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": list(releases[name]), "files": files})


def file(releases: Releases, name: str) -> bytes:
    """Return a wheel, or its METADATA alone (PEP 658); nothing for a source."""
    if name.endswith(".metadata"):
        return metadata(releases, name).encode()
    return wheel(releases, name) if name.endswith(".whl") else b""


def wheel(releases: Releases, file: str) -> bytes:
    """Return a wheel that holds its description alone."""
    folder = f"{'-'.join(file.split('-')[:2])}.dist-info"
    texts = {
        "METADATA": metadata(releases, file),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    texts["RECORD"] = "".join(f"{folder}/{name},,\n" for name in (*texts, "RECORD"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in texts.items():
            archive.writestr(f"{folder}/{name}", text)
    return content.getvalue()


def metadata(releases: Releases, file: str) -> str:
    """Return the METADATA of a wheel."""
    name, version = file.split("-")[:2]
    needs = releases[name.replace("_", "-")][version][1:]
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    return "\n".join(lines) + "\n"
