"""`coachwork schedule` and `coachwork unschedule`: the schedule of a request."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests
from controller.cli.status import shown_slot
from controller.core.errors import Invalid
from controller.core.text import clean


@connected()
def schedule(
    requests: Requests,
    name: Name,
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Like "0 6 * * 1-5", or @daily.', show_default=False)],
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Like Europe/Paris; by default UTC.")] = "",
    output: Output = "text",
) -> None:
    """Run a request on a schedule.

    CRON has five fields: minute, hour, day of the month, month, day of the week.
    """
    if not cron.strip():
        raise Invalid("WrongUse", [f"CRON: blank: {requests.command('unschedule', name)} removes a schedule"])
    standing = requests.one(name)
    requests.set_keys(standing, {"schedule": cron, "time-zone": time_zone.strip() or None})
    slot = shown_slot({**standing.data, "schedule": cron, "time-zone": time_zone}, datetime.now(UTC))
    comes = {"": "which never comes", "suspended": "but is suspended: nothing starts"}.get(slot, f"next {slot}")
    lines = [f"{name} runs at {clean(cron)} ({time_zone or 'UTC'}), {comes}"]
    lines.append(f"end that: {requests.command('unschedule', name)}")
    text.write(output, {"request": name, "schedule": cron, "time_zone": time_zone}, lines)


@connected()
def unschedule(requests: Requests, name: Name, output: Output = "text") -> None:
    """Remove the schedule of a request."""
    standing = requests.one(name)
    requests.set_keys(standing, {"schedule": None, "time-zone": None})
    before = standing.data.get("schedule", "")
    line = f"{name} no longer runs at {clean(before)}" if before else f"{name} had no schedule: nothing has changed"
    text.write(output, {"request": name, "schedule": "", "time_zone": ""}, [line])
