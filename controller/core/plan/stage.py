"""One stage of the open step: what its objects say, and what it still needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from controller.core import images, manifests, times
from controller.core.facts import DeploymentFact, JobFact
from controller.core.facts.indexes import TENTHS
from controller.core.facts.news import STARTS
from controller.core.facts.owners import keeper_uid
from controller.core.facts.pods import OF_IMAGES, in_yaml
from controller.core.facts.workloads import digest_of
from controller.core.manifests import RunContext, amounts
from controller.core.manifests.process import repeats
from controller.core.model import (
    PASSABLE,
    PROGRESS,
    STARTING,
    Batch,
    Cause,
    Object,
    Parallel,
    Policy,
    Record,
    Service,
    Stage,
    StageRecord,
)
from controller.core.parts import UNFINISHED
from controller.core.plan.decision import Action, Create, Delete, Observed
from controller.core.plan.services import converge, going_autoscaler, going_services, key_of, of_stage
from controller.core.text import QUOTE_LIMIT, clean, fit, format_duration

Fact = TypeVar("Fact", JobFact, DeploymentFact)
LABEL_LIMIT = 200  # characters of an index's values: what is said of it follows, and has to fit as well
UNWATCHED_PAUSE = timedelta(seconds=10)
START_SECONDS = (STARTS, 15)  # after which it is said that a pod still starts, and then why: most need less
_WAITS = "; waits up to "  # behind a cause, with the grace that it gets
STAGE_REASON_LIMIT = 64  # bytes; a reason may be a stage's own word


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage as it is now: its record, what to do, and when time alone will change the answer."""

    record: StageRecord
    actions: tuple[Action, ...] = ()
    due: datetime | None = None


def view_of(context: RunContext, stage: Stage, record: StageRecord, observed: Observed, now: datetime) -> StageView:
    """Return the view of one stage of an open step. What is recorded as done is not judged again."""
    if record.state in PASSABLE:
        return StageView(record)
    view = refused(stage.name, record, observed, context.policy, now)
    if not view and isinstance(stage.work, Service):
        view = _service(context, stage, stage.work, record, observed, now)
    view = view or _batch(context, stage, record, observed, now)
    if view.record.state not in ("Done", "Failed"):
        return view
    return replace(view, record=replace(view.record, metrics=observed.numbers.get(stage.name, {})))


def late_images(record: Record, observed: Observed) -> Mapping[str, str]:
    """Return the images of stages that were done before their node said which they were."""
    return {
        name: fact.image
        for name, stage in record.stages.items()
        if stage.state == "Done" and not stage.image
        for item in stage.objects
        if (fact := observed.jobs.get(item.removeprefix("Job/"))) and fact.image
    }


def explained(context: RunContext, stage: str, fact: Fact) -> Fact:
    """Return a fact whose cause says what the run knows: what named the stage's image, and how keys are written.

    Words that are not ours stay as they are.
    """
    cause = fact.cause
    if cause is None or cause.foreign:
        return fact
    source = images.named_by(context.spec, context.pipeline, stage, context.policy)
    message = cause.message + (f" (named by {source})" if cause.reason in OF_IMAGES else "")
    return replace(fact, cause=replace(cause, message=in_yaml(message) if context.pipeline.is_yaml else message))


def in_indexes(fact: JobFact, parallel: Parallel) -> JobFact:
    """Return a fact whose cause says how far the indexes are, and which of them it is about."""
    of, cause = fact.indexes, fact.cause
    if of is None or fact.blocked or fact.held or fact.state == "Succeeded":
        return fact
    about = f"{label_of(parallel, of.at)}: " if of.at is not None else ""
    words = [f"{about}{cause.message}"] if cause else []
    if fact.state == "Failed":
        words = [f"{of.failed} of {of.count} indexes failed"] * (of.failed > 1) + words
        return replace(fact, cause=replace(cause, message="; ".join(words))) if cause else fact
    if not fact.running:
        return fact
    least = "at least " if of.count > TENTHS and 0 < of.done < of.count else ""
    more = [f"{of.failed} failed"] if of.failed else []
    line = ", ".join([f"{least}{of.done} of {of.count} indexes are done", *more])
    return replace(fact, cause=Cause(PROGRESS, "; ".join([line, *words])))


