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
NARROW = 100  # columns of a terminal that has no room for triggers


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
    now, width = datetime.now(UTC), text.width()
    shown = [title for title in TITLES if title != "trigger" or not 0 < width < NARROW]
    rows = (
        {
            **run,
            "run": str(run["run"] or "-"),
            "outcome": run["outcome"] or "Running",
            "commit": run["commit"][:7],
            "started": run["started"] or run["finished"],
            "took": text.took(run["started"], run["finished"], now),
        }
        for run in found
    )
    text.write(output, found, text.columns(shown, ([row[title] for title in shown] for row in rows), width))
