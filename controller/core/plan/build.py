"""The environments of a run: one Job builds each, beside the first step, and each is shown as a stage is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core import layout, manifests, names, times
from controller.core.facts import JobFact
from controller.core.manifests import RunContext
from controller.core.model import Cause, Environment, Record, StageRecord
from controller.core.plan.decision import Action, Create, Delete, Observed, Publish
from controller.core.plan.needs import Build, BuildOf
from controller.core.plan.stage import DONE, View, done, failed, refused, underway, waiting

OVER = (*DONE, "Failed", "Stopped")  # a run that failed still looks, for the sake of its failure stage
FULL = "VolumeFull"
FULL_PAUSE = 60  # seconds before a build that found the volume full is tried again


@dataclass(frozen=True, slots=True)
class Builds:
    """All environments of a run after a look at each."""

    record: Record
    actions: tuple[Action, ...]
    due: datetime | None
    held: frozenset[str]  # stages whose packages are not there yet


def look_at_builds(context: RunContext, record: Record, seen: Observed, now: datetime) -> Builds:
    """Give how the builds stand, and what they need."""
    wanted = record.spec.environments if record.spec else ()
    seen.require(*(BuildOf(item.folder) for item in wanted if record.stages[item.name].state not in OVER))
    views = {item: _look(context, item, record.stages[item.name], seen, now) for item in wanted}
    return Builds(
        record=replace(record, stages={**record.stages, **{item.name: view.record for item, view in views.items()}}),
        actions=tuple(action for view in views.values() for action in view.actions),
        due=min(filter(None, (view.due for view in views.values())), default=None),
        held=frozenset(stage for item, view in views.items() if view.record.state not in DONE for stage in item.stages),
    )


def _look(context: RunContext, item: Environment, record: StageRecord, seen: Observed, now: datetime) -> View:
    if record.state in OVER:
        return View(record)
    if refusal := refused(item.name, record, seen, context.policy, now):
        return refusal
    return _seen(context, item, record, seen.ask(BuildOf(item.folder)), now)


def _seen(context: RunContext, item: Environment, record: StageRecord, build: Build, now: datetime) -> View:
    fact = build.job
    if build.ready:  # nobody needs what a Job still makes, and one that ended well has nothing more to tell
        over = replace(done(record, now), state="Reused" if record.state == "Waiting" else "Done")
        spare = (Publish(item.folder),) if build.made else ()
        return View(over, (*spare, *(_removal(fact) if fact and fact.state != "Failed" else ())))
    if fact and fact.uid == item.stale:
        return View(record, _removal(fact))
    if build.made and (fact is None or fact.state == "Succeeded"):
        return View(record, (Publish(item.folder),), due=now)
    if fact is None:
        return View(record) if build.lingering else _begun(context, item, record, now)
    begun = replace(record, state="Running", started=record.started or times.text(now), attempts=fact.attempts)
    return _judged(context, fact, replace(begun, objects=(f"Job/{fact.name}",), image=fact.image), now)


def _begun(context: RunContext, item: Environment, record: StageRecord, now: datetime) -> View:
    job = manifests.build(context, item)
    record = replace(
        record,
        state="Running",
        started=record.started or times.text(now),
        objects=(f"Job/{names.build(item.folder)}",),
        attempts=1,
    )
    return View(record, (Create(job, item.name, (layout.BUILD_CACHE, layout.build_logs(item.folder))),))


def _judged(context: RunContext, fact: JobFact, record: StageRecord, now: datetime) -> View:
    if fact.state == "Running":
        return underway(record, fact, context.policy, now)
    if fact.state == "Succeeded":  # and yet there is nothing: somebody removed it before it was published
        return View(record, _removal(fact))
    cause = fact.cause or Cause("Unknown", f"Job {fact.name} failed, and its pod was gone before it could be read")
    if cause.reason != FULL:
        return View(failed(record, cause, now))
    again = (times.moment(fact.finished) or now) + timedelta(seconds=FULL_PAUSE)
    view = waiting(record, "schedule", cause, context.policy, now)
    if view.record.state == "Failed" or now < again:
        return replace(view, due=min(filter(None, (view.due, again))))
    return replace(view, actions=_removal(fact))


def _removal(fact: JobFact) -> tuple[Action, ...]:
    return () if fact.deleting else (Delete("Job", fact.name, fact.uid),)
