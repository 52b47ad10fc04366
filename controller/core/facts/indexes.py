"""The indexes of a parallel stage: how far they are, and which of them a cause is about."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.core.facts.pods import PodFact
from controller.core.model import Attempt

TENTHS = 10


@dataclass(frozen=True, slots=True)
class Indexes:
    """How the indexes of a Job stand. Of many, `done` is rounded down: each one alone says nothing new."""

    count: int
    done: int
    failed: int  # for good
    at: int | None = None  # which the Job's cause is about


def spans(text: object) -> frozenset[int]:
    """Return the numbers of a list of spans, as a Job's status writes its indexes: 0-3,7."""
    found = re.findall(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text if isinstance(text, str) else "")
    return frozenset(number for first, last in found for number in range(int(first), int(last or first) + 1))


def rounded(done: int, count: int) -> int:
    """Return how many of so many indexes are done, in tenths of all."""
    step = max(count // TENTHS, 1)
    return done if done >= count else done // step * step


def telling(pods: Sequence[PodFact], completed: frozenset[int], failed: frozenset[int]) -> PodFact | None:
    """Return the newest failed pod of the first index that is not done, one that failed for good before others."""
    bad = [pod for pod in pods if pod.phase == "Failed" and pod.cause and pod.index not in {None, *completed}]
    first = min(((pod.index not in failed, pod.index or 0) for pod in bad), default=(False, None))[1]
    return max((pod for pod in bad if pod.index == first), key=lambda pod: pod.created, default=None)


def unfinished(last: Mapping[int, Attempt], count: int) -> int | None:
    """Return the first index that has not ended well, one that ended badly before others; None if all did."""
    lacking = [index for index in range(count) if index not in last or last[index].exit_code != 0]
    return min(lacking, key=lambda index: not (index in last and last[index].ended), default=None)
