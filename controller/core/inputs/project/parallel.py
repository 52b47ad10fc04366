"""How a batch stage is to run many times at once: its keys, and what is wrong with them together.

`for_each` is `ALPHA: 0.1, 0.3; DEPTH: 3, 5`, in bodywork.yaml also a mapping of lists. Refuses what some indexes would
not notice: a name that the stage sets elsewhere, a value twice.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any

from controller.core.inputs import variables
from controller.core.inputs.engine import Broken
from controller.core.model import Parallel
from controller.core.text import quoted

MOST = 256  # indexes of a stage
MOST_TEXT = 32 * 1024  # characters of all names and values: the pod of each index has them all
LIKE = "values like ALPHA: 0.1, 0.3; DEPTH: 3, 5"
Each = tuple[tuple[str, tuple[str, ...]], ...]


def each_of(raw: Any) -> tuple[Each, tuple[str, ...]]:
    """Return the variables of `for_each` with their values, and a sentence for each fault."""
    found, names, problems = list[tuple[str, tuple[str, ...]]](), set[str](), list[str]()
    for name, values in _entries(raw, problems):
        if fault := _name_fault(name, names) or _values_fault(values):
            problems.append(f"{quoted(name)} {fault}")
        found.append((name, tuple(map(str, values))))
        names.add(name)
    if (count := math.prod(len(values) for _, values in found)) > MOST:
        problems.append(f"makes {count} indexes: {MOST} at most")
    if (size := sum(len(name) + sum(map(len, values)) for name, values in found)) > MOST_TEXT:
        problems.append(f"has {size} characters of names and values: {MOST_TEXT} at most (name files that hold them)")
    return tuple(found), tuple(problems)


def _entries(raw: Any, problems: list[str]) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(raw, str):
        for part in filter(None, map(str.strip, re.split(r"[;\n]", raw))):
            name, colon, values = part.partition(":")
            if colon:
                listed = [value.strip() for value in values.split(",")]
                problems.extend(_other_grammar(name.strip(), listed))
                yield name.strip(), listed
            else:
                problems.append(f"expected {LIKE}, got {quoted(part)}")
    elif isinstance(raw, Mapping):
        yield from ((str(name), values if isinstance(values, list) else [values]) for name, values in raw.items())
    else:
        problems.append(f"expected {LIKE}, got {quoted(raw)}")


def _other_grammar(name: str, values: list[str]) -> Iterator[str]:
    """Yield what of a text is written as other formats want it, and would be a value of some indexes."""
    if len(values) > 1 and values[0].startswith("[") and values[-1].endswith("]"):
        yield f"{quoted(name)} has its values in brackets: remove the [ and ]"
    if late := next((value for value in values[1:] if re.match(r"[A-Za-z_]\w*\s*:\s", value)), ""):
        yield f"expected a ; between variables, got a comma before {quoted(late)}"


def _name_fault(name: str, before: Container[str]) -> str:
    if name in before:
        return "appears twice"
    try:
        variables.name(name)
    except ValueError as error:
        return str(error)
    return ""


def _values_fault(values: list[Any]) -> str:
    if odd := [value for value in values if isinstance(value, bool) or not isinstance(value, str | int | float)]:
        return f"expected texts and numbers, got {quoted(odd[0])}: put it in quotes"
    texts = [str(value) for value in values]
    if not texts or "" in texts:
        return "has an empty value"
    if twice := next((text for text, times in Counter(texts).items() if times > 1), ""):
        return f"has the value {quoted(twice)} twice"
    try:
        for text in texts:
            variables.value(text)
    except ValueError as error:
        return str(error)
    return ""


def parallel_of(data: Mapping[str, Any]) -> Parallel | None:
    """Return what the keys of a batch stage say, None where it runs once."""
    each, _ = each_of(data.get("for_each") or {})
    count = math.prod(len(values) for _, values in each) if each else data.get("parallel") or 0
    return Parallel(count, each, min(data.get("at_once") or count, count), bool(data.get("peers"))) if count else None


def problems_of(data: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield what is wrong with the keys of a batch stage together."""
    if "for_each" in data:
        each, problems = each_of(data["for_each"])
        yield from ((("for_each",), problem) for problem in problems or ((f"expected {LIKE}",) if not each else ()))
    both = {"parallel", "for_each"} & data.keys()
    if len(both) > 1:
        yield ("parallel",), "for_each says how many indexes there are: remove one of the two"
    if "at_once" in data and not both:
        yield ("at_once",), "there is nothing to limit: add parallel or for_each"
    if data.get("peers") is True:
        count = data.get("parallel")
        if "for_each" in data or not isinstance(count, int) or count < 2:  # noqa: PLR2004 (a peer has another)
            yield ("peers",), "expected a stage with parallel, 2 or more"
        elif "at_once" in data:
            yield ("at_once",), "peers run all at once: remove it"
