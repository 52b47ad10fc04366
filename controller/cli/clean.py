"""`coachwork clean`: free what runs left on this machine."""

import re
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from controller.adapters import removal
from controller.adapters.volume import Archive
from controller.app import clean as app
from controller.app.clean import Piece
from controller.app.kept import Kept
from controller.app.state import named_folder, state_folder
from controller.cli import text
from controller.cli.connect import is_folder
from controller.cli.options import Output
from controller.core.archive import Archived
from controller.core.errors import Invalid, NotFound
from controller.core.exits import Exit
from controller.core.text import clean as cleaned
from controller.core.text import format_size, nearest, parse_duration, quoted

DAY = 86400

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Remove the runs of this project, by its name or its folder.", show_default=False
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="Remove the runs of all projects, too.")]
OlderThan = Annotated[
    str, typer.Option(metavar="DURATION", help="Only what was not used for this long, like 12h or 7d.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before runs are removed.")]


def clean(
    name: Name = "",
    everything: Everything = False,
    older_than: OlderThan = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = "text",
) -> None:
    """Free what runs left on this machine.

    Without NAME and --all, that is what the next run makes again: packages, copies of code, tools. Runs with their logs
    and artifacts go only if they are named.
    """
    if name and everything:
        raise Invalid("WrongUse", ["NAME and --all: give one of them"])
    before = time.time() - _seconds(older_than) if older_than else None
    root = state_folder()
    every = list(Archive(root, lambda _name: "").requests())
    chosen = [_named(root, name)] if name else every
    with app.locked(root, chosen, only=bool(name)):
        pieces = [] if name else app.old(app.made_again(root), before)
        runs = app.old(app.runs(root, chosen, before), before) if name or everything else []
        sizes = removal.sizes(piece.place for piece in (*pieces, *runs))
        rows = _parts([*pieces, *runs], sizes)
        asks = _asks(runs, sure=dry_run or yes)
        if output == "text":
            _show(root, rows, sum(sizes), planned=dry_run or asks)
        if asks:
            _confirm(len(runs))
        if not dry_run:
            _remove([*pieces, *runs])
    if every and not runs and output == "text":
        typer.echo("runs stay, with their logs and artifacts: coachwork clean NAME, or --all, removes them", err=True)
    if output == "json":
        parts = [{"part": part, "folders": count, "bytes": size} for part, count, size in rows]
        text.write(output, {"folder": str(root), "removed": not dry_run, "bytes": sum(sizes), "parts": parts}, ())


def _named(root: Path, name: str) -> Archived:
    """Return the project in a folder, or that of a name that ran last, as all commands have it. Raises NotFound."""
    kept = Kept(root)
    if is_folder(name):
        return kept.find(named_folder(name))
    if found := kept.all().get(name):
        return found
    raise NotFound(f"no project {quoted(name)} has run on this machine: {nearest(name, kept.all())}")


def _seconds(older_than: str) -> float:
    days = re.fullmatch(r"([0-9]{1,5})d", older_than)
    found = int(days[1]) * DAY if days else parse_duration(older_than)
    if found is None:
        raise Invalid("WrongUse", [f"--older-than: expected a duration like 30m, 12h or 7d, got {quoted(older_than)}"])
    return found


def _parts(pieces: list[Piece], sizes: list[int]) -> list[tuple[str, int, int]]:
    """Return each part with the number of its folders and its bytes."""
    parts: dict[str, list[int]] = defaultdict(list)
    for piece, size in zip(pieces, sizes, strict=True):
        parts[piece.part].append(size)
    return [(part, len(found), sum(found)) for part, found in parts.items()]


def _show(root: Path, rows: list[tuple[str, int, int]], total: int, *, planned: bool) -> None:
    """Show what goes; `planned`: not yet, or not at all."""
    if not rows:
        typer.echo(f"nothing to remove in {root}")
        return
    cells = [(part, str(count), format_size(size)) for part, count, size in rows]
    verb = "would free" if planned else "frees"
    lines = [*text.columns(("what", "folders", "size"), cells), f"{verb} {format_size(total)} in {root}"]
    typer.echo("\n".join(lines))


def _asks(runs: list[Piece], *, sure: bool) -> bool:
    """Return whether a person has to be asked. Raises Invalid without a terminal to answer on."""
    if not runs or sure:
        return False
    if not sys.stdin.isatty():
        line = "clean asks before it removes runs, and there is no terminal to answer on: add --yes"
        raise Invalid("WrongUse", [line])
    return True


def _confirm(count: int) -> None:
    """Ask whether runs may go. Raises Exit where they may not."""
    if not typer.confirm(f"remove {count} folders of runs with their logs and artifacts?", err=True):
        typer.echo("nothing was removed", err=True)
        raise typer.Exit(Exit.CANCELLED)


def _remove(pieces: list[Piece]) -> None:
    """Remove all of them, and say what stays."""
    with text.patience("removing"):
        left = [piece for piece in pieces if not piece.remove()]
    if left:
        typer.echo(f"{len(left)} folders could not be removed, like {cleaned(str(left[0].place))}", err=True)
