"""`coachwork validate` and `coachwork plan`: a project's problems, and the objects that a cluster would be given."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.exits import Output, reported
from controller.core.errors import Invalid

if TYPE_CHECKING:
    from controller.app.place import Place
    from controller.core.model import Object, Policy

Target = Annotated[str, typer.Argument(metavar="PATH", help="The project's folder, or a repository's address.")]
Ref = Annotated[str, typer.Option(help="Branch, tag or commit of a repository's address.")]
Path = Annotated[str, typer.Option(help="The project's folder in the repository.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings are errors.")]

OWNER = "00000000-0000-0000-0000-000000000000"  # the request's uid, which only a cluster gives


@reported
def validate(
    target: Target = ".", ref: Ref = "", path: Path = ".", strict: Strict = False, output: Output = "text"
) -> None:
    """Tell every problem of a project, each with its place and its remedy."""
    from controller.app.place import find  # noqa: PLC0415 (imported when called: --help stays quick)

    place = find(target, ref, path, strict=strict, tried=True)
    pipeline = place.pipeline
    if output == "json":
        typer.echo(json.dumps({"valid": True, "project": pipeline.name, "warnings": list(pipeline.warnings)}))
        return
    for warning in pipeline.warnings:
        typer.echo(f"warning: {warning}", err=True)
    count = sum(len(step) for step in pipeline.steps)
    typer.echo(
        f"{pipeline.name} at {place.shown}: valid, {_many(count, 'stage')} in {_many(len(pipeline.steps), 'step')}"
    )


@reported
def plan(
    target: Target = ".",
    ref: Ref = "",
    path: Path = ".",
    name: Annotated[str, typer.Option(help="The request's name; else the project's.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The namespace.")] = "coachwork",
    image: Annotated[str, typer.Option(help="Stage image where the project names none.")] = "coachwork:dev",
    output: Output = "text",
) -> None:
    """Show the exact objects that a cluster would be given, as YAML: builds, then stages in the order of the steps."""
    import yaml  # noqa: PLC0415 (imported when called: --help stays quick)

    from controller.app.place import find  # noqa: PLC0415
    from controller.core.images import OFFICIAL  # noqa: PLC0415
    from controller.core.model import Policy  # noqa: PLC0415

    _check(name, namespace, image)
    place = find(target, ref, path)
    for warning in place.pipeline.warnings:
        typer.echo(f"warning: {warning}", err=True)
    policy = Policy(namespace=namespace, image=image, images=OFFICIAL, claim="coachwork", tools="TOOLS")
    objects = planned(place, name, policy)
    if output == "json":
        typer.echo(json.dumps(objects))
    else:
        typer.echo(yaml.safe_dump_all(json.loads(json.dumps(objects)), sort_keys=False), nl=False)


def _check(name: str, namespace: str, image: str) -> None:
    """Raise Invalid with all names that no cluster takes."""
    from controller.core import names  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.core.inputs import checks  # noqa: PLC0415

    found = {
        "--name": names.request_problem(name) if name else "",
        "--namespace": names.namespace_problem(namespace),
        "--image": checks.image_problem(image),
    }
    if problems := [f"{option}: {problem}" for option, problem in found.items() if problem]:
        raise Invalid("WrongUse", problems)


def planned(place: "Place", name: str, policy: "Policy") -> "list[Object]":
    """Give the objects of the project's first run. The owner's uid and the tools' digest are a cluster's to give."""
    from controller.app.place import environments  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.core import images, manifests, names  # noqa: PLC0415
    from controller.core.model import Batch, RunSpec  # noqa: PLC0415

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
    spec = replace(spec, environments=environments(place, spec, chosen.pythons))
    request = name or names.request(place.pipeline.name)
    context = manifests.RunContext(request, OWNER, 1, spec, place.pipeline, policy)
    steps = (*place.pipeline.steps, tuple(filter(None, [place.pipeline.run_on_failure])))
    stages = (place.pipeline.stages[name] for step in steps for name in step)
    objects: list[Any] = [manifests.build(context, item) for item in spec.environments]
    for stage in stages:
        if isinstance(stage.work, Batch):
            objects.append(manifests.job(context, stage))
        else:
            objects.extend(manifests.service_objects(context, stage))
    return objects


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
