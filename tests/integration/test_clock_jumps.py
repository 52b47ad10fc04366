"""A machine whose clock is set by an hour, either way, at any moment of any story: it ends as it would have.

The clock here jumps; the controller's own only does so with a new process (tests/unit/app/test_clock.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.kill_stories import DAILY
from tests.support.kills import Fate, Story, Teller, Told, tell

HOUR = 3600.0
DEADLINE = "a deadline that passes"  # an hour later it has, as docs/how-to/recover.md says


def set_by(name: str, seconds: float, *, restarted: bool) -> Fate:
    """Return the fate of a pass that ends where the clock is set; the process lives on, or a new one begins."""

    def fate(world: Told) -> None:
        world.clock.pass_(seconds)
        if restarted:
            world.restart()

    fate.__name__ = name
    return fate


FATES = [
    set_by("forward", HOUR, restarted=False),
    set_by("back", -HOUR, restarted=False),
    set_by("forward and restarted", HOUR, restarted=True),
    set_by("back and restarted", -HOUR, restarted=True),
]


class Timeless(Told):
    """A world in which nobody looks at what time it was when something happened."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timed = False


@dataclass
class Jumping(Teller):
    """Tells each story to its end: what a jump does may show late."""

    world_class: type[Told] = Timeless

    def _settled(self) -> None:
        if self._pipe < 0:
            super()._settled()


def jumped(story: Story, folder: Path, points: int) -> None:
    told = tell(story, folder, points, FATES, Jumping)
    assert not told.failures, f"{len(told.failures)} of {told.tried}:\n" + "\n".join(told.failures[:10])
    assert told.tried


SOME = ("a commit that moves", "slots of a schedule", "triggers that queue", "a stage that is tried again")


@pytest.mark.parametrize("story", [pytest.param(DAILY[name], id=name) for name in SOME])
def test_an_hour_more_or_less_changes_nothing(memory: Path, story: Story) -> None:
    jumped(story, memory, 2)


@pytest.mark.long
@pytest.mark.parametrize("story", [pytest.param(story, id=name) for name, story in DAILY.items() if name != DEADLINE])
def test_an_hour_more_or_less_at_many_moments_changes_nothing(memory: Path, story: Story) -> None:
    jumped(story, memory, 3)
