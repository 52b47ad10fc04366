"""What runs left on the volume, as a reader gets it, whatever hostile stages put there."""

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.adapters.volume import artifacts as files
from controller.adapters.volume import logs as listing
from controller.adapters.volume.tree import DEPTH_LIMIT
from controller.core import layout
from controller.core.archive import Content, Extract, NoAnswer
from controller.core.documents.run import of_record, page
from controller.core.model import Environment, PastRun, Record, StageRecord, StageState
from controller.runtime.stage_log import LogFile
from tests.support.examples import share
from tests.support.keptruns import DEPLOYMENT, JOB, OTHER, SPEC, UID, KeptRuns

RUNNING, DONE = StageRecord(state="Running", objects=JOB), StageRecord(state="Done", objects=JOB)


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    return KeptRuns(tmp_path)


def text(content: Content) -> bytes:
    """Return a content that ends by itself."""
    with closing(content):
        whole = b"".join(content.chunks)
    assert content.size in (None, len(whole))
    return whole


def log(
    kept: KeptRuns, stage: str, *, run: str = "", attempt: int = 0, lines: int | None = None, timestamps: bool = False
) -> bytes:
    extract = Extract(lines, timestamps)
    return text(kept.archive.log(kept.name, stage, run=run, attempt=attempt, extract=extract, follow=False))


class Follower:
    """Somebody who follows a log."""

    def __init__(self, kept: KeptRuns, stage: str, *, attempt: int = 0, extract: Extract = Extract()) -> None:  # noqa: B008
        self.content = kept.archive.log(kept.name, stage, run="", attempt=attempt, extract=extract, follow=True)
        self.ended = False

    def news(self) -> bytes:
        """Return what there is until nothing comes any more."""
        found = b""
        for chunk in self.content.chunks:
            found += chunk
            if not chunk:
                return found
        self.ended = True
        return found


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    made: list[Follower] = []
    yield made
    for follower in made:
        follower.content.close()


def refusal(ask: Callable[[], object]) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        ask()
    return caught.value


# --- runs ------------------------------------------------------------------------------------------


def test_the_runs_of_a_request_come_newest_first_with_the_active_one(kept: KeptRuns) -> None:
    for number in (9, 10):
        kept.run(number, outcome="Succeeded")
    kept.run(11)
    kept.record(11, {"train": RUNNING})
    runs = kept.archive.runs("iris")
    assert [run["run"] for run in runs] == [11, 10, 9]
    assert (runs[0]["outcome"], runs[0]["phase"]) == ("", "Running")
    assert runs[0]["stages"]["train"]["state"] == "Running"  # type: ignore[index]


def test_a_run_is_meant_by_its_number_as_the_latest_or_as_the_good_one(kept: KeptRuns) -> None:
    kept.run(1, outcome="Succeeded")
    kept.run(2, outcome="Succeeded")
    kept.run(3, outcome="Failed")
    archive = kept.archive
    assert [archive.run("iris", which)["run"] for which in ("1", "latest", "good")] == [1, 3, 2]
    kept.record(3, active=False, release=1)
    assert archive.run("iris", "good")["run"] == 1


@pytest.mark.parametrize(
    ("run", "kind", "line"),
    [
        ("2", "gone", "run 2 of iris is no longer kept (keep-runs); kept are 3"),
        ("4", "absent", "iris has no run 4 yet; kept are 3"),
        ("good", "absent", "iris has no good run: name another one, 3"),
        ("0", "wrong", 'run: expected a number, latest or good, got "0"'),
        ("\x1b[31m\n", "wrong", 'run: expected a number, latest or good, got "\\x1b[31m\\n"'),
    ],
)
def test_a_run_that_is_not_there_says_why(kept: KeptRuns, run: str, kind: str, line: str) -> None:
    kept.run(3, outcome="Failed")
    error = refusal(lambda: kept.archive.run("iris", run))
    assert (error.kind, str(error)) == (kind, line)


def test_a_name_that_nobody_knows_gets_the_nearest_one(kept: KeptRuns) -> None:
    kept.run(1)
    assert (
        str(refusal(lambda: kept.archive.runs("irsi"))) == 'no request "irsi" has left a run here; did you mean iris?'
    )


def test_of_several_requests_of_one_name_the_living_one_is_meant_else_the_newest(
    kept: KeptRuns, tmp_path: Path
) -> None:
    newer = KeptRuns(tmp_path, uid=OTHER)
    for request, number in ((kept, 1), (newer, 2)):
        request.run(number, outcome="Succeeded")
        request.record(number, active=False)
    os.utime(kept.path(layout.record("iris", UID)), (1, 1))
    assert kept.archive.run("iris", "latest")["run"] == 2
    kept.living = UID
    assert kept.archive.run("iris", "latest")["run"] == 1
    kept.living = "1b2c3d4e-0000-4000-8000-000000000003"
    assert refusal(lambda: kept.archive.runs("iris")).kind == "absent"


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000, "\0"])
def test_a_run_record_that_was_spoilt_is_left_out(kept: KeptRuns, content: str) -> None:
    (kept.run(1) / "run.json").write_text(content)
    kept.run(2, outcome="Failed")
    assert [run["run"] for run in kept.archive.runs("iris")] == [2]


