"""How each document is read and written: by its form, a frozen dataclass, which is declared once.

A form with a field `unknown` keeps there what another version added, and writes it back in its place. Reading never
fails: it ends in one of four answers, and a caller who acts on them handles all four. A newer document can still be
shown as far as it is known here, and so can a damaged one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, get_args, get_origin

import yaml

from controller.core.documents.seal import opened
from controller.core.errors import Invalid
from controller.core.text import clean, quoted, shorten, visible

VERSION = "1"  # of every document: one that says none is of the first one
REMEDY = "run that version of Coachwork or a later one again; nothing was changed or started"
TEXT_LIMIT = 2048  # characters that are shown; what the controller writes is half as long
UNREADABLE = "\ufffd"  # stands for bytes that are no UTF-8
LARGEST = 2**63  # of a whole number, as most readers of JSON have it: an int of hundreds of digits is no float
NO_YAML = (yaml.YAMLError, ValueError, RecursionError, AttributeError, LookupError, TypeError)
"""What a safe loader raises: an explicit tag, as `!!timestamp x` or `!!bool x`, has it stumble over what is none."""
LINE = 200  # characters of what can't be read, in a message

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class RecordTooNew(Invalid):
    """A newer version wrote a document that can't be honoured: acting as if it were absent would repeat what ran."""

    def __init__(self, problem: str) -> None:
        super().__init__("RecordTooNew", [problem])


@dataclass(frozen=True, slots=True)
class Good(Generic[T_co]):
    """A document that is known in all that matters."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such document."""


@dataclass(frozen=True, slots=True)
class Corrupt(Generic[T_co]):
    """It is not what was written. `view` is what it seems to say: for people, never to act on."""

    view: T_co
    newer: str = ""  # why, were it whole, it would be a newer version's


@dataclass(frozen=True, slots=True)
class TooNew(Generic[T_co]):
    """A newer version wrote it, and it can't be honoured for this reason. `view` is what is known of it, for people."""

    view: T_co
    problem: str


Answer: TypeAlias = Good[T] | Absent | Corrupt[T] | TooNew[T]


def honoured(answer: Answer[T]) -> T | None:
    """Return the document to act on, None where none is whole. Raises RecordTooNew."""
    match answer:
        case Good(value):
            return value
        case TooNew(_, problem):
            raise RecordTooNew(problem)
        case Absent() | Corrupt():
            return None


def good(answer: Answer[T]) -> T | None:
    """Return the document where it is known in all that matters."""
    return answer.value if isinstance(answer, Good) else None


def view(answer: Answer[T]) -> T | None:
    """Return the document as far as it can be shown."""
    match answer:
        case Good(known) | Corrupt(known) | TooNew(known):
            return known
        case Absent():
            return None


def newer(document: Mapping[str, Any], what: str) -> str:
    """Return why a document says that it is of a newer version, "" where it does not."""
    version = str(document.get("version") or VERSION)
    return "" if version == VERSION else too_new(what, f"its version is {quoted(version)}, and only 1 is known here")


def too_new(what: str, why: str) -> str:
    """Return the sentence about a document that can't be honoured."""
    return f"{what} was written by a newer version: {clean(why, LINE)} ({REMEDY})"


def read(form: type[T], value: object) -> tuple[T, tuple[str, ...]]:
    """Return the form with what `value` says, and what of it is of another shape, which is left out."""
    misfits: list[str] = []
    return cast("T", _read(form, value, "", misfits)), tuple(misfits)


def plain(value: Any) -> Any:
    """Return a form as mappings and lists, with what is unknown in its place: YAML and JSON have no others.

    Fields that a later version has added are there only where they say something.
    """
    if is_dataclass(value) and not isinstance(value, type):
        given = ((item, getattr(value, item.name)) for item in _known(type(value)))
        known = {item.name: plain(part) for item, part in given if part or "later" not in item.metadata}
        return {**known, **getattr(value, "unknown", {})}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def sparse(value: Any, empty: Sequence[Any]) -> dict[str, Any]:
    """Return a form as `plain` does, without what says nothing: known values that are among the empty ones."""
    unknown = getattr(value, "unknown", {})
    return {key: item for key, item in plain(value).items() if key in unknown or item not in empty}


