"""`coachwork artifacts` and `coachwork diff`: what runs saved, and what is different between two of them."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli import text
from controller.cli.connected import Name, connected
from controller.cli.exits import Output, reported
from controller.cli.logs import Entry, Run
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.inputs import checks

if TYPE_CHECKING:
    from controller.app.remote import Remote
    from controller.core.diff import Change, Difference, StageRun
    from controller.core.documents.run import RunFile

KIBI = 1024


@reported
@connected
def artifacts(
    there: "Remote",
    name: Name,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Fetch this file or folder.", show_default=False)] = "",
    run: Run = "good",
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Fetch into this folder: all, unless PATH names one.")
    ] = None,
    output: Output = "text",
) -> None:
    """List what the last good run, or another, saved in COACHWORK_ARTIFACTS; or fetch it."""
    number = str(there.number(there.one(name), run))
    entries = there.artifacts(name, number)
    if not path and not to:
        _list(output, entries, f"run {number} of {name} saved nothing")
        return
    folder = to or Path()
    if path in [entry.get("path") for entry in entries]:
        file = folder / PurePosixPath(path).name
        there.fetch(name, number, path, file)
        fetched = {file: next(entry for entry in entries if entry.get("path") == path)}
    else:
        below = _below(path, entries, name, number)
        there.fetch_all(name, number, path, folder)
        fetched = {folder / _inside(str(entry["path"]), path): entry for entry in below}
    _check(fetched)
    files = [str(file) for file in fetched]
    lines = [checks.printable(file, 4096) for file in files]
    typer.echo(json.dumps({"run": int(number), "files": files}) if output == "json" else "\n".join(lines))


def _below(path: str, entries: list[Entry], name: str, run: str) -> list[Entry]:
    """Give the artifacts below a folder of them, "" for all. Raises NotFound with the nearest path."""
    known = {str(entry.get("path", "")): entry for entry in entries}
    found = [entry for place, entry in known.items() if not path or PurePosixPath(place).is_relative_to(path)]
    if not found:
        near = checks.printable(checks.nearest(path, known)) if known else "it saved nothing"
        what = f"artifact {checks.shown(path)}" if path else "artifact"
        raise NotFound(f"no {what} of run {run} of {name}: {near}")
    return found


def _inside(path: str, top: str) -> PurePosixPath:
    """Give an artifact's path below the folder that was fetched. Raises Invalid where it would leave that."""
    place = PurePosixPath(path).relative_to(top) if top else PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts:
        raise Invalid("WrongUse", [f"artifact {checks.shown(path)} would leave the folder: fetch the others by name"])
    return place


def _check(fetched: Mapping[Path, Entry]) -> None:
    """See that everything has come whole. Raises Transient where it has not (or where the run still writes)."""
    for file, entry in fetched.items():
        size = entry.get("size")
        if not file.is_file() or (isinstance(size, int) and file.stat().st_size != size):
            shown = checks.shown(str(file))
            raise Transient("ControllerBusy", f"{shown} did not come whole, or has changed meanwhile: try again")


def _size(size: object) -> str:
    """Give a number of bytes as a person reads it."""
    if not isinstance(size, int):
        return "?"
    number, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < KIBI:
            break
        number, unit = number / KIBI, larger
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


@reported
@connected
def diff(
    there: "Remote",
    name: Name,
    before: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A number, latest or good.", show_default=False)
    ] = "good",
    after: Annotated[str, typer.Argument(metavar="[RUN]", help="Another.", show_default=False)] = "latest",
    output: Output = "text",
) -> None:
    """Show what changed between two runs: since the last good one, if no runs are named."""
    from controller.core.diff import compare  # noqa: PLC0415 (imported when called: --help stays quick)

    standing = there.one(name)
    numbers = [there.number(standing, run) for run in (before, after)]
    one, other = (there.run_record(name, str(number)) for number in numbers)
    found = compare(one, other)
    if output == "json":
        told = {"from": _head(numbers[0], one), "to": _head(numbers[1], other), **_as_json(found)}
        typer.echo(json.dumps(told))
    else:
        typer.echo("\n".join(difference(numbers[0], one, numbers[1], other, found)))


def difference(number: int, one: "RunFile", later: int, other: "RunFile", found: "Difference") -> list[str]:
    """Give the lines of a comparison."""
    heads = [
        f"run {number}: {_outcome(one)}".rstrip(": "),
        f"run {later}: {_outcome(other)}".rstrip(": "),
    ]
    changes = [(_what(item), _short(item.before), _short(item.after), ", ".join(item.stages)) for item in found.changes]
    lines = [*map(checks.printable, heads), ""]
    lines += (
        text.columns(("what", f"run {number}", f"run {later}", "stages"), changes)
        if changes
        else ["nothing of what they ran differs"]
    )
    rows = [(name, *_went(was), *_went(now)) for name, (was, now) in found.stages.items()]
    lines += ["", *text.columns(("stage", f"run {number}", "took", f"run {later}", "took"), rows)] if rows else []
    return lines


def _outcome(run: "RunFile") -> str:
    from controller.core.diff import seconds  # noqa: PLC0415 (as above)

    took = text.lasted(seconds(run.started, run.finished))
    message = run.message if run.outcome != "Succeeded" else ""
    return ", ".join(filter(None, [run.outcome, run.finished or run.started, f"took {took}" if took else "", message]))


def _what(change: "Change") -> str:
    return f"{change.kind} {change.name}".rstrip()


def _short(value: str) -> str:
    """Give a value with an image's digest cut as commits are, "-" for none."""
    return re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1", value) or "-"


def _went(stage: "StageRun | None") -> tuple[str, str]:
    if stage is None:
        return "-", ""
    attempts = f" ({stage.attempts} attempts)" if stage.attempts > 1 else ""
    return f"{stage.state}{f' {stage.reason}' if stage.state == 'Failed' else ''}{attempts}", text.lasted(stage.seconds)


def _head(number: int, run: "RunFile") -> dict[str, Any]:
    return {
        "run": number,
        **{key: getattr(run, key) for key in ("outcome", "reason", "message", "started", "finished")},
    }


def _as_json(found: "Difference") -> dict[str, Any]:
    stages = {
        name: {"from": asdict(was) if was else None, "to": asdict(now) if now else None}
        for name, (was, now) in found.stages.items()
    }
    return {"changes": [asdict(change) for change in found.changes], "stages": stages}


def _list(output: str, entries: list[Entry], empty: str) -> None:
    rows = ((_size(item.get("size")), str(item.get("modified", "")), str(item.get("path", ""))) for item in entries)
    if output == "json":
        typer.echo(json.dumps(entries))
    elif entries:
        typer.echo("\n".join(text.columns(("size", "modified", "path"), rows)))
    else:
        typer.echo(empty, err=True)
