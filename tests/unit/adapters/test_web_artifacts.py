"""Logs and artifacts on the page: what is sent of what a stage left, and how a browser has to treat it."""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from controller.adapters.web.changes import Changes
from controller.adapters.web.listener import Listener
from controller.adapters.web.ports import LiveRequest, Site
from controller.adapters.web.protect import ReadOnly
from controller.adapters.web.server import Pages
from controller.core.model import StageRecord
from tests.support.keptruns import JOB, KeptRuns

TOP = "/requests/iris/runs/1"


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    kept = KeptRuns(tmp_path)
    kept.run(1, outcome="Succeeded", stages={"train": {"state": "Done"}})
    kept.record(1, {"train": StageRecord("Done", objects=JOB)}, active=False, release=1)
    kept.end(kept.log(1, "train", 1, b"<b>trained</b>\n"))
    for path, content in (
        ("a b/c#?.txt", b"<script>alert(1)</script>"),
        ("plot.svg", b"<svg onload='alert(1)'/>"),
        ("report.html", b"<script>alert(1)</script>"),
        ("table.csv", b"name,x\n<b>,1\n"),
        ("stages/train/artifacts/x.txt", b"deep"),
    ):
        kept.artifact(1, path, content)
    return kept


class Nobody(Changes):
    """Requests of which none is there any more."""

    def requests(self) -> Sequence[LiveRequest]:
        return ()

    def request(self, _name: str) -> LiveRequest | None:
        return None


@pytest.fixture
def port(kept: KeptRuns) -> Iterator[int]:
    site = Site(Nobody(), kept.archive, "ml", "pod", "1")
    server = Listener("page", ("127.0.0.1", 0), ReadOnly(Pages(site)))
    server.start()
    yield server.port
    server.stop()


def get(port: int, path: str) -> tuple[int, dict[str, str], str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/artifacts", 200, '/artifacts/a%20b">a b/</a>'),
        ("/artifacts?q=DEEP+x", 200, "No file has these words."),
        ("/artifacts?q=X.TXT", 200, ">stages/train/artifacts/x.txt</a>"),
        ("/artifacts/a%20b", 200, '/a%20b/c%23%3F.txt">c#?.txt</a>'),
        ("/artifacts/a%20b/c%23%3F.txt", 200, "&lt;script&gt;alert(1)&lt;/script&gt;</pre>"),
        ("/artifacts/stages/train/artifacts/x.txt", 200, "deep</pre>"),
        ("/artifacts/table.csv", 200, '<td>&lt;b&gt;</td><td class="number">1</td>'),
        ("/artifacts/report.html", 200, '<iframe class="framed" sandbox src="?drawn"'),
        ("/artifacts/plot.svg", 200, '<img src="?drawn"'),
        ("/artifacts/table.csv?drawn", 400, "is not drawn by a browser"),
        ("/artifacts/tabel.csv", 404, "did you mean table.csv?"),
        ("/artifacts/..%2Frun.json", 400, "expected a name"),
        ("/stages/train", 200, 'data-source="../../../../../api/logs/iris/train?run=1&amp;tail=1000"'),
        ("/stages/train?attempt=9999999999&tail=all&timestamps=1", 200, "/api/logs/iris/train?run=1&amp;timestamps=1"),
    ],
)
def test_a_page_shows_logs_and_artifacts_as_text(port: int, path: str, status: int, said: str) -> None:
    code, headers, text = get(port, TOP + path)
    assert (code, said in text) == (status, True), text
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("path", "media"), [("plot.svg", "image/svg+xml"), ("report.html", "text/html; charset=utf-8")]
)
def test_what_a_browser_draws_by_itself_comes_in_a_sandbox(port: int, path: str, media: str) -> None:
    code, headers, text = get(port, f"{TOP}/artifacts/{path}?drawn")
    assert (code, headers["content-type"], "alert(1)" in text) == (200, media, True)
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'self'"} <= {*policy}
    assert headers["x-content-type-options"] == "nosniff"
