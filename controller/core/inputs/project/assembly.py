"""What both forms of a project have in common: checks across files, and the building of the Pipeline.

Checks take raw documents, so that a mistake in one key hides no other.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from controller.core import images, numbers
from controller.core.inputs import requirements
from controller.core.inputs.project import dag, forms
from controller.core.inputs.project.parallel import parallel_of
from controller.core.inputs.project.reading import Place, Reading
from controller.core.model import (
    AS_OF_COMMIT,
    NOTEBOOK,
    TARGET_CPU_PERCENT,
    Batch,
    Pipeline,
    Resources,
    Secret,
    Service,
    Stage,
)
from controller.core.text import nearest, quoted


@dataclass(frozen=True, slots=True)
class Head:
    """The project's own section: its form, None if it has faults, and the stages as far as they can be read."""

    form: forms.ProjectForm | None = None
    steps: dag.Steps = ()
    failure: str = ""  # the stage that runs when a run has failed

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the names of the stages of all steps."""
        return tuple(name for step in self.steps for name in step)


def head(raw: Any, place: Place, reading: Reading) -> Head:
    """Read the project's own section."""
    form = reading.check(forms.ProjectForm, raw, place)
    if form and form.namespace:
        reading.warning(place(("namespace",)), "not used: everything runs in the request's namespace")
    keys = raw if isinstance(raw, dict) else {}
    steps, _ = dag.parse(keys["DAG"]) if isinstance(keys.get("DAG"), str) else ((), ())
    found, failure = Head(form, steps), keys.get("run_on_failure")
    if isinstance(failure, str) and dag.is_stage_name(failure) and failure not in found.stages:
        return replace(found, failure=failure)
    return found


def script(name: str, raw: Any, folder: str, place: Place, reading: Reading) -> None:
    """Note a stage's script, a problem if it is not among the files; a path of a wrong form is the form's to refuse."""
    path = forms.script_of(raw)
    full = str(PurePosixPath(folder) / path)
    if not path:
        return
    if full in reading.tree.files:
        reading.scripts.append((name, full))
    elif not reading.fault(full):
        remedy = f": {nearest(path, near)}" if 0 < len(near := _near(full, folder, reading)) <= dag.STAGE_LIMIT else ""
        reading.problem(place(("executable_module_path",)), f"file {quoted(full)} not found{remedy}")


def _near(full: str, folder: str, reading: Reading) -> list[str]:
    """Return the scripts next to a missing one, else those of its name elsewhere, as the stage would name them."""
    below = f"{folder}/" if folder else ""
    there = reading.folders.get(posixpath.dirname(full) or ".") or [
        path
        for paths in reading.folders.values()
        for path in paths
        if path.startswith(below) and posixpath.basename(path) == posixpath.basename(full)
    ]
    return [path.removeprefix(below) for path in there]


def required(stage: str, file: str, script: str, reading: Reading, inline: tuple[tuple[str, str], ...] = ()) -> None:
    """Note the requirements of the stage that runs `script`, and what is wrong with them.

    They are those of `file`, else the `inline` places and lines.
    """
    project = requirements.Files(reading.tree.files, reading.folders, reading.tree.texts)
    notebook = script if script.endswith(NOTEBOOK) else ""
    found = requirements.find(project, file, posixpath.dirname(script) or ".", inline, notebook=notebook)
    reading.take(found.problems)
    for entry in found.entries:
        if remark := requirements.remark(entry.item):
            reading.warning(entry.place, remark)
    for path in found.missing:
        reading.content(path)
    reading.required[stage] = found


def stage(
    name: str, folder: str, form: forms.StageForm, group: str, required: tuple[str, tuple[str, ...]], place: Place
) -> Stage:
    """Build a stage. `folder` holds the script's path; `required` is the requirements' file ("" for none) and lines."""
    path = PurePosixPath(form.executable_module_path)
    prefix, optional = f"{group}-" if group else "", forms.OPTIONAL
    return Stage(
        name=name,
        folder=folder or str(path.parent),
        script=str(path) if folder else path.name,
        work=_work(form),
        args=tuple(form.args),
        requirements_file=required[0],
        requirements=required[1],
        resources=Resources(
            cpu_request=form.cpu_request,
            memory_request_mb=form.memory_request_mb,
            cpu_limit=form.cpu_limit,
            memory_limit_mb=form.memory_limit_mb,
            gpu=form.gpu,
        ),
        env=tuple(form.env.items()),
        secrets=tuple(
            Secret(variable, prefix + text.removesuffix(optional), variable, optional=text.endswith(optional))
            for variable, text in form.secrets.items()
        ),
        python=form.python,
        python_place=place(("python",)),
    )


def _work(form: forms.StageForm) -> Batch | Service:
    """Return what a stage does: its batch or its service, with what is by default."""
    if service := form.service:
        return Service(
            port=service.port,
            max_startup_seconds=service.max_startup_time_seconds,
            replicas=service.replicas,
            ingress=service.ingress,
            readiness_path=service.readiness_path,
            max_replicas=service.max_replicas or 0,
            target_cpu_percent=service.target_cpu_percent or TARGET_CPU_PERCENT,
        )
    batch = form.batch or forms.BatchForm()
    require, _ = numbers.parse(batch.require)
    return Batch(batch.max_completion_time_seconds, batch.retries, require, parallel_of(batch.model_dump()))


def pipeline(
    head: Head, stages: Mapping[str, Stage], place: Place, reading: Reading, *, is_yaml: bool
) -> Pipeline | None:
    """Build the pipeline, None where its own section has faults.

    Bodywork's own image is not run, it means the Python that was in it.
    """
    last, form = stages.get(head.failure), head.form
    if last and isinstance(last.work, Service):
        reading.problem(place(("run_on_failure",)), f"stage {last.name} is a service: expected a batch stage")
    if form is None:
        return None
    bodywork = form.docker_image if images.is_bodywork(form.docker_image) else ""
    as_of = form.resolve_as_of.lower() or (AS_OF_COMMIT if bodywork else "")
    return Pipeline(
        name=form.name,
        steps=head.steps,
        stages=stages,
        image="" if bodywork else form.docker_image,
        python=form.python,
        python_place=place(("python",)),
        bodywork_image=bodywork,
        is_yaml=is_yaml,
        resolve_as_of="" if as_of == "now" else as_of,
        run_on_failure=form.run_on_failure,
        reuse=form.reuse,
    )
