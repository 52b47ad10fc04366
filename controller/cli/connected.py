"""What all commands have that talk to a cluster: which one, and which namespace of it."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from controller.cli.exits import Gathered
from controller.core.errors import Invalid
from controller.core.inputs import checks

Command = TypeVar("Command", bound=Callable[..., Any])

Name = Annotated[str, typer.Argument(metavar="NAME", help="The request's name.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the run to its end; the exit code tells its outcome.")]
Timeout = Annotated[str, typer.Option(metavar="DURATION", help="Wait at most so long: 30s, 5m, 2h, 1h30m.")]

_WHERE = {
    "namespace": Annotated[
        str, typer.Option("--namespace", "-n", help="The namespace; else the context's, else coachwork.")
    ],
    "context": Annotated[str, typer.Option(help="The kubeconfig's context; else its current one.")],
    "kubeconfig": Annotated[
        str, typer.Option(metavar="FILE", help="Else $KUBECONFIG, ~/.kube/config, or the pod's own account.")
    ],
}


def connected(command: Command) -> Command:
    """Give the command with options that say where, and with the Remote there instead of its first parameter."""
    return judged(lambda **_: None)(command)


def judged(judge: Callable[..., object]) -> Callable[[Command], Command]:
    """Return `connected` for a command whose options `judge` looks at before anything is asked of a cluster."""
    return functools.partial(_connected, judge)


def _connected(judge: Callable[..., object], command: Command) -> Command:
    judges_name = "name" in inspect.signature(judge).parameters
    own = list(inspect.signature(command).parameters.values())[1:]
    where = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="", annotation=kind)
        for name, kind in _WHERE.items()
    ]

    @functools.wraps(command)
    def called(*args: Any, namespace: str = "", context: str = "", kubeconfig: str = "", **kwargs: Any) -> Any:
        from controller.app.remote import remote  # noqa: PLC0415 (the client costs a third of a second)

        gathered = Gathered()
        with gathered.also():
            _check(namespace, "" if judges_name else str(kwargs.get("name", "")))
        with gathered.also():
            judge(**kwargs)
        gathered.tell()
        with remote(namespace, context, kubeconfig) as there:
            return command(there, *args, **kwargs)

    called.__signature__ = inspect.Signature([*own, *where])  # type: ignore[attr-defined]  # what typer reads
    called.__annotations__ = {item.name: item.annotation for item in (*own, *where)}
    return called  # type: ignore[return-value]  # functools.wraps keeps what else there is


def _check(namespace: str, name: str) -> None:
    """Raise Invalid for names that no cluster has; an invalid request may have one that a request can't have."""
    from controller.core import names  # noqa: PLC0415 (imported when called: --help stays quick)

    problems = []
    if namespace and (problem := names.namespace_problem(namespace)):
        problems.append(f"--namespace: {problem}")
    if name and not checks.is_dns_name(name):
        problems.append(f"NAME: {names.request_problem(name)}")
    if problems:
        raise Invalid("WrongUse", problems)
