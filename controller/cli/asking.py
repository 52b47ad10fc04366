"""`coachwork deploy`, `trigger`, `rerun`: ask for a run, and follow it to its end."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import text
from controller.cli.connected import Name, Timeout, Wait, judged
from controller.cli.exits import Gathered, Output, reported
from controller.core.errors import Invalid
from controller.core.inputs import checks

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing

Ref = Annotated[str, typer.Option(help="Branch, tag or commit; else the repository's HEAD.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of this run: a variable of its stages."),
]


def _stated(
    *, name: str, url: str, env: list[str] | None, no_run: bool, timeout: str, **keys: str | bool | None
) -> dict[str, str]:
    """Return the keys of the request that `deploy` states. Raises Invalid with all that can be seen to be wrong."""
    from controller.core.inputs import request  # noqa: PLC0415 (imported when called: --help stays quick)

    named = {option.replace("_", "-"): value for option, value in keys.items() if isinstance(value, str)}
    data = {key: value for key, value in named.items() if value and key in request.KEYS}
    data |= {"repository": url} | ({"run-on-create": "false"} if no_run else {})
    gathered = Gathered()
    with gathered.also():
        _refuse_folder(url)
    here = bool(gathered)
    with gathered.also():
        data |= {f"env.{variable}": value for variable, value in text.pairs("--env", env or [])}
    with gathered.also():
        text.duration("--timeout", timeout)
    try:
        request.parse({"metadata": {"name": name}, "data": data})
    except Invalid as invalid:
        told = [_as_option(line) for line in invalid.problems if not (here and line.startswith("repository:"))]
        gathered.add("InvalidRequest", told)
    gathered.tell()
    return data


def _as_option(line: str) -> str:
    return line.replace("metadata.name:", "--name:", 1) if line.startswith("metadata.name:") else line


def _refuse_folder(url: str) -> None:
    """Raise Invalid for a folder of this machine, with the address that it was cloned from, if it tells one."""
    if "://" in url or not os.path.exists(url):  # noqa: PTH110 (a Path raises for what can be no path)
        return
    from controller.app.place import origin  # noqa: PLC0415 (imported when called: --help stays quick)

    there = origin(Path(url))
    remedy = f"push it, and give its address, {there}" if there else "push it to a server, and give its address there"
    raise Invalid("WrongUse", [f"URL: {checks.shown(url)} is on this machine, where no cluster can read it: {remedy}"])


@reported
@judged(_stated)
def deploy(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    there: "Remote",
    url: Annotated[str, typer.Argument(metavar="URL", help="The repository's address.", show_default=False)],
    name: Annotated[str, typer.Option(help="The request's name.", show_default=False)],
    ref: Ref = "",
    path: Annotated[str, typer.Option(help="The project's folder in the repository.")] = "",
    image: Annotated[str, typer.Option(help="Stage image where the project names none.")] = "",
    project_name: Annotated[str, typer.Option(help="Instead of the project's own name.")] = "",
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable for every stage.")
    ] = None,
    git_secret: Annotated[str, typer.Option(metavar="SECRET", help="Secret that opens a private repository.")] = "",
    index_secret: Annotated[str, typer.Option(metavar="SECRET", help="Secret for private package indexes.")] = "",
    pod_template: Annotated[str, typer.Option(metavar="CONFIGMAP", help="ConfigMap with a pod.yaml.")] = "",
    schedule: Annotated[str, typer.Option(metavar="CRON", help='When to run again, like "0 6 * * *".')] = "",
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Of the schedule, like Europe/Paris.")] = "",
    poll: Annotated[str, typer.Option(metavar="DURATION", help="Look for new commits this often.")] = "",
    on_overlap: Annotated[
        str, typer.Option(metavar="WHAT", help="A run that comes while one is active: queue, replace or skip.")
    ] = "",
    deadline: Annotated[str, typer.Option(metavar="DURATION", help="Limit of a whole run.")] = "",
    keep_runs: Annotated[str, typer.Option(metavar="NUMBER", help="Finished runs that stay.")] = "",
    no_run: Annotated[bool, typer.Option("--no-run", help="Start nothing now: wait for a trigger.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the run.")] = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Make or update a request for a repository, run it, and follow the run to its end.

    It states the whole request: what an earlier deploy gave and this one does not is dropped.
    """
    from controller.app.remote import new_trigger  # noqa: PLC0415 (imported when called: --help stays quick)

    data = _stated(
        name=name, url=url, ref=ref, path=path, image=image, project_name=project_name, git_secret=git_secret,
        index_secret=index_secret, pod_template=pod_template, schedule=schedule, time_zone=time_zone, poll=poll,
        on_overlap=on_overlap, deadline=deadline, keep_runs=keep_runs, env=env, no_run=no_run, timeout=timeout,
    )  # fmt: skip
    limit = text.duration("--timeout", timeout)
    trigger = "" if no_run else new_trigger()
    standing = there.deploy(name, data, trigger)
    wait = not no_wait and not no_run
    _go_on(there, standing, trigger, output, wait=wait, timeout=limit, done="deployed")


