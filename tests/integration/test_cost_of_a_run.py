"""What a run costs does not depend on how many others there are: counted, not timed."""

from collections import Counter
from pathlib import Path
from types import FrameType

from tests.support.fleet import Fleet
from tests.support.tracing import traced

FEW, MANY = 20, 120
GROWTH = 1.03  # of what is done once for all, each has less to bear of many


def cost(root: Path, requests: int) -> dict[str, float]:
    """Return what one of so many runs took."""
    fleet, counts = Fleet(root / str(requests), requests), Counter[str]()

    def at_line(_frame: FrameType) -> None:
        counts["lines"] += 1  # a walk over all requests shows, however fast each step is

    with traced(lambda file: "/controller/" in file, at_line):
        fleet.run()
    return {what: n / requests for what, n in {"passes": fleet.passes, **counts, **fleet.calls}.items()}


def test_a_run_among_many_costs_what_one_among_few_does(tmp_path: Path) -> None:
    few, many = cost(tmp_path, FEW), cost(tmp_path, MANY)
    assert few.keys() >= many.keys()
    assert {what: (few[what], n) for what, n in many.items() if n > few[what] * GROWTH} == {}