@pytest.mark.parametrize("stages", [{"train": 1}, [], {"train": {"state": ["x"]}}, None])
@pytest.mark.parametrize("environments", [[], {}, [1], [{"name": "environment"}], None])
def test_a_run_record_of_any_shape_spoils_no_list_of_logs(kept: KeptRuns, stages: object, environments: object) -> None:
    kept.run(1, stages=stages, environments=environments)
    kept.log(1, "train", 1, b"")
    assert [item["stage"] for item in kept.archive.logs("iris")] == ["train"]


# --- the list of logs ------------------------------------------------------------------------------


def test_logs_are_listed_with_what_the_launcher_said_at_the_end(kept: KeptRuns) -> None:
    first = kept.log(1, "Train_It", 1, b"12345")
    kept.end(first, 1, bytes=5, sha256="ab", complete=False, notes=["capped"], reason="ExitCode", message="boom")
    kept.log(1, "Train_It", 2, b"123")
    kept.record(1, {"Train_It": RUNNING})
    one, two = kept.archive.logs("iris")
    told = {"ended": True, "bytes": 5, "sha256": "ab", "complete": False, "notes": ["capped"], "exit_code": 1}
    assert {"stage": "Train_It", "attempt": 1, "reason": "ExitCode", "message": "boom", **told}.items() <= one.items()
    assert {"attempt": 2, "ended": False, "bytes": 3, "exit_code": None}.items() <= two.items()


def test_an_attempt_that_goes_on_began_when_its_first_line_came(kept: KeptRuns) -> None:
    kept.run(1)
    kept.record(1, {"train": StageRecord("Running"), "serve": StageRecord("Waiting")})
    for stage, marks in {"train": "0 1767225600\n90 1767225677\n", "serve": "\0 90\nx"}.items():
        kept.log(1, stage, 1, b"coachwork: batch stage train\n").with_suffix(".log.times").write_text(marks)
    found = {str(entry["stage"]): (entry["started"], entry["script"]) for entry in kept.archive.logs("iris")}
    assert found == {"train": ("2026-01-01T00:00:00Z", ""), "serve": ("", "")}


def test_the_logs_of_environments_are_listed_and_read_under_their_names(kept: KeptRuns) -> None:
    build = kept.path(layout.build_logs("key-2"))
    build.mkdir(parents=True)
    (build / "1.log").write_bytes(b"resolved\n")
    kept.record(1, environments=(Environment("environment", "key-2", ("train",)),))
    kept.run(1)
    (entry,) = kept.archive.logs("iris")
    assert (entry["stage"], entry["environment_of"]) == ("environment", ["train"])
    assert log(kept, "environment") == b"resolved\n"


def test_the_logs_of_environments_outlive_their_run(kept: KeptRuns) -> None:
    build = kept.path(layout.build_logs("key-2"))
    build.mkdir(parents=True)
    (build / "1.log").write_bytes(b"no such package\n")
    spec = replace(SPEC, environments=(Environment("environment", "key-2", ("train",)),))
    stages = {"environment": StageRecord("Failed"), "train": StageRecord("Skipped")}
    ended = Record(kept.uid, run=1, spec=spec, stages=stages, history=(PastRun(1, "Failed"),))
    kept.run(1, **{**page(of_record("iris", ended, {}, {}, "0.1.0")), "run": 1})
    assert [(item["stage"], item["attempt"]) for item in kept.archive.logs("iris")] == [("environment", 1)]
    assert log(kept, "environment") == b"no such package\n"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"exit_code": "x", "notes": {}, "bytes": []}', '{"message": "\\ud800"}']
)
def test_what_an_attempt_says_of_itself_is_not_believed(kept: KeptRuns, content: str) -> None:
    path = kept.log(1, "train", 1, b"123")
    path.with_suffix(".json").write_text(content)
    (item,) = kept.archive.logs("iris")
    assert (item["exit_code"], item["bytes"], item["notes"]) == (None, 3, [])
    json.dumps(item).encode()


# --- one log ---------------------------------------------------------------------------------------


def test_a_log_is_that_of_the_newest_attempt_of_the_newest_run_that_has_the_stage(kept: KeptRuns) -> None:
    kept.log(1, "train", 1, b"old")
    kept.log(2, "train", 1, b"first")
    kept.log(2, "train", 2, b"second")
    kept.run(3, stages={})
    assert log(kept, "train") == b"second"
    assert log(kept, "train", attempt=1) == b"first"
    assert log(kept, "train", run="1") == b"old"
    assert "no attempt 7; it has 1, 2" in str(refusal(lambda: log(kept, "train", attempt=7)))


