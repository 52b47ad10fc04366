"""`coachwork deploy`: create or update a request, start a run, and follow it to its end."""

from dataclasses import replace
from typing import Annotated, Any, Final

import typer

from controller.app.place import check_address
from controller.cli import text
from controller.cli.clone import Source, source
from controller.cli.connect import connected
from controller.cli.follow import go_on
from controller.cli.options import Output, Timeout, Variables
from controller.cli.report import all_of
from controller.cli.requests import Requests, new_trigger
from controller.core.errors import Invalid
from controller.core.inputs import repository, request
from controller.core.text import quoted

URL_HELP: Final = "The repository's address, or a folder in a clone of it; by default the folder that you are in."
KEYLESS: Final = "name a Secret with a key, or give its https address if it is public"


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
    "notify_secret": _key("SECRET", "Secret with the address to notify of runs that failed or recovered."),
    "schedule": _key("CRON", 'When to run again, like "0 6 * * *".'),
    "time_zone": _key("ZONE", "Time zone of the schedule, like Europe/Paris."),
    "poll": _key("DURATION", "How often to check for new commits."),
    "on_overlap": _key("WHAT", "What to do with a run that comes while one is active: queue, replace or skip."),
    "deadline": _key("DURATION", "Limit of a whole run."),
    "keep_runs": _key("NUMBER", "How many finished runs to keep."),
}


def _stated(
    *, name: str, url: str, env: list[str] | None, no_run: bool, timeout: str, **options: Any
) -> tuple[str, dict[str, str], Source]:
    """Return the request's name and keys, and where they come from. Raises Invalid with all that is visibly wrong."""
    found, unfit = Source(url, options["ref"], options["path"]), None
    try:
        if repository.resembles_address(url):
            check_address(url)
        else:
            found = source(url, found.ref, found.path)
    except Invalid as invalid:  # what else is wrong is said all the same
        found, unfit = replace(found, address="https://example.com/x"), invalid
    ssh = repository.is_ssh(found.address) and not options["git_secret"]
    name = name or found.name
    options |= {"ref": found.ref, "path": found.path}
    data = {option.replace("_", "-"): options[option] for option in KEYS if options[option]}
    data |= {"repository": found.address} | ({"run-on-create": "false"} if no_run else {})

    def check_source() -> None:
        if unfit:
            raise unfit
        if ssh:
            raise Invalid(
                "GitSecretRequired", [f"--git-secret: missing: {quoted(found.address)} is reached over ssh: {KEYLESS}"]
            )

    def parse() -> None:
        try:
            request.parse({"metadata": {"name": name}, "data": data})
        except Invalid as invalid:
            problems = [line.replace("metadata.name:", "--name:") for line in invalid.problems]
            raise Invalid("InvalidRequest", problems) from None

    variables = all_of(
        check_source,
        lambda: text.pairs("--env", env or []),
        lambda: text.seconds("--timeout", timeout),
        parse,
    )[1]
    return name, data | {f"env.{variable}": value for variable, value in variables}, found


@connected(_stated, more=KEYS)
def deploy(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    requests: Requests,
    url: Annotated[str, typer.Argument(metavar="URL", help=URL_HELP, show_default=False)] = ".",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The request's name; by default the repository's or the folder's.")
    ] = "",
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
    guessed = not name
    name, data, found = _stated(name=name, url=url, env=env, no_run=no_run, timeout=timeout, **keys)
    if found.address != url:
        folder = f", folder {found.path}" if found.path else ""
        typer.echo(f"deploying {found.address}, {found.ref}{folder}, as request {name}", err=True)
    typer.echo("".join(f"warning: {line}\n" for line in found.warnings), err=True, nl=False)
    trigger = "" if no_run else new_trigger()
    standing = requests.deploy(name, data, trigger, guessed=guessed)
    done = f"request {name} is deployed" + (f", and a run of it is triggered ({trigger})" if trigger else "")
    go_on(requests, standing, trigger, output, None if no_wait or no_run else timeout, done)
