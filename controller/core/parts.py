"""A run that is not the whole project at its newest commit.

It is one stage, or a stage and all that comes after it, with the artifacts of an earlier run; or an earlier run again.
"""

from collections.abc import Callable, Mapping

from controller.core.documents.run import RunFile, StageEntry
from controller.core.errors import Invalid
from controller.core.model import SUCCEEDED, Pipeline, Record, Request, Service, StageRecord, StageState
from controller.core.text import nearest, quoted

UNFINISHED: Mapping[StageState, StageState] = {"Running": "Stopped", "Waiting": "Skipped"}
"""What becomes of a stage whose run is over before it was."""


def going_on_from(request: Request, record: Record) -> int:
    """Return the run whose artifacts a run of a part of the project begins with, 0 if there has been none."""
    return request.rerun or record.run


def states_before(request: Request, record: Record, recall: Callable[[int], RunFile]) -> Mapping[str, StageEntry]:
    """Return states and numbers of the stages of the run that `request` goes on from, {} where it goes on from none.

    `recall` returns the file of a kept run, an empty one where it is not kept. A stage that was reused there is as it
    was where it ran. Where that run is no longer kept it was judged when it was reused.
    """
    if not (request.only or request.resume or request.rerun):
        return {}
    run = going_on_from(request, record)
    states, base = _states_of(record, run, recall)
    reused = {name for name, stage in states.items() if stage.state == "Reused"}
    while reused and 0 < base < run:
        run = base
        earlier, base = _states_of(record, run, recall)
        states |= {name: earlier[name] for name in reused & earlier.keys()}
        reused = {name for name in reused & earlier.keys() if earlier[name].state == "Reused"}
    return states


def _states_of(record: Record, run: int, recall: Callable[[int], RunFile]) -> tuple[dict[str, StageEntry], int]:
    """Return how a run's stages went, and the run whose artifacts it began with (0: none, or unknown)."""
    if run == record.run:
        base = record.spec.base if record.spec else 0
        return {
            name: StageEntry(UNFINISHED.get(stage.state, stage.state), metrics=stage.metrics)
            for name, stage in record.stages.items()
        }, base
    file = recall(run)
    return dict(file.stages), file.base


def select(
    request: Request, pipeline: Pipeline, earlier: int, before: Mapping[str, StageEntry], part: tuple[str, ...] = ()
) -> dict[str, StageRecord]:
    """Return the records that a run begins with: Waiting; Reused or Skipped where it is only a part.

    `before` is how the stages went of run `earlier`, whose artifacts are taken. `part` is what a run that is
    repeated was to start: nothing is known of the packages of others. Reused is only what succeeded, and no service:
    services have to be up. Raises Invalid where the stage, or a run to go on from, is not there, or where that run did
    not get as far.
    """
    stages = [name for step in pipeline.steps for name in step]
    succeeded = {name for name in stages if name in before and before[name].state in SUCCEEDED}
    if first := request.only or request.resume:
        _check(first, pipeline, earlier)
        number = next(number for number, step in enumerate(pipeline.steps) if first in step)
        states: dict[str, StageState] = {
            name: "Waiting" if name == first else _state(request, pipeline, name, at - number, name in succeeded)
            for at, step in enumerate(pipeline.steps)
            for name in step
        }
    else:
        reused = {name for name in succeeded if not isinstance(pipeline.stages[name].work, Service)}
        spare: dict[str, StageState] = {name: "Reused" if name in reused else "Skipped" for name in stages}
        states = {name: "Waiting" if not part or name in part else spare[name] for name in stages}
    if other := [name for name, state in states.items() if part and state == "Waiting" and name not in part]:
        line = f"run {earlier} was a run of {', '.join(part)} alone, and stage {other[0]} was not part of it"
        raise Invalid("NothingToReuse", [f"{line}: begin with {part[0]} or later, or repeat another run"])
    if undone := [name for name, state in states.items() if state == "Reused" and name not in succeeded]:
        lacking = ", ".join(
            f"stage {name} of run {earlier} is {before[name].state}"
            if name in before
            else f"run {earlier} had no stage {name}"
            for name in undone
        )
        remedy = f"begin with {undone[0]}, or go on from a run that got as far"
        raise Invalid("NothingToReuse", [f"{lacking}, so nothing of it can be reused: {remedy}"])
    return {
        name: StageRecord(state=state, metrics=before[name].metrics if state == "Reused" else {})
        for name, state in states.items()
    }


def to_run(pipeline: Pipeline, stages: Mapping[str, StageRecord]) -> tuple[str, ...]:
    """Return the stages that a run may have to start: what their packages are installed for; the failure stage too."""
    return tuple(name for name in pipeline.stages if name not in stages or stages[name].state == "Waiting")


def _state(request: Request, pipeline: Pipeline, name: str, distance: int, succeeded: bool) -> StageState:
    """Return the state of a stage that is so many steps after the one that is asked for, next to it if 0.

    Before the stage that a run begins with, all is to be reused (or the run is refused); what stands in its step and
    did not succeed runs again. Where one stage is to run alone, nothing else does.
    """
    reusable = distance <= 0 and not isinstance(pipeline.stages[name].work, Service)
    if request.only:
        return "Reused" if reusable and succeeded else "Skipped"
    return "Reused" if reusable and (succeeded or distance < 0) else "Waiting"


def _check(stage: str, pipeline: Pipeline, earlier: int) -> None:
    known = [name for step in pipeline.steps for name in step]
    if stage not in known:
        raise Invalid("UnknownStage", [f"no stage {quoted(stage)}: {nearest(stage, known)}"])
    if not earlier and stage not in pipeline.steps[0]:
        line = f"stage {stage} needs what the stages before it made, and no earlier run made it: run all first"
        raise Invalid("NothingToReuse", [line])
