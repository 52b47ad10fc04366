"""The shared volume: written as a whole or not at all, and never left on a stage's say-so."""

import fcntl
import io
import json
import os
import re
import stat
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from controller.adapters import removal
from controller.adapters.storage import FOLDER_MODE
from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume, environments
from controller.adapters.volume.tree import Tree
from controller.core import layout
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.manifests.process import DISRUPTIONS
from controller.core.model import Attempt
from tests.support.smallvolume import small

UID = "1b2c3d4e-0000-4000-8000-000000000001"
OLD = "1b2c3d4e-0000-4000-8000-000000000002"
LOGS = layout.logs("iris", UID, 1, "train")
RECORD = layout.record("iris", UID)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


@pytest.fixture
def logs(volume: Volume, tmp_path: Path) -> Path:
    volume.prepare([LOGS])
    return tmp_path / LOGS


# --- writing ---------------------------------------------------------------------------------------


def test_every_folder_on_the_way_is_group_writable_whatever_the_umask(volume: Volume, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        volume.prepare([LOGS, LOGS])
        volume.prepare([LOGS])
    finally:
        os.umask(before)
    folders = [tmp_path / LOGS, *(tmp_path / LOGS).parents]
    for folder in folders[: folders.index(tmp_path)]:
        assert stat.S_IMODE(folder.stat().st_mode) == FOLDER_MODE


def test_many_make_the_same_folders_at_once(volume: Volume, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            for run in range(30):
                volume.prepare([layout.logs("iris", UID, run, "train")])
        except BaseException as error:  # noqa: BLE001 (shown by the assertion below)
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(list((tmp_path / layout.request("iris", UID)).iterdir())) == 30


def test_a_reader_never_sees_half_a_document(volume: Volume) -> None:
    stop, torn = threading.Event(), list[str]()

    def read() -> None:
        while not stop.is_set():
            found = volume.read_document(RECORD)
            torn.extend([found] if len(set(found.splitlines())) != 1 else [])

    volume.keep_text(RECORD, "0\n" * 8)
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        volume.keep_text(RECORD, f"{str(number) * 500}\n" * 8)
    stop.set()
    reader.join(60)
    assert torn == []


def test_a_document_that_is_not_text_differs_from_none(volume: Volume, tmp_path: Path) -> None:
    assert volume.read_document(RECORD) == ""
    volume.keep_text(RECORD, "x")
    (tmp_path / RECORD).write_bytes(b"\xff\xfe\x00")
    assert volume.read_document(RECORD) != ""


# --- a full or broken volume --------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Volume]:
    with small(tmp_path, "64k") as folder:
        yield Volume(folder)


def test_a_full_volume_has_its_own_reason_and_keeps_the_record_of_before(full: Volume) -> None:
    full.keep_text(RECORD, "run: 1")
    for _ in range(3):
        with pytest.raises(Transient, match="No space left") as caught:
            full.keep_text(RECORD, "x" * 100_000)
        assert caught.value.reason == "VolumeFull"
    assert full.read_document(RECORD) == "run: 1"


def test_a_full_volume_takes_no_half_of_the_tools(full: Volume, tmp_path: Path) -> None:
    tool = tmp_path / "uv"
    tool.write_bytes(b"x" * 200_000)
    for _ in range(3):
        with pytest.raises(Transient, match="No space left"):
            full.publish_tools([tool])
    full.keep_text(RECORD, "x" * 20_000)


def test_a_volume_that_is_not_a_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Transient) as caught:
        Volume(tmp_path / "file").prepare([LOGS])
    assert caught.value.reason == "VolumeUnavailable"


def test_a_top_folder_whose_disk_is_not_mounted_is_a_volume_that_can_come_back(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / layout.RUNS).symlink_to("disk")
    with pytest.raises(Transient) as caught:
        volume.prepare([LOGS])
    assert caught.value.reason == "VolumeUnavailable"
    (tmp_path / "disk").mkdir()
    volume.prepare([LOGS])
    assert (tmp_path / "disk").joinpath(*LOGS.parts[1:]).is_dir()


# --- attempts: the stage can write there, too ----------------------------------------------------------


def test_attempts_are_read_in_their_order(volume: Volume, logs: Path) -> None:
    for number in (10, 2, 1):
        (logs / f"{number}.log").write_text("hello")
    (logs / "2.json").write_text(json.dumps({"exit_code": 3, "reason": "ExitCode", "message": "no rows"}))
    (logs / "10.json").write_text(json.dumps({"exit_code": 0}))
    assert volume.attempts(LOGS) == [
        Attempt(1, ended=False),
        Attempt(2, ended=True, exit_code=3, reason="ExitCode", message="no rows"),
        Attempt(10, ended=True, exit_code=0),
    ]


def test_of_the_attempts_that_a_stage_makes_up_those_are_read_that_there_can_be_and_as_much_as_is_shown(
    volume: Volume, logs: Path
) -> None:
    for folder in (logs, logs / "0"):
        folder.mkdir(exist_ok=True)
        for number in range(1, 301):
            (folder / f"{number}.log").touch()
            said = dict.fromkeys(("reason", "message", "started", "finished", "script_started"), "x" * 10_000)
            (folder / f"{number}.json").write_text(json.dumps({"exit_code": 1, **said}))
    for found in (volume.attempts(LOGS), volume.attempts(LOGS, 256)):
        assert [attempt.number for attempt in found] == [*range(300 - len(found) + 1, 301)]
        assert len(found) == 1 + 100 + DISRUPTIONS  # with as many RETRIES as there can be
        assert max(len(repr(attempt)) for attempt in found) < 2000


def test_attempts_are_those_of_the_indexes_that_there_are_whatever_folders_a_stage_makes(
    volume: Volume, logs: Path
) -> None:
    for place in (logs, *(logs / name for name in ("0", "2", "3", "9999"))):
        place.mkdir(exist_ok=True)
        (place / "1.log").touch()
    assert volume.attempts(LOGS) == [Attempt(1, ended=False)]
    assert [attempt.index for attempt in volume.attempts(LOGS, 3)] == [0, 2]
    assert [*volume.last_attempts(LOGS, 3)] == [0, 2]


def test_a_folder_that_is_not_there_holds_no_attempts(volume: Volume) -> None:
    assert volume.attempts(LOGS) == []
    assert volume.last_attempt(LOGS) is None


def test_the_last_attempt_costs_no_more_where_a_stage_leaves_many(
    volume: Volume, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def opened(tree: Tree, path: PurePosixPath, opens: Callable[[Tree, PurePosixPath], io.FileIO] = Tree.open) -> Any:
        read.append(path.name)
        return opens(tree, path)

    monkeypatch.setattr(Tree, "open", opened)
    for number in range(1, 101):
        (logs / f"{number}.log").write_text("")
    (logs / "100.json").write_text('{"exit_code": 0}')
    assert volume.last_attempt(LOGS) == Attempt(100, ended=True, exit_code=0)
    assert read == ["100.json"]


def test_a_run_counts_once_a_pod_has_left_something_of_its_logs(volume: Volume, logs: Path) -> None:
    owner = ("iris", UID)
    newest = 1  # of LOGS
    assert volume.newest_run(*owner, 0) == 0  # its folders are there
    (logs / "1.log").write_text("")
    volume.keep_text(layout.uses(*owner, newest + 7), "[]")  # of a run that never began
    assert [volume.newest_run(*owner, after) for after in (0, newest, newest + 1)] == [newest, newest, newest + 1]


@pytest.mark.parametrize("name", ["²", "①", "x", "-1", "1.old", "٣", "9" * 200])
def test_files_that_only_resemble_logs_are_not_attempts(volume: Volume, logs: Path, name: str) -> None:
    (logs / f"{name}.log").write_text("")
    assert volume.attempts(LOGS) == []


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "[]", "1", "null", '"x"', "{}", '{"exit_code": null}', '{"exit_code": "x"}', '{"exit_code": []}'),
        '{"exit_code": 1e999}',
        '{"exit_code": ' + "9" * 5000 + "}",
        "[" * 60_000,
        " " * 100_000 + '{"exit_code": 0}',
    ],
)
def test_an_end_that_no_launcher_wrote_is_ignored(volume: Volume, logs: Path, content: str) -> None:
    (logs / "1.log").write_text("")
    (logs / "1.json").write_text(content)
    assert volume.attempts(LOGS) == [Attempt(1, ended=False)]


