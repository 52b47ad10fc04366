"""`coachwork logs`: what stages printed, while they run and long after their pods are gone."""

import codecs
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli import text
from controller.cli.connected import Name, connected
from controller.cli.exits import Output, reported
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.inputs import checks

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing

LOOK = 1.0  # seconds between two looks for logs that have begun
Entry = dict[str, Any]
Run = Annotated[str, typer.Option("--run", metavar="RUN", help="A number, latest or good.")]
NewestRun = Annotated[
    str, typer.Option("--run", metavar="RUN", help="A number, latest or good; else the newest that has such a log.")
]
_printing = threading.Lock()


@reported
@connected
def logs(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    there: "Remote",
    name: Name,
    stage: Annotated[str, typer.Argument(metavar="[STAGE]", help="The stage; else all.", show_default=False)] = "",
    run: NewestRun = "",
    attempt: Annotated[int, typer.Option(min=0, help="The attempt's number; 0: the newest.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the logs end.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="The last so many lines only; 0: all.")] = 0,
    output: Output = "text",
) -> None:
    """Show what stages printed, those of environments included, also when their pods are gone."""
    standing = there.one(name)
    number = str(there.number(standing, run)) if run else ""
    if output == "json":
        found = there.logs(name, number)
        typer.echo(json.dumps([entry for entry in found if stage in ("", entry.get("stage"))]))
        return
    query = {"run": number, "attempt": str(attempt or ""), "tail": str(tail or ""), "follow": "1" if follow else ""}
    if stage:
        with there.log(name, stage, query) as body:
            _show(body)
        _notes([] if follow else there.logs(name, number), stage, attempt)
    elif follow:
        _follow(there, standing, str(there.number(standing, run or "latest")), query)
    else:
        _all(there, name, number, query)


def _all(there: "Remote", name: str, run: str, query: dict[str, str]) -> None:
    """Show one log of each stage, one after the other."""
    entries = newest(there.logs(name, run), int(query["attempt"] or 0))
    entries.sort(key=lambda entry: str(entry.get("started") or ""))
    if not entries:
        raise NotFound(f"{name} has no such logs: nothing has begun, or nothing is kept: coachwork runs {name}")
    for at, entry in enumerate(entries):
        typer.echo(("\n" if at else "") + f"==> {_title(entry)} <==")
        one = {**query, "attempt": str(entry["attempt"])}
        with there.log(name, str(entry["stage"]), one) as body:
            _show(body)
        _notes([entry], str(entry["stage"]), 0)


def _follow(there: "Remote", standing: "Standing", run: str, query: dict[str, str]) -> None:
    """Show the logs of a run as they grow, each in a thread of its own, until all have ended and the run is over."""
    followed: dict[str, threading.Thread] = {}
    pause = threading.Event()
    while True:
        kept = there.one(standing.name).record
        over = not (kept.active and str(kept.run) == run)
        for stage in sorted({str(entry.get("stage", "")) for entry in there.logs(standing.name, run)} - {*followed}):
            arguments = (there, standing.name, stage, {**query, "run": run})
            followed[stage] = threading.Thread(target=_stream, args=arguments, daemon=True)
            followed[stage].start()
        if over and not any(thread.is_alive() for thread in followed.values()):
            return
        pause.wait(LOOK)


def _stream(there: "Remote", name: str, stage: str, query: dict[str, str]) -> None:
    prefix = f"{checks.printable(stage)}: "
    try:
        with there.log(name, stage, query) as body:
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
    """Give the lines of a log as they come; the last may have no end."""
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
    if rest:
        yield rest


def newest(entries: Iterable[Entry], attempt: int = 0) -> list[Entry]:
    """Give one log for each stage: of this attempt, 0: of the newest."""
    found: dict[str, Entry] = {}
    for entry in entries:
        stage, number = entry.get("stage"), entry.get("attempt")
        if isinstance(stage, str) and isinstance(number, int) and attempt in (0, number):
            best = found.get(stage)
            found[stage] = entry if best is None or number > best["attempt"] else best
    return list(found.values())


def _title(entry: Entry) -> str:
    return checks.printable(f"{entry.get('stage', '')}, attempt {entry.get('attempt', '')}")


def _notes(entries: list[Entry], stage: str, attempt: int) -> None:
    """Say on standard error what a log lacks."""
    for entry in newest((entry for entry in entries if entry.get("stage") == stage), attempt):
        notes = entry.get("notes") or ()
        for note in [notes] if isinstance(notes, str) else notes:
            typer.echo(f"note: {_title(entry)}: {checks.printable(str(note))}", err=True)
