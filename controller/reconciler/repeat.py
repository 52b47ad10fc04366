"""What a run was started with and how it went, kept so that it can be run once more, or gone on from.

It is written when the run ends, from its record: a pass with a stale view can't have begun another run by then.
"""

from collections.abc import Mapping

from controller.core import errors, layout, plan
from controller.core.documents import record as records
from controller.core.model import Record, Request, RunSpec
from controller.core.plan import Observed
from controller.reconciler.ports import Volume


def keep(volume: Volume, request: Request, record: Record) -> None:
    """Write down what the run that has just ended was started with. Raises Transient."""
    if record.spec:
        volume.keep_run(layout.run_spec(request.name, request.uid, record.run), records.plain(record.spec))


def recall(volume: Volume, request: Request, record: Record, seen: Observed) -> RunSpec:
    """Return what the run that `request` wants repeated was started with.

    Raises Invalid (RunNotKept, RecordTooNew), Transient.
    """
    kept = volume.recall_run(layout.run_spec(request.name, request.uid, request.rerun))
    if kept:
        return plan.repeated(request, records.spec_from(kept))
    runs = sorted(plan.kept_runs(record, request.keep_runs, seen) - {0})
    remedy = f"kept are {', '.join(map(str, runs))}" if runs else "none has run yet"
    raise errors.Invalid("RunNotKept", [f"run {request.rerun} is not kept, so it can't be repeated: {remedy}"])


def before(volume: Volume, request: Request, record: Record) -> Mapping[str, str]:
    """Return the states of the stages of the run that `request` goes on from, {} where it goes on from none.

    A stage that was reused there is as it was where it ran. Where that run is no longer kept it was judged when it was
    reused. Raises Transient.
    """
    if not (request.only or request.resume or request.rerun):
        return {}
    run = plan.going_on_from(request, record)
    states, base = _states(volume, request, record, run)
    reused = {name for name, state in states.items() if state == "Reused"}
    while reused and 0 < base < run:
        run = base
        earlier, base = _states(volume, request, record, run)
        states |= {name: earlier[name] for name in reused & earlier.keys()}
        reused = {name for name in reused if earlier.get(name) == "Reused"}
    return states


def _states(volume: Volume, request: Request, record: Record, run: int) -> tuple[dict[str, str], int]:
    """Return the states of a run's stages, and the run whose artifacts it began with (0: none, or not known)."""
    if run == record.run:
        base = record.spec.base if record.spec else 0
        return {name: plan.stopped(stage).state for name, stage in record.stages.items()}, base
    told = volume.recall_run(layout.run_record(request.name, request.uid, run)) or {}
    stages, began = told.get("stages"), told.get("base")
    listed = stages.items() if isinstance(stages, dict) else ()
    states = {str(name): str(stage.get("state", "")) for name, stage in listed if isinstance(stage, dict)}
    return states, began if isinstance(began, int) else 0
