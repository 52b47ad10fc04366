"""The numbers that a batch stage has left: a model's accuracy, how many rows there were."""

import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

MOST: Final = 50  # of a stage
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@%+-]{0,63}")  # as runtime/stage_metrics.py has it


def taken(left: Mapping[str, object]) -> dict[str, float]:
    """Return what of a stage's numbers can be recorded: anybody could have written them."""
    good = ((name, value) for name, value in left.items() if NAME.fullmatch(name) and _is_finite(value))
    return {name: value for name, value in islice(good, MOST) if isinstance(value, int | float)}


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
