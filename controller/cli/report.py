"""How errors of commands are reported: lines on standard error, or a JSON object, and an exit code."""

import functools
import json
from collections.abc import Callable
from typing import Any

import typer

from controller.core.errors import TRIED_AGAIN, Invalid, NotFound, NotYet, Transient
from controller.core.exits import Exit


def all_of(*checks: Callable[[], Any]) -> list[Any]:
    """Return what the checks return. Raises Invalid with the problems of all that fail, each once."""
    results, failed = [], list[Invalid]()
    for check in checks:
        try:
            results.append(check())
        except Invalid as invalid:
            failed.append(invalid)
    if failed:
        raise Invalid(failed[0].reason, dict.fromkeys(line for invalid in failed for line in invalid.problems))
    return results


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with its errors reported, each kind with its exit code."""

    @functools.wraps(command)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Invalid as invalid:
            code, reason, problems, warnings = Exit.INVALID, invalid.reason, invalid.problems, invalid.warnings
        except NotFound as missing:
            code, reason, problems, warnings = Exit.NOT_FOUND, "NotFound", (str(missing),), ()
        except NotYet as error:
            code, reason, problems, warnings = Exit.UNREACHABLE, "Busy", (str(error),), ()
        except Transient as error:
            local = error.reason.startswith("Volume")
            hint = "; it is the state folder here: free space, or set COACHWORK_HOME" if local else ""
            code, reason, warnings = Exit.UNREACHABLE, error.reason, ()
            problems = (str(error).replace(TRIED_AGAIN, "") + hint,)
        if kwargs.get("output") == "json":
            answer = {"valid": False, "reason": reason, "problems": list(problems), "warnings": list(warnings)}
            typer.echo(json.dumps(answer))
        else:
            count = [f"{len(problems)} problems"] if len(problems) > 1 else []
            for line in (*(f"warning: {warning}" for warning in warnings), *problems, *count):
                typer.echo(line, err=True)
        raise typer.Exit(code)

    return reporting
