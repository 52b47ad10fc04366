"""`coachwork delete`: remove a request with everything that it owns."""

import sys
from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests, Standing
from controller.core.errors import Invalid
from controller.core.exits import Exit
from controller.core.text import clean


@connected()
def delete(
    requests: Requests,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    output: Output = "text",
) -> None:
    """Delete a request with everything that it owns.

    Runs, services, the schedule, logs and artifacts go with it.
    """
    standing = requests.one(name)
    if output == "text" and (owned := _owned(standing)):
        typer.echo("\n".join([f"request {name} is deleted with:", *owned]), err=not yes)
    if not yes and not sys.stdin.isatty():
        raise Invalid("WrongUse", ["delete asks for confirmation, and there is no terminal to answer on: add --yes"])
    if not yes and not typer.confirm(f"delete request {name} in namespace {requests.namespace}?", err=True):
        typer.echo("nothing was deleted", err=True)
        raise typer.Exit(Exit.CANCELLED)
    requests.delete(standing)
    text.write(output, {"request": name, "deleted": True}, [f"{name}: deleted"])


def _owned(standing: Standing) -> list[str]:
    """Return a line for each thing that is deleted with the request."""
    record = standing.record
    objects = sorted({item for stage in record.stages.values() for item in stage.objects if item[:4] != "Job/"})
    runs = sum(1 for past in record.history if past.run) + record.active
    lines = [f"  run {record.run}, which is active"] if record.active else []
    lines += [f"  {item}, which may be in use" for item in objects]
    lines += [f"  schedule {clean(standing.data['schedule'])}"] if standing.data.get("schedule") else []
    lines += [f"  the history of {runs} run{'' if runs == 1 else 's'}, with logs, artifacts and cache"] if runs else []
    return lines
