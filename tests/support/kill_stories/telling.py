"""How a story for `tests/support/kills.py` is told, and the words that most of them begin with."""

from collections.abc import Mapping

from tests.support.kills import Story, Told
from tests.support.world import REPOSITORY, project

DAILY: dict[str, Story] = {}  # what happens every day: they take every action of the planner
TROUBLED: dict[str, Story] = {}  # what goes wrong, and what changes meanwhile
WEB = {"web": 5000}
ALL = project("prepare >> train,report >> web", services=WEB)


def daily(told: Story) -> Story:
    """Note a story of what happens every day under its name."""
    DAILY[told.__name__.replace("_", " ")] = told
    return told


def troubled(told: Story) -> Story:
    """Note a story of what goes wrong under its name."""
    TROUBLED[told.__name__.replace("_", " ")] = told
    return told


def ask(world: Told, trigger: str = "", **asked: str) -> None:
    """State the request."""
    world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger, **asked)


def end(world: Told, stage: str, code: int = 0, run: int = 1, **said: str) -> None:
    """Let a stage of the run that is under way end, once it has begun."""
    world.settle()
    world.cluster.end_job(world.jobs()[f"iris-{stage}-{run}"], code, **said)


def began(world: Told, files: Mapping[str, str] = ALL, **asked: str) -> None:
    """Push a project, and state the request for it."""
    world.source.commits.append(dict(files))
    ask(world, **asked)


def released(world: Told, files: Mapping[str, str] = ALL, **asked: str) -> None:
    """Do so, and let its first run end well."""
    began(world, files, **asked)
    assert world.finish_all().phase == "Ready"


def looked(world: Told, seconds: float) -> None:
    """Let the time for a look at the branch come, also for a process that has just begun."""
    for _ in range(3):
        world.clock.pass_(seconds)
        world.settle()
