"""`coachwork run`: a project on this machine, with no cluster."""

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import exits
from controller.cli.exits import Gathered, Output, reported
from controller.cli.projects import Ref, Target
from controller.cli.text import pairs, plain
from controller.core.errors import Invalid

if TYPE_CHECKING:
    from controller.app.laptop import LaptopRun
    from controller.cli.show import Screen
    from controller.core.model import Pipeline, Record

LOOK = 0.1  # seconds between two looks at the run
LAST_LINES = 20
EXITS = {"Ready": exits.DONE, "Degraded": exits.DONE, "Invalid": exits.INVALID, "Cancelled": exits.CANCELLED}


@reported
def run(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    target: Target = ".",
    ref: Ref = "",
    path: Annotated[str, typer.Option(help="The project's folder in the repository.")] = ".",
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable for every stage.")
    ] = None,
    secrets: Annotated[Path | None, typer.Option(help="A file of NAME=VALUE lines for what [secrets] names.")] = None,
    only: Annotated[str, typer.Option(metavar="STAGE", help="Run this stage alone, on the last run's artifacts.")] = "",
    resume: Annotated[
        str,
        typer.Option("--from", metavar="STAGE", help="Run from this stage on, on the last run's artifacts."),
    ] = "",
    python: Annotated[str, typer.Option(help="The Python that runs the stages; else what the project asks for.")] = "",
    exit_when_ready: Annotated[bool, typer.Option("--exit-when-ready", help="Do not leave services up.")] = False,
    output: Output = "text",
) -> None:
    """Run a project here, with no cluster: a folder as it stands, or a repository's address.

    Services stay up until Ctrl-C. Secrets come from the shell's variables of their names, or from --secrets.
    """
    from controller.adapters import pythons  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.app import laptop  # noqa: PLC0415
    from controller.app.place import find  # noqa: PLC0415

    gathered, variables, given = Gathered(), list[tuple[str, str]](), dict(os.environ)
    if only and resume:
        gathered.add("WrongUse", ["--only and --from: give one of them"])
    with gathered.also():
        variables = pairs("--env", env or [])
    with gathered.also():
        given |= _file(secrets) if secrets else {}
    with gathered.also():
        judging = pythons.judging(python)
    gathered.tell()
    place = find(target, ref, path, python=judging)
    chosen = pythons.choose(place.pipeline, python, only)
    for line in (*(f"warning: {warning}" for warning in place.pipeline.warnings), *chosen.lines):
        typer.echo(line, err=True)
    stopping = threading.Event()
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # ignored: nohup
    for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
        signal.signal(number, lambda _number, _frame: stopping.set())
    wishes = laptop.Wishes(tuple(variables), given, chosen, only, resume)
    with laptop.running(place, wishes) as current:
        known = {*place.pipeline.warnings, *chosen.notes}
        record = _follow(current, stopping, output, known, stay=not exit_when_ready)
        if record.phase == "Failed" and output == "text":
            _last_words(current, record)
        if record.phase == "Invalid" and len(record.problems) > 1 and output == "text":
            typer.echo("\n".join(record.problems), err=True)
        over = current.over(record)
        if stopping.is_set():
            typer.echo("stopping the services" if over else "interrupted: stopping what runs", err=True)
        code = EXITS.get(record.phase, exits.FAILED) if over else exits.INTERRUPTED
    raise typer.Exit(code)


def _follow(current: "LaptopRun", stopping: threading.Event, output: str, known: set[str], *, stay: bool) -> "Record":
    """Show the run until it is over, and its services until somebody stops it; return the last record.

    Warnings that a run adds to the `known` ones, and what it waits for, are shown as they come.
    """
    from controller.cli.show import screen  # noqa: PLC0415

    shown = screen(output)
    try:
        while True:
            record = current.record()
            over = current.over(record)
            warned = record.problems if record.spec and record.phase != "Invalid" else ()
            for warning in (line for line in warned if line not in known):
                typer.echo(f"warning: {warning}", err=True)
                known.add(warning)
            if record.phase == "Pending" and record.message and record.message not in known:
                typer.echo(f"waiting: {plain(record.message)}", err=True)
                known.add(record.message)
            _show(shown, current, record)
            for warning in current.warnings(record):
                typer.echo(f"warning: {plain(warning)}", err=True)
            serving = (
                over and record.phase in ("Ready", "Degraded") and stay and _serves(current.place.pipeline, record)
            )
            if over and not serving:
                return record
            if stopping.wait(LOOK):
                return record
    finally:
        shown.close()


def _show(shown: "Screen", current: "LaptopRun", record: "Record") -> None:
    from controller.cli.show import Scene  # noqa: PLC0415

    running = [name for name, stage in record.stages.items() if stage.state == "Running"]
    tails = {name: plain(lines[0]) for name in running if (lines := current.tail(record.run, name, 1))}
    place = current.place
    over = current.over(record)
    shown.show(Scene(record, place.shown, place.pipeline.steps, over, tails, current.addresses()))


def _last_words(current: "LaptopRun", record: "Record") -> None:
    for name, stage in record.stages.items():
        if stage.state == "Failed" and (lines := current.tail(record.run, name, LAST_LINES)):
            typer.echo(f"\nthe last lines of stage {name}:", err=True)
            for line in lines:
                typer.echo(f"  {plain(line)}", err=True)


def _serves(pipeline: "Pipeline", record: "Record") -> bool:
    """Return whether this run has brought a service up. Those of an earlier run ended with that run."""
    from controller.core.model import Service  # noqa: PLC0415 (as above)

    up = {name for name, stage in record.stages.items() if stage.state in ("Done", "Unchanged")}
    return any(isinstance(stage.work, Service) and name in up for name, stage in pipeline.stages.items())


def _file(path: Path) -> dict[str, str]:
    """Give the pairs of a secrets file. Its lines are never shown, not even wrong ones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("WrongUse", [f"--secrets: {path} can't be read as text: {type(error).__name__}"]) from None
    pairs = [(number, *line.partition("=")) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if wrong := [number for number, _, equals, _ in pairs if not equals]:
        raise Invalid("WrongUse", [f"--secrets: {path}, line {number}: expected NAME=VALUE" for number in wrong])
    return {name.strip(): value.strip().strip("'\"") for _, name, _, value in pairs}
