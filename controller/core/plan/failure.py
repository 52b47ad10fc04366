"""The failure stage: it runs once when a run has failed, and learns why; its own failure is added to the first."""

from dataclasses import dataclass, replace
from datetime import datetime

from controller.core import times
from controller.core.manifests import RunContext
from controller.core.model import Cause, Record, StageRecord
from controller.core.plan.build import builds_of
from controller.core.plan.decision import Action, Observed
from controller.core.plan.stage import stopped, view_of


@dataclass(frozen=True, slots=True)
class Handled:
    """A failed run as it is now. `cause` is there when nothing is left to be done before it ends."""

    record: Record
    cause: Cause | None = None
    actions: tuple[Action, ...] = ()
    objects: tuple[str, ...] = ()  # of the failure stage and its environment: what must not be stopped
    due: datetime | None = None


def handle(context: RunContext, record: Record, observed: Observed, now: datetime) -> Handled:
    """Return how the failure stage of a failed run stands. The run's other stages are over."""
    failure, name = record.failure, context.pipeline.run_on_failure
    if failure is None:
        raise ValueError("the run has not failed")
    cause = Cause(failure.reason, failure.message)
    used = context.environment_of(name) if name else None
    if not name or (used and failure.stage == used.name):
        return Handled(record, cause)
    if used and record.stages[used.name].state == "Failed":
        return Handled(record, _with(cause, "its environment was not built"))
    own = {name, *([used.name] if used else [])}
    stages = {key: stage if key in own else stopped(stage) for key, stage in record.stages.items()}
    builds = builds_of(context, replace(record, stages=stages), observed, now)
    if name in builds.missing:
        return Handled(builds.record, None, builds.actions, due=builds.due)
    before = replace(record.stages.get(name) or StageRecord(started=times.text(now)), state="Running")
    view = view_of(replace(context, failure=failure), context.pipeline.stages[name], before, observed, now)
    record = replace(builds.record, stages={**builds.record.stages, name: view.record})
    if view.record.state == "Failed":
        return Handled(record, _with(cause, view.record.message))
    if view.record.state == "Done":
        return Handled(record, cause)
    return Handled(record, None, view.actions, view.record.objects, view.due)


def _with(cause: Cause, message: str) -> Cause:
    return replace(cause, message=f"{cause.message} (and the failure stage failed: {message})")