@pytest.mark.parametrize("state", ["Unchanged", "Reused", "Skipped", "Stopped"])
def test_a_stage_that_a_run_passed_over_has_its_log_in_the_newest_run_that_ran_it(
    kept: KeptRuns, state: StageState
) -> None:
    kept.log(1, "serve", 1, b"of the first run")
    kept.log(2, "serve", 1, b"serving")
    kept.run(3)
    kept.run(4)
    kept.record(4, {"serve": StageRecord(state, objects=DEPLOYMENT), "more": StageRecord(state)}, active=False)
    assert log(kept, "serve") == b"serving"
    assert [(item["stage"], item["run"]) for item in kept.archive.logs("iris")] == [("serve", 2)]
    assert kept.archive.logs("iris", "4") == []
    assert str(refusal(lambda: log(kept, "more"))) == f'stage "more" has not started in run 4: it is {state}'


def test_logs_are_listed_in_the_order_in_which_their_stages_ran_environments_first(kept: KeptRuns) -> None:
    build = kept.path(layout.build_logs("key-2"))
    build.mkdir(parents=True)
    (build / "1.log").write_bytes(b"")
    times = {"a-last": "2026-01-01T00:00:02Z", "b-first": "2026-01-01T00:00:01Z"}
    for stage in times:
        kept.log(1, stage, 1, b"")
    stages = {stage: StageRecord("Done", started=at) for stage, at in times.items()}
    kept.record(1, stages, environments=(Environment("environment", "key-2", ("train",)),))
    assert [item["stage"] for item in kept.archive.logs("iris")] == ["environment", "b-first", "a-last"]


def test_logs_of_stages_that_started_in_one_second_are_listed_as_they_were_written(kept: KeptRuns) -> None:
    for written, stage in enumerate(["b-first", "a-last"]):
        os.utime(kept.log(1, stage, 1, b""), (written, written))
    record = StageRecord("Done", started="2026-01-01T00:00:01Z")
    kept.record(1, {"a-last": record, "b-first": record})
    assert [item["stage"] for item in kept.archive.logs("iris")] == ["b-first", "a-last"]


def test_a_stage_that_waits_says_so(kept: KeptRuns) -> None:
    kept.log(1, "train", 1, b"of the run before")
    kept.run(2)
    kept.record(2, {"train": StageRecord(message="no node has room")})
    error = refusal(lambda: log(kept, "train"))
    assert error.kind == "absent"
    assert str(error).startswith('stage "train" has not started in run 2: it is Waiting (no node has room)')


def test_the_stage_for_failures_can_be_waited_for_until_the_run_is_over(kept: KeptRuns) -> None:
    kept.run(1, outcome="Succeeded", on_failure="tell")
    kept.record(1, active=False)
    assert str(refusal(lambda: log(kept, "tell"))) == 'stage "tell" has not started in run 1: it is Skipped'
    kept.run(2)
    kept.record(2, on_failure="tell")
    assert str(refusal(lambda: log(kept, "tell"))).endswith("it is Waiting; follow its log to wait for it")


def test_a_stage_that_nobody_knows_gets_the_nearest_one(kept: KeptRuns) -> None:
    kept.log(1, "train", 1, b"")
    assert "did you mean train?" in str(refusal(lambda: log(kept, "trian")))


def test_a_log_that_was_turned_over_is_read_from_the_old_file_on(kept: KeptRuns) -> None:
    path = kept.log(1, "serve", 1, b"c\nd\n")
    path.with_name("1.log.1").write_bytes(b"a\nb\n")
    assert log(kept, "serve") == b"a\nb\nc\nd\n"
    assert [log(kept, "serve", lines=lines) for lines in (0, 1, 3)] == [b"", b"d\n", b"b\nc\nd\n"]


OWN = "coachwork: a line of the launcher's own"
LINES = st.lists(st.sampled_from([0, 1, 300_000, OWN]), max_size=6)  # lengths of lines; some are longer than a piece


@settings(max_examples=share(0.4), deadline=None)
@given(old=LINES, new=LINES, lines=st.integers(0, 8), closed=st.booleans())
def test_the_last_lines_are_the_stages_last_lines_with_all_of_the_launchers_among_them(
    tmp_path_factory: pytest.TempPathFactory, old: list[int | str], new: list[int | str], lines: int, *, closed: bool
) -> None:
    kept = KeptRuns(tmp_path_factory.mktemp("volume"))
    before = "".join(f"{line if isinstance(line, str) else 'a' * line}\n" for line in old)
    after = "\n".join(line if isinstance(line, str) else "b" * line for line in new) + "\n" * (closed and bool(new))
    path = kept.log(1, "serve", 1, after.encode())
    path.with_name("1.log.1").write_text(before)
    every = (before + after).splitlines(keepends=True)
    counted = [at for at, line in enumerate(every) if not line.startswith("coachwork: ")]
    expected = "".join(every[counted[-lines] if lines <= len(counted) else 0 :]) if lines else ""
    assert log(kept, "serve", lines=lines).decode() == expected


