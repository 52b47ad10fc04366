"""A volume that fails at any call of the controller, for a while: the runs end as they would have, and no Job twice."""

import errno
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.world import REPOSITORY, World, project

STORY = project("prepare >> train,report >> web", services={"web": 5000}, packages={"train": "flask"})
ON_PATHS = {"open", *(f"os.{call}" for call in ("rename", "mkdir", "remove", "rmdir", "chmod", "utime", "scandir"))}


class Failing:
    """Fails the calls from the n-th one on, so many; counts those that it failed."""

    def __init__(self) -> None:
        self.left, self.more, self.hits, self.code, self.at_work = 0, 0, 0, 0, False
        sys.addaudithook(self._called)

    def _called(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.at_work or event not in ON_PATHS:
            return
        path = arguments[0] if isinstance(arguments[0], str) else ""
        self.left -= path.startswith("/dev/shm/") or event == "os.scandir"  # noqa: S108 (the volume of these tests)
        if 0 >= self.left > -self.more:
            self.hits += 1
            raise OSError(self.code, os.strerror(self.code), path)


FAILING = Failing()  # a hook stays as long as the process


class Faulty(World):
    """Only the controller meets the fault, not the stages that the test plays."""

    def pass_(self, name: str = "iris") -> float | None:
        FAILING.at_work = True
        try:
            return super().pass_(name)
        finally:
            FAILING.at_work = False


def finish(world: World, run: int) -> None:
    for _ in range(60):
        world.cluster.sync()
        if ("ConfigMap", "iris-status") not in world.cluster.stored:  # not even its copy could be looked for
            world.pass_()
            continue
        last = world.finish_all()
        if (last.phase, last.run) == ("Ready", run):
            return
    raise AssertionError(f"stuck: {world.data()}")


@pytest.mark.parametrize("calls", [1, 25])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.ESTALE], ids=os.strerror)
@pytest.mark.parametrize("step", [pytest.param(97, id="some"), pytest.param(41, id="more", marks=pytest.mark.long)])
def test_whatever_call_on_the_volume_fails_the_runs_end_as_they_would_have(
    memory: Path, code: int, calls: int, step: int
) -> None:
    for first in range(1, 100_000, step):
        FAILING.left, FAILING.more, FAILING.hits, FAILING.code = first, calls, 0, code
        (memory / str(first)).mkdir()
        world = Faulty(memory / str(first))
        world.source.push(STORY)
        world.cluster.ask("iris", repository=REPOSITORY)
        finish(world, 1)
        world.cluster.ask("iris", repository=REPOSITORY, trigger="second")
        finish(world, 2)
        created = Counter(name for verb, kind, name in world.cluster.writes if (verb, kind) == ("create", "Job"))
        assert (len(created), set(created.values())) == (7, {1}), f"call {first}: {created}"
        assert [past.outcome for past in world.record().history] == ["Succeeded", "Succeeded"], f"call {first}"
        if not FAILING.hits:
            assert first > 2 * step, "hardly any call was met"
            return


def test_a_request_of_which_not_even_a_record_can_be_read_gets_one_event(memory: Path) -> None:
    FAILING.left, FAILING.more, FAILING.code = 1, 100_000, errno.ESTALE
    world = Faulty(memory)
    world.source.push(STORY)
    world.cluster.ask("iris", repository=REPOSITORY)
    for _ in range(3):
        world.cluster.sync()
        assert world.pass_() is None
    (event,) = world.cluster.of_kind("Event")
    assert (event["reason"], event["involvedObject"]["name"]) == ("VolumeUnavailable", "iris")
    assert event["message"].endswith("Stale file handle")
    FAILING.more = 0
    finish(world, 1)
