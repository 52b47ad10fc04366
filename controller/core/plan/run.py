"""Carry the active run on: open steps in order, end it well or badly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core import manifests, secrets, times
from controller.core.documents.status import REASON_LIMIT
from controller.core.facts.workloads import run_of
from controller.core.manifests import RunContext, with_uid
from controller.core.model import Cause, Failure, Object, PastRun, Phase, Record, Request, Service, StageRecord
from controller.core.plan.build import Builds, look_at_builds
from controller.core.plan.decision import NO_STAGE, Action, Apply, Create, Decision, Delete, Emit, Observed
from controller.core.plan.failure import handle
from controller.core.plan.hold import hold
from controller.core.plan.needs import StageSecret
from controller.core.plan.settle import settle, stale_jobs
from controller.core.plan.stage import DONE, View, look, stopped, waiting
from controller.core.plan.trigger import remember
from controller.core.secrets import Missing
from controller.core.text import fit

SECRETS_PAUSE = timedelta(seconds=5)  # Secrets are not watched: that takes a right to list them all
_PHASES: dict[str, Phase] = {"Succeeded": "Ready", "Failed": "Failed", "Cancelled": "Cancelled"}


@dataclass(frozen=True, slots=True)
class _Walk:
    """The run after all its open steps were looked at."""

    record: Record
    actions: tuple[Action, ...]
    due: datetime | None
    complete: bool


def advance(context: RunContext, request: Request, record: Record, seen: Observed, now: datetime) -> Decision:
    """Decide on the active run of `record`. A release that was written for it settles that it ended well."""
    if _is_released(record, seen):
        return _end(request, record, seen, now, "Succeeded", None)
    if request.cancel == str(record.run):
        cause = Cause("Cancelled", f"run {record.run} was cancelled on request")
        return _end(request, record, seen, now, "Cancelled", cause)
    context, record, seen = _without_taken(context, record, seen)
    if record.failure:
        return _handled(context, request, record, seen, now)
    walk = _walk(context, record, seen, now)
    limit = times.after(record.started, context.spec.deadline) if context.spec.deadline else None
    if failure := _failure(context, walk.record) or _refused_release(seen) or _late(context, walk, limit, now):
        return _handled(context, request, replace(walk.record, failure=failure), seen, now)
    if walk.complete:
        return _release(context, request, walk, seen, now)
    due = min(filter(None, (walk.due, limit)), default=None)
    held = hold(context, walk.record, seen, now)
    actions = (*walk.actions, *held, *stale_jobs(record, seen))
    return Decision(_told(walk.record), actions, requeue_after=_seconds(due, now))


def _without_taken(context: RunContext, record: Record, seen: Observed) -> tuple[RunContext, Record, Observed]:
    """Return all without second names of services that somebody took between the run's start and this pass."""
    lost = {item.about for item in seen.refusals if item.cause.reason == "NameTaken"}
    aliases = [name for name in context.aliases() if ("Service", name) in lost]
    for name in aliases:
        context, warning = context.without(name, "another")
        record = replace(record, spec=context.spec, problems=(*record.problems, warning))
    rest = (item for item in seen.refusals if not (item.about and item.about[1] in aliases))
    return context, record, replace(seen, refusals=tuple(rest))


def _walk(context: RunContext, record: Record, seen: Observed, now: datetime) -> _Walk:
    """Look at the builds and the open step, and open the next as long as all stages of the one before are done."""
    builds = look_at_builds(context, record, seen, now)
    record, due = builds.record, builds.due
    if not record.step:
        there = _secrets(context, record, seen)
        used = secrets.wanted(context.pipeline, _unopened(context, record))
        if missing := secrets.missing(used, there, context.policy.namespace):
            return _held_back(context, record, missing, now, builds)
        record = _noted(record, there)
    for number in range(max(record.step, 1), len(context.pipeline.steps) + 1):
        record = replace(record, step=max(record.step, number))
        step = context.pipeline.steps[number - 1]
        views = {name: _view(context, name, record, seen, now, builds.held) for name in step}
        record = replace(record, stages={**record.stages, **{name: view.record for name, view in views.items()}})
        actions = (*builds.actions, *(action for view in views.values() for action in view.actions))
        due = min(filter(None, (builds.due, *(view.due for view in views.values()))), default=None)
        if not all(_is_done(view) for view in views.values()):
            return _Walk(record, actions, due, complete=False)
    return _Walk(record, builds.actions, due, complete=not builds.actions)