def counted(calls: list[tuple[object, ...]], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the system, each of whose calls is noted."""

    def called(*args: object, **kwargs: object) -> object:
        calls.append(args)
        return function(*args, **kwargs)

    return called


@pytest.mark.parametrize("lines", [1, 10])
def test_lines_of_the_launchers_cost_no_read_each(kept: KeptRuns, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.log(1, "serve", 1, b"first\n" + f"{OWN}\n".encode() * 10_000)
    reads = list[tuple[object, ...]]()
    monkeypatch.setattr(os, "pread", counted(reads, os.pread))
    assert log(kept, "serve", lines=lines).startswith(b"first\n")
    assert len(reads) < 10


# --- parallel stages -------------------------------------------------------------------------------

SWEEP = StageRecord(state="Running", objects=JOB, started="2026-01-01T00:00:00Z", indexes=12)


def many(kept: KeptRuns, count: int = 12) -> None:
    for index in range(count):
        kept.end(kept.log(1, "sweep", 1, b"part %d\n" % index, index), exit_code=121 if index == 7 else 0)
    kept.record(1, {"sweep": SWEEP, "pick": StageRecord()})


def test_each_index_of_a_stage_has_a_log_of_its_own_in_their_order(kept: KeptRuns) -> None:
    many(kept)
    listed = kept.archive.logs("iris")
    assert [(entry["stage"], entry["exit_code"]) for entry in listed] == [
        (f"sweep:{index}", 121 if index == 7 else 0) for index in range(12)
    ]
    assert log(kept, "sweep:11") == b"part 11\n"
    none = refusal(lambda: log(kept, "sweep"))
    assert (none.kind, "runs as 12 indexes" in str(none), "sweep:0" in str(none)) == ("wrong", True, True)
    assert refusal(lambda: log(kept, "sweep:12")).kind == "absent"


def test_of_more_logs_than_anybody_reads_the_newest_of_each_stage_are_listed(
    kept: KeptRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage, number in product(("pick", "train"), range(1, 6)):
        kept.log(1, stage, number, b"")
    monkeypatch.setattr(listing, "LISTED", 3)
    monkeypatch.setattr(listing, "MOST", 4)
    listed = [(entry["stage"], entry["attempt"]) for entry in kept.archive.logs("iris")]
    assert listed == [("pick", 4), ("pick", 5), ("train", 4), ("train", 5)]


def test_the_logs_of_indexes_are_there_though_nothing_says_how_many_there_are(kept: KeptRuns) -> None:
    many(kept, 3)
    kept.record(2, {})
    assert [entry["stage"] for entry in kept.archive.logs("iris", "1")] == ["sweep:0", "sweep:1", "sweep:2"]


@pytest.mark.parametrize("stages", [{"serve": StageRecord(state="Running", objects=JOB)}, {}])
def test_a_folder_that_a_script_makes_between_its_logs_hides_none(kept: KeptRuns, stages: dict[str, Any]) -> None:
    path = kept.log(1, "serve", 1, b"printed\n")
    kept.end(path)
    (path.parent / "7").mkdir()
    kept.log(1, "serve", 1, b"forged\n", 7)
    kept.record(1, stages)
    assert [entry["stage"] for entry in kept.archive.logs("iris")] == ["serve"]
    assert log(kept, "serve") == b"printed\n"


def test_an_index_that_has_not_begun_can_be_followed(kept: KeptRuns, followers: list[Follower]) -> None:
    many(kept, 3)
    assert "has not started" in str(refusal(lambda: log(kept, "sweep:5")))
    followers.append(follower := Follower(kept, "sweep:5"))
    assert follower.news() == b""
    kept.end(kept.log(1, "sweep", 1, b"failed\n", 5), exit_code=1)
    assert (follower.news(), follower.ended) == (b"failed\n", False), "another attempt may come"
    kept.end(kept.log(1, "sweep", 2, b"once more\n", 5))
    assert follower.news() == b"coachwork: attempt 2\nonce more\n"
    assert follower.ended, "though its stage goes on"


# --- following -------------------------------------------------------------------------------------


def test_a_follower_gets_what_is_there_then_what_comes_until_the_attempt_ends(
    kept: KeptRuns, followers: list[Follower]
) -> None:
    path = kept.log(1, "train", 1, b"a\n")
    kept.record(1, {"train": RUNNING})
    followers.append(follower := Follower(kept, "train", attempt=1))
    assert [follower.news(), follower.news()] == [b"a\n", b""]
    with path.open("ab") as file:
        file.write(b"b\n")
    assert follower.news() == b"b\n"
    with path.open("ab") as file:
        file.write(b"c\n")
    kept.end(path)
    assert (follower.news(), follower.ended) == (b"c\n", True)


def test_a_follower_goes_on_with_the_next_attempt_until_the_stage_is_over(
    kept: KeptRuns, followers: list[Follower]
) -> None:
    kept.end(kept.log(1, "train", 1, b"failed"), 1)
    kept.record(1, {"train": RUNNING})
    followers.append(follower := Follower(kept, "train"))
    assert (follower.news(), follower.ended) == (b"failed", False)
    second = kept.log(1, "train", 2, b"well\n")
    assert follower.news() == b"\ncoachwork: attempt 2\nwell\n"
    kept.end(second)
    assert (follower.news(), follower.ended) == (b"", False)
    kept.record(1, {"train": DONE})
    assert (follower.news(), follower.ended) == (b"", True)


def test_a_follower_waits_for_a_stage_that_waits(kept: KeptRuns, followers: list[Follower]) -> None:
    kept.run(1)
    kept.record(1, {"train": StageRecord()})
    followers.append(follower := Follower(kept, "train"))
    assert (follower.news(), follower.ended) == (b"", False)
    kept.log(1, "train", 1, b"begun\n")
    assert follower.news() == b"begun\n"


def test_a_follower_of_a_stage_that_never_starts_hears_why(kept: KeptRuns, followers: list[Follower]) -> None:
    kept.run(1)
    kept.record(1, {"train": StageRecord()})
    followers.append(follower := Follower(kept, "train"))
    assert follower.news() == b""
    kept.record(1, {"train": StageRecord(state="Skipped", message="prepare failed")}, active=False)
    assert follower.news() == b"coachwork: the stage did not start in run 1: Skipped prepare failed\n"
    assert follower.ended


def test_a_log_whose_end_was_never_recorded_ends_some_time_after_its_run(
    kept: KeptRuns, followers: list[Follower]
) -> None:
    kept.log(1, "train", 1, b"killed")
    kept.record(1, {"train": RUNNING}, active=False)
    followers.append(follower := Follower(kept, "train"))
    assert (follower.news(), follower.ended) == (b"killed", True)


def test_an_attempt_that_was_killed_with_its_launcher_ends_when_a_later_one_writes(
    kept: KeptRuns, followers: list[Follower]
) -> None:
    first = kept.log(1, "train", 1, b"killed\n")
    kept.record(1, {"train": RUNNING})
    followers.append(follower := Follower(kept, "train"))
    assert follower.news() == b"killed\n"
    kept.log(1, "train", 2, b"again\n")
    assert follower.news() == b""
    os.utime(first, (1, 1))
    assert follower.news() == b"coachwork: attempt 2\nagain\n"


def test_a_service_is_followed_after_its_run_is_over(kept: KeptRuns, followers: list[Follower]) -> None:
    path = kept.log(1, "serve", 1, b"a\n")
    kept.record(1, {"serve": StageRecord(state="Done", objects=DEPLOYMENT)}, active=False)
    followers.append(follower := Follower(kept, "serve"))
    assert (follower.news(), follower.ended) == (b"a\n", False)
    kept.end(path, 1)
    assert (follower.news(), follower.ended) == (b"", False)
    kept.log(1, "serve", 2, b"restarted\n")
    assert follower.news() == b"coachwork: attempt 2\nrestarted\n"
    kept.run(2)
    kept.record(2, {}, active=False)
    assert (follower.news(), follower.ended) == (b"", True)


def test_a_log_that_is_turned_over_is_followed_without_a_gap(kept: KeptRuns, followers: list[Follower]) -> None:
    """With the launcher's own writer, looked at between any two of its writes."""
    path = kept.log(1, "serve", 1, b"")
    kept.record(1, {"serve": StageRecord(state="Running", objects=DEPLOYMENT)})
    writer = LogFile(str(path), os.open(path, os.O_WRONLY), 100, rotate=True)
    followers.append(follower := Follower(kept, "serve"))
    found, said = b"", b""
    for number in range(60):
        writer.write(line := b"line %d\n" % number)
        said += line
        found += follower.news()
    writer.end(complete=True)
    assert b"".join(line for line in found.splitlines(keepends=True) if not line.startswith(b"coachwork")) == said


def test_each_line_may_begin_with_the_time_at_which_it_came(kept: KeptRuns, followers: list[Follower]) -> None:
    path = kept.log(1, "serve", 1, b"c\nd\n")
    path.with_name("1.log.1").write_bytes(b"a\nb\n")
    assert log(kept, "serve", timestamps=True) == b"- a\n- b\n- c\n- d\n", "the launcher of an older release"
    path.with_name("1.log.1.times").write_text("0 1700000000\n2 1700000001\n")
    path.with_name("1.log.times").write_text("0 1700000002\nhostile\n9 99999999999\n")
    whole = b"2023-11-14T22:13:20Z a\n2023-11-14T22:13:21Z b\n2023-11-14T22:13:22Z c\n2023-11-14T22:13:22Z d\n"
    assert log(kept, "serve", timestamps=True) == whole
    assert log(kept, "serve", lines=3, timestamps=True) == whole[23:]
    kept.record(1, {"serve": StageRecord(state="Running", objects=DEPLOYMENT)})
    followers.append(follower := Follower(kept, "serve", extract=Extract(timestamps=True)))
    assert follower.news() == whole
    with path.open("ab") as file:
        file.write(b"half ")
    assert follower.news() == b"2023-11-14T22:13:22Z half "
    with path.open("ab") as file:
        file.write(b"a line\nnext\n")
    assert follower.news() == b"a line\n5138-11-16T09:46:39Z next\n"


def test_the_launcher_marks_when_each_line_came_and_the_marks_turn_over_with_the_log(kept: KeptRuns) -> None:
    path = kept.log(1, "serve", 1, b"")
    writer = LogFile(str(path), os.open(path, os.O_WRONLY), 100, rotate=True)
    began = datetime.now(UTC).replace(microsecond=0)
    for number in range(60):
        writer.write(b"line %d\n" % number)
    writer.end(complete=True)
    lines = log(kept, "serve", timestamps=True).decode().splitlines()
    assert len(lines) > 10
    assert all(began <= datetime.fromisoformat(line.split()[0]) <= datetime.now(UTC) for line in lines), lines
    assert log(kept, "serve").decode().splitlines() == [line.split(" ", 1)[1] for line in lines]


def test_a_log_is_written_where_no_marks_can_be(kept: KeptRuns) -> None:
    path = kept.log(1, "serve", 1, b"")
    writer = LogFile(str(path.parent / "gone" / path.name), os.open(path, os.O_WRONLY), 1000, rotate=True)
    writer.write(b"a line\n" * 20)
    writer.end(complete=True)
    assert log(kept, "serve", timestamps=True).startswith(b"- a line\n")


def test_marks_are_read_only_for_what_has_come(
    kept: KeptRuns, followers: list[Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept.log(1, "serve", 1, b"a\n")
    path.with_name("1.log.times").write_text("0 1700000000\n")
    kept.record(1, {"serve": StageRecord(state="Running", objects=DEPLOYMENT)})
    followers.append(follower := Follower(kept, "serve", extract=Extract(timestamps=True)))
    opened = list[tuple[object, ...]]()
    monkeypatch.setattr(os, "open", counted(opened, os.open))
    assert [follower.news() for _ in range(3)] == [b"2023-11-14T22:13:20Z a\n", b"", b""]
    names = [name for name, *_ in opened]
    assert (names.count("1.log.times"), names.count("1.log") > 1) == (1, True)


def test_a_log_goes_on_where_its_marks_are_taken_away(kept: KeptRuns) -> None:
    path = kept.log(1, "serve", 1, b"")
    writer = LogFile(str(path), os.open(path, os.O_WRONLY), 100, rotate=True)
    for line in (b"1: a line\n", b"2: a line\n"):
        writer.write(line * 9)
    path.with_name("1.log.times").unlink()
    writer.write(b"3: a line\n" * 9)
    writer.end(complete=True)
    found = log(kept, "serve", timestamps=True)
    assert b"- 2: a line\n" in found, "nor has it the marks of an older file"
    assert b"Z 3: a line\n" in found


def test_a_log_that_is_turned_over_faster_than_it_is_read_says_so(kept: KeptRuns, followers: list[Follower]) -> None:
    path = kept.log(1, "serve", 1, b"first\n")
    kept.record(1, {"serve": StageRecord(state="Running", objects=DEPLOYMENT)})
    followers.append(follower := Follower(kept, "serve"))
    assert follower.news() == b"first\n"
    with path.open("ab") as file:
        file.write(b"rest\n")
    for name, content in (("1.log.1", b"third\n"), ("1.log", b"fourth\n")):
        (fresh := path.with_name("fresh")).write_bytes(content)
        fresh.replace(path.with_name(name))
    found = follower.news()
    assert found.startswith(b"rest\ncoachwork: the log was turned over faster than it was read")
    assert found.endswith(b"third\nfourth\n")


def test_a_follower_of_a_request_that_is_deleted_comes_to_an_end(kept: KeptRuns, followers: list[Follower]) -> None:
    kept.log(1, "train", 1, b"a\n")
    kept.record(1, {"train": RUNNING})
    followers.append(follower := Follower(kept, "train"))
    assert follower.news() == b"a\n"
    kept.path(layout.request("iris", UID)).rename(kept.root / "gone")
    assert (follower.news(), follower.ended) == (b"", True)


# --- artifacts -------------------------------------------------------------------------------------


def paths(kept: KeptRuns) -> list[str]:
    return [file.path for file in kept.archive.artifacts("iris", "1").files]


def artifact(kept: KeptRuns, *path: str) -> bytes:
    return text(kept.archive.artifact("iris", "1", path, tar=False))


def test_artifacts_are_those_of_the_good_run_unless_another_is_named(kept: KeptRuns) -> None:
    kept.artifact(1, "models/a.bin", b"1234")
    kept.run(1, outcome="Succeeded")
    kept.run(2, outcome="Failed")
    listing = kept.archive.artifacts("iris")
    (file,) = listing.files
    assert (listing.run, listing.complete, file.path, file.size) == (1, True, "models/a.bin", 4)
    assert file.modified.endswith("Z")
    assert kept.archive.artifacts("iris", "2").files == ()
    assert artifact(kept, "models", "a.bin") == b"1234"


def test_a_missing_artifact_gets_the_nearest_one_and_a_folder_is_said_to_be_one(kept: KeptRuns) -> None:
    kept.artifact(1, "models/model.pkl")
    assert "did you mean models/model.pkl?" in str(refusal(lambda: artifact(kept, "models", "modle.pkl")))
    assert "is a folder" in str(refusal(lambda: artifact(kept, "models")))


HOSTILE = ["new\nline", "a b", "ä", "\udcff\udcfe", "-rf", "x" * 200, '"', "%2e%2e", "\x1b[31m"]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_that_a_file_can_have_is_listed_and_fetched(kept: KeptRuns, name: str) -> None:
    kept.artifact(1, f"{name}/{name}", b"content")
    assert paths(kept) == [f"{name}/{name}"]
    assert artifact(kept, name, name) == b"content"


def test_a_folder_is_fetched_as_an_archive_of_the_size_that_was_said(kept: KeptRuns) -> None:
    expected = {f"sub/{name}": bytes([number]) * 700 * number for number, name in enumerate(HOSTILE)}
    for path, content in expected.items():
        kept.artifact(1, path, content)
    for parts, prefix in (((), ""), (("sub",), "sub/")):
        whole = text(kept.archive.artifact("iris", "1", parts, tar=True))
        with tarfile.open(fileobj=io.BytesIO(whole), errors="surrogateescape") as tar:
            found = {f"{prefix}{item.name}": tar.extractfile(item).read() for item in tar}  # type: ignore[union-attr]
        assert found == expected


def test_an_archive_makes_nobody_wait_for_what_is_empty(kept: KeptRuns) -> None:
    for name, size in (("empty", 0), ("round", 1024)):
        kept.artifact(1, name, b"x" * size)
    with closing(kept.archive.artifact("iris", "1", (), tar=True)) as content:
        assert all(content.chunks)


@pytest.mark.parametrize(
    ("becomes", "breaks"),
    [
        ("path.write_bytes(b'1')", "became shorter"),
        ("path.write_bytes(b'')", "became shorter"),
        ("path.unlink()", "No such file"),
        ("path.unlink(); path.symlink_to(outside)", "symbolic links"),
        ("path.unlink(); os.mkfifo(path)", "Invalid argument"),
        ("path.unlink(); path.mkdir()", "Invalid argument"),
        ("path.parent.rename(outside.parent / 'b'); path.parent.symlink_to(outside.parent / 'b')", "Not a directory"),
        ("path.write_bytes(b'67890')", ""),
        ("path.write_bytes(b'67890' * 100_000)", ""),
        ("path.unlink(); path.write_bytes(b'67890')", ""),
    ],
)
def test_an_archive_of_what_changes_meanwhile_has_the_length_that_was_said_or_breaks_off(
    kept: KeptRuns, tmp_path: Path, becomes: str, breaks: str
) -> None:
    path, outside = kept.artifact(1, "a/b", b"12345"), tmp_path / "outside"
    outside.write_bytes(b"other")
    held = len([*Path("/proc/self/fd").iterdir()])
    content = kept.archive.artifact("iris", "1", (), tar=True)
    exec(becomes, {"path": path, "outside": outside, "os": os})  # noqa: S102 (the table's own)
    if breaks:
        with closing(content), pytest.raises(OSError, match=breaks):
            b"".join(content.chunks)
    else:
        with tarfile.open(fileobj=io.BytesIO(text(content))) as tar:
            assert [tar.extractfile(item).read() for item in tar] == [b"67890"]  # type: ignore[union-attr]
    assert len([*Path("/proc/self/fd").iterdir()]) == held


@pytest.mark.parametrize("becomes", [b"1", b"", b"67890" * 100_000])
def test_a_file_that_changes_while_it_is_read_is_never_more_than_was_said(kept: KeptRuns, becomes: bytes) -> None:
    path = kept.artifact(1, "a", b"12345")
    with closing(kept.archive.artifact("iris", "1", ("a",), tar=False)) as content:
        path.write_bytes(becomes)
        assert (content.size, b"".join(content.chunks)) == (5, becomes[:5])  # the port breaks off what is short


def test_what_is_not_a_plain_file_is_neither_listed_nor_returned(kept: KeptRuns, tmp_path: Path) -> None:
    folder = kept.artifact(1, "plain", b"x").parent
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (folder / "link").symlink_to(outside / "secret")
    (folder / "folder").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        here = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        assert paths(kept) == ["plain"]
        for path in (("link",), ("folder", "secret"), ("pipe",), ("socket",), ("plain", "x")):
            assert refusal(partial(artifact, kept, *path)).kind == "absent"
    whole = text(kept.archive.artifact("iris", "1", (), tar=True))
    assert tarfile.open(fileobj=io.BytesIO(whole)).getnames() == ["plain"]  # noqa: SIM115


@pytest.mark.parametrize("path", [("..", "run.json"), ("",), (".",), ("a/../../run.json",), ("a\0",)])
def test_no_path_leads_out_of_the_artifacts(kept: KeptRuns, path: tuple[str, ...]) -> None:
    kept.run(1, outcome="Succeeded")
    kept.artifact(1, "a")
    assert refusal(lambda: artifact(kept, *path)).kind == "wrong"


@pytest.mark.parametrize("place", ["artifacts", "logs", "logs/train"])
def test_a_folder_that_became_a_link_is_not_followed(kept: KeptRuns, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    (outside / "train").mkdir(parents=True)
    for file in ("1.log", "train/1.log", "secret"):
        (outside / file).write_text("secret")
    link = kept.run(1, outcome="Succeeded", stages={"train": {"state": "Done"}}) / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / "train" if place == "logs/train" else outside)
    assert kept.archive.artifacts("iris", "1").files == ()
    assert kept.archive.logs("iris") == []
    assert refusal(lambda: log(kept, "train")).kind == "absent"


@pytest.mark.parametrize("name", ["1.log", "1.json"])
def test_a_log_that_became_a_link_or_a_pipe_is_not_read(kept: KeptRuns, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text('{"exit_code": 0, "message": "secret"}')
    path = kept.log(1, "train", 1, b"")
    path.with_name(name).unlink(missing_ok=True)
    path.with_name(name).symlink_to(tmp_path / "secret")
    assert "secret" not in json.dumps(kept.archive.logs("iris"))
    path.with_name(name).unlink()
    os.mkfifo(path.with_name(name))
    assert [item["ended"] for item in kept.archive.logs("iris")] == [False]
    assert log(kept, "train") == b""


def test_a_list_of_artifacts_is_bounded_and_says_so(kept: KeptRuns) -> None:
    folder = kept.artifact(1, "many/0").parent
    for number in range(1, files.FILES_LIMIT + 1):
        (folder / str(number)).touch()
    listing = kept.archive.artifacts("iris", "1")
    assert (len(listing.files), listing.complete) == (files.FILES_LIMIT, False)
    assert refusal(lambda: kept.archive.artifact("iris", "1", (), tar=True)).kind == "wrong"
    for number in range(3):  # of which the list has two at most
        kept.artifact(1, f"folder {number}/file", b"x")
        assert "is a folder" in str(refusal(partial(artifact, kept, f"folder {number}")))
        assert artifact(kept, f"folder {number}", "file") == b"x"


def test_folders_that_are_too_deep_are_left_out_and_said(kept: KeptRuns) -> None:
    kept.artifact(1, "d/" * (DEPTH_LIMIT + 1) + "file")
    listing = kept.archive.artifacts("iris", "1")
    assert (listing.files, listing.complete) == ((), False)


def test_a_sparse_file_beyond_all_memory_is_given_piece_by_piece(kept: KeptRuns) -> None:
    path = kept.artifact(1, "huge")
    os.truncate(path, 1 << 42)
    with closing(kept.archive.artifact("iris", "1", ("huge",), tar=False)) as content:
        assert content.size == 1 << 42
        assert len(next(content.chunks)) < 1 << 20
    kept.log(1, "train", 1, b"x")
    os.truncate(kept.path(layout.logs("iris", UID, 1, "train")) / "1.log", 1 << 42)
    with closing(kept.archive.log("iris", "train", run="", attempt=0, extract=Extract(2), follow=False)) as content:
        assert content.size is not None
        assert content.size < 1 << 30
