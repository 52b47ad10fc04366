"""Killed at any instant and started again: nothing is lost, doubled or stuck."""

import ast
import inspect
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import get_args

import pytest

from controller.core import layout, names
from controller.core import plan as planner
from tests.support.byhand import KINDS
from tests.support.kill_stories import DAILY, STORIES, TROUBLED
from tests.support.kills import Story, Teller, Told, tell
from tests.support.tracing import traced
from tests.support.world import REPOSITORY, World, project

SAMPLE = 3  # points of a story in `make test`
SOME = DAILY | {name: story for number, (name, story) in enumerate(TROUBLED.items()) if number % 4 == 0}
LEAST = 10_000  # points in `make test-long`, at each of which it dies once
SERVING = {"Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
WRITES = {
    "create": {"Job", *SERVING, "ConfigMap", "CronJob", "Event"},
    "apply": {*SERVING, "ConfigMap", "CronJob"} - {"PodDisruptionBudget"},  # one is as another
    "replace": {"Deployment", "Service", "Ingress", "ConfigMap"},
    "delete": {"Job", *SERVING, "CronJob"},
}


@pytest.mark.parametrize("story", SOME.values(), ids=SOME)
def test_a_controller_that_dies_leaves_its_successor_all_that_it_needs(memory: Path, story: Story) -> None:
    told = tell(story, memory, SAMPLE)
    assert not told.failures, "\n".join(told.failures)
    assert told.tried


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_killed_before_and_after_all_that_it_does(memory: Path, story: Story) -> None:
    told = tell(story, memory)
    assert not told.failures, f"{len(told.failures)} of {told.tried}:\n" + "\n".join(told.failures[:20])
    assert told.tried == told.points


# --- what the stories are about ----------------------------------------------------------------------


def test_the_stories_take_every_action_of_the_planner_each_recorded_before(memory: Path) -> None:
    places, reached, writes = _places(), set[tuple[str, int]](), set[tuple[str, str]]()
    files = {file for file, _ in places}

    def at_line(frame: FrameType) -> None:
        reached.add((frame.f_code.co_filename, frame.f_lineno))

    for number, story in enumerate(DAILY.values()):
        teller = Teller(partial(_recorded_first, story))
        with traced(files.__contains__, at_line):
            teller.tell(memory / str(number))
        writes |= {(verb, kind) for verb, kind, _ in teller.world.cluster.writes}
    assert not places - reached
    assert {(verb, kind) for verb, kinds in WRITES.items() for kind in kinds} == writes


@pytest.mark.long
def test_the_stories_have_enough_points_and_run_nothing_that_is_not_recorded(memory: Path) -> None:
    points = 0
    for number, story in enumerate(STORIES.values()):
        teller = Teller(partial(_recorded_first, story))
        teller.tell(memory / str(number))
        points += teller.points
    print(f"{points} points in {len(STORIES)} stories")  # noqa: T201 (the figure)
    assert points >= LEAST


def _recorded_first(story: Story, world: Told) -> None:
    """Tell a story whose stages run only once that is recorded (docs/adr/0001)."""

    def check(verb: str, moment: str) -> None:
        if (verb, moment) != ("create", "after") or (item := world.cluster.latest)["kind"] != "Job":
            return
        if names.environment_of(item):
            return
        labels = names.labels_of(item)
        record = world.record(labels[names.REQUEST])
        assert record.stages[labels[names.STAGE]].state == "Running"
        assert record.run == int(labels[names.RUN])

    world.cluster.hook = check
    story(world)


def _places() -> set[tuple[str, int]]:
    """Return where the planner makes actions: file and line."""
    actions = {action.__name__ for action in get_args(planner.Action)}
    return {
        (str(file), node.lineno)
        for file in Path(inspect.getfile(planner)).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in actions
    }


# --- what no story tells -----------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


class Fuse:
    """Burns through at the n-th moment that it counts."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    def __call__(self, _verb: str = "", _moment: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture
def world(memory: Path) -> World:
    world = World(memory)
    world.source.push(project("prepare >> train,report >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.finish_all().phase == "Ready"
    return world


@pytest.mark.parametrize("moment", range(1, 12))
def test_killed_while_a_run_takes_over_artifacts_another_of_its_number_never_finds_them(
    world: World, moment: int
) -> None:
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
    assert world.finish_all().run == 2
    spec, there = world.record().spec, [*(world.root / layout.artifacts("iris", uid, 2)).iterdir()]
    assert spec
    assert [path.read_text() for path in there] == (["42"] if spec.base else [])


def test_a_lost_record_and_a_lost_copy_do_not_make_run_numbers_come_twice(world: World) -> None:
    world.cluster.remove("ConfigMap", "iris-status")
    for copy in world.root.rglob("record.yaml"):
        copy.unlink()
    world.finish_all()
    assert world.record().run == 2


def test_a_successor_that_reads_a_record_of_before_a_roll_back_leaves_it_rolled_back(memory: Path) -> None:
    world = World(memory, lagging=True)
    for run, port in ((1, 5000), (2, 6000)):
        world.source.push(project("web", services={"web": port}))
        world.cluster.ask("iris", repository=REPOSITORY, trigger=f"t{run}")
        world.settle()
        (deployment,) = world.cluster.of_kind("Deployment")
        if run == 1:
            world.cluster.roll_out(deployment)
            world.settle()
    world.cluster.break_down(deployment, "no answer")
    world.cluster.sync()

    def applied() -> int:
        return world.cluster.writes.count(("apply", "Deployment", "iris--web"))

    before = applied()
    while applied() == before:
        world.pass_()
        world.cluster.sync(*(kind for kind in KINDS if kind != "ConfigMap"))
    world.restart()
    world.pass_()
    assert applied() == before + 1
    assert world.settle().reason != "ServiceDegraded"