def _view(context: RunContext, name: str, record: Record, seen: Observed, now: datetime, held: frozenset[str]) -> View:
    """Give the view of a stage of the open step; one whose packages are not there yet waits."""
    stage = record.stages[name]
    if stage.state == "Waiting" and name in held:
        return View(stage)
    if stage.state == "Waiting":
        stage = StageRecord(state="Running", started=times.text(now), unknown=stage.unknown)
    return look(context, context.pipeline.stages[name], stage, seen, now)


def _held_back(context: RunContext, record: Record, missing: Sequence[Missing], now: datetime, builds: Builds) -> _Walk:
    """Open no step while Secrets are missing: all of them are told at once, by each stage that wants one.

    Where only the failure stage does, which is in no step, the first stage that would run tells it.
    """
    cause = Cause("SecretMissing", "; ".join(item.line for item in missing))
    held = [name for step in context.pipeline.steps for name in step if record.stages[name].state == "Waiting"]
    wanting = [name for name in held if any(name in item.stages for item in missing)] or held[:1]
    stages = {name: _unheld(record.stages[name]) for name in held if name not in wanting}  # theirs has come
    views = {name: _without_secrets(context, record.stages[name], cause, now) for name in wanting}
    stages |= {name: view.record for name, view in views.items()}
    record = replace(record, stages={**record.stages, **stages})
    due = min(filter(None, (builds.due, *(view.due for view in views.values()))), default=None)
    return _Walk(record, builds.actions, min(filter(None, (due, now + SECRETS_PAUSE))), complete=False)


def _without_secrets(context: RunContext, record: StageRecord, cause: Cause, now: datetime) -> View:
    """Give the view of a stage that waits for Secrets: what is missing by now, for as long as something has been."""
    return waiting(replace(record, message=fit(cause.message)), "start", cause, context.policy, now)


def _unopened(context: RunContext, record: Record) -> set[str]:
    """Return the stages that may still start; the failure stage is one of them."""
    waiting = {name for name, stage in record.stages.items() if stage.state == "Waiting"}
    return context.pipeline.stages.keys() & {*waiting, context.pipeline.run_on_failure}


def _secrets(context: RunContext, record: Record, observed: Observed) -> Mapping[str, Object | None]:
    """Return the Secrets that the stages of a run want whose first step is not open yet."""
    used = secrets.wanted(context.pipeline, _unopened(context, record))
    observed.require(*map(StageSecret, used))
    return {name: observed.ask(StageSecret(name)) for name in used}


def _noted(record: Record, there: Mapping[str, Object | None]) -> Record:
    """Return the record of a run whose first step opens: it has the Secrets' versions."""
    stages = {name: _unheld(stage) for name, stage in record.stages.items()}
    spec = replace(record.spec, secrets=secrets.versions(there)) if record.spec else None
    return replace(record, spec=spec, stages=stages)


def _unheld(stage: StageRecord) -> StageRecord:
    return StageRecord(state="Waiting", unknown=stage.unknown) if stage.state == "Waiting" else stage


def _is_done(view: View) -> bool:
    return view.record.state in DONE and not view.actions


def _failure(context: RunContext, record: Record) -> Failure | None:
    """Give the first failure. A build that only the failure stage needs is none: it is told beside a real one."""
    alone = {item.name for item in context.spec.environments if item.stages == (context.pipeline.run_on_failure,)}
    for name, stage in record.stages.items():
        if stage.state == "Failed" and name not in alone:
            return Failure(name, stage.reason, f"stage {name}: {stage.message}")
    return None


def _late(context: RunContext, walk: _Walk, limit: datetime | None, now: datetime) -> Failure | None:
    if walk.complete or not limit or now < limit:
        return None
    return Failure("", "DeadlineExceeded", f"the run took longer than its deadline of {context.spec.deadline} s")


def _refused_release(seen: Observed) -> Failure | None:
    """Give why NAME-release, which is no stage's, can't be written and never will (too large for the API, say)."""
    refusal = next((item.cause for item in seen.refusals if item.final and item.stage == NO_STAGE), None)
    return Failure("", refusal.reason, refusal.message) if refusal else None


def _handled(context: RunContext, request: Request, record: Record, seen: Observed, now: datetime) -> Decision:
    """End a run that has failed, after its failure stage if the project has one; what it touched goes back at once."""
    handled = handle(context, record, seen, now)
    if handled.cause:
        return _end(request, handled.record, seen, now, "Failed", handled.cause)
    bad = PastRun(run=record.run, outcome="Failed")
    ended = replace(handled.record, finished=times.text(now), history=(bad, *record.history))
    after = settle(request, ended, seen, now)
    kept = {item.removeprefix("Job/") for item in handled.objects}
    others = (item for item in after.actions if not (isinstance(item, Delete) and item.name in kept))
    return Decision(_told(handled.record), (*others, *handled.actions), requeue_after=_seconds(handled.due, now))


