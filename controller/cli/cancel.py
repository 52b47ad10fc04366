"""`coachwork cancel`: end the active run."""

from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests, number
from controller.core.errors import NotFound


@connected()
def cancel(
    requests: Requests,
    name: Name,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run's number; by default the active one.")] = "",
    output: Output = "text",
) -> None:
    """Cancel the active run.

    Services go back to the last good release.
    """
    standing = requests.one(name)
    record = standing.record
    run_number = number(standing, run) if run else record.run
    if not record.active:
        raise NotFound(f"no run of {name} is active")
    if run_number != record.run:
        raise NotFound(f"run {run_number} of {name} is not active: run {record.run} is")
    requests.cancel(standing, run_number)
    lines = [f"run {run_number} of {name} is being cancelled; services go back to the last good release"]
    lines += [f"trigger {record.queued}, which is queued behind it, runs next"] if record.queued else []
    lines.append(f"see it end: {requests.command('watch', name)}")
    text.write(output, {"request": name, "run": run_number}, lines)
