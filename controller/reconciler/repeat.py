"""What a run was started with and how it went, kept so that it can be run once more, or gone on from.

It is written when the run ends, from its record: a pass with a stale view can't have begun another run by then.
"""

from collections.abc import Mapping

from controller.core import errors, layout, plan
from controller.core.documents import codec
from controller.core.documents import run as runs
from controller.core.model import Record, Request, RunSpec
from controller.core.plan import Observed
from controller.reconciler.ports import Volume


def keep(volume: Volume, request: Request, record: Record) -> None:
    """Write down what the run that has just ended was started with. Raises Transient."""
    if record.spec:
        volume.keep_text(layout.run_spec(request.name, request.uid, record.run), runs.write_spec(record.spec))


def recall(volume: Volume, request: Request, record: Record, seen: Observed) -> RunSpec:
    """Return what the run that `request` wants repeated was started with.

    Raises Invalid (RunNotKept, RecordTooNew), Transient.
    """
    text = volume.read_document(layout.run_spec(request.name, request.uid, request.rerun))
    if spec := codec.honoured(runs.read_spec(text)):
        return plan.repeated(request, spec)
    there = sorted(plan.kept_runs(record, request.keep_runs, seen) - {0})
    remedy = f"kept are {', '.join(map(str, there))}" if there else "none has run yet"
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
    text = volume.read_document(layout.run_record(request.name, request.uid, run))
    left = codec.view(runs.read(text)) or runs.RunFile()
    return {name: stage.state for name, stage in left.stages.items()}, left.base
