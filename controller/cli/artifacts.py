"""`coachwork artifacts`: what a run saved, listed or fetched. Nothing is written outside the folder that is named.

Archives are unpacked by hand: `extractall(filter="data")` is not in each Python 3.11 (Debian 12 has 3.11.2), and a
controller sends plain files only: what else arrives was not sent by one.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Protocol

import typer

from controller.adapters.pages import Reader
from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Name, Output, Run
from controller.cli.requests import Requests, number
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.text import clean, nearest, quoted

CHUNK = 1 << 20
LATEST = 253402300799.0  # the last second of the year 9999
UNLISTED = "there are more files, or folders too deep or unreadable: fetch a folder or a file by its path"

Entry = Mapping[str, Any]

Artifact = Annotated[str, typer.Argument(metavar="PATH", help="Fetch this file or folder.", show_default=False)]
To = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Fetch into this folder: all, unless PATH names one.")]


@connected(local=True)
def artifacts(
    requests: Requests,
    name: Name,
    path: Artifact = "",
    run: Run = "good",
    to: To = None,
    output: Output = "text",
) -> None:
    """List or fetch the files that a run saved.

    By default those of the last good run.
    """
    person, run_number = requests.person, str(number(requests.one(name), run))
    saved, complete = person.artifacts(name, run_number)
    entries: dict[str, Entry] = {str(entry.get("path", "")): entry for entry in saved}
    if not path and not to:
        rows = ((text.size(item.get("size")), str(item.get("modified", "")), place) for place, item in entries.items())
        if entries or output == "json":
            text.write(output, list(entries.values()), text.columns(("size", "modified", "path"), rows))
        if not (entries and complete):
            typer.echo(f"run {run_number} of {name} saved nothing" if complete else f"note: {UNLISTED}", err=True)
        return
    folder = to or Path()
    file = folder / PurePosixPath(path).name
    if path in entries:
        fetch(person, name, run_number, path, file)
        fetched = {file: entries[path]}
    elif complete or not path:
        fetched = {folder / place: entry for place, entry in _below(path, entries, name, run_number).items()}
        fetch_all(person, name, run_number, path, folder)
    else:
        fetched = _unlisted(person, name, run_number, path, file)
    for file, entry in fetched.items():
        size = entry.get("size")
        if not file.is_file() or (isinstance(size, int) and file.stat().st_size != size):
            problem = f"{quoted(str(file))} did not arrive whole, or has changed meanwhile: try again"
            raise Transient("ControllerBusy", problem)
    files = [str(file) for file in fetched]
    text.write(output, {"run": int(run_number), "files": files}, [clean(file, 4096) for file in files])


def _unlisted(person: Reader, name: str, run: str, path: str, file: Path) -> dict[Path, Entry]:
    """Fetch a file or a folder of which the list may say nothing, or not all. Raises as `fetch`."""
    try:
        fetch(person, name, run, path, file)
    except NotFound:
        return {place: {} for place in fetch_all(person, name, run, path, file.parent)}
    return {file: {}}


def _below(path: str, entries: Mapping[str, Entry], name: str, run: str) -> dict[PurePosixPath, Entry]:
    """Return the artifacts below a folder ("": all), by their place in it. Raises NotFound with the nearest path.

    Raises Invalid where a place would leave the folder.
    """
    found = {
        PurePosixPath(place).relative_to(path): entry
        for place, entry in entries.items()
        if not path or PurePosixPath(place).is_relative_to(path)
    }
    if not found:
        near = clean(nearest(path, entries)) if entries else "it saved nothing"
        what = f"artifact {quoted(path)}" if path else "artifact"
        raise NotFound(f"no {what} of run {run} of {name}: {near}")
    if outside := [place for place in found if place.is_absolute() or ".." in place.parts]:
        problem = f"artifact {quoted(str(outside[0]))} would leave the folder: fetch the others by name"
        raise Invalid("WrongUse", [problem])
    return found


def fetch(person: Reader, name: str, run: str, path: str, target: Path) -> None:
    """Write one artifact to a file, whole or not at all. Raises NotFound, Transient, Invalid (the file here)."""
    part = target.with_name(f".{target.name}.part")
    with person.page("api", "artifacts", name, run, *path.split("/")) as body, _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                while chunk := body.read(CHUNK):
                    file.write(chunk)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def fetch_all(person: Reader, name: str, run: str, path: str, folder: Path) -> list[Path]:
    """Unpack a run's artifacts below `path` ("": all) into a folder; return the files. Raises as `fetch`."""
    parts = path.split("/") if path else ()
    with person.page("api", "artifacts", name, run, *parts, accept="application/x-tar") as body, _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return unpack(body, folder)
        except tarfile.TarError as error:
            raise Transient("ControllerBusy", f"the artifacts did not arrive whole: {error}") from error


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Invalid("WrongUse", [f"--to: {place}: {error.strerror or error}"]) from error


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


def unpack(stream: Readable, folder: Path) -> list[Path]:
    """Write the archive's files below `folder`, and return them.

    Raises TarError for anything else in it, or where it breaks off.
    """
    root = folder.resolve()
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # it only reads
            return [folder / _unpacked(archive, item, root) for item in archive]
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:  # tarfile's own, of a header
        raise tarfile.ReadError(f"a header that can't be read: {clean(str(error))}") from error


def _unpacked(archive: tarfile.TarFile, item: tarfile.TarInfo, root: Path) -> Path:
    """Write a file of the archive below `root`; return its place there."""
    parts = item.name.split("/")
    plain = item.isreg() and not item.issparse() and "\0" not in item.name and not {"", ".", ".."} & {*parts}
    target = root.joinpath(*parts) if plain else root
    content = archive.extractfile(item) if plain else None
    if content is None or not target.resolve().is_relative_to(root):  # links that were there before are followed
        raise tarfile.ReadError(f"{clean(item.name)} is not a plain file below the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
    modified = min(max(0.0, item.mtime), LATEST)
    os.utime(target, (modified, modified))
    return Path(*parts)
