"""`coachwork logs`: what stages printed, while they run and long after their pods are gone."""

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer

from controller.adapters.pages import Page
from controller.cli import complete, text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests, Standing, number
from controller.core import model, names
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.model import Record
from controller.core.text import clean

Query = dict[str, str]
Form = Callable[[str], str]
MANY = 10  # indexes of a stage of which all are shown with other stages
AT_ONCE = 8  # logs that one command follows: the controller has room for ten
INTERVAL = 1.0  # seconds between two checks for logs that have begun
Entry = dict[str, Any]
_printing = threading.Lock()

Stage = Annotated[
    str,
    typer.Argument(
        metavar="STAGE", help="The stage; by default all.", show_default=False, autocompletion=complete.stages
    ),
]
Run = Annotated[
    str,
    typer.Option(
        metavar="RUN",
        help="A number, latest or good; by default the newest with such a log.",
        autocompletion=complete.runs,
    ),
]
Attempt = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="The attempt; 0 is the newest.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the logs end.")]
Tail = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Show only the stage's last lines; 0 shows all.")]
Timestamps = Annotated[
    bool, typer.Option("--timestamps", help="Begin each line with the time at which it came, in UTC.")
]


@connected(local=True)
def logs(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    requests: Requests,
    name: Name,
    stage: Stage = "",
    run: Run = "",
    attempt: Attempt = 0,
    follow: Follow = False,
    tail: Tail = 0,
    timestamps: Timestamps = False,
    output: Output = "text",
) -> None:
    """Show what stages printed.

    The logs of environments are included, and those of pods that are gone.
    """
    standing = requests.one(name)
    run_number = str(number(standing, run)) if run else ""
    query = {"run": run_number, "attempt": str(attempt or ""), "tail": str(tail or ""), "follow": "1" if follow else ""}
    query |= {"timestamps": "1" if timestamps else ""}
    there = standing.record.stages.get(stage)
    if follow and (not stage or (there and there.indexes)):
        _follow(requests, standing, str(number(standing, run or "latest")), query, output, stage)
        return
    found = requests.person.entries("api", "logs", name, run=run_number)
    found = [entry for entry in found if _is_of(entry, stage)]
    chosen = newest(found, attempt)
    if not stage:
        chosen = _without_many(chosen)
    if not chosen and not stage:
        raise NotFound(
            f"{name} has no such logs: nothing has begun, or nothing is kept: {requests.command('runs', name)}"
        )
    for entry in chosen if not run else ():
        _say_older(entry, standing.record)
    if follow:
        _stream(requests, name, stage, query, _as_json(stage) if output == "json" else None)
    elif output == "json":
        every = [entry for entry in found if attempt in (0, entry.get("attempt"))]
        text.write(output, [{**entry, "text": _text(requests, name, entry, query)} for entry in every], ())
    else:
        _show_all(requests, name, chosen or [{"stage": stage}], query, titled=not stage or len(chosen) > 1)


def _is_of(entry: Entry, stage: str) -> bool:
    """Return whether a log is of this stage, or of one of its indexes; "": any."""
    log = str(entry.get("stage", ""))
    return stage in ("", log, names.stage_of(log))


def _without_many(entries: list[Entry]) -> list[Entry]:
    """Return the logs without those of a stage's many indexes that say nothing new: all but failed ones, or the first.

    Says on standard error what is left out.
    """
    stages: dict[str, list[Entry]] = {}
    for entry in entries:
        stages.setdefault(names.stage_of(str(entry["stage"])), []).append(entry)
    shown = []
    for stage, own in stages.items():
        few = own if len(own) <= MANY else [entry for entry in own if entry.get("exit_code")][:MANY] or own[:1]
        shown += few
        if more := len(own) - len(few):
            typer.echo(f"note: {more} of {len(own)} indexes of {clean(stage)} are left out: name the stage", err=True)
    return shown


def _show_all(requests: Requests, name: str, entries: list[Entry], query: Query, *, titled: bool) -> None:
    """Show one log of each stage, one after the other, and what each lacks on standard error."""
    environments = sum(bool(entry.get("environment_of")) for entry in entries)
    for at, entry in enumerate(entries):
        if titled:
            typer.echo(("\n" if at else "") + f"==> {_title(entry, environments)} <==")
        with _opened(requests, name, entry, query) as body:
            _show(body)
        notes = entry.get("notes") or ()
        for note in [notes] if isinstance(notes, str) else notes:
            typer.echo(f"note: {_title(entry, environments)}: {clean(str(note))}", err=True)


