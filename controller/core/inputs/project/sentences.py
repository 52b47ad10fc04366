"""A form's faults -> a reading's problems and warnings, at the places where the user wrote them."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from controller.core.inputs import engine
from controller.core.inputs.engine import Location
from controller.core.inputs.project.forms import Form
from controller.core.inputs.project.reading import Reading

Place: TypeAlias = Callable[[Location], str]
"""Return the place of a value as the user wrote it, from its location in the document."""

F = TypeVar("F", bound=Form)


def check(form: type[F], document: Any, place: Place, reading: Reading) -> F | None:
    """Return the document as a form, None with the problems noted. Unknown keys are warnings."""
    found, faults = engine.check(form, document)
    for fault in faults:
        if fault.known:
            reading.unknown(place(fault.location[:-1]), str(fault.location[-1]), fault.known)
        else:
            reading.problem(place(fault.location), fault.sentence)
    return found
