"""What a request's annotations ask of one run: its trigger, and what goes with that trigger alone.

`TRIGGER WISH`: a wish is that of the run with this trigger. One that is left behind means nothing to the next trigger,
and is not even read.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from controller.core import names
from controller.core.inputs import engine, kinds, variables
from controller.core.inputs.engine import Broken, Form, reading
from controller.core.text import quoted

LIMIT = 256  # characters of a trigger, a stage, a number
PARAMETERS_LIMIT = 16 * 1024  # characters of all parameters of a run: they are recorded with it
_DOMAIN = f"{names.DOMAIN}/"
_WISHES = ("from", "only", "set", "rerun", "all")


def _short(text: str, limit: int = LIMIT) -> str:
    if len(text) > limit or not text.isprintable():
        raise ValueError(f"expected at most {limit} printable characters")
    return text


def _parameters(text: str) -> dict[str, Any]:
    """Return the mapping of a JSON object, which must not name one thing twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    _short(text, PARAMETERS_LIMIT)
    try:
        found = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(  # noqa: TRY004 (pydantic takes no other)
            'expected TRIGGER {"NAME": "value"}: variables and their values as text'
        )
    return found


def _run(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(f"expected TRIGGER RUN, a run's number, got {quoted(text)}")
    return int(text)


class _Annotations(Form):
    """What the annotations say to the present trigger's run; what is not set is as `Request` has it."""

    trigger: Annotated[str, reading(_short)] = ""
    cancel: Annotated[str, reading(_short)] = ""
    resume: Annotated[str, reading(_short)] = Field("", alias="from")
    only: Annotated[str, reading(_short)] = ""
    parameters: Annotated[
        dict[Annotated[str, reading(variables.name)], Annotated[str, reading(variables.value)]], reading(_parameters)
    ] = Field({}, alias="set")
    rerun: Annotated[int, reading(_run)] = 0
    whole: Annotated[bool, reading(kinds.flag)] = Field(default=False, alias="all")

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterable[Broken]:
        """Yield what is wrong with annotations that are right by themselves."""
        if data.keys() >= {"from", "only"}:
            yield ("only",), f"can't be combined with {names.FROM}: remove one of them"
        if "all" in data and (other := next((key for key in ("from", "only") if key in data), "")):
            yield ("all",), f"can't be combined with {_DOMAIN}{other}: remove one of them"


def read(annotations: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of `Request` that annotations state, and what is wrong with the others."""
    stated = {"trigger": annotations.get(names.TRIGGER), "cancel": annotations.get(names.CANCEL)}
    trigger = stated["trigger"]
    for key in _WISHES:
        value = annotations.get(f"{_DOMAIN}{key}")
        if isinstance(trigger, str) and isinstance(value, str) and value.startswith(f"{trigger} "):
            wish = value.removeprefix(f"{trigger} ")
            stated[key] = wish if key == "set" or " " not in wish else ""
    # A blank one is as if it were not there.
    document = {key: value for key, value in stated.items() if value is not None and str(value).strip()}
    found, faults = engine.check(_Annotations, document)
    if not found:
        wrong = {fault.location[0] for fault in faults}
        sound = {key: value for key, value in document.items() if key not in wrong}
        found = engine.check(_Annotations, sound)[0] or _Annotations.model_construct()
    fields = found.model_dump(exclude_unset=True)
    if "parameters" in fields:  # {} are none
        fields["parameters"] = tuple(sorted(found.parameters.items()))
    return fields, [_line(fault) for fault in faults]


def _line(fault: engine.Fault) -> str:
    """Return a problem with its place."""
    key, *variable = fault.location
    return f"annotation {_DOMAIN}{key}: {''.join(f'{quoted(name)}: ' for name in variable)}{fault.sentence}"