def _opened(requests: Requests, name: str, entry: Entry, query: Query) -> Page:
    """Return the log of an attempt, or what an incomplete entry leads to."""
    exact: Query = {key: str(entry[key]) for key in ("run", "attempt") if key in entry}
    return requests.person.page("api", "logs", name, str(entry["stage"]), query={**query, **exact})


def _text(requests: Requests, name: str, entry: Entry, query: Query) -> str:
    with _opened(requests, name, entry, query) as body:
        return b"".join(body).decode(errors="replace")


def _say_older(entry: Entry, record: Record) -> None:
    """Say on standard error where the newest run passed a stage over, so that an older one has its log."""
    stage, run = str(entry.get("stage", "")), entry.get("run", record.run)
    if run != record.run and (there := record.stages.get(names.stage_of(stage))):
        words = (
            f"{clean(stage)} did not run in run {record.run} ({there.state}): this is its log of run {clean(str(run))}"
        )
        typer.echo(f"note: {words}", err=True)


def _follow(requests: Requests, standing: Standing, run: str, query: Query, output: str, only: str) -> None:
    """Show the logs of a run as they grow, each in a thread of its own, until all have ended and the run is over.

    `only`: those of this stage. Of many, the next ones are followed as others end.
    """
    followed: dict[str, threading.Thread] = {}
    pause = threading.Event()

    def stream(stage: str) -> None:
        form = _as_json(stage) if output == "json" else lambda line: f"{clean(stage)}: {text.final(line)}"
        try:
            _stream(requests, standing.name, stage, {**query, "run": run}, form)
        except (Transient, NotFound, Invalid) as error:
            typer.echo(f"{clean(stage)}: {error}", err=True)

    while True:
        record = requests.one(standing.name).record
        over = not (record.active and str(record.run) == run)
        entries = requests.person.entries("api", "logs", standing.name, run=run)
        stages = dict.fromkeys(str(entry.get("stage", "")) for entry in entries if _is_of(entry, only))
        living = [thread for thread in followed.values() if thread.is_alive()]
        for stage in [stage for stage in stages if stage not in followed][: AT_ONCE - len(living)]:
            followed[stage] = threading.Thread(target=stream, args=(stage,), daemon=True)
            followed[stage].start()
        if over and stages.keys() <= followed.keys() and not any(thread.is_alive() for thread in followed.values()):
            return
        pause.wait(INTERVAL)


def _stream(requests: Requests, name: str, stage: str, query: Query, form: Form | None) -> None:
    with requests.person.page("api", "logs", name, stage, query=query) as body:
        _show(body, form)


def _as_json(stage: str) -> Form:
    return lambda line: json.dumps({"stage": stage, "line": line})


def _show(chunks: Iterable[bytes], form: Form | None = None) -> None:
    """Write a log: harmless lines to a terminal, lines in this form, the very bytes anywhere else."""
    if not form and not sys.stdout.isatty():
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    for line in _lines(chunks):
        with _printing:
            typer.echo((form or text.final)(line))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a log as they arrive; the last may have no end."""
    lines = text.Lines()
    for chunk in chunks:
        yield from lines.feed(chunk)
    yield from lines.feed(b"", last=True)


def newest(entries: Iterable[Entry], attempt: int = 0) -> list[Entry]:
    """Return one log of each stage: of this attempt, 0: of the newest."""
    found: dict[str, Entry] = {}
    for entry in entries:
        stage, at = entry.get("stage"), entry.get("attempt")
        if isinstance(stage, str) and isinstance(at, int) and attempt in (0, at):
            best = found.get(stage)
            found[stage] = entry if best is None or at > best["attempt"] else best
    return list(found.values())


def _title(entry: Entry, environments: int) -> str:
    users = [str(stage) for stage in entry.get("environment_of") or ()]
    return clean(
        f"{model.titled(str(entry.get('stage', '')), users, environments)}, attempt {entry.get('attempt', '')}"
    )
