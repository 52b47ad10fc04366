"""The command line: a module for each command, imported when that command is called or its own help is shown."""

from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from controller.cli.options import WHERE, Context, Kubeconfig, Namespace
from controller.cli.report import reported

COMMANDS: Final = {  # its help's first sentence, shown by `coachwork --help` without its module, and its example
    "init": ("Write a small project that runs as it is.", "init iris --kind train-and-serve"),
    "run": ("Run a project on this machine, without a cluster.", "run . --env ALPHA=0.1"),
    "validate": ("Show every problem of a project.", "validate . --strict"),
    "plan": ("Show the objects that a cluster would be given.", "plan . --name iris"),
    "deploy": (
        "Create or update a request, run it and follow the run.",
        "deploy https://github.com/acme/iris --name iris --ref main",
    ),
    "status": ("Show all requests, or one with its stages and problems.", "status iris"),
    "ui": ("Show the page of all requests, or of one, in a browser.", "ui iris"),
    "runs": ("Show the runs of a request.", "runs iris"),
    "logs": ("Show what stages printed.", "logs iris train --tail 50"),
    "artifacts": ("List or fetch the files that a run saved.", "artifacts iris models --to fetched"),
    "diff": ("Show what changed between two runs.", "diff iris good latest"),
    "clean": ("Free what runs left on this machine.", "clean --older-than 7d --dry-run"),
    "trigger": ("Start a run of a request.", "trigger iris --set ALPHA=0.1 --wait"),
    "watch": ("Follow a run to its end.", "watch iris --timeout 30m"),
    "rerun": ("Repeat exactly what an earlier run ran.", "rerun iris --run good --wait"),
    "cancel": ("Cancel the active run.", "cancel iris"),
    "schedule": ("Run a request on a schedule.", 'schedule iris "0 6 * * 1-5" --time-zone Europe/Paris'),
    "unschedule": ("Remove the schedule of a request.", "unschedule iris"),
    "delete": ("Delete a request with everything that it owns.", "delete iris"),
    "doctor": ("Find what is wrong with the installation.", "doctor -n ml"),
    "version": ("Show the versions of this command and of the controller.", "version"),
    "controller": ("Run the controller, as its pod does.", "controller --namespace ml --port 8080"),
}
MODULES: Final = {"unschedule": "schedule"}  # of commands that share one


def load(name: str) -> Any:
    """Return a command, as click has it; imports its module."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = getattr(import_module(f"controller.cli.{MODULES.get(name, name)}"), name)
    single.command(name, epilog=f"Example: coachwork {COMMANDS[name][1]}")(reported(function))
    return typer.main.get_command(single)


class Commands(TyperGroup):
    """Lists all commands, and loads only the one that is resolved: to be called, helped with or completed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, (line, _) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, and the rest of them, after what was given before its name."""
        name, command, rest = super().resolve_command(ctx, args)
        before = [f"--{option}={value}" for option in WHERE if (value := ctx.params[option])]
        return name, load(name) if name else command, [*before, *rest]

    def invoke(self, ctx: Any) -> Any:
        """Call the command; where an argument is refused, leave out what pydantic writes before the sentence."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            refused.message = refused.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    name="coachwork",
    cls=Commands,
    help="Turns a Git repository of Python stages into running Kubernetes workloads.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        metadata = import_module("importlib.metadata")  # costs a tenth of what --help may
        typer.echo(f"coachwork {metadata.version('coachwork')}")
        raise typer.Exit


@app.callback()
def _options(
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
