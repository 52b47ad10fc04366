"""Real Git repositories, and a smart HTTP server for them (git-http-backend behind http.server) that can misbehave."""

import base64
import contextlib
import gzip
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controller.adapters.git import GitSettings
from controller.core import layout
from controller.core.errors import Invalid, Transient
from controller.core.model import GitCredentials
from controller.reconciler import Source

INI = "[default]\nPROJECT_NAME = iris\n"
SETTINGS = GitSettings(resolve_timeout=20, fetch_timeout=60, wait=30)
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
ENV = {
    **CLEAN,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@dataclass(frozen=True)
class Repository:
    """A repository with a work tree; the server serves its .git as NAME.git."""

    folder: Path

    def git(self, *arguments: str, stdin: str | None = None, **env: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env={**ENV, **env}, input=stdin, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def link(self, name: str, target: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).symlink_to(target)

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "change", day: str = "") -> str:
        self.write(files or {})
        self.git("add", "--all", "--force")
        dated = {"GIT_COMMITTER_DATE": f"{day}T12:00:00Z"} if day else {}
        self.git("commit", "--quiet", "--allow-empty", "--message", message, **dated)
        return self.git("rev-parse", "HEAD")

    def submodule(self, path: str, url: str, commit: str, *more: str) -> str:
        """Commit a submodule without asking git whether its address is sound."""
        text = f'[submodule "{path}"]\n\tpath = {path}\n\turl = "{url}"\n' + "".join(f"\t{line}\n" for line in more)
        self.write({".gitmodules": text})
        self.git("add", "--all")
        self.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        self.git("commit", "--quiet", "--message", "submodule")
        (self.folder / path).mkdir(parents=True, exist_ok=True)
        return self.git("rev-parse", "HEAD")


@dataclass
class GitServer:
    """Serves the repositories below `root`. `fault` decides how; requests are counted as "GET /x.git/info/refs"."""

    root: Path
    # "", hang, late (until released), 404, 401, 500, redirect:URL, moved:FOLDER, drop, endless; `X#pack`: only then
    fault: str = ""
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"
    login: tuple[str, str] | None = None  # user name and password that it asks for
    logins: list[str] = field(default_factory=list)  # what it was given, as USER:PASSWORD

    def url(self, name: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{name}.git"

    def lets_in(self, authorization: str) -> bool:
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        self.logins += [given] if given else []
        return self.login is None or given == ":".join(self.login)

    def repository(self, name: str, *options: str) -> Repository:
        folder = self.root / name
        folder.mkdir(parents=True)
        repository = Repository(folder)
        repository.git("init", "--quiet", "--initial-branch=main", *options)
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
        (self.root / f"{name}.git").symlink_to(folder / ".git")
        return repository

    def count(self, part: str) -> int:
        return sum(part in request for request in self.requests)


class Handler(BaseHTTPRequestHandler):
    """CGI of git-http-backend, or the server's fault."""

    git: GitServer

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        self.git.requests.append(f"{self.command} {self.path}")
        self.git.arrived.set()
        fault, _, only = self.git.fault.partition("#")
        moved = fault.startswith("moved:") and not self.path.startswith(fault.removeprefix("moved:"))
        if not moved and not self.git.lets_in(self.headers.get("Authorization", "")):
            fault, only = "401", ""
        pack = self.path.endswith("/git-upload-pack") and b"fetch" in _plain(self.headers.get("Content-Encoding"), body)
        if only and not pack:
            fault = ""
        with contextlib.suppress(ConnectionError):
            self.misbehave(fault, body) if fault else self.reply(*self.backend(body))

    def misbehave(self, fault: str, body: bytes) -> None:
        if fault == "hang":
            self.git.released.wait(60)
        elif fault == "late":
            self.git.released.wait(60)
            self.reply(*self.backend(body))
        elif fault.startswith("moved:") and self.path.startswith(fault.removeprefix("moved:")):
            self.reply(*self.backend(body))
        elif fault.startswith("moved:"):
            self.misbehave(
                f"redirect:{self.git.scheme}://127.0.0.1:{self.git.port}{fault.removeprefix('moved:')}", body
            )
        elif fault.startswith("redirect:"):
            self.send_response(302)
            self.send_header("Location", fault.removeprefix("redirect:") + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "drop":
            head, content = self.backend(body)
            self.reply(head, content[: len(content) // 2], len(content))
        elif fault == "endless":
            self.endless()
        else:
            self.send_response(int(fault))
            if fault == "401":
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()

    def endless(self) -> None:
        """Send a pack that never ends: one enormous blob of noise."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-result")
        self.end_headers()
        self.wfile.write(b"000dpackfile\n" + _packet(b"\x01PACK\0\0\0\2\0\0\0\1" + b"\xbf\xff\xff\xff\xff\x0f\x78\x01"))
        block = b"\0" + (32768).to_bytes(2, "little") + (32768 ^ 0xFFFF).to_bytes(2, "little") + os.urandom(32768)
        while not self.git.released.is_set():
            self.wfile.write(_packet(b"\x01" + block))

    def backend(self, body: bytes) -> tuple[dict[str, str], bytes]:
        parts = urlsplit(self.path)
        env = {
            **ENV,
            "GIT_PROJECT_ROOT": str(self.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            env=env, input=body, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", maxsplit=1) for line in head.decode().splitlines())
        return {line[0]: line[1] for line in lines if len(line) == 2}, content

    def reply(self, head: Mapping[str, str], content: bytes, length: int | None = None) -> None:
        self.send_response(int(head.get("Status", "200").split()[0]))
        for name, value in head.items():
            if name not in {"Status", "Content-Length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def _plain(encoding: str | None, body: bytes) -> bytes:
    return gzip.decompress(body) if encoding == "gzip" else body


def published(git: Source, volume: Path, url: str, ref: str = "", credentials: GitCredentials | None = None) -> Path:
    """Return the checkout of what `ref` names now."""
    commit = git.resolve(url, ref, credentials)
    git.publish(url, commit, credentials)
    return volume / layout.checkout(url, commit)


def refusal(action: Callable[[], object]) -> tuple[str, str]:
    """Return reason and text of what only the user can mend."""
    with pytest.raises(Invalid) as caught:
        action()
    assert all(line.isprintable() for line in caught.value.problems)
    return caught.value.reason, str(caught.value)


def hitch(action: Callable[[], object]) -> tuple[str, str]:
    """Return reason and text of what is tried again."""
    with pytest.raises(Transient) as caught:
        action()
    assert str(caught.value).isprintable()
    return caught.value.reason, str(caught.value)


def alive(word: str) -> list[str]:
    """Return the processes of this machine that have `word` in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [file.parent.name] if word.encode() in file.read_bytes() else []
    return found


def no_process_stays(word: str) -> bool:
    """Wait until the kernel has taken away what was killed; the address with its port is this test's alone."""
    deadline = time.monotonic() + 20
    while alive(word) and time.monotonic() < deadline:
        os.sched_yield()
    return not alive(word)


@contextlib.contextmanager
def serving(root: Path, tls: ssl.SSLContext | None = None) -> Iterator[GitServer]:
    """Serve repositories below `root` on a free port of 127.0.0.1."""
    git = GitServer(root, scheme="https" if tls else "http")
    handler = type("BoundHandler", (Handler,), {"git": git})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    git.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield git
    finally:
        git.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
