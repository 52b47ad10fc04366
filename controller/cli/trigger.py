"""`coachwork trigger`: start a run, and follow it to its end. The CronJob of a schedule calls this."""

from typing import Annotated

import typer

from controller.cli import text
from controller.cli.connect import connected
from controller.cli.follow import go_on
from controller.cli.options import Name, Output, Timeout, Wait, Whole
from controller.cli.report import all_of
from controller.cli.requests import Requests, check_trigger, new_trigger
from controller.core.fate import fate_of


def _check(*, parameters: list[str] | None, timeout: str, identity: str, **_: object) -> None:
    all_of(
        lambda: text.pairs("--set", parameters or []),
        lambda: text.seconds("--timeout", timeout),
        lambda: check_trigger(identity or "new"),
    )


@connected(_check)
def trigger(  # noqa: PLR0913, PLR0917 (each one is an option of the command)
    requests: Requests,
    name: Name,
    identity: Annotated[
        str, typer.Option("--id", metavar="ID", help="The trigger's id; one that was handled starts nothing again.")
    ] = "",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of this run: a variable of its stages."),
    ] = None,
    whole: Whole = False,
    wait: Wait = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Start a run of a request.

    With --wait: follow exactly this trigger's run to its end.
    """
    if wait:
        requests.person.ready()
    standing, trigger_id = requests.one(name), identity or new_trigger()
    fresh = fate_of(standing.record, trigger_id).course == "unseen" and standing.trigger != trigger_id
    if fresh:
        requests.trigger(standing, trigger_id, parameters=text.pairs("--set", parameters or []), whole=whole)
    again = "was given before, and starts nothing again"
    done = f"a run of {name} is triggered ({trigger_id})" if fresh else f"trigger {trigger_id} of {name} {again}"
    go_on(requests, standing, trigger_id, output, timeout if wait else None, done)
