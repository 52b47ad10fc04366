"""The pages of requests and runs: what they say, that their links lead somewhere, and that nothing on them acts."""

import http.client
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from controller.adapters.web.page import shared
from controller.core import layout
from controller.core.documents import codec
from controller.core.documents.progress import Download, Progress
from controller.core.errors import Transient
from controller.core.model import PastRun, Record, StageRecord
from controller.core.pages.listing import PAGE
from tests.support.keptruns import KeptRuns
from tests.support.shownpage import BUILT, SPEC, UID, Place, ago, idle, retried, served

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
SHOWN = "&lt;img src=x onerror=alert(1)&gt;\\u202e"


class Page(HTMLParser):
    """A page's text, links, and what a browser would run or restyle."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text, self.acts = html, "", list[str]()
        self.links, self.ids = list[str](), list[str]()
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for key in ("href", "src") if (value := given.get(key))]
        self.ids += [value for value in [given.get("id")] if value]
        if (tag == "script" and "src" not in given) or tag in ("style", "form", "iframe", "object", "img"):
            self.acts.append(tag)
        self.acts += [key for key in given if key == "style" or key.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(KeptRuns(tmp_path))
    for run in (6, 7):
        record, attempts = retried(run)
        spec = replace(SPEC, commit=f"{run}" * 40, parameters=(("ALPHA", f"0.{run}"),))
        place.leave(replace(record, spec=spec), attempts, f"flask==3.{run}\n")
    place.put("iris", record, repository="https://git.example/iris", schedule="0 6 * * *")
    return place


@pytest.fixture
def address(place: Place) -> Iterator[str]:
    with served(place) as address:
        yield address


def get(address: str, path: str = "", status: int = 200) -> Page:
    """Return a page, on which nothing may act."""
    url = urlsplit(urljoin(address, path))
    with closing(http.client.HTTPConnection(url.netloc, timeout=10)) as connection:
        connection.request("GET", f"{url.path}{url.query and '?'}{url.query}")
        answer = connection.getresponse()
        page = Page(answer.read().decode())
    assert (answer.status, page.acts) == (status, [])
    assert len(page.ids) == len(set(page.ids))
    return page


def active(message: str = "") -> Record:
    stages = {
        "environment": StageRecord("Done", started=ago(9), finished=ago(8)),
        "prepare": StageRecord("Running", started=ago(8), message=message),
    }
    return Record(UID, "Running", run=1, step=1, spec=SPEC, started=ago(9), stages=stages, message=message)


def test_a_run_is_shown_with_its_stages_timeline_attempts_and_what_it_was_made_of(address: str) -> None:
    text = get(address, "requests/iris/runs/7").text
    for words in (
        "Run 7 Succeeded run 7 succeeded took 1 min 33 s",
        "Environments environment environment Done 31 s",
        "Step 2 train batch Done, attempt 2 53 s",
        "On failure tell batch Skipped",
        "script 55.0 s environment 21.0 s start 7.0 s pause 10.0 s failed attempts 1",
        "accuracy 0.941 rows 15000",
        "ExitCode 1",
        "train/train.py:7: ValueError: no rows",
        f"commit {'7' * 40}",
        "parameter ALPHA 0.7",
        "environment of train, serve: 1 package flask 3.7",
    ):
        assert words in text


def test_two_hundred_indexes_are_a_table_with_what_failed_first(place: Place, address: str) -> None:
    message = "1 of 200 indexes failed; index 93: sweep/sweep.py:5: ValueError: no rows"
    stages = {"sweep": StageRecord("Failed", "ExitCode", message, ago(90), ago(9), attempts=1, indexes=200)}
    record = Record(UID, "Failed", run=8, spec=SPEC, started=ago(99), finished=ago(9), stages=stages, message=message)
    for index in range(200):
        words = {"reason": "ExitCode", "message": "sweep/sweep.py:5: ValueError: no rows"} if index == 93 else {}
        place.kept.end(place.kept.log(8, "sweep", 1, b"", index), exit_code=int(index == 93), **words)
    place.leave(record, {})
    place.put("iris", record)
    run = get(address, "requests/iris/runs/8")
    rows = [name for name in run.ids if name.startswith("index-")]
    assert rows == [f"index-{index}-of-sweep" for index in (93, *(number for number in range(200) if number != 93))]
    assert "sweep:93 ExitCode 1" in run.text
    for path in ("requests/iris/runs/8/stages/sweep", "requests/iris/runs/8/stages/sweep:93"):
        shown = get(address, path).text
        assert ("200 indexes have begun" in shown) == path.endswith("sweep")
        assert "ValueError: no rows" in shown


def test_a_request_is_shown_with_its_last_run_and_its_history(address: str) -> None:
    text = get(address, "requests/iris").text
    for words in (
        "iris Ready run 7 succeeded",
        "schedule 0 6 * * *",
        "next slot",
        "Run 7 Succeeded",
        "train accuracy",
        "service serve http://iris--serve.ml:5000",
    ):
        assert words in text
    assert get(address, "requests/iris/runs/latest").text == get(address, "requests/iris/runs/7").text


def test_two_runs_are_shown_side_by_side(address: str) -> None:
    text = get(address, "requests/iris/compare?runs=6,7").text
    for words in ("accuracy 0.94 0.941 +0.001", "package flask train, serve 3.6 3.7", "parameter ALPHA 0.6 0.7"):
        assert words in text
    assert get(address, "requests/iris/compare").text == get(address, "requests/iris/compare?runs=7,7").text


def test_a_page_of_runs_reads_no_other_one(place: Place, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_name: str) -> object:
        raise AssertionError("all runs were read")

    monkeypatch.setattr(place.kept.archive, "runs", read)
    assert "Compare with 6" in get(address, "requests/iris/runs/7").text
    assert "Instead of run 6: 7" in get(address, "requests/iris/compare?runs=6,6").text


def test_artifacts_are_looked_at_again_only_while_their_run_goes_on(place: Place, address: str) -> None:
    place.kept.record(8)
    for run in (7, 8):
        place.kept.artifact(run, "a.txt")
    place.put("iris", replace(active(), run=8))
    for path in ("artifacts", "artifacts/a.txt"):
        assert "data-events" not in get(address, f"requests/iris/runs/7/{path}").html
        assert 'data-events="' in get(address, f"requests/iris/runs/8/{path}").html


def test_what_is_under_way_before_scripts_run_is_shown_with_how_far_it_is(place: Place, address: str) -> None:
    stages = {"environment": StageRecord("Running", started=ago(9))}
    place.put("iris", replace(active(), run=8, stages=stages))
    place.kept.record(8, stages, environments=(BUILT,))
    file = place.kept.path(layout.build_progress("0a"))
    file.parent.mkdir(parents=True)
    downloads = (Download("torch", 16 << 20, 750 << 20), Download(HOSTILE, 1, 5))
    said = Progress("downloading 5 packages", "torch", ago(0), 3, 5, downloads)
    file.write_text(codec.to_json({**codec.plain(said), "written": ago(0)}))
    for path in ("requests/iris", "requests/iris/runs/8"):
        page = get(address, path)
        assert "Under way environment downloading 5 packages, 3 of 5 ready" in page.text
        assert "torch 16 MiB of 750 MiB" in page.text
        assert SHOWN in page.html
    place.kept.record(8, stages, environments=(BUILT,), active=False)
    place.note("iris")
    assert "Under way" not in get(address, "requests/iris/runs/8").text


def test_all_stages_of_a_run_are_there_before_any_file_of_it_is(place: Place, address: str) -> None:
    place.put("wine", active())
    text = get(address, "requests/wine").text
    for words in ("Step 1 prepare batch Running", "Step 2 train batch Waiting report batch Waiting", "serve service"):
        assert words in text


def test_a_page_says_what_it_can_without_the_volume(
    place: Place, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: object) -> object:
        raise Transient("VolumeUnavailable", "the volume does not answer")

    for name in ("runs", "run", "logs"):
        monkeypatch.setattr(place.kept.archive, name, hangs)
    place.put("wine", active())
    for name in ("iris", "wine"):
        text = get(address, f"requests/{name}").text
        assert "the volume does not answer: attempts, packages and older runs are not shown" in text
        assert "Step 3 serve service" in text
    assert "the volume does not answer" in get(address, "requests/iris/runs/6", 503).text


def test_links_lead_to_pages_wherever_the_page_is_mounted(address: str) -> None:
    seen, ahead = set[str](), {address}
    while ahead:
        url = ahead.pop()
        seen.add(url)
        links = get(address, url).links
        assert [link for link in links if link.startswith("/") or "//" in link] == []
        pages = {urljoin(url, link).partition("#")[0] for link in links if "/static/" not in urljoin(url, link)}
        ahead |= {page for page in pages if "/api/" not in page} - seen
    assert {urlsplit(url).path for url in seen} >= {
        "/",
        "/requests/iris",
        "/requests/iris/runs/6",
        "/requests/iris/runs/7/stages/train",
        "/requests/iris/runs/7/artifacts",
        "/requests/iris/compare",
    }


def test_what_stages_and_people_wrote_is_text(place: Place, address: str) -> None:
    line = PastRun(3, "Failed", HOSTILE, HOSTILE, HOSTILE, HOSTILE, ago(9), ago(8))
    failed = replace(active(HOSTILE), reason=HOSTILE, problems=(HOSTILE,), history=(line,), queued=HOSTILE)
    place.put("wine", replace(failed, spec=replace(SPEC, env=(("A", HOSTILE),))), repository=HOSTILE, ref=HOSTILE)
    for path in ("", "requests/wine", "requests/wine/runs/1"):
        html = get(address, path).html
        assert SHOWN in html
        assert "<img" not in html
    for path in (f"requests/{HOSTILE}", "requests/iris/runs/<b>", "requests/iris/compare?runs=<b>,7", "<b>"):
        get(
            address,
            path.replace("<", "%3C").replace(" ", "%20").encode("unicode_escape").decode(),
            400 if "runs" in path else 404,
        )


def test_names_that_look_alike_are_told_apart(place: Place, address: str) -> None:
    record, attempts = retried()
    stages = {**record.stages, "train-1": record.stages["report"]}
    history = (PastRun(0, "Superseded", trigger="7"), *record.history)
    record = replace(record, stages=stages, history=history)
    place.leave(record, {**attempts, "train-1": attempts["train"]})
    place.put("iris", record)
    assert {"attempt-1-of-train", "stage-train-1", "past-7"} <= {*get(address, "requests/iris").ids}


def test_a_password_in_an_address_is_not_shown(place: Place, address: str) -> None:
    place.put("wine", idle("Invalid"), repository="https://me:hunter2@git.example/wine")
    page = get(address, "requests/wine")
    assert "repository https://***@git.example/wine" in page.text
    assert "hunter2" not in page.html


@pytest.mark.parametrize(
    ("query", "shown", "words"),
    [
        ("", PAGE, "Page 1 of 3, 251 in all"),
        ("?page=3", 51, "Page 3 of 3, 251 in all"),
        ("?page=-1", PAGE, "Page 1 of 3"),
        ("?q=team-7&phase=Failed", 1, "team-7"),
        ("?q=nothing", 0, "Nothing matches."),
        ("?phase=Ready", 1, "iris"),
    ],
)
def test_many_requests_are_found_page_by_page(place: Place, address: str, query: str, shown: int, words: str) -> None:
    for number in range(250):
        place.put(f"team-{number}", idle("Failed" if number == 7 else "Degraded", runs=3))
    page = get(address, query)
    assert len([name for name in page.ids if name.startswith("request-")]) == shown
    assert words in page.text


def test_only_what_has_changed_is_read_again_for_the_list(place: Place, address: str) -> None:
    get(address)
    reads = list[str]()
    known = place.found

    class Counted(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            reads.append(name)
            return known[name]

    place.found = Counted(known)  # type: ignore[assignment]
    get(address)
    assert reads == []
    place.note("iris")
    get(address)
    assert reads == ["iris"]


def test_a_page_is_made_once_for_all_who_look_at_it_until_its_request_changes(
    place: Place, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "SECONDS", 3600.0)
    reads, runs = list[str](), place.kept.archive.runs

    def counted(name: str) -> Sequence[Mapping[str, object]]:
        reads.append(name)
        return runs(name)

    monkeypatch.setattr(place.kept.archive, "runs", counted)
    with ThreadPoolExecutor() as readers:
        assert {page.text for page in readers.map(lambda _: get(address, "requests/iris"), range(8))}
    assert reads == ["iris"]
    assert "./static/style.css" in get(address, "requests%2Firis").links
    place.note("iris")
    get(address, "requests/iris")
    assert reads == ["iris"] * 3
