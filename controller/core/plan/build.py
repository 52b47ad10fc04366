"""The environments of a run: one Job builds each while the first step runs, and each is shown as a stage is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core import manifests, names, times
from controller.core.errors import VOLUME_FULL
from controller.core.facts import JobFact
from controller.core.manifests import RunContext
from controller.core.model import ENDED, PASSABLE, STARTING, Cause, Environment, Record, StageRecord
from controller.core.plan.decision import Action, Create, Observed, Publish
from controller.core.plan.needs import Build, BuildOf
from controller.core.plan.stage import (
    StageView,
    done,
    explained,
    failed,
    going,
    of_job,
    outdated,
    refused,
    removal,
    waiting,
)

FULL_PAUSE = 60  # seconds before a build that found the volume full is tried again


@dataclass(frozen=True, slots=True)
class Builds:
    """All environments of a run as they are now."""

    record: Record
    actions: tuple[Action, ...]
    due: datetime | None
    missing: frozenset[str]  # stages whose packages are not there yet


def builds_of(context: RunContext, record: Record, observed: Observed, now: datetime) -> Builds:
    """Return how the builds stand, and what they need."""
    environments = record.spec.environments if record.spec else ()
    views = {item: StageView(record.stages[item.name]) for item in environments}
    # Where the run has failed, for the sake of its failure stage: those that it does not need are stopped.
    standing = {item: view.record for item, view in views.items() if view.record.state not in ENDED}
    observed.require(*(BuildOf(item.folder) for item in standing))
    for item, stage in standing.items():
        refusal = refused(item.name, stage, observed, context.policy, now)
        views[item] = refusal or _standing(context, item, stage, observed.ask(BuildOf(item.folder)), now)
    unready = (item for item, view in views.items() if view.record.state not in PASSABLE)
    return Builds(
        record=replace(record, stages={**record.stages, **{item.name: view.record for item, view in views.items()}}),
        actions=tuple(action for view in views.values() for action in view.actions),
        due=times.earliest(*(view.due for view in views.values())),
        missing=frozenset(stage for item in unready for stage in item.stages),
    )


def _standing(context: RunContext, item: Environment, record: StageRecord, build: Build, now: datetime) -> StageView:
    fact = build.job
    if build.ready:
        began = {"state": "Reused"} if record.state == "Waiting" else {"attempts": max(record.attempts, 1)}
        over = replace(done(record, now), **began)
        spare = (Publish(item.folder),) if build.made else ()
        return StageView(over, (*spare, *_left_over(context, item, build)))
    if fact and (fact.uid == item.stale or outdated(fact, lambda: manifests.build(context, item))):
        return going(record, fact, context.policy, now)
    if build.made:
        return StageView(record, (Publish(item.folder),), due=now)
    if fact is None and build.lingering:
        return StageView(record)
    name, image = (fact.name, fact.image) if fact else (names.build(item.folder), record.image)
    record = replace(
        record,
        state="Running",
        reason=record.reason if record.started else STARTING,
        started=record.started or times.text(now),
        attempts=fact.attempts if fact else 0,
        objects=(f"Job/{name}",),
        image=image,
    )
    if fact is None:
        return StageView(record, (Create(manifests.build(context, item), item.name),))
    return _judged(context, explained(context, item.stages[0], fact), record, now)


def _left_over(context: RunContext, item: Environment, build: Build) -> tuple[Action, ...]:
    """Return what is left to do for an environment that is there: its Job compiles it, and goes once it has.

    Nobody needs what another Job still makes; one that failed stays for its cause.
    """
    fact = build.job
    if fact is None:
        return (Create(manifests.build(context, item), item.name),) if build.uncompiled and not build.lingering else ()
    stays = fact.state == "Failed" or (build.uncompiled and fact.state == "Running")
    return () if stays else removal(fact)


def _judged(context: RunContext, fact: JobFact, record: StageRecord, now: datetime) -> StageView:
    if fact.state == "Running":
        return of_job(record, fact, context.policy, now)
    if fact.state == "Succeeded":  # and yet there is nothing: somebody removed it before it was published
        return going(record, fact, context.policy, now)
    cause = fact.cause or Cause("Unknown", f"Job {fact.name} failed, and its pod was gone before it could be read")
    if cause.reason != VOLUME_FULL:
        return StageView(failed(record, cause, now))
    again = (times.moment(fact.finished) or now) + timedelta(seconds=FULL_PAUSE)
    view = waiting(record, "schedule", cause, context.policy, now)
    if view.record.state == "Failed" or now < again:
        return replace(view, due=times.earliest(view.due, again))
    return going(view.record, fact, context.policy, now)
