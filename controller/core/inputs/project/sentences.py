"""Pydantic's errors -> our sentences. The one place that knows its error types."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from controller.core.inputs import checks
from controller.core.inputs.project import yamlfault
from controller.core.inputs.project.forms import SECTION, Expected, Form
from controller.core.inputs.project.reading import Reading

Location: TypeAlias = tuple[int | str, ...]
Place: TypeAlias = Callable[[Location], str]
"""Gives the place of a value as the user wrote it, from its location in the document."""

F = TypeVar("F", bound=Form)

_KEY = "[key]"  # pydantic's last part of the location of a mapping's key


def check(form: type[F], document: Any, place: Place, reading: Reading) -> F | None:
    """Give the document as a form, None with the problems noted. Unknown keys are warnings."""
    try:
        return form.model_validate(document)
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
    unknown = [_location(error["loc"]) for error in errors if error["type"] == "extra_forbidden"]
    for location in unknown:
        reading.unknown(place(location[:-1]), str(location[-1]), _fields(form, location[:-1]))
    wrong = [error for error in errors if error["type"] != "extra_forbidden"]
    for error in wrong:
        reading.problem(place(_location(error["loc"])), _sentence(form, error))
    return None if wrong else form.model_validate(_without(document, frozenset(unknown)))


def _sentence(form: type[Form], error: Mapping[str, Any]) -> str:
    """Say what one of pydantic's errors means to the user."""
    expected = _expected(form, _location(error["loc"]))
    match error["type"]:
        case "missing":
            return f"missing: write {expected.what}"
        case "sentence":
            return str(error["ctx"]["sentence"])
        case "too_long":
            return f"has too many items: {error['ctx']['max_length']} at most"
        case _ if expected.what == SECTION and isinstance(error["input"], str) and yamlfault.unspaced(error["input"]):
            return f"expected {SECTION}: write a space after the colon of {yamlfault.unspaced(error['input'])}:"
        case _ if expected.quiet:
            return f"expected {expected.what}"
        case _:
            return f"expected {expected.what}, got {checks.shown(error['input'])}"


def _location(raw: tuple[int | str, ...]) -> Location:
    return raw[:-1] if raw and raw[-1] == _KEY else raw


def _expected(form: type[Form], location: Location) -> Expected:
    """Find what was expected at a location: the innermost field that says it."""
    current: type[BaseModel] | None = form
    expected = Expected(SECTION)
    for part in location:
        field = current.model_fields.get(str(part)) if current else None
        if field is None:
            break
        expected = next((item for item in field.metadata if isinstance(item, Expected)), expected)
        current = _nested(field.annotation)
    return expected


def _fields(form: type[Form], location: Location) -> tuple[str, ...]:
    """Give the known keys of the section at a location."""
    current: type[BaseModel] = form
    for part in location:
        current = _nested(current.model_fields[str(part)].annotation) or current
    return tuple(current.model_fields)


def _nested(annotation: Any) -> type[BaseModel] | None:
    """Give the form among the parts of an optional field's type."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _without(document: Any, locations: frozenset[Location], at: Location = ()) -> Any:
    """Give the document without the keys at these locations."""
    if not isinstance(document, dict):
        return document
    return {
        key: _without(value, locations, (*at, key)) for key, value in document.items() if (*at, key) not in locations
    }
