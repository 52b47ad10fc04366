"""`coachwork watch`: follow the run that is active, the latest, or the next one, to its end."""

from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.follow import Goal, follow
from controller.cli.options import Name, Output, Timeout
from controller.cli.requests import Requests, Standing
from controller.core.errors import NotFound
from controller.core.fate import fate_of


@connected(lambda *, timeout, **_: text.seconds("--timeout", timeout))
def watch(
    requests: Requests,
    name: Name,
    coming: Annotated[bool, typer.Option("--next", help="Wait for the next run to begin, and follow it.")] = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Follow a run to its end.

    It is the active one, else the one that is triggered, else the latest. The exit code is its outcome.
    """
    standing = requests.one(name)
    goal = _next(standing) if coming else _present(requests, standing)
    raise typer.Exit(follow(requests, standing, goal, output, text.seconds("--timeout", timeout)))


def _next(standing: Standing) -> Goal:
    return Goal(run=standing.record.run + 1, before=standing.record.history[:1])


def _present(requests: Requests, standing: Standing) -> Goal:
    """Return what to follow now. Raises NotFound where nothing has run, and nothing will."""
    record = standing.record
    if record.active:
        return Goal(run=record.run)
    if standing.trigger and fate_of(record, standing.trigger).course in ("unseen", "waiting"):
        return Goal(standing.trigger)
    if record.run and not (record.phase == "Invalid" and record.history[:1] and not record.history[0].run):
        return Goal(run=record.run)
    if record.phase == "Invalid":
        return Goal(run=record.run + 1)
    if record.reason == "WaitingForTrigger":
        start = requests.command("trigger", standing.name, "--wait")
        raise NotFound(f"{standing.name} has no run yet: {start} starts one, --next waits for one")
    return _next(standing)
