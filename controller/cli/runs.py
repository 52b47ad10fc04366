"""`coachwork runs`: the runs of a request, and the triggers that came to none."""

from datetime import UTC, datetime

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests
from controller.core import numbers
from controller.core.documents.codec import plain
from controller.core.model import PastRun

TITLES = ("run", "outcome", "commit", "started", "took", "numbers", "trigger", "message")
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
        started=record.started, metrics=record.measured,
    )  # fmt: skip
    found = [plain(run) for run in (*([active] if record.active else []), *record.history)]
    if not found and output == "text":
        typer.echo(f"{name}: no runs yet", err=True)
        return
    now, width = datetime.now(UTC), text.width()
    stages = {stage for run in found for stage in run["metrics"]}
    left_out = {"trigger": 0 < width < NARROW, "numbers": not stages}
    shown = [title for title in TITLES if not left_out.get(title)]
    rows = (
        {
            **run,
            "run": str(run["run"] or "-"),
            "outcome": run["outcome"] or "Running",
            "commit": run["commit"][:7],
            "started": run["started"] or run["finished"],
            "numbers": "; ".join(
                f"{f'{stage}: ' if len(stages) > 1 else ''}{numbers.listed(own)}"
                for stage, own in run["metrics"].items()
            ),
            "took": text.took(run["started"], run["finished"], now),
        }
        for run in found
    )
    text.write(output, found, text.columns(shown, ([row[title] for title in shown] for row in rows), width))
