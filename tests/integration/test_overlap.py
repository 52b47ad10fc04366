"""Two controllers at once, one with what it had read before: nothing is lost, doubled or stuck."""

from pathlib import Path

import pytest

from tests.support.kill_stories import STORIES
from tests.support.kills import Story, tell
from tests.support.overlap import OVERLAPS, Overlapping, OverlappingWithout, OverlappingWithTheLease

POINTS = 2  # of each story at which one stands still, in `make test-long`
TELLERS = {"with the Lease": OverlappingWithTheLease, "without it": OverlappingWithout}


def overlap(story: Story, folder: Path, points: int, teller: type[Overlapping]) -> None:
    told = tell(story, folder, points, OVERLAPS, teller)
    assert not told.failures, f"{len(told.failures)} of {told.tried}:\n" + "\n".join(told.failures[:10])
    assert told.tried


@pytest.mark.parametrize("teller", TELLERS.values(), ids=TELLERS)
def test_one_that_stood_still_while_another_lived_on_harms_nothing(memory: Path, teller: type[Overlapping]) -> None:
    overlap(STORIES["a stage that is removed"], memory, 2, teller)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("teller", TELLERS.values(), ids=TELLERS)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_wherever_one_stands_still_in_whatever_is_told(memory: Path, story: Story, teller: type[Overlapping]) -> None:
    overlap(story, memory, POINTS, teller)
