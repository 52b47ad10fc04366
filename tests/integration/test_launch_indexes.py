"""Package indexes and proxies that a build meets: private ones, slow ones, none."""

import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support.building import Builder
from tests.support.launching import wait_for, wheel
from tests.support.serving import serving
from tests.support.slowindex import half


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index that wants a password, or always answers with one code."""

    def do_GET(self) -> None:
        code = self.path.split("/")[1]
        if code.isdigit():
            self.send_error(int(code))
        elif self.headers.get("Authorization") != "Basic bWU6cHctYiZkLXNlY3JldA==":
            self.send_error(401)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(builder: Builder) -> Iterator[str]:
    simple = builder.root / "web/simple/plume"
    simple.mkdir(parents=True)
    made = wheel(simple, "plume", "5.0", "VALUE = 5")
    (simple / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    handler = lambda *args: Index(*args, directory=str(builder.root / "web"))  # noqa: E731
    with serving(handler) as port:
        yield f"127.0.0.1:{port}"


def test_a_private_index_is_used_and_its_password_never_shown(builder: Builder, server: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": f"http://me:pw-b&d-secret@{server}/simple/"}
    ended = builder.run("plume\n", secrets=["UV_DEFAULT_INDEX"])
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==5.0"]
    assert builder.run("plume\nnosuch\n", secrets=["UV_DEFAULT_INDEX"]).code == 121
    shown = b"".join(path.read_bytes() for path in builder.build.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert b"pw-b" not in shown + ended.output


def test_credentials_of_a_netrc_are_used(builder: Builder, server: str) -> None:
    netrc = builder.root / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw-b&d-secret\n")
    builder.env = {"UV_DEFAULT_INDEX": f"http://{server}/simple/", "NETRC": str(netrc)}
    ended = builder.run("plume\n")
    assert ended.code == 0, ended.text


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("simple", 121, "answers 401 Unauthorized: check the credentials in the request's `index-secret`"),
        ("403", 121, "answers 403 Forbidden: check"),
        ("503", 1, "answers 503 Service Unavailable"),
        ("429", 1, "answers 429 Too Many Requests"),
    ],
)
def test_an_index_that_refuses_is_reported(builder: Builder, server: str, path: str, code: int, words: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": f"http://{server}/{path}", "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (code, "InstallFailed"), ended.text
    assert f"the package index {server} " in ended.message["message"]
    assert words in ended.message["message"]


def test_an_index_that_cant_be_reached_may_pass(builder: Builder) -> None:
    builder.env = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed")
    assert "can't be reached: Connection refused" in ended.message["message"]


@pytest.fixture
def slow_index() -> Iterator[str]:
    """An index that accepts connections and sends a space now and then, but never an answer."""
    over = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not over.wait(0.2):
                self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            pass

    with serving(Slow) as port:
        yield f"http://127.0.0.1:{port}/simple"
        over.set()


def test_what_a_build_is_doing_can_be_read_meanwhile(builder: Builder) -> None:
    with half(builder.root / "half") as (index, go):
        builder.env = {"UV_DEFAULT_INDEX": f"http://me:pw-b&d-secret@{index}"}
        build, file = builder.start("plume\n", secrets=["UV_DEFAULT_INDEX"]), builder.build / "progress.json"
        text = wait_for(lambda: file.exists() and '"got": 10' in (text := file.read_text()) and text, "a download")
        said = json.loads(text)
        assert (said["step"], said["done"], said["of"]) == ("downloading 1 package", 0, 1)
        assert said["doing"] == "0 of 1 packages: downloading plume (1.0 of 3.0 MiB)"
        assert [item["name"] for item in said["downloads"]] == ["plume"]
        assert "pw-b" not in text
        go.set()
        ended = builder.end(build)
    assert ended.code == 0, ended.text
    assert not file.exists()
    assert "Downloading plume (3.0MiB)\n Downloaded plume\n" in builder.log()


def test_an_index_that_dribbles_is_named_when_the_time_is_over(builder: Builder, slow_index: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": slow_index.replace("//", "//me:pw-b&d-secret@")}
    ended = builder.run("plume\n", limit=2, secrets=["UV_DEFAULT_INDEX"])
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    at_end = f"at its end: choosing versions from the package index {slow_index.split('/')[2]}, "
    assert at_end in ended.message["message"]
    assert "pw-b" not in ended.text


def test_an_index_that_never_answers_may_pass(builder: Builder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts, nobody answers
        index = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        builder.env = {"UV_DEFAULT_INDEX": index, "UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
        ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed"), ended.text
    assert f"the package index {index.split('/')[2]} does not answer: check its address" in ended.message["message"]


@pytest.mark.parametrize("index", ["", "corp=", "me:hunter@"])
def test_of_an_index_only_the_host_is_shown(builder: Builder, index: str) -> None:
    name, user = (index, "") if "=" in index else ("", index)
    address = f"{name}http://{user}127.0.0.1:9/aToKeNofOurS/simple"
    builder.env = {"UV_INDEX": address, "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n", secrets=["UV_INDEX"])
    assert "the package index 127.0.0.1:9 can't be reached" in ended.message["message"]
    assert "aToKeNofOurS" not in ended.text + ended.message["message"]
    assert "hunter" not in ended.text


class Proxy(Index):
    """The only way to http://packages.example; it wants a password of its own."""

    def do_GET(self) -> None:
        if self.headers.get("Proxy-Authorization") != "Basic bWU6cHdAcC1zZWNyZXQ=":
            self.send_error(407)
        else:
            self.path = self.path.removeprefix("http://packages.example")
            http.server.SimpleHTTPRequestHandler.do_GET(self)

    def do_CONNECT(self) -> None:
        self.send_error(407)


