"""`coachwork schedule`, `unschedule`, `cancel`, `delete`: change a request without asking for a run."""

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import exits
from controller.cli.connected import Name, connected
from controller.cli.exits import Output, reported
from controller.cli.looking import next_slot
from controller.core.errors import Invalid, NotFound
from controller.core.inputs import checks

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing


@reported
@connected
def schedule(
    there: "Remote",
    name: Name,
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Like "0 6 * * 1-5", or @daily.', show_default=False)],
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Like Europe/Paris; else UTC.")] = "",
    output: Output = "text",
) -> None:
    """Have a request run by the clock: five fields of cron (minute, hour, day, month, day of the week)."""
    if not cron.strip():
        raise Invalid("WrongUse", [f"CRON: is blank: coachwork unschedule {name} takes a schedule away"])
    standing = there.one(name)
    there.state(standing, {"schedule": cron, "time-zone": time_zone.strip() or None})
    where = f" ({time_zone})" if time_zone else ""
    stated = {**standing.data, "schedule": cron, "time-zone": time_zone}
    slot = next_slot(stated, datetime.now(UTC))
    told = f"{name}: runs at {cron}{where}{f', next {slot}' if slot else ''}"
    _say(output, told, request=name, schedule=cron, time_zone=time_zone)


@reported
@connected
def unschedule(there: "Remote", name: Name, output: Output = "text") -> None:
    """Have a request no longer run by the clock."""
    standing = there.one(name)
    there.state(standing, {"schedule": None, "time-zone": None})
    was = standing.data.get("schedule", "")
    told = f"{name}: no longer runs at {checks.printable(was)}" if was else f"{name}: had no schedule"
    _say(output, told, request=name, schedule="", time_zone="")


@reported
@connected
def cancel(
    there: "Remote",
    name: Name,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run's number; else the active one.")] = "",
    output: Output = "text",
) -> None:
    """Cancel the active run. Services go back to the last good release."""
    standing = there.one(name)
    kept = standing.record
    number = there.number(standing, run) if run else kept.run
    if not kept.active or number != kept.run:
        active = f": run {kept.run} is" if kept.active else ""
        raise NotFound(f"{f'run {number}' if run else 'no run'} of {name} is {'not ' if run else ''}active{active}")
    there.cancel(standing, number)
    _say(output, f"{name}: run {number} is being cancelled", request=name, run=number)


@reported
@connected
def delete(
    there: "Remote",
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Output = "text",
) -> None:
    """Delete a request with everything that it owns: runs, services, schedule, logs and artifacts."""
    standing = there.one(name)
    for line in _goes(standing) if output == "text" else ():
        typer.echo(line, err=not yes)
    if not yes and not sys.stdin.isatty():
        raise Invalid("WrongUse", ["delete asks before it deletes, and nobody can answer here: give --yes"])
    if not yes and not typer.confirm(f"delete request {name} in namespace {there.namespace}?", err=True):
        typer.echo("nothing was deleted", err=True)
        raise typer.Exit(exits.CANCELLED)
    there.delete(standing)
    _say(output, f"{name}: deleted", request=name, deleted=True)


def _goes(standing: "Standing") -> list[str]:
    """Give a line for each thing that goes with the request."""
    kept = standing.record
    objects = sorted({item for stage in kept.stages.values() for item in stage.objects if item[:4] != "Job/"})
    runs = sum(1 for past in kept.history if past.run) + kept.active
    lines = [f"  run {kept.run}, which is active"] if kept.active else []
    lines += [f"  {item}, which may serve" for item in objects]
    lines += [f"  schedule {checks.printable(standing.data['schedule'])}"] if standing.data.get("schedule") else []
    lines += [f"  the history of {runs} run{'' if runs == 1 else 's'}, with logs, artifacts and cache"] if runs else []
    return [f"with request {standing.name} goes:", *lines] if lines else []


def _say(output: str, line: str, **told: object) -> None:
    typer.echo(json.dumps(told) if output == "json" else line)
