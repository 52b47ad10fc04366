"""`coachwork runs`: the runs of a request, and the triggers that came to none."""

from datetime import UTC, datetime

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests
from controller.core.documents.codec import plain
from controller.core.model import PastRun

TITLES = ("run", "outcome", "commit", "started", "took", "trigger", "message")


@connected(local=True)
def runs(requests: Requests, name: Name, output: Output = "text") -> None:
    """Show the runs of a request.

    The newest is first. Triggers that came to no run are shown too.
    """
    record = requests.one(name).record
    commit, trigger = (record.spec.commit, record.spec.trigger) if record.spec else ("", "")
    active = PastRun(
        run=record.run, commit=commit, trigger=trigger, reason=record.reason, message=record.message,
        started=record.started,
    )  # fmt: skip
    found = [plain(run) for run in (*([active] if record.active else []), *record.history)]
    if not found and output == "text":
        typer.echo(f"{name}: no runs yet", err=True)
        return
    now = datetime.now(UTC)
    rows = (
        (
            str(run["run"] or "-"),
            run["outcome"] or "Running",
            run["commit"][:7],
            run["started"] or run["finished"],
            text.took(run["started"], run["finished"], now),
            run["trigger"][:24],
            run["message"],
        )
        for run in found
    )
    text.write(output, found, text.columns(TITLES, rows, text.width()))
