"""The command line: parse, call, show. One module for each group of commands, imported when it is called."""

import os
import sys
from typing import Annotated

import typer

from controller.cli import asking, changing, doctor, kept, logs, looking, projects, run
from controller.core.errors import Invalid

app = typer.Typer(
    name="coachwork",
    help="Turns a Git repository of Python stages into running Kubernetes workloads.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # noqa: PLC0415 (costs a tenth of what --help may)

        typer.echo(f"coachwork {metadata.version('coachwork')}")
        raise typer.Exit


@app.callback()
def _main(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


@app.command()
def controller(
    namespace: Annotated[str | None, typer.Option(help="Namespace of requests and workloads.")] = None,
    volume: Annotated[str | None, typer.Option(help="Mount point of the shared volume.")] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="Kubeconfig; without it, the pod's own account.")] = None,
    port: Annotated[str | None, typer.Option(help="Port of /metrics, /healthz and /readyz.")] = None,
) -> None:
    """Run the controller: what the pod does. Every setting is also a variable, COACHWORK_NAMESPACE and so on."""
    from controller.app.pod import serve  # noqa: PLC0415 (the client costs a third of a second)
    from controller.settings import load  # noqa: PLC0415

    flags = {"namespace": namespace, "volume": volume, "kubeconfig": kubeconfig, "port": port}
    try:
        settings = load(os.environ, flags)
    except Invalid as invalid:
        for problem in invalid.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None
    sys.exit(serve(settings))


for command in (
    run.run,
    projects.validate,
    projects.plan,
    asking.deploy,
    looking.status,
    looking.runs,
    logs.logs,
    kept.artifacts,
    kept.diff,
    asking.trigger,
    asking.rerun,
    changing.cancel,
    changing.schedule,
    changing.unschedule,
    changing.delete,
    doctor.doctor,
):
    app.command()(command)
