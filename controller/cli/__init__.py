"""The command line: a module for each command, imported when that command is called or its own help is shown."""

from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from controller.cli.report import reported

COMMANDS: Final = {  # with the first sentence of each one's help, which `coachwork --help` shows without its module
    "run": "Run a project on this machine, without a cluster.",
    "validate": "Show every problem of a project.",
    "plan": "Show the objects that a cluster would be given.",
    "deploy": "Create or update a request, run it and follow the run.",
    "status": "Show all requests, or one with its stages and problems.",
    "runs": "Show the runs of a request.",
    "logs": "Show what stages printed.",
    "artifacts": "List or fetch the files that a run saved.",
    "diff": "Show what changed between two runs.",
    "trigger": "Start a run of a request.",
    "rerun": "Repeat exactly what an earlier run ran.",
    "cancel": "Cancel the active run.",
    "schedule": "Run a request on a schedule.",
    "unschedule": "Remove the schedule of a request.",
    "delete": "Delete a request with everything that it owns.",
    "doctor": "Find what is wrong with the installation.",
    "controller": "Run the controller, as its pod does.",
}
MODULES: Final = {"unschedule": "schedule"}  # of commands that share one


def load(name: str) -> Any:
    """Return a command, as click has it; imports its module."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = getattr(import_module(f"controller.cli.{MODULES.get(name, name)}"), name)
    single.command(name)(reported(function))
    return typer.main.get_command(single)


class Commands(TyperGroup):
    """Lists all commands, and loads only the one that is resolved: to be called, helped with or completed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, line in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, and the rest of them."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest


app = typer.Typer(
    name="coachwork",
    cls=Commands,
    help="Turns a Git repository of Python stages into running Kubernetes workloads.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        metadata = import_module("importlib.metadata")  # costs a tenth of what --help may
        typer.echo(f"coachwork {metadata.version('coachwork')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
