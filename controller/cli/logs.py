"""`coachwork logs`: what stages printed, while they run and long after their pods are gone."""

import codecs
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from controller.cli import complete, text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests, Standing, number
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.text import clean

INTERVAL = 1.0  # seconds between two checks for logs that have begun
Entry = dict[str, Any]
_printing = threading.Lock()


@connected(local=True)
def logs(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    requests: Requests,
    name: Name,
    stage: Annotated[
        str,
        typer.Argument(
            metavar="STAGE", help="The stage; by default all.", show_default=False, autocompletion=complete.stages
        ),
    ] = "",
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A number, latest or good; by default the newest with such a log.",
            autocompletion=complete.runs,
        ),
    ] = "",
    attempt: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="The attempt; 0 is the newest.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the logs end.")] = False,
    tail: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Show only this many of the last lines; 0 shows all.")
    ] = 0,
    output: Output = "text",
) -> None:
    """Show what stages printed.

    The logs of environments are included, and those of pods that are gone.
    """
    standing = requests.one(name)
    run_number = str(number(standing, run)) if run else ""
    if output == "json":
        found = requests.person.entries("api", "logs", name, run=run_number)
        text.write(output, [entry for entry in found if stage in ("", entry.get("stage"))], ())
        return
    query = {"run": run_number, "attempt": str(attempt or ""), "tail": str(tail or ""), "follow": "1" if follow else ""}
    if stage:
        with requests.person.page("api", "logs", name, stage, query=query) as body:
            _show(body)
        _notes([] if follow else requests.person.entries("api", "logs", name, run=run_number), stage, attempt)
    elif follow:
        _follow(requests, standing, str(number(standing, run or "latest")), query)
    else:
        _show_all(requests, name, query)


def _show_all(requests: Requests, name: str, query: dict[str, str]) -> None:
    """Show one log of each stage, one after the other."""
    entries = newest(requests.person.entries("api", "logs", name, run=query["run"]), int(query["attempt"] or 0))
    entries.sort(key=lambda entry: str(entry.get("started") or ""))
    if not entries:
        raise NotFound(f"{name} has no such logs: nothing has begun, or nothing is kept: coachwork runs {name}")
    for at, entry in enumerate(entries):
        typer.echo(("\n" if at else "") + f"==> {_title(entry)} <==")
        one = {**query, "attempt": str(entry["attempt"])}
        with requests.person.page("api", "logs", name, str(entry["stage"]), query=one) as body:
            _show(body)
        _notes([entry], str(entry["stage"]), 0)


def _follow(requests: Requests, standing: Standing, run: str, query: dict[str, str]) -> None:
    """Show the logs of a run as they grow, each in a thread of its own, until all have ended and the run is over."""
    followed: dict[str, threading.Thread] = {}
    pause = threading.Event()
    while True:
        record = requests.one(standing.name).record
        over = not (record.active and str(record.run) == run)
        entries = requests.person.entries("api", "logs", standing.name, run=run)
        for stage in sorted({str(entry.get("stage", "")) for entry in entries} - {*followed}):
            arguments = (requests, standing.name, stage, {**query, "run": run})
            followed[stage] = threading.Thread(target=_stream, args=arguments, daemon=True)
            followed[stage].start()
        if over and not any(thread.is_alive() for thread in followed.values()):
            return
        pause.wait(INTERVAL)


def _stream(requests: Requests, name: str, stage: str, query: dict[str, str]) -> None:
    prefix = f"{clean(stage)}: "
    try:
        with requests.person.page("api", "logs", name, stage, query=query) as body:
            _show(body, prefix)
    except (Transient, NotFound, Invalid) as error:
        typer.echo(f"{prefix}{error}", err=True)


def _show(chunks: Iterable[bytes], prefix: str = "") -> None:
    """Write a log: harmless lines to a terminal or under a prefix, the very bytes anywhere else."""
    if not prefix and not sys.stdout.isatty():
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    for line in _lines(chunks):
        with _printing:
            typer.echo(prefix + text.plain(line.rstrip("\r").rpartition("\r")[2]))  # of a progress bar, its last state


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a log as they arrive; the last may have no end."""
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
    if rest:
        yield rest


def newest(entries: Iterable[Entry], attempt: int = 0) -> list[Entry]:
    """Return one log of each stage: of this attempt, 0: of the newest."""
    found: dict[str, Entry] = {}
    for entry in entries:
        stage, at = entry.get("stage"), entry.get("attempt")
        if isinstance(stage, str) and isinstance(at, int) and attempt in (0, at):
            best = found.get(stage)
            found[stage] = entry if best is None or at > best["attempt"] else best
    return list(found.values())


def _title(entry: Entry) -> str:
    return clean(f"{entry.get('stage', '')}, attempt {entry.get('attempt', '')}")


def _notes(entries: list[Entry], stage: str, attempt: int) -> None:
    """Say on standard error what a log lacks."""
    for entry in newest((entry for entry in entries if entry.get("stage") == stage), attempt):
        notes = entry.get("notes") or ()
        for note in [notes] if isinstance(notes, str) else notes:
            typer.echo(f"note: {_title(entry)}: {clean(str(note))}", err=True)
