"""`coachwork init`: a small project that runs as it is, to begin with."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import typer

from controller.app.place import PROJECT_FILES
from controller.app.state import named_folder
from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import repository
from controller.core.text import clean

SCAFFOLD: Final = Path(__file__).parents[1] / "scaffold"  # a project for each kind, which has its kind's name
Kind = Literal["train-and-serve", "batch", "service", "notebook"]


def init(
    target: Annotated[
        str, typer.Argument(metavar="FOLDER", help="The project's folder; made if it does not exist.")
    ] = ".",
    kind: Annotated[
        Kind, typer.Option(metavar="KIND", help=f"One of {', '.join(get_args(Kind))}.")
    ] = "train-and-serve",
) -> None:
    """Write a small project that runs as it is.

    It is named after its folder. No file that exists is written over.
    """
    if repository.resembles_address(target):
        raise Invalid(
            "WrongUse", [f"{clean(target)}: expected a folder of this machine: clone it, and give its folder"]
        )
    folder = named_folder(target)
    if folder.is_file():
        raise Invalid("WrongUse", [f"{folder}: it is a file: give the name of a folder"])
    name = names.request(folder.resolve().name)
    files = {
        file.relative_to(SCAFFOLD / kind): file.read_text(encoding="utf-8")
        for file in sorted((SCAFFOLD / kind).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    project = Path("bodywork.ini")
    files[project] = files[project].replace(f"PROJECT_NAME = {kind}", f"PROJECT_NAME = {name}")
    taken = [path for path in (*map(Path, PROJECT_FILES), *files) if (folder / path).exists()]
    if taken:
        raise Invalid("WrongUse", [f"{folder / path}: it exists: give another folder" for path in dict.fromkeys(taken)])
    _write(folder, files)
    typer.echo("\n".join([f"{clean(name)}, {kind}:", *(f"  {folder / path}" for path in files)]))
    where = "" if target == "." else f" {shlex.quote(target)}"
    typer.echo(f"\nOn this machine:\n  coachwork run{where}\nOn a cluster, once it is pushed to a Git server:")
    typer.echo(f"  coachwork deploy{where}")


def _write(folder: Path, files: dict[Path, str]) -> None:
    """Write all files, or none."""
    with ExitStack() as undo:
        for path, text in files.items():
            try:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("x", encoding="utf-8") as file:
                    undo.callback((folder / path).unlink)
                    file.write(text)
            except OSError as error:
                raise Invalid("WrongUse", [f"{folder / path}: can't be written: {error.strerror}"]) from None
        undo.pop_all()
