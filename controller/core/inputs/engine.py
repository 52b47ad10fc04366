"""One validation engine: a form and a document -> a value, and one sentence for each fault, all at once.

A form declares its fields as pydantic types; `Expected` next to a type is what its sentence says after "expected". A
reader (kinds.py) refuses a value by raising ValueError with the whole sentence. Only rules across fields are code:
`together` of a form, or next to the type of a list. Pydantic's own words never reach a user.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from controller.core.inputs import kinds
from controller.core.text import nearest, quoted

T = TypeVar("T")
Location: TypeAlias = tuple[int | str, ...]
Broken: TypeAlias = tuple[Location, str]
"""Where a rule across fields is broken, below the section that has the rule, and the sentence."""

SECTION = "a section with keys of its own"
_KEY = "[key]"  # pydantic's last part of the location of a mapping's key


@dataclass(frozen=True, slots=True)
class Expected:
    """What a value should be, after the word "expected". `quiet`: the value is never shown, it may be a secret."""

    what: str
    quiet: bool = False


_BY_TYPE: Mapping[str, Expected] = {
    "string_type": Expected("text: put the value in quotes", quiet=True),
    "bool_type": Expected("true or false"),
    "int_type": Expected("a whole number"),
    "list_type": Expected("a list"),
    "dict_type": Expected(SECTION),
    "model_type": Expected(SECTION),
}
"""What is expected where a type alone says it, by pydantic's type of error."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a document. `known`: the keys of a section in which this one means nothing."""

    location: Location
    sentence: str
    known: tuple[str, ...] = ()


class Form(BaseModel):
    """A section: strict types, no unknown keys; a key without a value is as if it were not there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    refused: ClassVar[Mapping[str, str]] = {}  # keys that exist elsewhere and not here, and why

    @classmethod
    def together(cls, _data: Mapping[str, Any]) -> Iterable[Broken]:
        """Return the rules across fields that a section breaks; its values are not yet checked."""
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all(cls, data: Any, handler: Callable[[Any], Any]) -> Any:
        if not isinstance(data, dict):
            return handler(data)
        stated = {key: value for key, value in data.items() if value is not None}
        return _with(cls.together(stated), stated, handler)


def reading(read: Callable[[str], Any]) -> BeforeValidator:
    """Return the validator of a value that is written as text."""

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("expected text: put the value in quotes")  # noqa: TRY004 (pydantic takes no other)
        return read(value)

    return BeforeValidator(check)


def together(rule: Callable[[Any], Iterable[Broken]], of: type = list) -> WrapValidator:
    """Return the validator of a rule across the items of a list or mapping, which hides no fault of an item."""
    return WrapValidator(lambda value, handler: _with(rule(value) if isinstance(value, of) else (), value, handler))


def check(kind: type[T], document: Any) -> tuple[T | None, tuple[Fault, ...]]:
    """Return what a document says, and its faults. Unknown keys alone hide nothing: the value is that without them."""
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(document), ()
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
    errors.sort(key=lambda error: error["type"] == "extra_forbidden")
    faults = tuple(_fault(kind, error) for error in errors[: kinds.PROBLEM_LIMIT + 1])
    unknown = errors[0]["type"] == "extra_forbidden"
    return adapter.validate_python(document, extra="ignore") if unknown else None, faults


def path(location: Location) -> str:
    """Return a location as people write it: `spec.volumes[0].name`, `labels["example.com/team"]`."""
    parts = []
    for part in location:
        plain = isinstance(part, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,200}", part)
        key = quoted(part) if isinstance(part, str) else part
        parts.append(f".{part}" if plain else f"[{key}]")
    return "".join(parts).removeprefix(".")


def _with(broken: Iterable[Broken], value: Any, handler: Callable[[Any], Any]) -> Any:
    """Return what the handler makes of a value. Raises its errors and those of `broken` rules at once."""
    own = [
        InitErrorDetails(type="value_error", loc=location, input=value, ctx={"error": ValueError(sentence)})
        for location, sentence in broken
    ]
    try:
        checked = handler(value)
    except ValidationError as refused:
        if not own:
            raise
        inner = [
            InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
            for error in refused.errors(include_url=False)
        ]
        raise ValidationError.from_exception_data("", [*inner, *own]) from None
    if own:
        raise ValidationError.from_exception_data("", own)
    return checked


def _fault(kind: Any, error: Mapping[str, Any]) -> Fault:
    """Return what one of pydantic's errors means to the user."""
    location: Location = error["loc"]
    if error["type"] == "extra_forbidden":
        around, _ = _find(kind, location[:-1])
        key, known = str(location[-1]), tuple(keys(around))
        return Fault(location, getattr(around, "refused", {}).get(key) or unknown(key, known), known)
    _, expected = _find(kind, location)
    match error["type"]:
        case "value_error":
            sentence = str(error["ctx"]["error"])
        case "missing":
            sentence = f"missing: write {expected.what}" if expected else "missing"
        case "literal_error":
            choices = str(error["ctx"]["expected"]).replace("''", '""').replace("'", "")
            sentence = f"expected {choices}, got {quoted(error['input'])}"
        case "too_short":
            sentence = f"has too few items: {error['ctx']['min_length']} at least"
        case "too_long":
            sentence = f"has too many items: {error['ctx']['max_length']} at most"
        case name:
            wanted = expected or _BY_TYPE.get(name, Expected("another value", quiet=True))
            sentence = f"expected {wanted.what}" + ("" if wanted.quiet else f", got {quoted(error['input'])}")
            if name == "int_type" and isinstance(error["input"], str) and error["input"].isdecimal():
                sentence += ": remove the quotes"
    return Fault(location[:-1] if location[-1:] == (_KEY,) else location, sentence)


def unknown(key: str, known: Iterable[str]) -> str:
    """Return the sentence for a key that means nothing where it stands."""
    return f"unknown key: {nearest(key, known)}"


def _find(kind: Any, location: Location) -> tuple[Any, Expected | None]:
    """Return the type at a location, and what is expected there."""
    for part in location:
        kind = _plain(kind)
        kind = get_args(kind)[-1] if get_origin(kind) in (list, dict) else keys(kind).get(str(part))
    notes = kind.__metadata__ if get_origin(kind) is Annotated else ()
    return _plain(kind), next((note for note in notes if isinstance(note, Expected)), None)


def keys(kind: Any) -> dict[str, Any]:
    """Return the keys of a section and their types."""
    hints = get_type_hints(kind, include_extras=True) if isinstance(kind, type) else {}
    names = getattr(kind, "__pydantic_fields__", hints)
    return {getattr(names[name], "alias", None) or name: hints[name] for name in names}


def _plain(kind: Any) -> Any:
    """Return a type without what is noted next to it, and without None."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    options = get_args(kind)
    return _plain(next(option for option in options if option is not type(None))) if type(None) in options else kind