def fail(
    request: Request, record: Record, cause: Cause, seen: Observed, now: datetime, outcome: str = "Failed"
) -> Decision:
    """End the active run of `record`, which can't go on for a cause outside its stages (unless it was all done).

    `outcome` is Cancelled where another run takes its place.
    """
    if _is_released(record, seen):
        return _end(request, record, seen, now, "Succeeded", None)
    return _end(request, record, seen, now, outcome, cause)


def _is_released(record: Record, seen: Observed) -> bool:
    return seen.release is not None and run_of(seen.release) == record.run


def _told(record: Record) -> Record:
    """Give the record with its one line: which step runs, and what a stage waits for if one does."""
    told = [f"stage {name}: {stage.message}" for name, stage in record.stages.items() if stage.message]
    running = [name for name, stage in record.stages.items() if stage.state == "Running"]
    message = told[0] if told else f"run {record.run}, step {record.step}: {', '.join(running)}"
    reason = next((stage.reason for stage in record.stages.values() if stage.message), "StepRunning")
    return replace(record, phase="Running", reason=reason, message=fit(message))


def _release(context: RunContext, request: Request, walk: _Walk, seen: Observed, now: datetime) -> Decision:
    """All stages are done: write down what serves, then (in the next pass) that the run succeeded."""
    objects = _released_objects(context, walk.record, seen)
    if not objects and not (seen.release and manifests.release_objects(seen.release)):
        return _end(request, walk.record, seen, now, "Succeeded", None)
    manifest = manifests.release(context, objects)
    if seen.release:
        manifest = with_uid(manifest, seen.release["metadata"]["uid"])
        return Decision(_told(walk.record), (Apply(manifest, NO_STAGE),), requeue_after=0.0)
    return Decision(_told(walk.record), (Create(manifest, NO_STAGE),), requeue_after=0.0)


def _released_objects(context: RunContext, record: Record, seen: Observed) -> list[Object]:
    """Give the service objects as they were applied: by this run, or by the one whose service it left alone."""
    kept = {
        (item["kind"], item["metadata"]["name"]): item
        for item in (manifests.release_objects(seen.release) if seen.release else ())
    }
    objects = []
    for name, stage in context.pipeline.stages.items():
        if not isinstance(stage.work, Service) or name not in record.stages:
            continue
        for item in manifests.service_objects(context, stage):
            old = kept.get((item["kind"], item["metadata"]["name"]))
            state = record.stages[name].state
            untouched = state == "Skipped" or (state == "Unchanged" and item["kind"] == "Deployment")
            objects += [old] if old and untouched else [] if state == "Skipped" else [item]
    return objects


def _end(
    request: Request, record: Record, seen: Observed, now: datetime, outcome: str, cause: Cause | None
) -> Decision:
    """End the run: record it with its outcome, then let `settle` put the workloads in order."""
    spec = record.spec
    message = _with_failure(record, cause.message) if cause else f"run {record.run} succeeded"
    reason = fit(cause.reason, REASON_LIMIT) if cause else "Succeeded"
    past = PastRun(
        run=record.run,
        outcome=outcome,
        commit=spec.commit if spec else "",
        trigger=spec.trigger if spec else "",
        reason=reason,
        message=fit(message),
        started=record.started,
        finished=times.text(now),
    )
    good = outcome == "Succeeded"
    ended = replace(
        record,
        phase=_PHASES[outcome],
        reason=reason,
        message=past.message,
        finished=past.finished,
        finished_trigger=past.trigger or record.finished_trigger,
        stages={name: stopped(stage) for name, stage in record.stages.items()},  # good: the failure stage's build
        history=remember(record, past),
        failure=None,
        release_run=record.run if good else record.release_run,
        release_commit=past.commit if good else record.release_commit,
    )
    news = message if good else f"run {record.run}: {message}"
    told = Emit(f"{record.run}-ended", "Normal" if good else "Warning", f"Run{outcome}", news)
    after = settle(request, ended, seen, now)
    return replace(after, actions=(told, *after.actions), outcome=outcome, requeue_after=0.0)


def _with_failure(record: Record, message: str) -> str:
    """Give why a run ends; one that is ended while its failure stage runs still tells what had failed."""
    known = record.failure.message if record.failure else ""
    return message if message.startswith(known) else f"{message} (it had failed: {known})"


def _seconds(due: datetime | None, now: datetime) -> float | None:
    return max((due - now).total_seconds(), 0.0) if due else None
