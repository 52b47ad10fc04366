"""What a run was started with, kept so that it can be run once more.

It is written when the run ends, from its record: a pass with a stale view can't have begun another run by then.
"""

from dataclasses import asdict

from controller.core import errors, layout, plan
from controller.core import record as records
from controller.core.model import Record, Request, RunSpec
from controller.core.plan import Observed
from controller.reconciler.ports import Volume


def keep(volume: Volume, request: Request, record: Record) -> None:
    """Write down what the run that has just ended was started with. Raises Transient."""
    if record.spec:
        volume.keep_run(layout.run_spec(request.name, request.uid, record.run), asdict(record.spec))


def recall(volume: Volume, request: Request, record: Record, seen: Observed) -> RunSpec:
    """Give what the run that `request` wants repeated was started with. Raises Invalid("RunNotKept"), Transient."""
    kept = volume.recall_run(layout.run_spec(request.name, request.uid, request.rerun))
    if spec := records.spec_from(kept) if kept else None:
        return plan.repeated(request, spec)
    runs = sorted(plan.kept_runs(record, request.keep_runs, seen) - {0})
    remedy = f"kept are {', '.join(map(str, runs))}" if runs else "none has run yet"
    raise errors.Invalid("RunNotKept", [f"run {request.rerun} is not kept, so it can't be repeated: {remedy}"])
