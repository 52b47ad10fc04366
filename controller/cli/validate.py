"""`coachwork validate`: the problems of a project, each with its place and its remedy."""

from typing import Annotated

import typer

from controller.app.place import find
from controller.cli import text
from controller.cli.options import Folder, Output, Ref, Target


def validate(
    target: Target = ".",
    ref: Ref = "",
    path: Folder = ".",
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    output: Output = "text",
) -> None:
    """Show every problem of a project."""
    place = find(target, ref, path, strict=strict, tried=True)
    pipeline = place.pipeline
    for warning in pipeline.warnings if output == "text" else ():
        typer.echo(f"warning: {warning}", err=True)
    stages, steps = sum(map(len, pipeline.steps)), len(pipeline.steps)
    count = f"{stages} {'stage' if stages == 1 else 'stages'} in {steps} {'step' if steps == 1 else 'steps'}"
    answer = {"valid": True, "project": pipeline.name, "warnings": list(pipeline.warnings)}
    text.write(output, answer, [f"{pipeline.name} at {place.shown}: valid, {count}"])
