"""What all commands on a cluster have in common: options that say which one, and access to its requests."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import typer

from controller.adapters.kube.person import join
from controller.cli.options import WHERE
from controller.cli.report import all_of
from controller.cli.requests import Requests
from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import kinds

Command = TypeVar("Command", bound=Callable[..., Any])


def connected(
    check: Callable[..., object] = lambda **_: None, *, more: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options that say where, and Requests as its first argument.

    `check` gets the command's own options first, and raises Invalid before a cluster is called. `more` are further
    text options, by name, that the command takes as `**keys`.
    """

    def decorate(command: Command) -> Command:
        parameters = list(inspect.signature(command).parameters.values())[1:]
        own = [item for item in parameters if item.kind is not item.VAR_KEYWORD]
        required = [item for item in own if item.default is item.empty]
        listed = [*required, *_texts(more or {}), *own[len(required) :], *_texts(WHERE)]
        checks_name = "name" in inspect.signature(check).parameters

        @functools.wraps(command)
        def connecting(*, namespace: str, context: str, kubeconfig: str, **options: Any) -> Any:
            name = "" if checks_name else options.get("name", "")
            all_of(lambda: _check_names(namespace, name), lambda: check(**options))
            with opened(namespace, context, kubeconfig) as requests:
                return command(requests, **options)

        connecting.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]  # what typer reads
        connecting.__annotations__ = {item.name: item.annotation for item in listed}
        return connecting  # type: ignore[return-value]  # functools.wraps keeps what else there is

    return decorate


def say(line: str) -> None:
    """Say what a call waits for."""
    typer.echo(line, err=True)


@contextmanager
def opened(namespace: str, context: str, kubeconfig: str, notice: Callable[[str], None] = say) -> Iterator[Requests]:
    """Yield the requests of the namespace that these options lead to, "" for one that is not given.

    `notice` gets lines about what calls wait for.
    """
    with closing(join(namespace, context=context, kubeconfig=kubeconfig, notice=notice)) as person:
        yield Requests(person, {"-n": namespace, "--context": context, "--kubeconfig": kubeconfig})


def _texts(options: Mapping[str, Any]) -> list[inspect.Parameter]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [inspect.Parameter(name, kind, default="", annotation=item) for name, item in options.items()]


def _check_names(namespace: str, name: str) -> None:
    """Raise Invalid for names that no cluster accepts; an invalid request may have one that a request can't have."""
    problems = []
    if namespace and (problem := names.namespace_problem(namespace)):
        problems.append(f"--namespace: {problem}")
    if name and not kinds.is_dns_name(name):
        problems.append(f"NAME: {names.request_problem(name)}")
    if problems:
        raise Invalid("WrongUse", problems)
