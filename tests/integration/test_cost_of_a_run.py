"""What a run costs does not depend on how many others there are: counted, not timed."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.fleet import Fleet

FEW, MANY = 20, 120
GROWTH = 1.03  # of what is done once for all, each has less to bear of many


@contextmanager
def lines_counted(counts: Counter[str]) -> Iterator[None]:
    """Count the lines of the controller's code that run: a walk over all requests shows, however fast each step is."""

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "call" and "/controller/" not in frame.f_code.co_filename:
            return None
        counts["lines"] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def cost(root: Path, requests: int) -> dict[str, float]:
    """Return what one of so many runs took."""
    fleet, counts = Fleet(root / str(requests), requests), Counter[str]()
    with lines_counted(counts):
        fleet.run()
    return {what: n / requests for what, n in {"passes": fleet.passes, **counts, **fleet.calls}.items()}


def test_a_run_among_many_costs_what_one_among_few_does(tmp_path: Path) -> None:
    few, many = cost(tmp_path, FEW), cost(tmp_path, MANY)
    assert few.keys() >= many.keys()
    assert {what: (few[what], n) for what, n in many.items() if n > few[what] * GROWTH} == {}
