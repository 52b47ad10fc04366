"""The sweep on a real folder: what it knows, what it leaves alone, and who comes in between."""

import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest

from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, sweep
from controller.core.documents.run import write_uses
from controller.core.errors import Invalid, Transient
from tests.support.smallvolume import fill, small, unprivileged

UID = "1b2c3d4e-0000-4000-8000-000000000001"
COMMIT = "c" * 40
URL = "https://git.example/iris"
NOW = 2_000_000_000.0
OLD = NOW - sweep.CALM.kept - 1
Paths = frozenset[PurePosixPath]


class Place:
    """A volume with one of everything, all of it old."""

    def __init__(self, root: Path) -> None:
        self.root, self.sweeper, self.volume = root, Sweeper(root), Volume(root)

    def make(self, path: PurePosixPath | str, used: float = OLD) -> Path:
        """Return a folder that holds a file and was used last then."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_text("x" * 10_000)
        for place in (folder / "file", folder):
            os.utime(place, (used, used))
        return folder

    def sweep(self, *needed: PurePosixPath, graces: sweep.Graces = sweep.CALM) -> dict[str, int]:
        """Sweep with these needs; return how many things of each kind went."""
        return dict(self.sweeper.sweep(lambda: set(needed), graces, NOW).things)

    def left(self) -> set[str]:
        """Return all files that are there, without our own."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.name == "file"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


ONE_OF_EACH = (
    *(layout.mirror(URL), layout.checkout(URL, COMMIT), layout.environment("e1"), layout.build("e1")),
    *(layout.tools("0" * 16), layout.run("iris", UID, 7)),
)


@pytest.mark.parametrize("path", [*ONE_OF_EACH, layout.checkout(URL, "a" * 64)], ids=str)
def test_what_is_old_and_needed_by_nobody_goes_and_is_counted(place: Place, path: PurePosixPath) -> None:
    place.make(path)
    if path.is_relative_to(layout.RUNS):  # its request has a folder of its own
        os.utime(place.root / path.parent, (NOW, NOW))
    swept = place.sweeper.sweep(frozenset, sweep.CALM, NOW)
    assert swept.things == {path.parts[0]: 1}
    assert swept.bytes[path.parts[0]] >= 10_000
    assert place.left() == set()


@pytest.mark.parametrize("path", ONE_OF_EACH, ids=str)
def test_what_was_used_within_the_grace_stays(place: Place, path: PurePosixPath) -> None:
    place.make(path, used=NOW - sweep.CALM.kept + 1)
    for above in path.parents[:-2]:
        os.utime(place.root / above, (NOW, NOW))
    assert place.sweep() == {}
    assert len(place.left()) == 1


@pytest.mark.parametrize("path", ONE_OF_EACH, ids=str)
@pytest.mark.parametrize("need", [lambda path: path, lambda path: path / "inner", lambda path: path.parent])
def test_what_is_needed_itself_or_in_part_or_with_all_around_it_stays(
    place: Place, path: PurePosixPath, need: Callable[[PurePosixPath], PurePosixPath]
) -> None:
    place.make(path)
    place.make(PurePosixPath("tools", "1" * 16))
    assert place.sweep(need(path)).get(path.parts[0], 0) == (path.parts[0] == "tools" and need(path) != path.parent)
    assert (place.root / path).exists()


def test_what_a_run_has_noted_stays_as_long_as_its_folder(place: Place) -> None:
    used = ONE_OF_EACH[:4]
    for path in used:
        place.make(path)
    run = layout.run("iris", UID, 1)
    place.volume.keep_text(layout.uses("iris", UID, 1), write_uses(used))
    os.utime(place.root / run, (OLD, OLD))
    assert place.sweep(run) == {}
    assert place.sweep(layout.cache("iris", UID)) == dict.fromkeys(
        ("mirrors", "checkouts", "environments", "builds", "runs"), 1
    )
    assert place.left() == set()


HALF = layout.build("e1") / "environment.partial-0123abcd-4567cdef"
OWN_CACHE = layout.build("e1") / "cache"


def test_half_an_environment_goes_with_its_cache_although_a_kept_run_notes_its_build(place: Place) -> None:
    for path in (layout.build("e1"), HALF, OWN_CACHE, layout.built("e1"), layout.build_logs("e1")):
        place.make(path)
    place.volume.keep_text(layout.uses("iris", UID, 1), write_uses([layout.build("e1")]))
    run = layout.run("iris", UID, 1)
    assert place.sweep(run) == {"builds": 2}
    assert place.left() == {
        f"{path}/file" for path in (layout.build("e1"), layout.built("e1"), layout.build_logs("e1"))
    }


