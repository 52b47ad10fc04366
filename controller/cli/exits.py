"""How commands end: one line or a list of problems on standard error, and the exit codes that scripts rely on."""

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, TypeVar

import typer

from controller.core import errors

DONE, FAILED, INVALID, NOT_FOUND, UNREACHABLE, CANCELLED, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 124, 130

Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="For people, or for programs.")]
Command = TypeVar("Command", bound=Callable[..., Any])


class Gathered:
    """Problems of several checks, to be told all at once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[errors.Invalid] = []

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._found)

    @contextlib.contextmanager
    def also(self) -> Iterator[None]:
        """Keep the problems that what is done in here raises."""
        try:
            yield
        except errors.Invalid as invalid:
            self._found.append(invalid)

    def add(self, reason: str, problems: Iterable[str]) -> None:
        """Add problems."""
        self._found.append(errors.Invalid(reason, problems))

    def tell(self) -> None:
        """Raise Invalid with all of them, if there are any."""
        if self._found:
            lines = dict.fromkeys(line for invalid in self._found for line in invalid.problems)
            raise errors.Invalid(self._found[0].reason, lines)


def reported(command: Command) -> Command:
    """Give the command with its errors told: invalid ends with 2, what is not there with 3, out of reach with 4."""

    @functools.wraps(command)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except errors.Invalid as invalid:
            _tell(invalid.reason, invalid.problems, as_json=kwargs.get("output") == "json", warnings=invalid.warnings)
            raise typer.Exit(INVALID) from None
        except errors.NotFound as missing:
            _tell(reason="NotFound", problems=(str(missing),), as_json=kwargs.get("output") == "json")
            raise typer.Exit(NOT_FOUND) from None
        except (errors.Transient, errors.NotYet) as error:
            reason = error.reason if isinstance(error, errors.Transient) else "Busy"
            hint = "; it is the state folder here: free space, or set COACHWORK_HOME" if reason[:6] == "Volume" else ""
            _tell(reason, (f"{error}{hint}",), as_json=kwargs.get("output") == "json")
            raise typer.Exit(UNREACHABLE) from None

    return told  # type: ignore[return-value]  # functools.wraps keeps the signature that typer reads


def _tell(reason: str, problems: tuple[str, ...], *, as_json: bool, warnings: tuple[str, ...] = ()) -> None:
    if as_json:
        told = {"valid": False, "reason": reason, "problems": list(problems), "warnings": list(warnings)}
        typer.echo(json.dumps(told))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    for problem in problems:
        typer.echo(problem, err=True)
    if len(problems) > 1:
        typer.echo(f"{len(problems)} problems", err=True)