def label_of(parallel: Parallel, index: int) -> str:
    """Return how an index is named to people: with the values that it has."""
    values = ", ".join(f"{name}={clean(value, QUOTE_LIMIT)}" for name, value in parallel.values(index))
    return f"index {index} ({clean(values, LABEL_LIMIT)})" if values else f"index {index}"


def refused(name: str, record: StageRecord, observed: Observed, policy: Policy, now: datetime) -> StageView | None:
    """Return the view of a stage whose action the API server refused in this very pass, None where it refused none."""
    refusal = next((item for item in observed.refusals if item.stage == name), None)
    if refusal and refusal.final:
        return StageView(failed(record, refusal.cause, now))
    return waiting(record, "schedule", refusal.cause, policy, now) if refusal else None


def _batch(context: RunContext, stage: Stage, record: StageRecord, observed: Observed, now: datetime) -> StageView:
    """Return the view of a batch stage; its peers' Service comes before the Job, and whenever it is gone."""
    if not stage.has_peers:
        return _of_one_job(context, stage, record, observed, now)
    service = manifests.peers(context, stage)
    key = key_of(service)
    view = _of_one_job(context, stage, record, observed, now)
    record = replace(view.record, objects=(*view.record.objects, "/".join(key)))
    live = observed.serving.get(key)
    lacks = record.state == "Running" and (live is None or keeper_uid(live) != context.uid)
    return replace(view, record=record, actions=(*((Create(service, stage.name),) if lacks else ()), *view.actions))


def _of_one_job(context: RunContext, stage: Stage, record: StageRecord, observed: Observed, now: datetime) -> StageView:
    name = context.job_name(stage.name)
    fact = observed.jobs.get(name)
    parallel = stage.parallel
    record = replace(record, objects=(f"Job/{name}",), indexes=parallel.count if parallel else 0)
    if fact is None or fact.owner != context.uid:
        if stage.name in observed.ended:
            cause, record = observed.ended[stage.name], replace(record, attempts=max(record.attempts, 1))
            return StageView(failed(record, cause, now) if cause else done(record, now))
        return StageView(record, (Create(manifests.job(context, stage), stage.name),))
    fact = explained(context, stage.name, fact)
    if parallel:
        fact = in_indexes(fact, parallel)
    if outdated(fact, lambda: manifests.job(context, stage)):
        return going(record, fact, context.policy, now)
    attempts = fact.attempts
    if isinstance(stage.work, Batch) and not parallel and repeats(context.policy, stage.work):
        attempts = max(attempts, fact.last_attempt)
    record = replace(record, attempts=attempts, image=fact.image or record.image)
    if fact.state == "Succeeded":
        return StageView(done(record, now))
    if fact.state == "Failed":
        lost = f"Job {name} failed, and its pod was gone before it could be read (see the stage's log)"
        return StageView(failed(record, fact.cause or Cause("Unknown", lost), now))
    return of_job(record, fact, context.policy, now)


def of_job(record: StageRecord, fact: JobFact, policy: Policy, now: datetime) -> StageView:
    """Return the view of a stage whose Job is on its way. Nothing wakes a request for a Job that no watch finds."""
    if fact.held:
        return waiting(record, "schedule", fact.held, policy, now)
    view = underway(record, fact, policy, now)
    again = now + UNWATCHED_PAUSE if fact.unwatched else None
    return replace(view, due=times.earliest(view.due, again))


def outdated(fact: JobFact, manifest: Callable[[], Object]) -> bool:
    """Return whether a Job gets no pod, and would now name amounts that it leaves open.

    Amounts that differ do not count: what stands before the API server may have changed them, and would again.
    """
    if fact.refused is None:
        return False
    (container,) = manifest()["spec"]["template"]["spec"]["containers"]
    return amounts.leaves_open(fact.refused, container)


def removal(fact: JobFact) -> tuple[Action, ...]:
    """Return the deletion of a Job, once."""
    return () if fact.deleting else (Delete("Job", fact.name, fact.uid),)


def going(record: StageRecord, fact: JobFact, policy: Policy, now: datetime) -> StageView:
    """Return the view of a stage whose Job has to go before another one can be made."""
    if fact.deleting and fact.held:
        return waiting(record, "schedule", fact.held, policy, now)
    return StageView(record, removal(fact))


