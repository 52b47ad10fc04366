"""The numbers that a batch script leaves in the file that COACHWORK_METRICS names, and what they have to hold.

The file is the script's: nothing of it is taken but finite numbers with short, plain names.
"""

from __future__ import annotations

import json
import math
import operator
import re

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Optional, Tuple

MOST, MOST_BYTES, MOST_SHOWN = 50, 16 * 1024, 3
EXACT = 2**53  # above it a float does not hold each whole number
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@%+-]{0,63}")  # as core/numbers.py has it
HOLDS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt, "==": operator.eq}
EXPECTED = 'expected a JSON object like {"accuracy": 0.93}'
RULE = "a name is 1 to 64 letters, digits and _ . : / @ % + -, a value a finite number"


def read(path: str, masked: Callable[[str], str]) -> Tuple[Dict[str, float], str]:
    """Return the numbers in a file, and what of it is not recorded, "" for nothing.

    `masked` blanks secrets: no name has a `*`.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            return {}, f"not recorded: it is larger than {MOST_BYTES // 1024} KiB"
        found = json.loads(masked(content.decode("utf-8", "replace")))
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"not recorded: {EXPECTED}: {error}"
    if not isinstance(found, dict):
        return {}, f"not recorded: {EXPECTED}"
    good = {name: _plain(value) for name, value in found.items() if NAME.fullmatch(name) and _is_number(value)}
    odd = [name for name in found if name not in good]
    problems = []
    if odd:
        more = f" and {len(odd) - MOST_SHOWN} more" if len(odd) > MOST_SHOWN else ""
        problems.append(f"not recorded: {', '.join(map(repr, odd[:MOST_SHOWN]))}{more}: {RULE}")
    if len(good) > MOST:
        problems.append(f"only the first {MOST} of {len(good)} numbers are recorded")
    return dict(list(good.items())[:MOST]), "; ".join(problems)


def _plain(value: Any) -> float:
    """Return a number as every reader of JSON and YAML takes it: whole where a float holds it exactly."""
    return value if isinstance(value, int) and abs(value) <= EXACT else float(value)


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def unmet(gate: Iterable[Tuple[str, str, Optional[float], str]], numbers: Dict[str, float], odd: str, key: str) -> str:
    """Return which comparisons of a gate (name, operator, limit, words) do not hold, "" for none.

    Without a limit it is enough that the number is there. `odd` is what `read` found wrong, `key` the gate's.
    """
    problems, known = [], ", ".join(list(numbers)[:MOST_SHOWN])
    there = odd or (f"it has {known}{', ...' if len(numbers) > MOST_SHOWN else ''}" if known else "")
    for name, sign, limit, words in gate:
        if name not in numbers:
            why = f" ({there})" if there else ""
            problems.append(f"{name} was not written to COACHWORK_METRICS{why}, {key} wants {words}")
        elif limit is not None and not HOLDS[sign](numbers[name], limit):
            problems.append(f"{name} is {numbers[name]!r}, {key} wants {words}")
    return "; ".join(problems)
