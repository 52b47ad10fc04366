"""`coachwork delete`: remove requests with everything that they own."""

import sys
from typing import Annotated

import typer

from controller.cli import complete, text
from controller.cli.addresses import released
from controller.cli.connect import connected
from controller.cli.options import Output
from controller.cli.requests import Requests, Standing
from controller.core.errors import Invalid
from controller.core.exits import Exit
from controller.core.text import clean


@connected()
def delete(
    requests: Requests,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="The requests' names.", show_default=False, autocompletion=complete.requests
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    output: Output = "text",
) -> None:
    """Delete a request with everything that it owns.

    Runs, services, the schedule, logs and artifacts go with it. Of several, all are looked for before one is deleted.
    """
    found = [requests.one(name) for name in dict.fromkeys(names)]
    lines = [line for standing in found for line in _owned(requests, standing)]
    if lines and output == "text":
        typer.echo("\n".join(lines), err=not yes)
    if not yes and not sys.stdin.isatty():
        raise Invalid("WrongUse", ["delete asks for confirmation, and there is no terminal to answer on: add --yes"])
    what = f"request{'s' if len(found) > 1 else ''} {', '.join(standing.name for standing in found)}"
    if not yes and not typer.confirm(f"delete {what} in namespace {requests.namespace}?", err=True):
        typer.echo("nothing was deleted", err=True)
        raise typer.Exit(Exit.CANCELLED)
    for standing in found:
        requests.delete(standing)
        text.write(output, {"request": standing.name, "deleted": True}, [f"{standing.name}: deleted"])


def _owned(requests: Requests, standing: Standing) -> list[str]:
    """Return what goes with a request, in lines; none where nothing does."""
    record, schedule = standing.record, standing.data.get("schedule")
    runs = sum(1 for past in record.history if past.run) + record.active
    objects = {item for stage in record.stages.values() for item in stage.objects if item[:4] != "Job/"}
    objects |= {clean(f"{item['kind']}/{item['metadata']['name']}") for item in released(requests, standing.name)}
    owned = [f"  run {record.run}, which is active"] if record.active else []
    owned += [f"  {item}, which may be in use" for item in sorted(objects)]
    owned += [f"  schedule {clean(schedule)}"] if schedule else []
    owned += [f"  the history of {runs} run{'' if runs == 1 else 's'}, with logs, artifacts and cache"] if runs else []
    return [f"request {standing.name} is deleted with:", *owned] if owned else []
