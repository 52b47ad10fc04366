"""`coachwork run`: a project on this machine, with no cluster."""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from controller.adapters import pythons
from controller.app import laptop
from controller.app.laptop import LaptopRun
from controller.app.place import find
from controller.app.state import state_folder
from controller.app.stopping import stop_on_signals
from controller.cli import text
from controller.cli.options import Folder, Output, Ref, Target, Variables, Whole
from controller.cli.report import all_of
from controller.cli.scene import Scene
from controller.cli.show import LAST_LINES, Screen, last_words, screen
from controller.cli.stream import Stream
from controller.core.errors import Invalid
from controller.core.exits import Exit
from controller.core.inputs import kinds, secretsfile
from controller.core.model import STARTING, SUCCEEDED, Record, Service
from controller.core.text import clean

GRACE = "; what does not end is killed after 10 s"  # Machine.stop_grace
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
Ui = Annotated[bool, typer.Option("--ui", help="Show the run in a browser; stays until Ctrl-C, services or not.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Do not show what the stages print, but at the end of one that failed.")
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
    whole: Whole = False,
    python: Python = "",
    exit_when_ready: ExitWhenReady = False,
    ui: Ui = False,
    quiet: Quiet = False,
    output: Output = "text",
) -> None:
    """Run a project on this machine, without a cluster.

    A folder is taken as it stands. What the stages print is shown as it comes. Services stay up until Ctrl-C. Secrets
    come from the shell's variables of their names, or from --secrets.
    """
    _, variables, given, interpreter = all_of(
        lambda: _check_parts(only, resume, whole=whole),
        lambda: text.pairs("--env", env or []),
        lambda: _secrets(secrets) if secrets else {},
        lambda: pythons.named(python) if python else None,
    )
    with text.patience(f"reading the project from {clean(target)}"):
        place = find(target, ref, path, python=pythons.judging(interpreter))
    with text.patience("looking for the Python of the stages"):
        chosen = pythons.choose(place.pipeline, interpreter, only)
    typer.echo("".join(f"warning: {line}\n" for line in place.pipeline.warnings), err=True, nl=False)
    stopping = stop_on_signals(signal.SIGHUP)
    options = laptop.Options(tuple(variables), {**os.environ, **given}, chosen, only, resume, whole)
    stream = Stream(place.own) if output == "text" and not quiet else None
    view = stream or screen(output)
    with closing(view):
        with laptop.running(place, options) as current, _page(current, view) if ui else nullcontext():
            for line in chosen.lines:
                view.note(line)
            following = _Following(current, view, stream, {*place.pipeline.warnings, *chosen.notes})
            record = following.to_the_end(stopping, stay=not exit_when_ready, page=ui, quiet=output == "json")
            over = current.over(record)
            if output == "text":
                _say_last_words(current, record, view, LAST_LINES if quiet else 0)
            for line in _ending(current, record, resumes=not only) if stopping.is_set() else ():
                view.note(line)
        following.show_output(record, whole=True)  # what they printed while they ended
    raise typer.Exit(EXITS.get(record.phase, Exit.FAILED) if over else Exit.INTERRUPTED)


def _check_parts(only: str, resume: str, *, whole: bool) -> None:
    given = [option for option, value in (("--only", only), ("--from", resume), ("--all", whole)) if value]
    if len(given) > 1:
        raise Invalid("WrongUse", [f"{' and '.join(given)}: give one of them"])


def _secrets(path: Path) -> dict[str, str]:
    """Return the pairs of a secrets file. Its lines are never shown, not even malformed ones."""
    try:
        values, problems = secretsfile.parse(path.read_bytes())
    except OSError as error:
        raise Invalid("WrongUse", [f"--secrets: {path} can't be read: {error.strerror}"]) from None
    if problems:
        raise Invalid("WrongUse", kinds.bounded(f"--secrets: {path}, {problem}" for problem in problems))
    return values


def _page(current: LaptopRun, view: Screen) -> AbstractContextManager[None]:
    """Serve the page of what runs and ran here, as `coachwork ui --local` does, and open it at this run."""
    from controller.adapters.web.server import Pages  # noqa: PLC0415 (loads what a run without a page need not)
    from controller.app.kept import Kept  # noqa: PLC0415 (as above)
    from controller.cli.ui import opened  # noqa: PLC0415 (as above)

    kept = Kept(state_folder())
    kept.mean(current.name, current.place.uid)
    return opened(
        Pages(kept.site()),
        0,
        f"requests/{current.name}",
        note=lambda address: view.note(f"page: {address}"),
    )


