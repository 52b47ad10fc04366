"""`coachwork doctor`: what is wrong with an installation, one line each, with its remedy."""

import json
import os
from importlib import metadata
from typing import TYPE_CHECKING

import typer

from controller.cli import text
from controller.cli.connected import connected
from controller.cli.exits import FAILED, Output, reported

if TYPE_CHECKING:
    from controller.app.remote import Remote
    from controller.core.doctor import Finding

PORT = "COACHWORK_PORT"  # set in the controller's own pod, where no service proxy is needed
COLOURS = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "wrong": typer.colors.RED}


@reported
@connected
def doctor(there: "Remote", output: Output = "text") -> None:
    """Look for what is wrong: rights, volume, images, Secrets, Git, clock, Pod Security, CronJobs."""
    from controller.app.checkup import examine  # noqa: PLC0415 (as the client, it costs a third of a second)
    from controller.core.doctor import healthy, to_json  # noqa: PLC0415

    found = examine(there, metadata.version("coachwork"), os.environ.get(PORT, ""))
    good = healthy(found)
    if output == "json":
        typer.echo(json.dumps({"namespace": there.namespace, "healthy": good, "findings": to_json(found)}))
    else:
        for finding in found:
            _show(finding)
    if not good:
        raise typer.Exit(FAILED)


def _show(finding: "Finding") -> None:
    state = typer.style(f"{finding.state:<5}", fg=COLOURS[finding.state])
    typer.echo(f"{state} {finding.check}: {text.plain(finding.message)}")
    if finding.remedy:
        typer.echo(f"      {text.plain(finding.remedy)}")