def test_an_end_that_is_not_a_plain_file_is_neither_followed_nor_waited_for(
    volume: Volume, logs: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"exit_code": 0, "message": "another request\'s"}')
    for number in (1, 2, 3, 4):
        (logs / f"{number}.log").write_text("")
    (logs / "1.json").symlink_to(secret)
    os.mkfifo(logs / "2.json")
    (logs / "3.json").mkdir()
    (logs / "4.json").symlink_to("/dev/zero")
    assert volume.attempts(LOGS) == [Attempt(number, ended=False) for number in (1, 2, 3, 4)]


def test_what_a_stage_leaves_instead_of_a_small_file_is_absent(volume: Volume, logs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("another request's")
    (logs / "link").symlink_to(secret)
    (logs / "folder").mkdir()
    os.mkfifo(logs / "pipe")
    assert [volume.recall_text(LOGS / name) for name in ("link", "folder", "pipe")] == [""] * 3


def test_a_top_folder_may_be_a_link_to_another_disk(volume: Volume, logs: Path, tmp_path: Path) -> None:
    (logs / "1.log").write_text("")
    volume.keep_text(RECORD, "run: 1")
    environment(tmp_path / layout.environment(KEY))
    for top in (layout.RUNS, layout.ENVIRONMENTS):
        (tmp_path / top).rename(tmp_path / f"disk-{top}")
        (tmp_path / top).symlink_to(f"disk-{top}")
    assert volume.read_document(RECORD) == "run: 1"
    assert volume.attempts(LOGS) == [Attempt(1, ended=False)]
    assert volume.has_environment(KEY)


# --- removing -------------------------------------------------------------------------------------------


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_only_kept_and_newer_runs_stay_and_an_earlier_request_is_left_to_the_sweep(
    volume: Volume, tmp_path: Path
) -> None:
    for uid in (UID, OLD):
        volume.prepare([layout.artifacts("iris", uid, run) for run in range(5)])
    volume.prepare([layout.cache("iris", UID), layout.artifacts("iris-2", UID, 1)])
    volume.keep_only("iris", UID, frozenset({0, 3}))
    assert names_in(tmp_path / "runs") == {f"iris-{UID}", f"iris-{OLD}", f"iris-2-{UID}"}
    assert len(names_in(tmp_path / layout.request("iris", OLD))) == 5
    newer = "4"  # of a pass that stood still another one may have begun a run since
    assert names_in(tmp_path / layout.request("iris", UID)) == {"0", "3", newer, "cache"}


def test_a_forgotten_request_leaves_nothing_and_the_others_stay(volume: Volume, tmp_path: Path) -> None:
    volume.prepare([layout.cache("iris", UID), layout.cache("iris", OLD), layout.cache("other", OLD)])
    assert volume.requests() == ["iris", "other"]
    volume.forget("iris")
    volume.forget("iris")
    assert names_in(tmp_path / "runs") == {f"other-{OLD}"}


def test_links_that_a_stage_left_lead_nobody_out_of_its_folders(volume: Volume, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    folders = [layout.artifacts("iris", UID, 1), LOGS, layout.cache("iris", UID)]
    volume.prepare(folders)
    for folder in folders:
        (tmp_path / folder / "link").symlink_to(outside)
        (tmp_path / folder / "root").symlink_to("/")
        (tmp_path / folder / "locked").mkdir(mode=0o000)
    volume.keep_only("iris", UID, frozenset({2}))
    volume.forget("iris")
    assert names_in(tmp_path / "runs") == set()
    assert names_in(outside) == {"kept"}


def test_folders_that_a_stage_locked_go_as_well(volume: Volume, tmp_path: Path) -> None:
    folder = tmp_path / layout.artifacts("iris", UID, 1)
    volume.prepare([layout.artifacts("iris", UID, 1)])
    (folder / "locked" / "inner").mkdir(parents=True)
    (folder / "locked" / "inner" / "file").write_text("")
    for place in (folder / "locked" / "inner", folder / "locked"):  # which root, if it runs this, does not feel
        place.chmod(0o000)
    volume.forget("iris")
    assert names_in(tmp_path / "runs") == set()


def test_of_a_folder_that_is_removed_nothing_is_held_however_many_files_a_stage_left(
    volume: Volume, tmp_path: Path
) -> None:
    volume.prepare([LOGS])
    for number in range(2000):
        (tmp_path / LOGS / f"{number}").touch()
    tracemalloc.start()
    volume.keep_only("iris", UID, frozenset({2}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert names_in(tmp_path / layout.request("iris", UID)) == set()
    assert peak < 2000 * 30, "less than the names of all"


def nest(folder: Path, depth: int) -> None:
    """Make so many folders in folders; paths of that depth are longer than the system takes."""
    for _ in range(depth):
        (folder / "y").mkdir()
        (folder / "x").rename(folder / "y" / "x")
        (folder / "y").rename(folder / "x")


def test_folders_in_folders_deeper_than_any_path_go_as_well(volume: Volume, tmp_path: Path) -> None:
    folder = tmp_path / layout.artifacts("iris", UID, 1)
    volume.prepare([layout.artifacts("iris", UID, 1)])
    (folder / "x").mkdir()
    (folder / "x" / "file").write_text("")
    nest(folder, 3000)
    volume.forget("iris")
    assert names_in(tmp_path / "runs") == set()


@pytest.mark.parametrize("grain", [1, 100, 10**9])
def test_a_long_copy_goes_on_where_it_was_interrupted_and_says_how_far_it_is(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grain: int
) -> None:
    """On volumes that keep times to a nanosecond, to 100 (SMB), to a second."""
    real = os.utime

    def utime(path: Path, times: None = None, **kwargs: Any) -> None:
        if "ns" in kwargs:
            kwargs["ns"] = tuple(time // grain * grain for time in kwargs["ns"])
        real(path, times, **kwargs)

    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source / "deep"])
    (tmp_path / source / "deep" / "model").write_bytes(bytes(range(256)) * 40)
    (tmp_path / source / "rows.csv").write_text("1,2")
    for old in ("", "deep/model", "rows.csv"):
        real(tmp_path / source / old, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr(removal, "PIECE", 4000)
    monkeypatch.setattr(os, "utime", utime)
    monkeypatch.setattr("controller.adapters.volume.volume.SLICE", 0.0)
    passes = list[str]()
    while not (tmp_path / target).exists():
        try:
            volume.inherit(source, target)
        except NotYet as later:
            passes.append(str(later))
            assert len(passes) <= 4, passes
    assert len(passes) == 4  # three pieces of a file, one of another
    assert re.fullmatch(r'artifacts of run 1 are being copied: [\d.]+ KiB of [\d.]+ KiB of "deep/model"', passes[0])
    assert (tmp_path / target / "deep" / "model").read_bytes() == bytes(range(256)) * 40
    assert (tmp_path / target / "rows.csv").read_text() == "1,2"
    assert names_in(tmp_path / target.parent) == {"artifacts"}
    assert (tmp_path / target).stat().st_mtime > 1_700_000_000, "a sweep would take it"


def copy_piece(volume: Volume, source: PurePosixPath, target: PurePosixPath) -> None:
    """Copy until the first time that is up."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("controller.adapters.volume.volume.SLICE", 0.0)
        with pytest.raises(NotYet):
            volume.inherit(source, target)


def test_what_is_copied_is_not_looked_at_with_each_piece(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    for folder in ("", "deep"):
        volume.prepare([source / folder])
        for number in range(20):
            (tmp_path / source / folder / f"{number}.csv").write_text("1,2")
    looked, real = Counter[str](), os.open

    def opened(path: str | Path, flags: int, *args: Any, **kwargs: Any) -> int:
        looked[str(path)] += 1
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", opened)
    for _ in range(40):
        copy_piece(volume, source, target)
    volume.inherit(source, target)
    assert len(list((tmp_path / target).rglob("*.csv"))) == 40
    assert looked["0.csv"] in range(2, 20)  # one in each folder


def test_a_copy_that_was_swept_meanwhile_is_whole(volume: Volume, tmp_path: Path) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source])
    for name in "abc":
        (tmp_path / source / name).write_text(name)
    copy_piece(volume, source, target)
    copy_piece(volume, source, target)
    removal.remove(tmp_path / target.with_name(".partial-artifacts"))
    copy_piece(volume, source, target)
    volume.inherit(source, target)
    assert names_in(tmp_path / target) == {"a", "b", "c"}


def test_what_a_killed_copy_has_left_is_not_believed(volume: Volume, tmp_path: Path) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    left = target.with_name(".partial-artifacts")
    volume.prepare([source, left])
    (tmp_path / source / "model").write_text("0123456789")
    (tmp_path / left / "model").write_text("99999")
    volume.inherit(source, target)
    assert (tmp_path / target / "model").read_text() == "0123456789"


def test_half_of_a_file_that_has_gone_since_is_no_artifact(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source])
    for name in ("model", "rows"):
        (tmp_path / source / name).write_text("0123456789")
    monkeypatch.setattr(removal, "PIECE", 4)
    copy_piece(volume, source, target)
    (tmp_path / source / "model").unlink()
    volume.inherit(source, target)
    assert names_in(tmp_path / target) == {"rows"}


def test_artifacts_too_deep_to_be_copied_are_refused(volume: Volume, tmp_path: Path) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source])
    (tmp_path / source / "x").mkdir()
    nest(tmp_path / source, 3000)
    with pytest.raises(Invalid, match="artifacts of run 1: folders in folders too deep") as caught:
        volume.inherit(source, target)
    assert caught.value.reason == "ArtifactsUnreadable"
    assert names_in(tmp_path / target.parent) == set()
    volume.forget("iris")  # pytest could not


@pytest.mark.parametrize("slices", [0.0, 60.0])
def test_the_holes_of_a_file_stay_holes_in_its_copy(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: float
) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source])
    places = {0: b"begin", 300_000_000: b"middle", 700_000_001: b"late"}
    with (tmp_path / source / "model").open("wb") as file:
        for at, data in places.items():
            file.seek(at)
            file.write(data)
        file.truncate(1 << 30)
    monkeypatch.setattr("controller.adapters.volume.volume.SLICE", slices)
    for _ in range(10):
        with suppress(NotYet):
            volume.inherit(source, target)
    copy = tmp_path / target / "model"
    assert copy.stat().st_size == 1 << 30
    assert copy.stat().st_blocks * removal.BLOCK < 1 << 20, "written out"
    with copy.open("rb") as file:
        for at, data in places.items():
            file.seek(at)
            assert file.read(len(data) + 1) == data + b"\0"


@pytest.mark.parametrize("becomes", ["a link", "a pipe", "a folder", "nothing", "a link to a folder"])
def test_what_becomes_something_else_while_it_is_copied_is_taken_as_it_is_then(tmp_path: Path, becomes: str) -> None:
    source, target, secrets = (tmp_path / name for name in ("source", "target", "secrets"))
    (source / "c").mkdir(parents=True)
    secrets.mkdir()
    for place in (source / "a", source / "b", source / "c" / "token", secrets / "token"):
        place.write_text(f"of {place.parent.name}")
    turned = list[Path]()

    def turn(copied: Path) -> None:
        if turned or copied.name != "a":
            return
        turned.append(copied)
        if becomes == "a link to a folder":
            (source / "c").rename(tmp_path / "c")
            (source / "c").symlink_to(secrets)
            return
        (source / "b").unlink()
        if becomes == "a link":
            (source / "b").symlink_to(secrets / "token")
        elif becomes == "a pipe":
            os.mkfifo(source / "b")
        elif becomes == "a folder":
            (source / "b").mkdir()

    removal.copy_tree(source, target, turn)
    assert turned
    assert names_in(target) == {"a", "c"} | ({"b"} if becomes not in ("a pipe", "nothing") else set())
    texts = {path.read_text() for path in target.rglob("*") if path.is_file() and not path.is_symlink()}
    assert "of secrets" not in texts
    assert "of source" in texts


KINDS_OF_ENTRIES = ("a file", "a folder", "a link to a file", "a link to a folder")


@pytest.mark.parametrize(("was", "is_now"), list(permutations(KINDS_OF_ENTRIES, 2)))
def test_a_copy_that_goes_on_follows_no_link_that_it_made_before(tmp_path: Path, was: str, is_now: str) -> None:
    """A stage that still writes while its artifacts are taken over would choose what the controller overwrites."""
    source, target, others = (tmp_path / name for name in ("source", "target", "others"))
    for folder in (source, others):
        folder.mkdir()
    (others / "token").write_text("secret")

    def put(kind: str) -> None:
        place = source / "entry"
        if kind == "a file":
            place.write_text("mine")
        elif kind == "a folder":
            place.mkdir()
            (place / "inner").write_text("mine")
        else:
            place.symlink_to(others / "token" if kind == "a link to a file" else others)

    put(was)
    removal.copy_tree(source, target, lambda _: None)
    removal.remove(source / "entry")
    put(is_now)
    removal.copy_tree(source, target, lambda _: None)
    assert tree_of(target) == tree_of(source)
    assert tree_of(others) == {"token": "secret"}


def tree_of(folder: Path) -> dict[str, str]:
    """Return what is in a folder, by its path there: the text of a file, where a link leads, "" of a folder."""

    def content(path: Path) -> str:
        return str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""

    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*"))}


def test_a_tree_of_empty_folders_is_copied_in_slices_too(volume: Volume, tmp_path: Path) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    for number in range(5):
        volume.prepare([source / f"{number}" / "inner"])
    copy_piece(volume, source, target)
    copy_piece(volume, source, target)
    volume.inherit(source, target)
    assert tree_of(tmp_path / target) == tree_of(tmp_path / source)


def test_artifacts_that_are_removed_while_they_are_copied_leave_no_part_of_them(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (layout.artifacts("iris", UID, run) for run in (1, 2))
    volume.prepare([source])
    for name in ("model", "rows"):
        (tmp_path / source / name).write_text("0123456789")
    monkeypatch.setattr(os, "copy_file_range", lambda *_: volume.keep_only("iris", UID, frozenset({2})), raising=False)
    with pytest.raises(Transient):
        volume.inherit(source, target)
    assert not (tmp_path / target).exists()


@pytest.mark.parametrize("step", [-1, 1])
def test_a_file_that_shrinks_or_grows_without_end_is_copied_as_it_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    source, target, pieces = tmp_path / "source", tmp_path / "target", list[Path]()
    source.mkdir()
    (source / "rows").write_text("0123456789" * 10)
    monkeypatch.setattr(removal, "PIECE", 10)

    def change(copied: Path) -> None:
        pieces.append(copied)
        assert len(pieces) < 20
        os.truncate(copied, copied.stat().st_size + 10 * step)

    removal.copy_tree(source, target, change)
    copied = (target / "rows").read_text()
    assert copied == "0123456789" * (10 if step > 0 else 5)


def test_folders_that_are_not_ours_are_left_alone(volume: Volume, tmp_path: Path) -> None:
    for name in ("lost+found", ".snapshot", "x"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    volume.forget("lost+found")
    volume.keep_only("iris", UID, frozenset())
    assert names_in(tmp_path / "runs") == {"lost+found", ".snapshot", "x"}
    assert volume.requests() == []


# --- the tools ------------------------------------------------------------------------------------------


def test_tools_are_published_once_for_each_content_by_however_many(volume: Volume, tmp_path: Path) -> None:
    tool = tmp_path / "launch.py"
    tool.write_text("print()")
    (tmp_path / "bytecode" / "lib").mkdir(parents=True)
    (tmp_path / "bytecode" / "lib" / "json.pyc").write_bytes(b"1")
    tools, digests = [tool, tmp_path / "bytecode"], list[str]()
    threads = [threading.Thread(target=lambda: digests.append(volume.publish_tools(tools))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(digests) == 6
    assert names_in(tmp_path / "tools") == set(digests)
    folder = tmp_path / layout.tools(digests[0])
    assert names_in(folder) == {"launch.py", "bytecode", layout.COMPLETE}
    assert (folder / "bytecode" / "lib" / "json.pyc").read_bytes() == b"1"
    assert (folder / layout.COMPLETE).read_text() == digests[0]
    assert stat.S_IMODE((folder / "launch.py").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "bytecode" / "lib").stat().st_mode) == FOLDER_MODE
    tool.write_text("print(2)")
    digests.append(volume.publish_tools(tools))
    (tmp_path / "bytecode" / "lib" / "json.pyc").write_bytes(b"2")
    assert len({*digests, volume.publish_tools(tools)}) == 3


# --- environments ----------------------------------------------------------------------------------

KEY = "0123456789abcdef0123"


def environment(place: Path, python: str = "/opt/python3", name: str = KEY) -> Path:
    """Make a whole environment with one package."""
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to(python)
    (place / "lib/python3.12/site-packages/plume-1.0.dist-info").mkdir(parents=True)
    (place / layout.LOCK).write_text("plume==1.0\n# plume is from ./lib\n")
    (place / layout.COMPLETE).write_text(f"{name}\n")
    return place


def test_an_environment_whose_python_is_in_another_image_is_whole(volume: Volume, tmp_path: Path) -> None:
    environment(tmp_path / layout.environment(KEY))
    assert volume.has_environment(KEY)
    assert not Volume(tmp_path, has_pythons=True).has_environment(KEY)


@pytest.mark.parametrize("lost", ["bin", "lib", layout.LOCK, layout.COMPLETE])
def test_an_environment_that_has_lost_a_part_is_absent(volume: Volume, tmp_path: Path, lost: str) -> None:
    for place in (layout.environment(KEY), layout.built(KEY)):
        (environment(tmp_path / place) / lost).rename(tmp_path / f"lost-{place.name}")
    assert not volume.has_environment(KEY)
    assert not volume.made_environment(KEY)


@pytest.mark.parametrize("part", ["", "lib", layout.LOCK, layout.COMPLETE])
def test_an_environment_is_absent_where_a_build_has_left_a_link_in_the_place_of_a_part(
    volume: Volume, tmp_path: Path, part: str
) -> None:
    other = environment(tmp_path / "other")
    place = environment(tmp_path / layout.built(KEY)) / part
    place.rename(tmp_path / "moved")
    place.symlink_to(other / part)
    assert not volume.made_environment(KEY)


def test_an_environment_of_another_name_is_absent(volume: Volume, tmp_path: Path) -> None:
    environment(tmp_path / layout.environment(KEY), name="another")
    assert not volume.has_environment(KEY)


def test_what_is_published_stays_and_what_was_made_as_well_goes(volume: Volume, tmp_path: Path) -> None:
    first = environment(tmp_path / layout.environment(KEY)).stat().st_ino
    made = environment(tmp_path / layout.built(KEY))
    volume.publish_environment(KEY)
    assert (tmp_path / layout.environment(KEY)).stat().st_ino == first
    assert not made.exists()


def test_no_pass_waits_long_for_another_process_that_publishes(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = environment(tmp_path / layout.built(KEY))
    volume.prepare([layout.ENVIRONMENTS])
    monkeypatch.setattr(environments, "WAIT", 0.1)
    with (tmp_path / layout.ENVIRONMENTS / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(NotYet, match="another process"):
            Volume(tmp_path).publish_environment(KEY)
    assert made.exists()
    volume.publish_environment(KEY)
    assert volume.has_environment(KEY)


def test_many_that_publish_at_once_in_the_place_of_a_damaged_one_lose_none(tmp_path: Path) -> None:
    damaged = environment(tmp_path / layout.environment(KEY))
    (damaged / "bin/python").unlink()
    environment(tmp_path / layout.built(KEY))
    publishers = [threading.Thread(target=Volume(tmp_path).publish_environment, args=(KEY,)) for _ in range(8)]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    assert Volume(tmp_path).has_environment(KEY)


def test_what_is_removed_is_counted(tmp_path: Path) -> None:
    metrics = PrometheusMetrics("0")
    volume = Volume(tmp_path, on_removed=metrics.volume.swept)
    for run in (1, 2, 3):
        volume.keep_text(layout.artifacts("iris", UID, run) / "model", "x" * 100_000)
    volume.keep_only("iris", UID, frozenset({3}))
    assert metrics.value("coachwork_swept_total", kind="runs") == 2
    assert (metrics.value("coachwork_swept_bytes_total", kind="runs") or 0) >= 200_000
    volume.forget("iris")
    assert metrics.value("coachwork_swept_total", kind="runs") == 3
