"""`coachwork rerun`: repeat an earlier run, all of it or from a stage on."""

from contextlib import suppress
from typing import Annotated

import typer

from controller.cli import complete, text
from controller.cli.connect import connected
from controller.cli.follow import go_on
from controller.cli.options import Name, Output, Run, Timeout, Wait
from controller.cli.requests import Requests, new_trigger, number, run_file
from controller.core.errors import Invalid, Transient
from controller.core.text import nearest, quoted


@connected(lambda *, timeout, **_: text.seconds("--timeout", timeout))
def rerun(
    requests: Requests,
    name: Name,
    run: Run = "latest",
    resume: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Begin with this stage, with the artifacts of that run.",
            autocompletion=complete.stages,
        ),
    ] = "",
    wait: Wait = False,
    timeout: Timeout = "",
    output: Output = "text",
) -> None:
    """Repeat exactly what an earlier run ran.

    Its commit, packages and parameters are used again.
    """
    if wait:
        requests.person.ready()
    standing, trigger_id = requests.one(name), new_trigger()
    run_number = number(standing, run)
    known: set[str] = set()
    with suppress(Transient):  # for a person who may not ask the controller, or reaches none: it refuses the run then
        found = run_file(requests.person, name, run_number, patience=0)
        known = found.stages.keys() - {item.name for item in found.environments}
    if resume and known and resume not in known:
        line = f"--from: run {run_number} has no stage {quoted(resume)}: {nearest(resume, known)}"
        raise Invalid("UnknownStage", [line])
    requests.trigger(standing, trigger_id, rerun=run_number, resume=resume)
    part = f" from stage {resume} on" if resume else ""
    done = f"run {run_number} of {name} will be repeated{part} as a new run ({trigger_id})"
    go_on(requests, standing, trigger_id, output, timeout if wait else None, done)
