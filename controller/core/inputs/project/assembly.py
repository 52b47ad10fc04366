"""What both forms of a project have in common: checks across values and files, and the building of the Pipeline.

Checks take raw documents, so that a mistake in one key hides no other.
"""

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from controller.core import images
from controller.core.inputs import requirements
from controller.core.inputs.project import dag, forms, sentences
from controller.core.inputs.project.reading import Reading
from controller.core.model import AS_OF_COMMIT, Batch, Pipeline, Resources, Secret, Service, Stage
from controller.core.text import nearest, quoted


def head(raw: Any, place: sentences.Place, reading: Reading) -> tuple[dag.Steps, str, forms.ProjectForm | None]:
    """Give the steps and the failure stage (as far as they can be read), and the form of the project's own section."""
    steps: dag.Steps = ()
    if isinstance(raw, dict) and isinstance(raw.get("DAG"), str):
        steps, problems = dag.parse(raw["DAG"])
        for problem in problems:
            reading.problem(place(("DAG",)), problem)
    failure = _failure(raw, steps, place, reading)
    form = sentences.check(forms.ProjectForm, raw, place, reading)
    if form and (has := images.visible(form.docker_image)) and form.python not in ("", has):
        sentence = f"is {form.python}, and the image {form.docker_image} has Python {has}: remove one of them"
        reading.problem(place(("python",)), sentence)
    if form and form.namespace:
        reading.warning(place(("namespace",)), "not used: everything runs in the request's namespace")
    return steps, failure, form


def _failure(raw: Any, steps: dag.Steps, place: sentences.Place, reading: Reading) -> str:
    """Give the stage that runs when a run has failed, "" for none, or for one that can't be it.

    It is in no step: a run runs each stage once, and keeps one state, one Job and one folder of logs for each.
    """
    name = raw.get("run_on_failure") if isinstance(raw, dict) else None
    if not isinstance(name, str) or not dag.is_stage_name(name):
        return ""  # of a wrong form: the form's to refuse
    in_dag = [stage for step in steps for stage in step]
    if name in in_dag:
        remedy = "a stage runs once: give a copy of it another name"
        reading.problem(place(("run_on_failure",)), f"stage {name} is in the DAG too: {remedy}")
        return ""
    for problem in dag.colliding([*in_dag, name]):
        reading.problem(place(("run_on_failure",)), problem)
    return name


def failure_kind(stage: Stage | None, place: sentences.Place, reading: Reading) -> None:
    """Note a failure stage that never ends."""
    if stage and isinstance(stage.work, Service):
        reading.problem(place(("run_on_failure",)), f"stage {stage.name} is a service: expected a batch stage")


def script(name: str, raw: Any, folder: str, place: sentences.Place, reading: Reading) -> None:
    """Note a stage's script, a problem if it is not among the files; a path of a wrong form is the form's to refuse."""
    path = raw.get("executable_module_path") if isinstance(raw, dict) else None
    if not isinstance(path, str) or forms.script_problem(path):
        return
    full = str(PurePosixPath(folder) / path)
    if full in reading.tree.files:
        reading.scripts.append((name, full))
    elif not reading.fault(full):
        siblings = reading.folders.get(posixpath.dirname(full) or ".", [])
        remedy = f": {nearest(full, siblings)}" if 0 < len(siblings) <= dag.STAGE_LIMIT else ""
        reading.problem(place(("executable_module_path",)), f"there is no file {quoted(full)}{remedy}")


def limits(raw: Any, place: sentences.Place, reading: Reading) -> None:
    """Note limits below what is requested: Kubernetes refuses such a pod."""
    if not isinstance(raw, dict):
        return
    for limit, request in (("cpu_limit", "cpu_request"), ("memory_limit_mb", "memory_request_mb")):
        high, low = raw.get(limit), raw.get(request)
        if isinstance(high, int | float) and isinstance(low, int | float) and high < low:
            reading.problem(place((limit,)), f"is {quoted(high)}, below the {quoted(low)} that is requested")


def required(
    stage: str, file: str, folder: str, reading: Reading, inline: tuple[str, tuple[str, ...]] = ("", ())
) -> None:
    """Note a stage's requirements, and what is wrong with them: those of `file`, else `inline`."""
    project = requirements.Project(reading.tree.files, reading.folders, reading.tree.texts)
    found = requirements.find(project, file, folder, inline)
    reading.take(found.problems)
    for entry in found.entries:
        if remark := requirements.remark(entry.item):
            reading.warning(entry.place, remark)
    for path in found.missing:
        reading.text(path)
    reading.required[stage] = found


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
        secrets=tuple(_secret(variable, text, group) for variable, text in form.secrets.items()),
        python=form.python,
    )


def _secret(variable: str, text: str, group: str) -> Secret:
    name = text.removesuffix(forms.OPTIONAL)
    return Secret(variable, f"{group}-{name}" if group else name, variable, optional=name != text)


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
    """Build the pipeline; Bodywork's own image is not run, it means the Python that was in it."""
    bodywork = form.docker_image if images.is_bodywork(form.docker_image) else ""
    as_of = form.resolve_as_of.lower() or (AS_OF_COMMIT if bodywork else "")
    return Pipeline(
        name=form.name,
        steps=steps,
        stages=stages,
        image="" if bodywork else form.docker_image,
        python=form.python,
        bodywork_image=bodywork,
        service_aliases=aliases,
        resolve_as_of="" if as_of == "now" else as_of,
        run_on_failure=form.run_on_failure,
    )
