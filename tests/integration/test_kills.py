"""Killed at any instant and started again: nothing is lost, doubled or stuck."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.core import layout
from tests.support.world import REPOSITORY, World, project

STORY = project("prepare >> train,report >> web", services={"web": 5000})


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


class Fuse:
    """Burns through at the n-th moment that it counts."""

    def __init__(self, moments: int) -> None:
        self.left, self.count = moments, 0

    def __call__(self, _verb: str = "", _moment: str = "") -> None:
        self.count += 1
        self.left -= 1
        if self.left == 0:
            raise Killed


def live_through(world: World) -> None:
    """Run the story twice: a first run, then one with a new version that fails and is rolled back."""
    _finish(world, phase="Ready", run=1)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="second")
    _finish(world, phase="Ready", run=2)


def _finish(world: World, *, phase: str, run: int) -> None:
    for _ in range(40):
        try:
            world.cluster.sync()
            last = world.finish_all()
        except Killed:
            world.restart()
            continue
        if (last.phase, last.run) == (phase, run):
            return
    raise AssertionError(f"stuck: {world.data()}")


def moments(root: Path) -> int:
    """Count the moments at which the story can be interrupted."""
    fuse = Fuse(0)
    world = begin(root, fuse)
    live_through(world)
    return fuse.count


def begin(root: Path, fuse: Fuse) -> World:
    root.mkdir()
    world = World(root, hook=fuse)
    world.source.push(STORY)
    world.cluster.ask("iris", repository=REPOSITORY)
    return world


def assert_clean(world: World) -> None:
    created = Counter(name for verb, kind, name in world.cluster.writes if (verb, kind) == ("create", "Job"))
    assert set(created) == {f"iris-{stage}-{run}" for stage in ("prepare", "train", "report") for run in (1, 2)}
    assert set(created.values()) == {1}
    assert {name for kind, name in world.cluster.stored if kind == "Job"} == {
        "iris-prepare-2",
        "iris-train-2",
        "iris-report-2",
    }
    assert [past.outcome for past in world.record().history] == ["Succeeded", "Succeeded"]
    assert world.cluster.stored["ConfigMap", "iris-release"]["data"]["run"] == "2"


def test_killed_before_and_after_every_write_to_the_cluster(memory: Path) -> None:
    for moment in range(1, moments(memory / "count") + 1):
        world = begin(memory / str(moment), Fuse(moment))
        live_through(world)
        assert_clean(world)


@pytest.fixture
def renames(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Fuse]]:
    """Burn a fuse before and after every rename of a file."""
    fuses: list[Fuse] = []
    for name in ("replace", "rename"):
        original = getattr(Path, name)

        def renamed(path: Path, target: Path, original: object = original) -> Path:
            for fuse in fuses:
                fuse()
            result: Path = original(path, target)  # type: ignore[operator]
            for fuse in fuses:
                fuse()
            return result

        monkeypatch.setattr(Path, name, renamed)
    yield fuses
    fuses.clear()


def test_killed_before_and_after_every_rename_on_the_volume(memory: Path, renames: list[Fuse]) -> None:
    counting = Fuse(0)
    renames.append(counting)
    live_through(begin(memory / "count", Fuse(0)))
    for moment in range(1, counting.count + 1):
        renames[:] = [Fuse(moment)]
        world = begin(memory / str(moment), Fuse(0))
        live_through(world)
        assert_clean(world)


def test_killed_while_a_run_takes_over_artifacts_another_of_its_number_never_finds_them(memory: Path) -> None:
    for moment in range(1, 12):
        world = begin(memory / str(moment), Fuse(0))
        _finish(world, phase="Ready", run=1)
        uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
        (world.root / layout.artifacts("iris", uid, 1) / "model").write_text("42")
        world.cluster.ask("iris", repository=REPOSITORY, trigger="t", resume="t web")
        world.cluster.hook = Fuse(moment)
        with suppress(Killed):
            world.settle()
        world.restart()
        world.cluster.hook = Fuse(0)
        if world.record().run == 1:  # it was never recorded: the user asks for something else
            world.cluster.ask("iris", repository=REPOSITORY, trigger="all")
        _finish(world, phase="Ready", run=2)
        spec, there = world.record().spec, [*(world.root / layout.artifacts("iris", uid, 2)).iterdir()]
        assert spec
        assert [path.read_text() for path in there] == (["42"] if spec.base else [])


def test_a_lost_record_and_a_lost_copy_do_not_make_run_numbers_come_twice(memory: Path) -> None:
    world = begin(memory / "w", Fuse(0))
    _finish(world, phase="Ready", run=1)
    world.cluster.remove("ConfigMap", "iris-status")
    for copy in (memory / "w").rglob("record.yaml"):
        copy.unlink()
    world.finish_all()
    assert world.record().run == 2
