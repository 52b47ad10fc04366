"""`coachwork version`: the version of this command, and that of the controller where one answers."""

from contextlib import closing
from importlib import metadata

import typer

from controller.adapters.kube.person import join
from controller.cli import text
from controller.cli.options import Context, Kubeconfig, Namespace, Output
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.text import clean


def version(
    *, namespace: Namespace = "", context: Context = "", kubeconfig: Kubeconfig = "", output: Output = "text"
) -> None:
    """Show the versions of this command and of the controller.

    A controller that can't be reached is no error: standard error says why.
    """
    own, controller, why = metadata.version("coachwork"), "", ""
    try:
        with closing(join(namespace, context=context, kubeconfig=kubeconfig)) as person:
            answer = person.answer("api", "version", patience=0)
            controller = clean(str(answer.get("version", ""))) if isinstance(answer, dict) else ""
    except NotFound:
        why = "the controller is older than this command: update it"
    except (Invalid, Transient) as error:
        why = str(error)
    text.write(
        output,
        {"command": own, "controller": controller},
        text.columns(("command", own), [("controller", controller or "unknown")]),
    )
    if why:
        typer.echo(f"note: {why}", err=True)