def _wished(*, timeout: str, parameters: list[str] | None = None, identity: str = "", **_: object) -> None:
    """Raise Invalid with all that can be seen to be wrong in what a run is asked for with."""
    from controller.app.remote import check_trigger  # noqa: PLC0415 (imported when called: --help stays quick)

    gathered = Gathered()
    with gathered.also():
        text.pairs("--set", parameters or [])
    with gathered.also():
        text.duration("--timeout", timeout)
    with gathered.also():
        check_trigger(identity or "new")
    gathered.tell()


@reported
@judged(_wished)
def trigger(
    there: "Remote",
    name: Name,
    identity: Annotated[
        str, typer.Option("--id", metavar="ID", help="Of this trigger; one that was handled starts nothing again.")
    ] = "",
    parameters: Set = None,
    wait: Wait = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Have a request run now. With --wait: until exactly this trigger's run has ended."""
    from controller.app.remote import new_trigger  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.core.fate import fate_of  # noqa: PLC0415

    given, limit = text.pairs("--set", parameters or []), text.duration("--timeout", timeout)
    if wait:
        there.ready()
    standing, wanted = there.one(name), identity or new_trigger()
    fate = fate_of(standing.record, wanted)
    fresh = fate.course == "unseen" and standing.trigger != wanted
    if fresh:
        there.trigger(standing, wanted, parameters=given)
    done = "triggered" if fresh else "was triggered before"
    _go_on(there, standing, wanted, output, wait=wait, timeout=limit, done=done)


@reported
@judged(_wished)
def rerun(
    there: "Remote",
    name: Name,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="A number, latest or good.")] = "latest",
    resume: Annotated[
        str, typer.Option("--from", metavar="STAGE", help="Begin with this stage, with the artifacts of that run.")
    ] = "",
    wait: Wait = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Run exactly what an earlier run ran: its commit, packages and parameters."""
    from controller.app.remote import new_trigger  # noqa: PLC0415 (imported when called: --help stays quick)

    limit = text.duration("--timeout", timeout)
    if wait:
        there.ready()
    standing, wanted = there.one(name), new_trigger()
    number = there.number(standing, run)
    there.check_rerun(standing, number, resume)
    there.trigger(standing, wanted, rerun=number, resume=resume)
    _go_on(there, standing, wanted, output, wait=wait, timeout=limit, done=f"run {number} is to be repeated")


def _go_on(
    there: "Remote", standing: "Standing", trigger: str, output: str, *, wait: bool, timeout: float | None, done: str
) -> None:
    """Follow the trigger, or say that it is set."""
    if wait:
        from controller.cli.follow import follow  # noqa: PLC0415 (rich: imported when needed)

        raise typer.Exit(follow(there, standing, trigger, output, timeout))
    name, namespace = standing.name, there.namespace
    if output == "json":
        typer.echo(json.dumps({"request": name, "namespace": namespace, "trigger": trigger}))
    else:
        typer.echo(f"{name}: {done}{f', trigger {trigger}' if trigger else ''}; coachwork status {name} shows it")
