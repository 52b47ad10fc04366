"""What a request's annotations ask of one run: its trigger, and what goes with that trigger alone.

`TRIGGER WISH`: a wish counts for the run of that trigger. One that is left behind means nothing to the next trigger,
and is not even read.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from controller.core import names
from controller.core.inputs import variables as environment
from controller.core.text import quoted

LIMIT = 256  # characters of a trigger, a stage, a number
PARAMETERS_LIMIT = 16 * 1024  # characters of all parameters of a run: they are recorded with it
_SHAPE = 'expected TRIGGER {"NAME": "value"}: a mapping of variables to text'


def text(annotations: Mapping[str, Any], key: str, problems: list[str], limit: int = LIMIT) -> str:
    """Return an annotation's value, "" if it is absent or blank, with a problem if it can't be shown and recorded."""
    value = annotations.get(key) or ""
    if isinstance(value, str) and not value.strip():
        return ""
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        problems.append(f"annotation {key}: expected at most {limit} printable characters")
        return ""
    return value


def part(annotations: Mapping[str, Any], key: str, problems: list[str]) -> str:
    """Give the stage that an annotation `TRIGGER STAGE` names, "" unless it goes with the present trigger."""
    return _wish(annotations, key, text(annotations, key, problems))


def parameters(annotations: Mapping[str, Any], problems: list[str]) -> tuple[tuple[str, str], ...]:
    """Give the variables that the present trigger's run gets, sorted by name, with a problem for each that can't be."""
    wish = _wish(annotations, names.SET, text(annotations, names.SET, problems, PARAMETERS_LIMIT))
    if not wish:
        return ()
    try:
        given = json.loads(wish, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        problems.append(f"annotation {names.SET}: {_SHAPE}")
        return ()
    for name, value in given.items():
        if problem := environment.name_problem(name) or environment.value_problem(value):
            problems.append(f"annotation {names.SET}: {quoted(name)}: {problem}")
    return tuple(sorted(given.items()))


def rerun(annotations: Mapping[str, Any], problems: list[str]) -> int:
    """Give the run that the present trigger's run repeats, 0 for none, with a problem where it is no run's number."""
    wish = _wish(annotations, names.RERUN, text(annotations, names.RERUN, problems))
    if not wish:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,8}", wish):
        problems.append(f"annotation {names.RERUN}: expected TRIGGER RUN, a run's number, got {quoted(wish)}")
        return 0
    return int(wish)


def _wish(annotations: Mapping[str, Any], key: str, value: str) -> str:
    """Give what `value` wishes for the present trigger, "" where it is of another."""
    trigger = annotations.get(names.TRIGGER)
    if not isinstance(trigger, str) or not trigger.strip() or not value.startswith(f"{trigger} "):
        return ""
    wish = value.removeprefix(f"{trigger} ")
    if not wish.strip():
        return ""
    return wish if key == names.SET or " " not in wish else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give the mapping of a JSON object, which must not name one thing twice. Raises ValueError."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)