class _Following:
    """What a person sees of one run, as it goes on."""

    def __init__(self, current: LaptopRun, view: Screen, stream: Stream | None, shown: set[str]) -> None:
        """Show it on `view`, and what is printed on `stream`; warnings that are `shown` are not shown again."""
        self._current, self._view, self._stream, self._shown = current, view, stream, shown
        self._began = time.monotonic()

    def to_the_end(self, stopping: threading.Event, *, stay: bool, page: bool, quiet: bool) -> Record:
        """Show the run until it is over, and its services or its `page` until they are stopped; return the last record.

        `quiet`: where everything is does not have to be said once it is over.
        """
        running, said = set[str](), quiet
        while True:
            record = _begun(self._current.record())
            over = self._current.over(record)
            stays = stay and (page or self._serves(record))
            # What a stage prints comes after the line that it runs, and before the line that it has ended.
            heard = {name: it for name, it in record.stages.items() if name in running or it.state != "Running"}
            self.show_output(replace(record, stages=heard), whole=over and not stays)  # a service may never stop
            self._show_notes(record)
            self._view.show(self._scene(record, over=over, stays=over and stays and said))
            running = {name for name, stage in record.stages.items() if stage.state == "Running"}
            if over and not said:
                said = True
                for line in _places(self._current, record):
                    self._view.note(line)
                continue
            if (over and not stays) or stopping.wait(INTERVAL):
                return record

    def show_output(self, record: Record, *, whole: bool) -> None:
        """Show what the stages have printed since the last time: `whole`: all of it, however much it is."""
        while self._stream:
            found = False
            for printed in self._current.output.fresh(record):
                found = True
                self._stream.printed(printed.stage, printed.attempt, printed.piece)
            if not (found and whole):
                return

    def _show_notes(self, record: Record) -> None:
        """Show each warning, and what the run waits for before it begins, once."""
        warned = record.problems if record.spec and record.phase != "Invalid" else ()
        notes = [f"warning: {line}" for line in (*warned, *self._current.warnings(record)) if line not in self._shown]
        if record.phase == "Pending" and record.message:
            notes.append(f"waiting: {record.message}")
        for line in notes:
            if line not in self._shown:
                self._shown.add(line)
                self._view.note(text.plain(line))

    def _scene(self, record: Record, *, over: bool, stays: bool) -> Scene:
        current, tails = self._current, dict[str, str]()
        if not self._stream:
            stages = record.stages.items()  # one with a message says that: it waits, or has many indexes
            running = [name for name, stage in stages if stage.state == "Running" and not stage.message]
            tails = {name: text.plain(lines[0]) for name in running if (lines := current.tail(record.run, name, 1))}
        shown, steps, elapsed = current.place.shown, current.place.pipeline.steps, time.monotonic() - self._began
        return Scene(
            record, shown, steps, over, tails, current.addresses(), elapsed=elapsed, stays=stays,
            progress=current.progress(record),
        )  # fmt: skip

    def _serves(self, record: Record) -> bool:
        """Return whether the run has brought up services. What an earlier one has brought up ended with it."""
        stages = self._current.place.pipeline.stages
        up = {name for name, stage in record.stages.items() if stage.state in ("Done", "Unchanged")}
        serves = any(isinstance(stages[name].work, Service) for name in up & stages.keys())
        return serves and record.phase in ("Ready", "Degraded")


def _say_last_words(current: LaptopRun, record: Record, view: Screen, lines: int) -> None:
    """Say why a run failed, with the last lines of failed stages: so many of each."""
    more = f"coachwork logs {current.name} {{}} --local".format
    last_words(record, lambda stage: current.tail(record.run, stage, lines) if lines else [], more, view.note)


def _begun(record: Record) -> Record:
    """Return the record with stages that start as running: here they do at once, and may print before that is seen."""
    stages = {
        name: replace(stage, reason="") if stage.reason == STARTING and not stage.message else stage
        for name, stage in record.stages.items()
    }
    return replace(record, stages=stages)


def _places(current: LaptopRun, record: Record) -> Iterator[str]:
    """Yield the commands that show artifacts and logs of a run, and the folder that they are in."""
    if not record.run:
        return
    run = "" if record.phase in ("Ready", "Degraded") else f" --run {record.run}"  # by default, a good one's
    folder = current.folder(record)
    left = [(kind, more) for kind, more in (("artifacts", run), ("logs", "")) if any((folder / kind).glob("*"))]
    for kind, more in left:
        yield f"{kind}: coachwork {kind} {current.name} --local{more}"
    if left:
        yield f"kept in {folder}"


def _ending(current: LaptopRun, record: Record, *, resumes: bool) -> Iterator[str]:
    """Yield what is stopped by a person who presses Ctrl-C, and the command that goes on, where a run `resumes`."""
    over, addresses = current.over(record), current.addresses()
    running = [] if over else [name for name, stage in record.stages.items() if stage.state == "Running"]
    names = ", ".join(dict.fromkeys([*running, *addresses]))
    if over or running:
        yield f"{'' if over else 'interrupted: '}stopping {f'{names}{GRACE}' if names else 'the page'}"
    else:
        yield "interrupted"
    if resumes and not over and (stage := _undone(record, current.place.pipeline.steps)):
        yield f"go on: coachwork {shlex.join(_onward(sys.argv[1:], stage))}"


def _undone(record: Record, steps: Iterable[Iterable[str]]) -> str:
    """Return the first stage that has not succeeded; "" in the first step, before which there is nothing to keep."""
    done = {name for name, stage in record.stages.items() if stage.state in SUCCEEDED}
    first = next(((number, name) for number, step in enumerate(steps) for name in step if name not in done), (0, ""))
    return first[1] if first[0] else ""


def _onward(words: Iterable[str], stage: str) -> list[str]:
    """Return the words of a command that runs what another has left undone, from this stage on."""
    rest, kept = iter(words), list[str]()
    for word in rest:
        if word == "--from":
            next(rest)
        elif word != "--all" and not word.startswith("--from="):  # a part of a project is chosen in one way
            kept.append(word)
    return [*kept, "--from", stage]
