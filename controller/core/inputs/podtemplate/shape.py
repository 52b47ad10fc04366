"""A small language for what a document may say: mappings with known fields, lists, maps of text, checked values.

Everything that is not in a shape is refused with its path and the nearest known field; all problems are found at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controller.core.inputs import checks
from controller.core.text import LINE_LIMIT, QUOTE_LIMIT, clean, nearest, quoted

Check: TypeAlias = Callable[[Any], str]
"""Gives what is wrong with a value, "" if nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A field that exists, and that a template can't have: why, and what to do instead."""

    why: str


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with these fields, of which `needs` have to be there; with `one_of`, exactly one of those."""

    known: Mapping[str, "Shape"]
    needs: tuple[str, ...] = ()
    one_of: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Each:
    """A list of such items; `key` is the field by which an item is known, each only once. `least`: so many items."""

    item: "Shape"
    key: str = ""
    least: int = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """A mapping of names to text (labels, node selectors); `name` and `value` check either."""

    name: Check
    value: Check


Shape: TypeAlias = Fields | Each | Texts | Refused | Check


def problems(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Give a line for everything in `value` that `shape` does not allow: its path, the cause, the remedy."""
    match shape:
        case Refused(why):
            yield f"{path}: {why}"
        case Fields():
            yield from _fields(shape, value, path) if isinstance(value, dict) else _not("a mapping", value, path)
        case Each():
            yield from _each(shape, value, path) if isinstance(value, list) else _not("a list", value, path)
        case Texts():
            yield from _texts(shape, value, path) if isinstance(value, dict) else _not("a mapping", value, path)
        case _:
            if sentence := shape(value):
                yield f"{path}: {sentence}"


def _not(wanted: str, value: Any, path: str) -> Iterator[str]:
    yield f"{path or 'pod.yaml'}: expected {wanted}, got {quoted(value)}"


def _fields(shape: Fields, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, item in value.items():
        place = _below(path, key)
        if key in shape.known:
            yield from problems(shape.known[key], item, place)
        else:
            yield f"{place}: unknown field: {nearest(key, shape.known)}"
    yield from (f"{_below(path, key)}: missing" for key in shape.needs if key not in value)
    given = sorted(shape.one_of & value.keys())
    if shape.one_of and len(given) > 1:
        yield f"{path}: has {' and '.join(given)}: one of them at most"
    if shape.one_of and not value.keys() - set(shape.needs):
        yield f"{path}: expected one of {', '.join(sorted(shape.one_of))}"


def _each(shape: Each, value: list[Any], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, item in enumerate(value):
        place = f"{path}[{number}]"
        yield from problems(shape.item, item, place)
        key = item.get(shape.key) if isinstance(item, dict) and shape.key else None
        if isinstance(key, str) and key in seen:
            yield f"{place}.{shape.key}: {quoted(key)} is there twice: remove one"
        elif isinstance(key, str):
            seen.add(key)
    if len(value) < shape.least:
        yield f"{path}: expected at least {shape.least}, got an empty list: remove it"


def _texts(shape: Texts, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, item in value.items():
        place = f'{path}["{clean(key, QUOTE_LIMIT)}"]'
        if sentence := shape.name(key) or shape.value(item):
            yield f"{place}: {sentence}"


def _below(path: str, key: str) -> str:
    plain = key if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", key) else quoted(key)
    return f"{path}.{plain}".lstrip(".")


# --- values ---------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Check a text that is not empty."""
    if not isinstance(value, str):
        return f"expected text: put the value in quotes, got {quoted(value)}"
    return "" if 0 < len(value) <= LINE_LIMIT else f"expected text of 1 to {LINE_LIMIT} characters"


def name(value: Any) -> str:
    """Check the name of an object."""
    good = isinstance(value, str) and checks.is_dns_name(value)
    return "" if good else f"expected a name: lower-case letters, digits, - and ., got {quoted(value)}"


def boolean(value: Any) -> str:
    """Check true or false."""
    return "" if isinstance(value, bool) else f"expected true or false, got {quoted(value)}"


def whole(least: int = 0, most: int = 2**31 - 1) -> Check:
    """Give the check of a whole number within bounds."""

    def check(value: Any) -> str:
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if good else f"expected a whole number from {least} to {most}, got {quoted(value)}"

    return check


def one_of(*values: str) -> Check:
    """Give the check of a value that is one of these."""
    return lambda value: "" if value in values else f"expected {' or '.join(values)}, got {quoted(value)}"


def quantity(value: Any) -> str:
    """Check an amount as Kubernetes writes it (apimachinery, resource.Quantity); never a negative one."""
    written = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    good = re.fullmatch(r"\+?[0-9]{1,20}(\.[0-9]{0,12})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?", written)
    return "" if good else f'expected an amount like 500m, 2, "1Gi", got {quoted(value)}'
