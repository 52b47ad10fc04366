"""`coachwork plan`: the objects that a cluster would be given."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer
import yaml

from controller.adapters import pythons
from controller.adapters.git import Git, GitSettings
from controller.adapters.volume import Volume
from controller.app.place import Place, find
from controller.app.state import state_folder
from controller.cli.options import Folder, Output, Ref, Target
from controller.core import images, manifests, names
from controller.core.errors import Invalid
from controller.core.inputs import kinds
from controller.core.inputs.index import Index
from controller.core.model import Object, Policy, Record, Request, RunSpec
from controller.core.plan.needs import Base, Environments, Project
from controller.reconciler.environments import Builders

OWNER = "00000000-0000-0000-0000-000000000000"  # the request's uid, which only a cluster gives


def plan(
    target: Target = ".",
    ref: Ref = "",
    path: Folder = ".",
    name: Annotated[str, typer.Option(metavar="NAME", help="The request's name; by default the project's.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="The namespace.")] = "coachwork",
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="Image of stages for which the project names none.")
    ] = "coachwork:dev",
    output: Output = "text",
) -> None:
    """Show the objects that a cluster would be given.

    They are written as YAML: builds, then stages in the order of the steps.
    """
    found = {
        "--name": names.request_problem(name) if name else "",
        "--namespace": names.namespace_problem(namespace),
        "--image": kinds.image_problem(image),
    }
    if problems := [f"{option}: {problem}" for option, problem in found.items() if problem]:
        raise Invalid("WrongUse", problems)
    place = find(target, ref, path)
    for warning in place.pipeline.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for line in _reuse(place) if place.pipeline.reuse else ():
        typer.echo(line, err=True)
    policy = Policy(namespace=namespace, image=image, images=images.OFFICIAL, claim="coachwork", tools="TOOLS")
    plain = json.dumps(_objects(place, name, policy))
    typer.echo(
        plain if output == "json" else yaml.safe_dump_all(json.loads(plain), sort_keys=False), nl=output == "json"
    )


def _reuse(place: Place) -> Iterator[str]:
    """Yield for each batch stage whether `coachwork run` would run it now, where it has run here before, and why."""
    from controller.app import laptop  # noqa: PLC0415 (loads what most plans need not)

    options = laptop.Options(secrets=os.environ, pythons=pythons.choose(place.pipeline, None))
    try:
        run = laptop.LaptopRun(place, options)
    except Invalid as invalid:  # another one is under way, or a secret is not given
        yield f"what a run here would reuse is unknown: {invalid.problems[0]}"
        return
    try:
        yield from (f"a run here now: stage {name}: {why}" for name, why in run.foresee().items())
    finally:
        run.stop()


def _objects(place: Place, name: str, policy: Policy) -> list[Object]:
    """Return the objects of the project's first run. The owner's uid and the tools' digest are a cluster's to give.

    Raises Invalid, Transient.
    """
    chosen = images.choose(place.pipeline, tuple(place.pipeline.stages), "", policy)
    spec = RunSpec(
        repository=place.repository,
        commit=place.commit,
        path=place.path,
        tree=place.tree.digest,
        image=policy.image,
        cause="Created",
        images=chosen.images,
    )
    bases = tuple(
        (stage, Base(f"{images.of_stage(spec, place.pipeline, stage)}\n", chosen.pythons[stage]))
        for stage in place.pipeline.stages
    )
    project = Project(place.repository, place.commit, place.path, spec.image)
    question = Environments(project, bases, Index(), place.tree, place.pipeline, Record(""))
    root = state_folder()
    builders = Builders(Git(root, GitSettings(allow_file=True)), Volume(root))
    request = Request(place.pipeline.name, "", place.repository, path=place.path)
    spec = replace(spec, environments=builders.decide(request, question, None)[0])
    shown = name or names.request(place.pipeline.name)
    context = manifests.RunContext(shown, OWNER, 1, spec, place.pipeline, policy)
    steps = (*place.pipeline.steps, tuple(filter(None, [place.pipeline.run_on_failure])))
    objects = [manifests.build(context, item) for item in spec.environments]
    for stage in (place.pipeline.stages[name] for step in steps for name in step):
        objects += manifests.stage_objects(context, stage)
    return objects
