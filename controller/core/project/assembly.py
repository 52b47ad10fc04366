"""What both forms of a project have in common: checks across values and files, and the building of the Pipeline.

Checks take raw documents, so that a mistake in one key hides no other.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from controller.core import checks, requirements
from controller.core.model import Batch, Pipeline, ProjectTree, Resources, Secret, Service, Stage
from controller.core.project import dag, forms, sentences
from controller.core.project.report import Report

BODYWORK_IMAGE = re.compile(r"(?:(?:index\.|registry-1\.)?docker\.io/)?bodyworkml/bodywork-core(?:[:@].*)?")


@dataclass(frozen=True, slots=True)
class Head:
    """The project's own document, checked."""

    form: forms.ProjectForm
    steps: dag.Steps


def head(raw: Any, place: sentences.Place, report: Report) -> tuple[dag.Steps, forms.ProjectForm | None]:
    """Give the steps (as far as they can be read) and the form of the project's own section."""
    steps: dag.Steps = ()
    if isinstance(raw, dict) and isinstance(raw.get("DAG"), str):
        steps, problems = dag.parse(raw["DAG"])
        for problem in problems:
            report.problem(place(("DAG",)), problem)
    form = sentences.check(forms.ProjectForm, raw, place, report)
    if form and form.namespace:
        report.warning(place(("namespace",)), "not used: everything runs in the request's namespace")
    return steps, form


def script(raw: Any, folder: str, tree: ProjectTree, place: sentences.Place, report: Report) -> None:
    """Note a script that is not among the project's files; a path of a wrong form is the form's to refuse."""
    path = raw.get("executable_module_path") if isinstance(raw, dict) else None
    if not isinstance(path, str) or forms.script_problem(path):
        return
    full = str(PurePosixPath(folder) / path)
    if full not in tree.files:
        siblings = {
            file for file in tree.files if file.endswith(".py") and posixpath.dirname(file) == posixpath.dirname(full)
        }
        remedy = f": {checks.nearest(full, siblings)}" if 0 < len(siblings) <= dag.STAGE_LIMIT else ""
        report.problem(place(("executable_module_path",)), f"there is no file {checks.shown(full)}{remedy}")


def limits(raw: Any, place: sentences.Place, report: Report) -> None:
    """Note limits below what is requested: Kubernetes refuses such a pod."""
    if not isinstance(raw, dict):
        return
    for limit, request in (("cpu_limit", "cpu_request"), ("memory_limit_mb", "memory_request_mb")):
        high, low = raw.get(limit), raw.get(request)
        numbers = isinstance(high, int | float) and isinstance(low, int | float)
        if numbers and not isinstance(high, bool) and not isinstance(low, bool) and high < low:
            report.problem(place((limit,)), f"is {checks.shown(high)}, below the {checks.shown(low)} that is requested")


def references(lines: tuple[str, ...], folder: str, place: str, tree: ProjectTree, report: Report) -> None:
    """Note files that requirement lines name and that the project does not have; absolute paths are the image's."""
    for reference in requirements.references(lines):
        path = posixpath.normpath(posixpath.join(folder, reference))
        if path.startswith("../") or path == "..":
            report.problem(place, f"{checks.shown(reference)} is outside the project: copy it into the project")
        elif not path.startswith("/") and path != "." and not _exists(path, tree):
            report.problem(place, f"there is no file {checks.shown(path)}, which it refers to")


def _exists(path: str, tree: ProjectTree) -> bool:
    """Tell whether a file or a folder is in the project."""
    return path in tree.files or any(file.startswith(f"{path}/") for file in tree.files)


def stage(name: str, folder: str, form: forms.StageForm, group: str, required: tuple[str, tuple[str, ...]]) -> Stage:
    """Build a stage. `folder` holds the script's path; `required` is the requirements' file ("" for none) and lines."""
    path = PurePosixPath(form.executable_module_path)
    file, lines = required
    return Stage(
        name=name,
        folder=folder or str(path.parent),
        script=str(path) if folder else path.name,
        work=_work(form),
        args=tuple(form.args),
        requirements_file=file,
        requirements=lines,
        resources=Resources(
            cpu_request=form.cpu_request,
            memory_request_mb=form.memory_request_mb,
            cpu_limit=form.cpu_limit,
            memory_limit_mb=form.memory_limit_mb,
            gpu=form.gpu,
        ),
        env=tuple(form.env.items()),
        secrets=tuple(
            Secret(variable=variable, secret=f"{group}-{secret}" if group else secret, key=variable)
            for variable, secret in form.secrets.items()
        ),
    )


def _work(form: forms.StageForm) -> Batch | Service:
    """Give what kind of work a stage is."""
    if form.service is None:
        batch = form.batch or forms.BatchForm()
        return Batch(max_completion_seconds=batch.max_completion_time_seconds, retries=batch.retries)
    return Service(
        port=form.service.port,
        max_startup_seconds=form.service.max_startup_time_seconds,
        replicas=form.service.replicas,
        ingress=form.service.ingress,
        readiness_path=form.service.readiness_path,
    )


def pipeline(form: forms.ProjectForm, steps: dag.Steps, stages: Mapping[str, Stage], *, aliases: bool) -> Pipeline:
    """Build the pipeline; Bodywork's own image means the default stage image."""
    image = "" if BODYWORK_IMAGE.fullmatch(form.docker_image) else form.docker_image
    return Pipeline(name=form.name, steps=steps, stages=stages, image=image, service_aliases=aliases)
