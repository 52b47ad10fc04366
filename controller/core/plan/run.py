"""Carry the active run on: open steps in order, end it well or badly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from controller.core import manifests, numbers, times
from controller.core.documents.status import REASON_LIMIT
from controller.core.facts.workloads import run_of
from controller.core.manifests import RunContext, with_uid
from controller.core.model import (
    PASSABLE,
    STARTING,
    Cause,
    Failure,
    Object,
    PastRun,
    Phase,
    Record,
    Request,
    Service,
    StageRecord,
)
from controller.core.plan.build import Builds, builds_of
from controller.core.plan.decision import NO_STAGE, Action, Apply, Create, Decision, Delete, Emit, Observed
from controller.core.plan.failure import handle
from controller.core.plan.notify import owed
from controller.core.plan.secrets import MissingSecret, secrets_of
from controller.core.plan.services import hold, key_of
from controller.core.plan.settle import settle, stale_jobs
from controller.core.plan.stage import StageView, stopped, view_of, waiting
from controller.core.plan.trigger import remember
from controller.core.text import fit

SECRETS_PAUSE = timedelta(seconds=5)  # Secrets are not watched: that takes a right to list them all
_PHASES: dict[str, Phase] = {"Succeeded": "Ready", "Failed": "Failed", "Cancelled": "Cancelled"}


@dataclass(frozen=True, slots=True)
class _Walk:
    """The run after all its open steps were judged."""

    record: Record
    actions: tuple[Action, ...]
    due: datetime | None
    complete: bool = False


def advance(context: RunContext, request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    """Decide on the active run of `record`. A release that was written for it settles that it ended well."""
    if _is_released(record, observed):
        return _end(request, record, observed, now, "Succeeded", None)
    if request.cancel == str(record.run):
        cause = Cause("Cancelled", f"run {record.run} was cancelled on request")
        return _end(request, record, observed, now, "Cancelled", cause)
    context, record, observed = _without_taken(context, record, observed)
    if record.failure:
        return _handled(context, request, record, observed, now)
    walk = _walk(context, record, observed, now)
    limit = times.after(record.started, context.spec.deadline) if context.spec.deadline else None
    late = limit and now >= limit and not walk.complete
    if failure := _failure(context, walk.record, observed, late=bool(late)):
        return _handled(context, request, replace(walk.record, failure=failure), observed, now)
    if walk.complete:
        return _release(context, request, walk.record, observed, now)
    due = times.earliest(walk.due, limit)
    held = hold(context, walk.record, observed, now)
    actions = (*walk.actions, *held, *stale_jobs(record, observed))
    return Decision(_in_words(walk.record), actions, requeue_after=_seconds(due, now))


def fail(
    request: Request, record: Record, cause: Cause, observed: Observed, now: datetime, outcome: str = "Failed"
) -> Decision:
    """End the active run of `record`, which can't go on for a cause outside its stages (unless it was all done).

    `outcome` is Cancelled where another run takes its place.
    """
    if _is_released(record, observed):
        return _end(request, record, observed, now, "Succeeded", None)
    return _end(request, record, observed, now, outcome, cause)


def _is_released(record: Record, observed: Observed) -> bool:
    return observed.release is not None and run_of(observed.release) == record.run


def _without_taken(context: RunContext, record: Record, observed: Observed) -> tuple[RunContext, Record, Observed]:
    """Return all without second names of services that somebody took between the run's start and this pass."""
    lost = {item.about for item in observed.refusals if item.cause.reason == "NameTaken"}
    aliases = [name for name in context.aliases() if ("Service", name) in lost]
    for name in aliases:
        context, warning = context.without(name, "another")
        record = replace(record, spec=context.spec, problems=(*record.problems, warning))
    rest = (item for item in observed.refusals if item.about not in [("Service", name) for name in aliases])
    return context, record, replace(observed, refusals=tuple(rest))


# --- steps -----------------------------------------------------------------------------------------


