"""What all commands on requests have in common: options that say where these are, and access to them.

They are on a cluster. Commands that only show something show runs of this machine just as well: where --local says so,
where a folder is named in place of a request, as for `coachwork run`, or where no cluster is configured at all. That
this machine answers is said on standard error, so that nobody takes it for a cluster.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from controller.adapters.kube.login import configured
from controller.adapters.kube.person import join
from controller.cli.options import WHERE, Local
from controller.cli.report import all_of
from controller.cli.requests import Requests
from controller.core import names
from controller.core.errors import Invalid, Transient
from controller.core.inputs import kinds
from controller.core.text import clean

if TYPE_CHECKING:
    from controller.app.kept import Kept

Command = TypeVar("Command", bound=Callable[..., Any])


def connected(
    check: Callable[..., object] = lambda **_: None, *, more: Mapping[str, Any] | None = None, local: bool = False
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options that say where, and Requests as its first argument.

    `check` gets the command's own options first, and raises Invalid before a cluster is called. `more` are further
    text options, by name, that the command takes as `**keys`. `local`: the command shows runs of this machine, too.
    """

    def decorate(command: Command) -> Command:
        parameters = list(inspect.signature(command).parameters.values())[1:]
        own = [item for item in parameters if item.kind is not item.VAR_KEYWORD]
        required = [item for item in own if item.default is item.empty]
        keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
        here = [inspect.Parameter("local", keyword, default=None, annotation=Local)] if local else []
        listed = [*required, *_texts(more or {}), *own[len(required) :], *here, *_texts(WHERE)]
        checks_name = "name" in inspect.signature(check).parameters

        @functools.wraps(command)
        def connecting(
            *, namespace: str, context: str, kubeconfig: str, local: bool | None = None, **options: Any
        ) -> Any:
            name = options.get("name", "")
            where = bool(namespace or context or kubeconfig)
            if here and _is_local(name, local, where=where):
                with closing(_kept()) as kept:
                    options |= {"name": _announced(kept, name)} if "name" in options else {}
                    return command(Requests(kept), **options)
            named = [] if checks_name else [name, *options.get("names", ())]
            all_of(lambda: _check_names(namespace, named), lambda: check(**options))
            hint = _hint if here and local is None else lambda _name: ""
            with _hinting(hint, name), opened(namespace, context, kubeconfig, elsewhere=hint) as requests:
                return command(requests, **options)

        connecting.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]  # what typer reads
        connecting.__annotations__ = {item.name: item.annotation for item in listed}
        return connecting  # type: ignore[return-value]  # functools.wraps keeps what else there is

    return decorate


def say(line: str) -> None:
    """Say what a call waits for."""
    typer.echo(line, err=True)


@contextmanager
def opened(
    namespace: str,
    context: str,
    kubeconfig: str,
    notice: Callable[[str], None] = say,
    elsewhere: Callable[[str], str] = lambda _name: "",
) -> Iterator[Requests]:
    """Yield the requests of the namespace that these options lead to, "" for one that is not given.

    `notice` gets lines about what calls wait for, `elsewhere` says where else a name is known.
    """
    with closing(join(namespace, context=context, kubeconfig=kubeconfig, notice=notice)) as person:
        where = {"-n": namespace, "--context": context, "--kubeconfig": kubeconfig}
        yield Requests(person, where, elsewhere)


def is_folder(name: str) -> bool:
    """Return whether a name means a folder of this machine."""
    return name in {".", ".."} or "/" in name


def _is_local(name: str, local: bool | None, *, where: bool) -> bool:
    """Return whether the runs of this machine are meant. Raises Invalid where it is said both ways."""
    folder = is_folder(name)
    if (local or folder) and (where or local is False):
        said = f"NAME: {clean(name)} is a folder of this machine" if folder else "--local: the runs of this machine"
        raise Invalid("WrongUse", [f"{said}: leave out what names a cluster"])
    if local is None and not folder and not where and not configured():
        return bool(_kept().all()) or not name
    return bool(local or folder)


def _kept() -> "Kept":
    """Return the runs of this machine. Raises Invalid where the state folder can't be made."""
    from controller.app.kept import Kept  # noqa: PLC0415 (loads what only the controller needs)
    from controller.app.state import state_folder  # noqa: PLC0415 (as above)

    return Kept(state_folder())


def _announced(kept: "Kept", name: str) -> str:
    """Return the name by which `kept` has what a person names, after saying what it is. Raises NotFound."""
    from controller.app.state import named_folder  # noqa: PLC0415 (as above)

    folder = is_folder(name) or (name and name not in kept.all() and named_folder(name).is_dir())
    known = kept.choose(named_folder(name)) if folder else name
    source = kept.source(known)
    if source or not known:
        typer.echo(f"{known} on this machine, from {clean(source, 4096)}" if known else "on this machine:", err=True)
    return known


def _hint(name: str) -> str:
    """Return where else than on the cluster that was asked a name is known."""
    source = _kept().source(name) if name else ""
    return f"; it has run on this machine, from {clean(source, 4096)}: see it with --local" if source else ""


@contextmanager
def _hinting(hint: Callable[[str], str], name: str) -> Iterator[None]:
    """Say where else a name is known, too, where the cluster can't be used."""
    try:
        yield
    except Transient as error:
        raise Transient(error.reason, f"{error}{hint(name)}", retry_after=error.retry_after) from error


def _texts(options: Mapping[str, Any]) -> list[inspect.Parameter]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [inspect.Parameter(name, kind, default="", annotation=item) for name, item in options.items()]


def _check_names(namespace: str, named: Iterable[str]) -> None:
    """Raise Invalid for names that no cluster accepts; an invalid request may have one that a request can't have."""
    problems = []
    if namespace and (problem := names.namespace_problem(namespace)):
        problems.append(f"--namespace: {problem}")
    bad = (name for name in named if name and not kinds.is_dns_name(name))
    problems += [f"NAME: {names.request_problem(name)}" for name in bad]
    if problems:
        raise Invalid("WrongUse", problems)