def printable(value: T) -> T:
    """Return a form or text with what is known of it as it may stand on a terminal: anybody could have written it."""
    shown: Any = value
    match value:
        case str():
            shown = shorten(visible(value), TEXT_LIMIT)
        case tuple():
            shown = tuple(map(printable, value))
        case Mapping():
            shown = {printable(key): printable(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            known = {item.name: printable(getattr(value, item.name)) for item in _known(type(value))}
            shown = replace(value, **known, **({"unknown": {}} if hasattr(value, "unknown") else {}))
    return cast("T", shown)


def from_json(form: type[T], text: str, what: str) -> Answer[T]:
    """Return the document of this form that a file holds; `what` it is called in messages."""
    return from_plain(form, None if UNREADABLE in text else parsed(text), what) if text else Absent()


def parsed(text: str) -> object:
    """Return what a text of JSON says, None where it is none, or not what was sealed."""
    try:
        return json.loads(opened(text) or "")
    except (ValueError, RecursionError):
        return None


def from_plain(form: type[T], document: object, what: str) -> Answer[T]:
    """Return the document of this form that mappings and lists hold."""
    value, misfits = read(form, document if isinstance(document, dict) else {})
    if not isinstance(document, dict):
        return Corrupt(value)
    problem = newer(document, what) or (too_new(what, "; ".join(misfits)) if misfits else "")
    return TooNew(value, problem) if problem else Good(value)


def to_json(value: Any) -> str:
    """Return the text of a file that holds a form, or mappings and lists."""
    return json.dumps(plain(value), indent=1, sort_keys=True, default=str) + "\n"


@cache
def _known(form: Any) -> tuple[Field[Any], ...]:
    """Return the fields of a form that this version knows: each record asks for those of the same few forms."""
    return tuple(item for item in fields(form) if item.name != "unknown")


def _read(form: Any, value: Any, place: str, misfits: list[str]) -> Any:
    kind, args = get_origin(form) or form, get_args(form)
    if kind is UnionType:
        for option in args:
            strange: list[str] = []
            fitting = _read(option, value, place, strange)
            if not strange:
                return fitting
    if is_dataclass(kind) and isinstance(value, Mapping):
        return _fields(kind, value, place, misfits)
    if kind is tuple and isinstance(value, list) and (args[-1] is Ellipsis or len(args) == len(value)):
        kinds = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(_read(*pair, place, misfits) for pair in zip(kinds, value, strict=True))
    if kind is Mapping and isinstance(value, Mapping):
        return {str(key): _read(args[1], item, f"{place}.{key}", misfits) for key, item in value.items()}
    is_sound = kind not in (int, float) or _is_number(value)
    expected = str if kind is Literal else (int, float) if kind is float else kind  # JSON writes 1.0 as 1, too
    if kind is not UnionType and is_sound and isinstance(value, expected):
        return value
    misfits.append(f"{place.lstrip('.') or 'it'} is {quoted(value)}")
    return _default(kind, args)


def _is_number(value: object) -> bool:
    """Return whether a value is a number that can be counted with: to Python, true is 1."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _default(kind: Any, args: Sequence[Any]) -> Any:
    """Return what stands for a value of another shape, in what is shown."""
    if kind is UnionType:
        return None if NoneType in args else _default(get_origin(args[0]) or args[0], get_args(args[0]))
    if is_dataclass(kind):
        return _fields(kind, {}, "", [])
    if kind is tuple and args[-1] is not Ellipsis:
        return tuple(_default(get_origin(arg) or arg, get_args(arg)) for arg in args)
    return {} if kind is Mapping else args[0] if kind is Literal else kind()


def _fields(form: Any, value: Mapping[str, Any], place: str, misfits: list[str]) -> Any:
    given = {}
    for item in _known(form):
        required = item.default is MISSING and item.default_factory is MISSING
        if item.name in value or required:
            given[item.name] = _read(item.type, value.get(item.name), f"{place}.{item.name}", misfits)
    if "unknown" in form.__dataclass_fields__:
        given["unknown"] = {str(key): item for key, item in value.items() if key not in given}
    return form(**given)