def _walk(context: RunContext, record: Record, observed: Observed, now: datetime) -> _Walk:
    """Judge the builds and the open step, and open the next as long as all stages of the one before are done."""
    builds = builds_of(context, record, observed, now)
    record = builds.record
    if not record.step:
        secrets = secrets_of(context, record, observed)
        if secrets.missing:
            return _held_back(context, record, secrets.missing, now, builds)
        stages = {name: _unheld(stage) for name, stage in record.stages.items()}
        versions = dict(context.spec.secrets) | dict(secrets.versions)  # what reused stages had, they would have now
        spec = replace(context.spec, secrets=tuple(sorted(versions.items())))
        record = replace(record, spec=spec, stages=stages)
    for number in range(max(record.step, 1), len(context.pipeline.steps) + 1):
        step = context.pipeline.steps[number - 1]
        views = {}
        for name in step:
            stage = record.stages[name]
            if stage.state == "Waiting" and name in builds.missing:
                views[name] = StageView(stage)
                continue
            if stage.state == "Waiting":
                stage = StageRecord("Running", STARTING, started=times.text(now), unknown=stage.unknown)
            views[name] = view_of(context, context.pipeline.stages[name], stage, observed, now)
        record = _with_views(replace(record, step=number), views)
        if not all(view.record.state in PASSABLE and not view.actions for view in views.values()):
            actions = (*builds.actions, *(action for view in views.values() for action in view.actions))
            return _Walk(record, actions, _first_due(builds, views))
    return _Walk(record, builds.actions, builds.due, complete=not builds.actions)


def _with_views(record: Record, views: Mapping[str, StageView]) -> Record:
    """Return the record with these stages as they are now, and of their numbers those that there is room for."""
    room = numbers.MOST_OF_RUN - sum(len(stage.metrics) for stage in record.stages.values())
    stages, problems = dict(record.stages), record.problems
    for name, view in views.items():
        new = {} if record.stages[name].metrics else view.record.metrics
        kept = dict(islice(new.items(), max(room, 0)))
        room -= len(kept)
        stages[name] = view.record if kept == new else replace(view.record, metrics=kept)
        if kept != new:
            line = f"{len(kept)} of {len(new)} numbers are recorded: a run has {numbers.MOST_OF_RUN} at most"
            problems = (*problems, f"stage {name}: {line}")
    return replace(record, stages=stages, problems=problems)


def _first_due(builds: Builds, views: Mapping[str, StageView]) -> datetime | None:
    return times.earliest(builds.due, *(view.due for view in views.values()))


def _held_back(
    context: RunContext, record: Record, missing: Sequence[MissingSecret], now: datetime, builds: Builds
) -> _Walk:
    """Open no step while Secrets are missing: each stage that uses one names all of them at once.

    Where only the failure stage does, which is in no step, the first stage that would run names them.
    """
    cause = Cause("SecretMissing", "; ".join(item.line for item in missing))
    held = [name for step in context.pipeline.steps for name in step if record.stages[name].state == "Waiting"]
    blocked = [name for name in held if any(name in item.stages for item in missing)] or held[:1]
    views = {name: StageView(_unheld(record.stages[name])) for name in held if name not in blocked}  # theirs has come
    for name in blocked:  # what is missing by now, for as long as something has been
        stage = replace(record.stages[name], message=fit(cause.message))
        views[name] = waiting(stage, "start", cause, context.policy, now)
    due = times.earliest(_first_due(builds, views), now + SECRETS_PAUSE)
    return _Walk(_with_views(record, views), builds.actions, due)


def _unheld(stage: StageRecord) -> StageRecord:
    return StageRecord(state="Waiting", unknown=stage.unknown) if stage.state == "Waiting" else stage


def _in_words(record: Record) -> Record:
    """Return the record with its one line: which step runs, and what a stage waits for if one does."""
    lines = [f"stage {record.title(name)}: {stage.message}" for name, stage in record.stages.items() if stage.message]
    running = [record.title(name) for name, stage in record.stages.items() if stage.state == "Running"]
    message = lines[0] if lines else f"run {record.run}, step {record.step}: {', '.join(running)}"
    reason = next((stage.reason for stage in record.stages.values() if stage.message), "StepRunning")
    return replace(record, phase="Running", reason=reason, message=fit(message))


def _seconds(due: datetime | None, now: datetime) -> float | None:
    return max((due - now).total_seconds(), 0.0) if due else None


# --- failure ---------------------------------------------------------------------------------------


def _failure(context: RunContext, record: Record, observed: Observed, *, late: bool) -> Failure | None:
    """Return the first failure: of a stage, of the release (which is no stage's), or of the run as a whole.

    A build that only the failure stage needs is none: it is added to a real one.
    """
    alone = {item.name for item in context.spec.environments if item.stages == (context.pipeline.run_on_failure,)}
    for name, stage in record.stages.items():
        if stage.state == "Failed" and name not in alone:
            return Failure(name, stage.reason, f"stage {record.title(name)}: {stage.message}")
    for item in observed.refusals:
        if item.final and item.stage == NO_STAGE:  # NAME-release is too large for the API, say
            return Failure("", item.cause.reason, item.cause.message)
    line = f"the run took longer than its deadline of {context.spec.deadline} s"
    return Failure("", "DeadlineExceeded", line) if late else None