@pytest.mark.parametrize("half", [HALF, OWN_CACHE])
def test_half_an_environment_stays_while_a_build_of_it_is_under_way_or_writes(
    place: Place, half: PurePosixPath
) -> None:
    inner = place.make(half)
    assert place.sweep(layout.build("e1")) == {}
    os.utime(inner / "file", (NOW, NOW))
    os.utime(place.root / layout.build("e1"), (NOW, NOW))
    assert place.sweep() == {}


def test_nothing_goes_while_a_note_can_t_be_read(place: Place) -> None:
    place.make(layout.environment("e1"))
    place.volume.keep_text(layout.uses("iris", UID, 1), write_uses([layout.environment("e1")]))
    for damaged in ("", "[]", '{"paths": "environments"}', '{"paths": [""]}'):
        (place.root / layout.uses("iris", UID, 1)).write_text(damaged)
        with pytest.raises(Transient, match=r"uses\.json is damaged"):
            place.sweep()
    assert len(place.left()) == 1


def test_nothing_goes_while_the_needs_are_unknown(place: Place) -> None:
    place.make(layout.environment("e1"))

    def fail() -> Paths:
        raise Transient("ApiUnavailable", "no answer")

    with pytest.raises(Transient):
        place.sweeper.sweep(fail, sweep.CALM, NOW)
    assert len(place.left()) == 1


def test_what_is_used_while_the_needs_are_listed_stays(place: Place) -> None:
    checkout = place.make(layout.checkout(URL, COMMIT))

    def used() -> Paths:
        os.utime(checkout)
        return frozenset()

    assert place.sweeper.sweep(used, sweep.CALM, NOW).things == {}
    assert checkout.exists()


def test_what_is_used_in_the_very_moment_comes_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, rename = place.make(layout.checkout(URL, COMMIT)), Path.rename

    def late(self: Path, target: Path) -> Path:
        if self == checkout:
            os.utime(self)  # somebody noted the use and found it there, just before the sweep's rename
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert place.sweep() == {}
    assert (checkout / "file").exists()


