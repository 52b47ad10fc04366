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
from controller.core import checks
from controller.core.errors import Invalid, NotFound, Transient

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing

LOOK = 1.0  # seconds between two looks for logs that have begun
Entry = dict[str, Any]
Run = Annotated[str, typer.Option("--run", metavar="RUN", help="A number, latest or good.")]
_printing = threading.Lock()


@reported
@connected
def logs(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    there: "Remote",
    name: Name,
    stage: Annotated[str, typer.Argument(metavar="[STAGE]", help="The stage; else all.", show_default=False)] = "",
    run: Run = "latest",
    attempt: Annotated[int, typer.Option(min=0, help="The attempt's number; 0: the newest.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the logs end.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="The last so many lines only; 0: all.")] = 0,
    output: Output = "text",
) -> None:
    """Show what stages printed, those of environments included, also when their pods are gone."""
    standing = there.one(name)
    number = there.number(standing, run)
    if output == "json":
        found = there.logs(name, str(number))
        typer.echo(json.dumps([entry for entry in found if stage in ("", entry.get("stage"))]))
        return
    query = {"attempt": str(attempt or ""), "tail": str(tail or ""), "run": str(number)}
    if follow:
        _follow(there, standing, number, stage, {**query, "follow": "1"})
        return
    entries = _newest(there.logs(name, str(number)), stage, attempt)
    if not entries:
        raise NotFound(_nothing(there, standing, number, stage, attempt))
    for at, entry in enumerate(entries):
        if len(entries) > 1:
            typer.echo(("\n" if at else "") + f"==> {_title(entry)} <==")
        one = {**query, "attempt": str(entry.get("attempt", ""))}
        with there.log(name, str(entry.get("stage", "")), one) as body:
            _show(body)
        _notes(entry)


def _follow(there: "Remote", standing: "Standing", number: int, stage: str, query: dict[str, str]) -> None:
    """Show the logs of a run as they grow, each in a thread of its own, until all have ended and the run is over."""
    followed: dict[tuple[str, Any], threading.Thread] = {}
    alone, pause = bool(stage), threading.Event()
    while True:
        kept = there.one(standing.name).record
        over = not (kept.active and kept.run == number)
        for entry in _newest(there.logs(standing.name, str(number)), stage, int(query["attempt"] or 0)):
            key = str(entry.get("stage", "")), entry.get("attempt")
            if key not in followed:
                one = {**query, "attempt": str(entry.get("attempt", ""))}
                arguments = (there, standing.name, key[0], one, "" if alone else f"{key[0]}: ")
                followed[key] = threading.Thread(target=_stream, args=arguments, daemon=True)
                followed[key].start()
        if over and not followed:
            raise NotFound(_nothing(there, standing, number, stage, int(query["attempt"] or 0)))
        if over and not any(thread.is_alive() for thread in followed.values()):
            return
        pause.wait(LOOK)


def _stream(there: "Remote", name: str, stage: str, query: dict[str, str], prefix: str) -> None:
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


def _newest(entries: list[Entry], stage: str, attempt: int) -> list[Entry]:
    """Give one log for each stage that is asked for: of this attempt, 0: of the newest."""
    found: dict[str, Entry] = {}
    for entry in entries:
        name, number = str(entry.get("stage", "")), entry.get("attempt")
        if stage in ("", name) and isinstance(number, int) and attempt in (0, number):
            best = found.get(name)
            found[name] = entry if best is None or number > best["attempt"] else best
    return list(found.values())


def _nothing(there: "Remote", standing: "Standing", number: int, stage: str, attempt: int) -> str:
    """Give the sentence for a log that is not there: with the stages that have one."""
    what = f"attempt {attempt}" if attempt else "no log"
    place = f"{what} of run {number} of {standing.name}{f', stage {checks.shown(stage)}' if stage else ''}"
    known = sorted({str(entry.get("stage", "")) for entry in there.logs(standing.name, str(number))})
    if stage and known and stage not in known:
        return f"{place}: {checks.nearest(stage, known)}"
    return f"{place}: {'there is none' if attempt else 'nothing was printed, or it is no longer kept'}"


def _title(entry: Entry) -> str:
    return checks.printable(f"{entry.get('stage', '')}, attempt {entry.get('attempt', '')}")


def _notes(entry: Entry) -> None:
    """Say on standard error what a log lacks."""
    notes = entry.get("notes") or ()
    for note in [notes] if isinstance(notes, str) else notes:
        typer.echo(f"note: {_title(entry)}: {checks.printable(str(note))}", err=True)
