"""`coachwork delete`: remove a request with everything that it owns."""

import sys
from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests
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
    record, schedule = standing.record, standing.data.get("schedule")
    runs = sum(1 for past in record.history if past.run) + record.active
    objects = sorted({item for stage in record.stages.values() for item in stage.objects if item[:4] != "Job/"})
    owned = [f"  run {record.run}, which is active"] if record.active else []
    owned += [f"  {item}, which may be in use" for item in objects]
    owned += [f"  schedule {clean(schedule)}"] if schedule else []
    owned += [f"  the history of {runs} run{'' if runs == 1 else 's'}, with logs, artifacts and cache"] if runs else []
    if owned and output == "text":
        typer.echo("\n".join([f"request {name} is deleted with:", *owned]), err=not yes)
    if not yes and not sys.stdin.isatty():
        raise Invalid("WrongUse", ["delete asks for confirmation, and there is no terminal to answer on: add --yes"])
    if not yes and not typer.confirm(f"delete request {name} in namespace {requests.namespace}?", err=True):
        typer.echo("nothing was deleted", err=True)
        raise typer.Exit(Exit.CANCELLED)
    requests.delete(standing)
    text.write(output, {"request": name, "deleted": True}, [f"{name}: deleted"])
