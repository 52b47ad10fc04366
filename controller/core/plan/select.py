"""A run that is not the whole project at its newest commit.

It is one stage, or a stage and all that comes after it, with the artifacts of an earlier run; or an earlier run again.
"""

from collections.abc import Mapping
from dataclasses import replace

from controller.core import checks
from controller.core.errors import Invalid
from controller.core.model import Pipeline, Request, RunSpec, Service, StageRecord


def chosen(
    request: Request, pipeline: Pipeline, earlier: int, before: Mapping[str, StageRecord]
) -> dict[str, StageRecord]:
    """Give the records that a run begins with: Waiting; Reused or Skipped where the request wants only a part.

    `earlier` is the run whose artifacts are taken, 0 if there is none; `before` its stages, as far as they are known.
    Service stages are never Reused: they have to be up. Raises Invalid where the stage, or a run to go on from, is not
    there, or where that run did not get as far.
    """
    if wanted := request.only or request.resume:
        _check(wanted, pipeline, earlier)
    states = _states(request, pipeline)
    step = next((step for step in pipeline.steps if request.resume in step), ())
    reused = [name for name, stage in states.items() if stage.state == "Reused" and name not in step]
    if undone := [name for name in reused if _is_undone(before.get(name))]:
        line = f"stage {undone[0]} of run {earlier} is {before[undone[0]].state}, so nothing of it can be reused"
        raise Invalid("NothingToReuse", [f"{line}: begin with it, or go on from a run that got as far"])
    return states


def _is_undone(stage: StageRecord | None) -> bool:
    return stage is not None and stage.state in ("Failed", "Stopped")


def to_run(request: Request, pipeline: Pipeline) -> tuple[str, ...]:
    """Give the stages that a run may have to start: what their packages are installed for; the failure stage too."""
    states = _states(request, pipeline)
    return tuple(name for name in pipeline.stages if name not in states or states[name].state == "Waiting")


def _states(request: Request, pipeline: Pipeline) -> dict[str, StageRecord]:
    wanted = request.only or request.resume
    if not any(wanted in step for step in pipeline.steps):
        return {name: StageRecord() for step in pipeline.steps for name in step}
    if request.only:
        return {
            name: StageRecord(state="Waiting" if name == wanted else "Skipped")
            for step in pipeline.steps
            for name in step
        }
    first = next(number for number, step in enumerate(pipeline.steps) if wanted in step)
    return {
        name: StageRecord(state="Reused" if _is_reused(pipeline, number - first, name, wanted) else "Waiting")
        for number, step in enumerate(pipeline.steps)
        for name in step
    }


def repeated(request: Request, spec: RunSpec) -> RunSpec:
    """Give what a run of `request` is started with that repeats the run of `spec`: all of it, with what is set anew."""
    parameters = dict(spec.parameters) | dict(request.parameters)
    return replace(spec, parameters=tuple(sorted(parameters.items())), rerun=request.rerun)


def _is_reused(pipeline: Pipeline, distance: int, name: str, wanted: str) -> bool:
    before = distance < 0 or (distance == 0 and name != wanted)
    return before and not isinstance(pipeline.stages[name].work, Service)


def _check(wanted: str, pipeline: Pipeline, earlier: int) -> None:
    known = [name for step in pipeline.steps for name in step]
    if wanted not in known:
        raise Invalid("UnknownStage", [f"no stage {checks.shown(wanted)}: {checks.nearest(wanted, known)}"])
    if not earlier:
        raise Invalid("NothingToReuse", [f"stage {wanted} alone needs the artifacts of an earlier run: run all first"])
