"""`coachwork run`: a project on this machine, with no cluster."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from controller.adapters import pythons
from controller.app import laptop
from controller.app.laptop import LaptopRun
from controller.app.place import find
from controller.cli import text
from controller.cli.options import Folder, Output, Ref, Target, Variables
from controller.cli.report import all_of
from controller.cli.show import LAST_LINES, Scene, last_words, screen
from controller.core.errors import Invalid
from controller.core.exits import Exit
from controller.core.inputs import kinds, secretsfile
from controller.core.model import Record, Service

INTERVAL = 0.1  # seconds between two readings of the record
EXITS = {"Ready": Exit.DONE, "Degraded": Exit.DONE, "Invalid": Exit.INVALID, "Cancelled": Exit.CANCELLED}

Secrets = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file of NAME=VALUE lines, as in .env, for what [secrets] names.")
]
Only = Annotated[str, typer.Option(metavar="STAGE", help="Run this stage alone, with the last run's artifacts.")]
Resume = Annotated[
    str, typer.Option("--from", metavar="STAGE", help="Run from this stage on, with the last run's artifacts.")
]
Python = Annotated[
    str, typer.Option(metavar="PROGRAM", help="The Python that runs the stages; by default what the project requires.")
]
ExitWhenReady = Annotated[bool, typer.Option("--exit-when-ready", help="Do not leave services running.")]


def run(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    target: Target = ".",
    ref: Ref = "",
    path: Folder = ".",
    env: Variables = None,
    secrets: Secrets = None,
    only: Only = "",
    resume: Resume = "",
    python: Python = "",
    exit_when_ready: ExitWhenReady = False,
    output: Output = "text",
) -> None:
    """Run a project on this machine, without a cluster.

    A folder is taken as it stands. Services stay up until Ctrl-C. Secrets come from the shell's variables of their
    names, or from --secrets.
    """
    _, variables, given, interpreter = all_of(
        lambda: _check_parts(only, resume),
        lambda: text.pairs("--env", env or []),
        lambda: _secrets(secrets) if secrets else {},
        lambda: pythons.named(python) if python else None,
    )
    place = find(target, ref, path, python=pythons.judging(interpreter))
    chosen = pythons.choose(place.pipeline, interpreter, only)
    for line in (*(f"warning: {warning}" for warning in place.pipeline.warnings), *chosen.lines):
        typer.echo(line, err=True)
    stopping = _stop_on_signals()
    options = laptop.Options(tuple(variables), {**os.environ, **given}, chosen, only, resume)
    with laptop.running(place, options) as current:
        shown = {*place.pipeline.warnings, *chosen.notes}
        record = _follow(current, stopping, output, shown, stay=not exit_when_ready)
        if output == "text":
            last_words(record, lambda stage: current.tail(record.run, stage, LAST_LINES))
        over = current.over(record)
        if stopping.is_set():
            typer.echo("stopping the services" if over else "interrupted: stopping what runs", err=True)
    raise typer.Exit(EXITS.get(record.phase, Exit.FAILED) if over else Exit.INTERRUPTED)


def _check_parts(only: str, resume: str) -> None:
    if only and resume:
        raise Invalid("WrongUse", ["--only and --from: give one of them"])


def _secrets(path: Path) -> dict[str, str]:
    """Return the pairs of a secrets file. Its lines are never shown, not even malformed ones."""
    try:
        values, problems = secretsfile.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid("WrongUse", [f"--secrets: {path} can't be read: {why}"]) from None
    if problems:
        raise Invalid("WrongUse", kinds.bounded(f"--secrets: {path}, {problem}" for problem in problems))
    return values


def _stop_on_signals() -> threading.Event:
    """Return what the signals set that ask for an end; a hang-up only where it is not ignored, as by nohup."""
    stopping = threading.Event()
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


def _follow(current: LaptopRun, stopping: threading.Event, output: str, shown: set[str], *, stay: bool) -> Record:
    """Show the run until it is over, and its services until they are stopped; return the last record.

    Warnings that a run adds to the `shown` ones, and what it waits for, are shown as they come.
    """
    view, steps, stages = screen(output), current.place.pipeline.steps, current.place.pipeline.stages
    try:
        while True:
            record = current.record()
            over = current.over(record)
            warned = record.problems if record.spec and record.phase != "Invalid" else ()
            notes = [("warning", line) for line in warned]
            notes += [("waiting", record.message)] if record.phase == "Pending" and record.message else []
            for kind, line in notes:
                if line not in shown:
                    typer.echo(f"{kind}: {text.plain(line)}", err=True)
                    shown.add(line)
            running = [name for name, stage in record.stages.items() if stage.state == "Running"]
            tails = {name: text.plain(lines[0]) for name in running if (lines := current.tail(record.run, name, 1))}
            view.show(Scene(record, current.place.shown, steps, over, tails, current.addresses()))
            for warning in current.warnings(record):
                typer.echo(f"warning: {text.plain(warning)}", err=True)
            # What an earlier run has brought up ended with that run.
            up = {name for name, stage in record.stages.items() if stage.state in ("Done", "Unchanged")}
            serves = any(isinstance(stages[name].work, Service) for name in up & stages.keys())
            stays = stay and serves and record.phase in ("Ready", "Degraded")
            if (over and not stays) or stopping.wait(INTERVAL):
                return record
    finally:
        view.close()
