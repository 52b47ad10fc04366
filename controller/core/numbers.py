"""The numbers that batch stages leave: a model's accuracy, how many rows there were; and the gates that they pass.

A gate is written `accuracy >= 0.9, rmse <= previous * 1.05`, where `previous` is the number of the last good run. The
launcher judges it, by what `order` says.
"""

import math
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, cast

from controller.core.model import Comparison
from controller.core.text import quoted

MOST: Final = 50  # of a stage
MOST_OF_RUN: Final = 1000  # and of the last good one: a ConfigMap holds 1 MiB, and much else is in a record
MOST_OF_PAST: Final = 20  # of a run in the history
MOST_LISTED: Final = 6  # in a line
MOST_REQUIRED: Final = 20  # comparisons of a gate
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@%+-]{0,63}")  # as runtime/stage_metrics.py has it
LIKE: Final = "comparisons like accuracy >= 0.9, rmse <= previous * 1.05"
WHOLE: Final = 2**53  # above it a float does not hold each whole number, and an int may have hundreds of digits
EXACT: Final = 10**12  # below it, a whole number is shown with all its digits
_NUMBER = r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,2})?"
_COMPARISON = re.compile(
    rf"(?P<name>{NAME.pattern})\s*(?P<operator>>=|<=|==|>|<)\s*"
    rf"(?P<text>(?P<number>{_NUMBER})|previous(?:\s*(?P<change>[*+-])\s*(?P<by>{_NUMBER}))?)"
)

Numbers = Mapping[str, float]


def taken(left: Mapping[str, object]) -> dict[str, float]:
    """Return what of a stage's numbers can be recorded: anybody could have written them."""
    finite = cast("Mapping[str, float]", {name: value for name, value in left.items() if _is_finite(value)})
    good = ((name, value if abs(value) <= WHOLE else float(value)) for name, value in finite.items())
    return dict(islice(((name, value) for name, value in good if NAME.fullmatch(name)), MOST))


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def first(numbers: Mapping[str, Numbers], most: int) -> dict[str, dict[str, float]]:
    """Return the first so many numbers of a run, by stage."""
    found: dict[str, dict[str, float]] = {}
    for stage, name, value in islice(((stage, *item) for stage, own in numbers.items() for item in own.items()), most):
        found.setdefault(stage, {})[name] = value
    return found


def summary(indexes: Iterable[Numbers]) -> dict[str, float]:
    """Return NAME.min, NAME.mean and NAME.max of each number that the indexes of a stage left."""
    values: dict[str, list[float]] = {}
    for own in indexes:
        for name, value in own.items():
            values.setdefault(name, []).append(value)
    found: dict[str, object] = {}
    for name, all_of in values.items():
        mean = math.fsum(value / len(all_of) for value in all_of)
        found |= {f"{name}.min": min(all_of), f"{name}.mean": mean, f"{name}.max": max(all_of)}
    return taken(found)


def shown(value: float, digits: int = 6) -> str:
    """Return a number as people read it: a whole one as it is, any other with so many digits at most."""
    return str(int(value)) if value == int(value) and abs(value) < EXACT else f"{value:.{digits}g}"


def listed(numbers: Numbers) -> str:
    """Return the numbers of a stage in a short line."""
    more = [f"{len(numbers) - MOST_LISTED} more"] if len(numbers) > MOST_LISTED else []
    return ", ".join([*(f"{name} {shown(value)}" for name, value in islice(numbers.items(), MOST_LISTED)), *more])


# --- gates ------------------------------------------------------------------------------------------


def parse(text: str) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Return the comparisons of a gate, and a sentence for each part that is none."""
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    found = {part: _COMPARISON.fullmatch(part) for part in parts}
    odd = [part for part, match in found.items() if not match] if found or not text.strip() else [text.strip()]
    problems = [f"expected {LIKE}, got {quoted(part)}" for part in odd]
    if len(found) > MOST_REQUIRED:
        problems = [f"has {len(found)} comparisons: {MOST_REQUIRED} at most"]
    return tuple(_comparison(match) for match in found.values() if match), tuple(problems)


def _comparison(match: re.Match[str]) -> Comparison:
    name, operator, text = match["name"], match["operator"], match["text"]
    if match["number"]:
        return Comparison(name, operator, text, float(match["number"]))
    return Comparison(name, operator, text, float(match["by"] or 1), cast("Any", match["change"] or "*"))


def order(gate: Iterable[Comparison], before: Numbers) -> list[list[Any]]:
    """Return a gate as its launcher takes it: name, operator, limit, and words for the latter two.

    Where the last good run has no such number, the limit is None, which every number passes.
    """
    return [[item.name, item.operator, limit, _words(item, limit)] for item in gate for limit in [_limit(item, before)]]


def _limit(item: Comparison, before: Numbers) -> float | None:
    if not item.change:
        return item.number
    if item.name not in before:
        return None
    value = before[item.name]
    limit = {"*": value * item.number, "+": value + item.number, "-": value - item.number}[item.change]
    return limit if math.isfinite(limit) else None


def _words(item: Comparison, limit: float | None) -> str:
    which = f", which is {shown(limit, 12)}" if item.change and limit is not None else ""
    return f"{item.operator} {item.text}{which}"
