"""Memory and CPU of a controller that starts with N finished requests: a real process, an API server that is played.

The server has what a real one gave for one such request (`objects.json`), N times, in pages.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.machine import machine
from controller.core import names
from tests.support.apiproxy import kubeconfig

REQUESTS = (100, 3000)
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OBJECTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "objects.json").read_text())
SECONDS = 300  # that a start may take
PORT = 18474  # of the controller; the next one, too
WRITES = ("create", "update", "patch", "delete")


class Server(ThreadingHTTPServer):
    """Serves the objects of so many requests."""

    daemon_threads = True

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.texts = {item["kind"]: list[str]() for item in OBJECTS}
        for item in OBJECTS:
            self.texts[item["kind"]].append(json.dumps(item).replace("iris", "NAME"))
        super().__init__(("127.0.0.1", 0), Handler)

    def page(self, resource: str, start: int, limit: int) -> str:
        """Return a page of a list, as text."""
        kind = next((kind for kind in self.texts if f"{kind.lower()}s" == resource), "")
        texts = self.texts.get(kind, [])
        every = range(start, min(start + limit, self.requests * len(texts)))
        items = (self.item(texts[number % len(texts)], number // len(texts)) for number in every)
        more = f', "continue": "{every.stop}"' if every.stop < self.requests * len(texts) else ""
        return f'{{"metadata": {{"resourceVersion": "99999999"{more}}}, "items": [{", ".join(items)}]}}'

    @staticmethod
    def item(text: str, number: int) -> str:
        """Return an object of one request: its names and uids are its own."""
        text = UID.sub(lambda found: f"{found[0][:24]}{number:012}", text).replace("NAME", f"iris-{number:06}")
        if "request-digest" not in text:
            return text
        item = json.loads(text)
        del item["data"]["digest"]
        item["data"]["digest"] = names.digest(json.dumps(item["data"], sort_keys=True), 64)  # as core/documents/status
        return json.dumps(item)


class Handler(BaseHTTPRequestHandler):
    """Answers lists; watches say nothing, and what is asked of rights is allowed."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer a list, or begin a watch."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if "watch" in query:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            time.sleep(SECONDS)
        else:
            start, limit = int(query.get("continue", "0")), int(query.get("limit", "100"))
            self.answer(self.server.page(url.path.rpartition("/")[2], start, limit))

    def do_POST(self) -> None:
        """Allow what is asked, take what is written."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(json.dumps({**body, "status": {"allowed": True}}))

    def answer(self, text: str) -> None:
        """Send JSON."""
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def _serve(requests: int, port: "Queue[int]") -> None:
    server = Server(requests)
    port.put(server.server_address[1])
    server.serve_forever()


@contextmanager
def serving(requests: int) -> Iterator[int]:
    """Yield the port of a server of so many requests, in a process of its own."""
    port: Queue[int] = Queue()
    process = Process(target=_serve, args=(requests, port), daemon=True)
    process.start()
    try:
        yield port.get()
    finally:
        process.kill()
        process.join()


@dataclass(frozen=True)
class Measured:
    """What a start cost: MiB at its end and at most, CPU seconds until all lists were there and of all passes."""

    memory: float
    peak: float
    start: float
    passes: float
    calls: str


def measure(requests: int, root: Path) -> Measured:
    """Start a controller before a server of so many requests; return what that cost once each had a pass."""
    with serving(requests) as port:
        process = subprocess.Popen([sys.executable, "-m", "controller", "controller"], env=environ(root, port))
        try:
            _wait(lambda: answer("readyz") is not None)
            start = cpu(process.pid)
            _wait(lambda: total("coachwork_reconciles_total") >= requests)
            writes = sum(total("coachwork_api_calls_total", f'verb="{verb}"') for verb in WRITES)
            writes -= total("coachwork_api_calls_total", "selfsubjectaccessreviews")
            git, memory, peak = total("coachwork_git_calls_total"), *(held(process.pid, key) for key in ("RSS", "HWM"))
            return Measured(memory, peak, start, cpu(process.pid) - start, f"{writes:.0f} writes, {git:.0f} git")
        finally:
            process.terminate()
            process.wait()


def environ(root: Path, port: int) -> dict[str, str]:
    """Return the environment of a controller before the server at this port."""
    (root / "volume").mkdir()
    settings = {
        "NAMESPACE": "coachwork", "IMAGE": "python:3.12-slim", "VOLUME": str(root / "volume"), "PORT": str(PORT),
        "WAKE_PORT": str(PORT + 1), "KUBECONFIG": kubeconfig(root / "config", port, "coachwork"), "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    return {**os.environ, **{f"COACHWORK_{key}": value for key, value in settings.items()}}


def answer(path: str) -> str | None:
    """Return what the controller answers, None if it answers nothing good yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{path}", timeout=60) as response:
            return str(response.read().decode())
    except OSError:
        return None


def total(name: str, *labels: str) -> float:
    """Return the sum of the controller's samples of this name with these labels."""
    samples = (line.rpartition(" ") for line in (answer("metrics") or "").splitlines() if line.startswith(name))
    return sum(float(value) for key, _, value in samples if all(label in key for label in labels))


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def held(pid: int, key: str) -> float:
    """Return MiB of a process: RSS, or HWM, its peak."""
    (found,) = re.findall(rf"Vm{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found) / 1024


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        if time.monotonic() > end:
            sys.exit(f"not done within {SECONDS} s")
        time.sleep(1)


def main(*requests: int) -> None:
    """Measure at each number of requests, one after the other."""
    print(f"machine: {machine()}")
    print("method:  /proc of a controller before a server that is played; each request has one finished stage")
    for number in requests or REQUESTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as root:
            found = measure(number, Path(root))
        each = 1000 * found.passes / number
        print(
            f"{number:6} requests: {found.memory:6.1f} MiB, at most {found.peak:6.1f}; CPU {found.start:5.2f} s until "
            f"all is listed, {found.passes:5.2f} s for all first passes ({each:.2f} ms each); {found.calls}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