def _handled(context: RunContext, request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    """End a run that has failed, after its failure stage if the project has one; what it touched goes back at once."""
    handled = handle(context, record, observed, now)
    if handled.cause:
        return _end(request, handled.record, observed, now, "Failed", handled.cause)
    bad = PastRun(run=record.run, outcome="Failed")
    ended = replace(handled.record, finished=times.text(now), history=(bad, *record.history))
    after = settle(request, ended, observed, now)
    own = {item.partition("/")[2] for item in handled.objects}
    others = (item for item in after.actions if not (isinstance(item, Delete) and item.name in own))
    return Decision(_in_words(handled.record), (*others, *handled.actions), requeue_after=_seconds(handled.due, now))


# --- the end ---------------------------------------------------------------------------------------


def _release(context: RunContext, request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    """All stages are done: write down what serves, then (in the next pass) that the run succeeded.

    Service objects are released as they were applied: by this run, or by the one whose service it left alone.
    """
    before = manifests.release_objects(observed.release) if observed.release else ()
    known = {key_of(item): item for item in before}
    objects = list[Object]()
    for name, stage in context.pipeline.stages.items():
        if not isinstance(stage.work, Service) or name not in record.stages:
            continue
        state = record.stages[name].state
        for item in manifests.service_objects(context, stage):
            old = known.get(key_of(item))
            untouched = state == "Skipped" or (state == "Unchanged" and item["kind"] == "Deployment")
            objects += [old] if old and untouched else [] if state == "Skipped" else [item]
    if not objects and not before:
        return _end(request, record, observed, now, "Succeeded", None)
    manifest = manifests.release(context, objects)
    uid = observed.release["metadata"]["uid"] if observed.release else ""
    action = Apply(with_uid(manifest, uid), NO_STAGE) if uid else Create(manifest, NO_STAGE)
    return Decision(_in_words(record), (action,), requeue_after=0.0)


def _end(
    request: Request, record: Record, observed: Observed, now: datetime, outcome: str, cause: Cause | None
) -> Decision:
    """End the run: record it with its outcome, then let `settle` put the workloads in order."""
    good, spec = outcome == "Succeeded", record.spec
    message = cause.message if cause else f"run {record.run} succeeded"
    known = record.failure.message if record.failure else ""
    if not message.startswith(known) and not good:  # ended while its failure stage ran
        message = f"{message} (it had failed: {known})"
    past = PastRun(
        run=record.run,
        outcome=outcome,
        commit=spec.commit if spec else "",
        trigger=spec.trigger if spec else "",
        reason=fit(cause.reason, REASON_LIMIT) if cause else "Succeeded",
        message=fit(message),
        started=record.started,
        finished=times.text(now),
        metrics=numbers.first(record.measured, numbers.MOST_OF_PAST),
    )
    ended = replace(
        record,
        phase=_PHASES[outcome],
        reason=past.reason,
        message=past.message,
        finished=past.finished,
        finished_trigger=past.trigger or record.finished_trigger,
        stages={name: stopped(stage) for name, stage in record.stages.items()},  # good: the failure stage's build
        history=remember(record, past),
        failure=None,
        notices=owed(record, outcome),
        release_run=record.run if good else record.release_run,
        release_commit=past.commit if good else record.release_commit,
        release_numbers=_good_numbers(record) if good else record.release_numbers,
    )
    line = message if good else f"run {record.run}: {message}"
    news = Emit(f"{record.run}-ended", "Normal" if good else "Warning", f"Run{outcome}", line)
    after = settle(request, ended, observed, now)
    return replace(after, actions=(news, *after.actions), outcome=outcome, requeue_after=0.0)


def _good_numbers(record: Record) -> Mapping[str, Mapping[str, float]]:
    """Return the numbers of a run that has ended well, by stage; of stages without any, those of the last that had."""
    every = {name: stage.metrics or record.release_numbers.get(name, {}) for name, stage in record.stages.items()}
    return numbers.first(every, numbers.MOST_OF_RUN)