@pytest.fixture
def proxy(builder: Builder, server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Turn the server into a proxy."""
    monkeypatch.setattr(Index, "do_GET", Proxy.do_GET)
    monkeypatch.setattr(Index, "do_CONNECT", Proxy.do_CONNECT, raising=False)
    builder.env = {"UV_DEFAULT_INDEX": "http://packages.example/simple/", "UV_HTTP_RETRIES": "0"}
    return server


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("HTTP_PROXY", "http://"), ("http_proxy", ""), ("ALL_PROXY", ""), ("all_proxy", "http://")],
)
def test_packages_come_through_a_proxy_whose_password_is_never_shown(
    builder: Builder, proxy: str, name: str, scheme: str
) -> None:
    builder.env[name] = f"{scheme}me:pw%40p-secret@{proxy}"
    ended = builder.run("plume\n", secrets=[name])
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==5.0"]
    builder.replace_uv(
        '#!/bin/sh\necho "error: $HTTP_PROXY$http_proxy$ALL_PROXY$all_proxy pw@p-secret pw%40p-secret"\nexit 1\n'
    )
    ended = builder.run("plume\n", secrets=[name])
    shown = ended.output + builder.log(2).encode() + repr(ended.message).encode()
    assert b"p-secret" not in shown


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY"])
def test_a_proxy_that_refuses_is_reported(builder: Builder, proxy: str, variable: str) -> None:
    scheme = variable.partition("_")[0].lower()
    builder.env |= {"UV_DEFAULT_INDEX": f"{scheme}://packages.example/simple/", variable: f"http://me:wrong1@{proxy}"}
    ended = builder.run("plume\n", secrets=[variable])
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
    told = "the proxy on the way to the package index packages.example refuses its user"
    assert told in ended.message["message"]
    assert "wrong1" not in ended.text


def test_a_proxy_that_cant_be_reached_may_pass(builder: Builder) -> None:
    builder.env = {"UV_DEFAULT_INDEX": "https://packages.example/simple/", "HTTPS_PROXY": "http://127.0.0.1:9"}
    builder.env["UV_HTTP_RETRIES"] = "0"
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed"), ended.text
    assert "the proxy on the way to the package index" in ended.message["message"]


class TestImage:
    """An image whose Python has packages of its own."""

    @pytest.fixture(autouse=True)
    def image(self, builder: Builder) -> None:
        folder = builder.root / "image"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
        builder.stage.python = str(folder / "bin/python")
        packages = next(folder.glob("lib/python*/site-packages"))
        shutil.unpack_archive(builder.index / "plume-1.0-py3-none-any.whl", packages, "zip")
        (packages / "plume.py").write_text("VALUE = 'of the image'")
        wheel(builder.index, "quill", "1.0", "")

    def test_packages_that_fit_are_not_installed_again(self, builder: Builder) -> None:
        ended = builder.run("plume>=1\nquill\n")
        assert "taken from the image: plume 1.0" in ended.text
        assert builder.python("import plume; print(plume.VALUE)") == "of the image\n"
        assert builder.lock() == ["quill==1.0"]

    def test_packages_that_do_not_fit_are_installed(self, builder: Builder) -> None:
        wheel(builder.index, "plume", "2.0", "VALUE = 'installed 2.0'")
        assert builder.run("plume>=2\n").code == 0
        assert builder.python("import plume; print(plume.VALUE)") == "installed 2.0\n"

    def test_packages_that_nobody_requires_stay_visible(self, builder: Builder) -> None:
        assert builder.run("quill\n").code == 0
        assert builder.python("import plume; print(plume.VALUE)") == "of the image\n"
