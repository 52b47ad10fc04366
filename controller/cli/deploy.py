"""`coachwork deploy`: create or update a request, start a run, and follow it to its end."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.adapters.git import Git, GitSettings
from controller.app.state import state_folder
from controller.cli import text
from controller.cli.connect import connected
from controller.cli.follow import go_on
from controller.cli.options import Output, Timeout, Variables
from controller.cli.report import all_of
from controller.cli.requests import Requests, new_trigger
from controller.core.errors import Invalid
from controller.core.inputs import repository, request
from controller.core.text import quoted


def _key(metavar: str, text: str) -> Any:
    return Annotated[str, typer.Option(metavar=metavar, help=text)]


KEYS: Final = {  # keys of the request, by the name of their option
    "ref": _key("REF", "Branch, tag or commit; by default the repository's HEAD."),
    "path": _key("FOLDER", "The project's folder in the repository."),
    "image": _key("IMAGE", "Image of stages for which the project names none."),
    "project_name": _key("NAME", "Used instead of the project's own name."),
    "git_secret": _key("SECRET", "Secret with the credentials of a private repository."),
    "index_secret": _key("SECRET", "Secret with the addresses of private package indexes."),
    "pod_template": _key("CONFIGMAP", "ConfigMap with a pod.yaml."),
    "schedule": _key("CRON", 'When to run again, like "0 6 * * *".'),
    "time_zone": _key("ZONE", "Time zone of the schedule, like Europe/Paris."),
    "poll": _key("DURATION", "How often to check for new commits."),
    "on_overlap": _key("WHAT", "What to do with a run that comes while one is active: queue, replace or skip."),
    "deadline": _key("DURATION", "Limit of a whole run."),
    "keep_runs": _key("NUMBER", "How many finished runs to keep."),
}


def _data(*, name: str, url: str, env: list[str] | None, no_run: bool, timeout: str, **options: Any) -> dict[str, str]:
    """Return the keys of the request. Raises Invalid with everything that is visibly wrong."""
    data = {option.replace("_", "-"): options[option] for option in KEYS if options[option]}
    data |= {"repository": url} | ({"run-on-create": "false"} if no_run else {})
    local = "://" not in url and os.path.exists(url)  # noqa: PTH110 (a Path raises for what can't be a path)

    def parse() -> None:
        try:
            request.parse({"metadata": {"name": name}, "data": data})
        except Invalid as invalid:
            lines = (line for line in invalid.problems if not (local and line.startswith("repository:")))
            if problems := [line.replace("metadata.name:", "--name:") for line in lines]:
                raise Invalid("InvalidRequest", problems) from None

    variables = all_of(
        lambda: _refuse_folder(url) if local else None,
        lambda: text.pairs("--env", env or []),
        lambda: text.seconds("--timeout", timeout),
        parse,
    )[1]
    return data | {f"env.{variable}": value for variable, value in variables}


def _refuse_folder(url: str) -> None:
    """Raise Invalid for a folder of this machine, with the address that it was cloned from, if it has one."""
    address = Git(state_folder(), GitSettings()).origin(Path(url))
    try:
        address = repository.address(address) if not address.startswith("file:") else ""
    except ValueError:  # none, another folder, or one with a password, which must not be shown
        address = ""
    remedy = (
        f"push it, and give its address, {address}" if address else "push it to a server, and give its address there"
    )
    raise Invalid("WrongUse", [f"URL: {quoted(url)} is on this machine, where no cluster can read it: {remedy}"])


@connected(_data, more=KEYS)
def deploy(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    requests: Requests,
    url: Annotated[str, typer.Argument(metavar="URL", help="The repository's address.", show_default=False)],
    name: Annotated[str, typer.Option(metavar="NAME", help="The request's name.", show_default=False)],
    env: Variables = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Start no run; wait for a trigger.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the run.")] = False,
    timeout: Timeout = "",
    output: Output = "text",
    **keys: str,
) -> None:
    """Create or update a request, run it and follow the run.

    It states the whole request: what an earlier deploy set and this one does not is removed.
    """
    data = _data(name=name, url=url, env=env, no_run=no_run, timeout=timeout, **keys)
    trigger = "" if no_run else new_trigger()
    standing = requests.deploy(name, data, trigger)
    done = f"request {name} is deployed" + (f", and a run of it is triggered ({trigger})" if trigger else "")
    go_on(requests, standing, trigger, output, None if no_wait or no_run else timeout, done)