def _service(
    context: RunContext, stage: Stage, work: Service, record: StageRecord, observed: Observed, now: datetime
) -> StageView:
    objects = of_stage(context, stage, observed)
    actions = converge(stage.name, objects, observed, context.uid)
    record = replace(record, objects=tuple(f"{item['kind']}/{item['metadata']['name']}" for item in objects))
    scaling = going_autoscaler(objects, observed, context.uid)
    if gone := next(going_services([*objects, *([scaling] if scaling else [])], observed, context.uid), ""):
        return replace(waiting(record, "schedule", Cause("BeingDeleted", gone), context.policy, now), actions=actions)
    fact = observed.deployments.get(context.service_name(stage.name))
    if fact is None or fact.owner != context.uid or fact.digest != digest_of(objects[0]):
        return StageView(record, actions)
    fact = explained(context, stage.name, fact)
    record = replace(record, image=fact.image or record.image)
    if fact.available:
        return StageView(record if actions else done(record, now, changed=fact.run == context.run), actions)
    if fact.failed:
        return StageView(failed(record, fact.cause or Cause("NotReady", "its pods did not become ready"), now))
    crashed = fact.crash_started and max(fact.crash_started, record.started)  # a node's clock may be minutes behind
    limit = times.after(crashed, work.max_startup_seconds)
    if limit and now >= limit:
        return StageView(failed(record, fact.cause or Cause("StartupTimeout", "it did not stay up"), now))
    view = underway(record, fact, context.policy, now)
    return replace(view, actions=actions, due=times.earliest(view.due, limit))


def underway(record: StageRecord, fact: JobFact | DeploymentFact, policy: Policy, now: datetime) -> StageView:
    """Return the view of a stage that is on its way: it waits for something, runs, or says nothing yet."""
    if fact.blocked and fact.cause:
        return waiting(record, fact.blocked, fact.cause, policy, now)
    if fact.running:
        return StageView(replace(_with_cause(record, fact.cause or Cause("", "")), waiting_since="", waiting_for=""))
    if not fact.starting or (record.message and record.reason != STARTING):
        return StageView(record)
    said = ""
    for words, seconds in zip(fact.starting, START_SECONDS, strict=False):
        due = times.after(record.started, seconds)
        if due and now < due:
            return StageView(_with_cause(record, Cause(STARTING, said)), due=due)
        said += words
    return StageView(_with_cause(record, Cause(STARTING, said)))


def waiting(record: StageRecord, grace: str, cause: Cause, policy: Policy, now: datetime) -> StageView:
    """Return the view of a stage that can't start: it says at once why and for how long, and fails after the grace.

    The first cause stays: the later ones flap.
    """
    if record.waiting_for == grace:
        cause = Cause(record.reason, record.message.partition(_WAITS)[0])
    if record.waiting_for != grace or record.waiting_since > times.text(now):  # or the clock was set back
        record = replace(record, waiting_for=grace, waiting_since=times.text(now))
    seconds = policy.start_grace if grace == "start" else policy.schedule_grace
    limit = format_duration(seconds).removesuffix(" 0 s")
    due = (times.moment(record.waiting_since) or now) + timedelta(seconds=seconds)
    if now >= due:
        return StageView(failed(record, replace(cause, message=f"{cause.message}; waited {limit}"), now))
    return StageView(
        _with_cause(record, replace(cause, message=f"{cause.message}{_WAITS}{limit}, then fails")), due=due
    )


def failed(record: StageRecord, cause: Cause, now: datetime) -> StageRecord:
    """Return the record of a stage that has failed."""
    return _over(replace(_with_cause(record, cause), state="Failed"), now)


def done(record: StageRecord, now: datetime, *, changed: bool = True) -> StageRecord:
    """Return the record of a stage that is done; not `changed`: it was left as it was."""
    return _over(replace(record, state="Done" if changed else "Unchanged", reason="", message=""), now)


def stopped(record: StageRecord) -> StageRecord:
    """Return the record of a stage whose run is over, perhaps before the stage was."""
    if record.state not in UNFINISHED:
        return record
    return replace(record, state=UNFINISHED[record.state], waiting_since="", waiting_for="")


def _with_cause(record: StageRecord, cause: Cause) -> StageRecord:
    return replace(record, reason=fit(cause.reason, STAGE_REASON_LIMIT), message=fit(cause.message))


def _over(record: StageRecord, now: datetime) -> StageRecord:
    return replace(record, finished=times.text(now), waiting_since="", waiting_for="")