def test_what_was_published_again_in_that_moment_is_the_one_that_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, rename = place.make(layout.checkout(URL, COMMIT)), Path.rename

    def late(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == checkout:
            os.utime(target)
            place.make(layout.checkout(URL, COMMIT), used=NOW)
            (checkout / "new").write_text("")
        return moved

    monkeypatch.setattr(Path, "rename", late)
    place.sweep()
    assert (checkout / "new").exists()
    assert list(place.root.rglob(f"{layout.TRASH}*")) == []


def test_names_that_are_not_ours_are_left_alone(place: Place) -> None:
    foreign = (
        "lost+found/x",
        "mirrors/notes",
        "tools/mine",
        "runs/mine",
        "checkouts/iris/mine",
        "mirrors/.home",
        "x/y",
    )
    for path in foreign:
        place.make(path)
    assert place.sweep() == {}
    assert place.left() == {f"{path}/file" for path in foreign}


HALVES = (
    *("mirrors/.partial-a.git.x1", f"checkouts/a/.partial-{COMMIT}.x1", "environments/.e1-77", "tools/.0123-1234abcd"),
    *(f"runs/iris-{UID}/.record.yaml-1234abcd", f"runs/iris-{UID}/7/.artifacts-1234abcd", "scratch/x"),
    "mirrors/a.git/objects/pack/tmp_pack_x",
)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_that_a_killed_process_left_goes_whatever_is_needed(place: Place, half: str) -> None:
    place.make(half)
    place.sweep(*(PurePosixPath(top) for top in ("mirrors", "checkouts", "environments", "tools", "runs")))
    assert place.left() == set()


@pytest.mark.parametrize("half", HALVES)
def test_a_half_that_is_still_written_to_stays(place: Place, half: str) -> None:
    folder = place.make(half)
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("")
    os.utime(folder / "deep" / "file", (NOW - 1, NOW - 1))
    for path in (folder / "deep", folder):
        os.utime(path, (OLD, OLD))
    place.sweep(*(PurePosixPath(top) for top in ("mirrors", "checkouts", "environments", "tools", "runs")))
    assert len(place.left()) == 2


def test_uv_s_cache_goes_when_nothing_was_built_for_a_day_and_earlier_on_a_full_volume(place: Place) -> None:
    for graces in (sweep.CALM, sweep.FULL):
        cache = place.make(layout.BUILD_CACHE)
        for used, gone in ((NOW - graces.cache + 1, False), (NOW - graces.cache - 1, True)):
            for path in (cache.parent, cache / "file", cache):
                os.utime(path, (used, used))
            assert place.sweep(layout.BUILD_CACHE, graces=graces) == {}
            place.sweep(graces=graces)
            assert cache.exists() != gone


def test_what_seems_to_be_of_the_future_gets_its_grace_from_now_on(place: Place) -> None:
    folder = place.make(layout.environment("e1"), used=NOW + 100_000)
    assert place.sweep() == {}
    assert folder.stat().st_mtime == NOW


def test_a_sweep_that_was_killed_is_ended_by_the_next(place: Place) -> None:
    place.make(f"checkouts/{layout.TRASH}1234")
    place.make(f"runs/{layout.TRASH}1234/artifacts")
    swept = place.sweeper.sweep(frozenset, sweep.CALM, NOW)
    assert set(swept.bytes) >= {"checkouts", "runs"}
    assert place.left() == set()


def test_links_lead_no_sweep_out_of_the_volume_and_locked_folders_go(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("")
    run = place.make(layout.run("iris", UID, 1))
    (run / "link").symlink_to(outside)
    (run / "locked").mkdir(mode=0o000)
    os.utime(run, (OLD, OLD))
    (place.root / "environments").mkdir()
    (place.root / "environments" / "e2").symlink_to(outside)
    place.sweep(layout.cache("iris", UID))
    assert not run.exists()
    assert (outside / "file").exists()
    assert (place.root / "environments" / "e2").is_symlink()


# --- a full volume ----------------------------------------------------------------------------------


def test_a_full_volume_has_room_again_after_a_sweep(tmp_path: Path) -> None:
    with small(tmp_path, "1m") as folder:
        place = Place(folder)
        place.make(layout.environment("e1"))
        filler = folder / layout.environment("e1") / "filler"
        fill(filler)
        os.utime(filler.parent, (OLD, OLD))
        assert place.sweeper.room().share < sweep.NEARLY_FULL
        assert "0 B of 1 MiB are free" in place.volume.room()
        with pytest.raises(Transient) as caught:
            place.volume.keep_text(layout.uses("iris", UID, 1), write_uses(ONE_OF_EACH * 1000))
        assert caught.value.reason == "VolumeFull"
        swept = place.sweeper.sweep(frozenset, sweep.FULL, NOW)
        assert swept.bytes["environments"] >= 900_000
        assert place.sweeper.room().share > 0.9
        place.volume.keep_text(layout.uses("iris", UID, 1), write_uses(ONE_OF_EACH))


# --- artifacts of the run before ------------------------------------------------------------------------


def test_what_a_run_inherits_is_a_copy_with_modes_and_links_and_without_pipes(tmp_path: Path) -> None:
    volume, source = Volume(tmp_path), layout.artifacts("iris", UID, 1)
    volume.prepare([source])
    folder = tmp_path / source
    (folder / "deep").mkdir()
    (folder / "deep" / "run.sh").write_text("#!")
    (folder / "deep" / "run.sh").chmod(0o755)
    (folder / "latest").symlink_to("deep/run.sh")
    (folder / "outside").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    volume.inherit(source, layout.artifacts("iris", UID, 2))
    copy = tmp_path / layout.artifacts("iris", UID, 2)
    assert {path.name for path in copy.rglob("*")} == {"deep", "run.sh", "latest", "outside"}
    assert stat.S_IMODE((copy / "deep" / "run.sh").stat().st_mode) == 0o755
    assert (copy / "outside").readlink() == Path("/etc")


@pytest.mark.parametrize("locked", ["model", "deep", "deep/model"])
def test_artifacts_that_can_t_be_read_are_refused_by_run_and_name_and_nothing_is_left(locked: str) -> None:
    with TemporaryDirectory() as name:
        place = Place(Path(name))
        source = place.make(layout.artifacts("iris", UID, 3))
        (source / "deep").mkdir()
        for file in ("model", "deep/model"):
            (source / file).write_text("42")
        with unprivileged(Path(name)):
            (source / locked).chmod(0o000)
            with pytest.raises(
                Invalid, match=f'artifacts of run 3: "{locked}" can\'t be read by the controller'
            ) as caught:
                place.volume.inherit(layout.artifacts("iris", UID, 3), layout.artifacts("iris", UID, 4))
            assert caught.value.reason == "ArtifactsUnreadable"
            assert [path.name for path in (place.root / layout.run("iris", UID, 4)).iterdir()] == []
            (source / locked).chmod(0o700)
