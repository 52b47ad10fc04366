"""What serves is held as it was put there: by the last good run, or by a stage of the active run that is done."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from controller.core import manifests, names
from controller.core.errors import Invalid
from controller.core.facts.workloads import digest_of
from controller.core.manifests import RunContext
from controller.core.model import Object, Record, Service, Stage
from controller.core.plan.converge import converge, disturbed, key_of
from controller.core.plan.decision import Action, Emit, Observed

_UNOPENED = ("Waiting", "Skipped")


def released(seen: Observed) -> Mapping[str, Sequence[Object]]:
    """Return the release's objects by the stage that they serve, the Deployment first. Raises Invalid."""
    by_stage: dict[str, list[Object]] = defaultdict(list)
    for item in manifests.release_objects(seen.release) if seen.release else ():
        by_stage[item["metadata"]["labels"]["app.kubernetes.io/name"]].append(item)
    return {
        stage: sorted(items, key=lambda item: item["kind"] != "Deployment")
        for stage, items in by_stage.items()
        if any(item["kind"] == "Deployment" for item in items)
    }


def held(context: RunContext, record: Record, seen: Observed) -> Mapping[str, Sequence[Object]]:
    """Return the objects of each service while a run is active: released ones, and those of stages that it opened."""
    opened = {
        names.label_value(name): of_stage(context, stage, seen)
        for name, stage in context.pipeline.stages.items()
        if isinstance(stage.work, Service) and name in record.stages and record.stages[name].state not in _UNOPENED
    }
    return {**_before(seen), **opened}


def of_stage(context: RunContext, stage: Stage, seen: Observed) -> Sequence[Object]:
    """Return a stage's objects as they are applied: an unchanged one keeps the values of the run that made it."""
    known = {key_of(item): item for items in _before(seen).values() for item in items}
    found = ((item, known.get(key_of(item))) for item in manifests.service_objects(context, stage))
    return [old if old and digest_of(old) == digest_of(item) else item for item, old in found]


def _before(seen: Observed) -> Mapping[str, Sequence[Object]]:
    try:
        return released(seen)
    except Invalid:  # told when the run is over: it needs the old release for nothing
        return {}


def hold(context: RunContext, record: Record, seen: Observed, now: datetime) -> tuple[Action, ...]:
    """Return what puts back services that an active run has not touched yet, or is done with."""
    running = {names.label_value(name) for name, stage in record.stages.items() if stage.state == "Running"}
    found = held(context, record, seen)
    there = (
        item for name, items in found.items() for item in items if name not in running or key_of(item) in seen.drift
    )
    actions: list[Action] = [*news(there, seen, context.uid, now)]
    for stage, objects in found.items():
        actions += converge(stage, objects, seen, context.uid) if stage not in running else ()
    return tuple(actions)


def news(objects: Iterable[Object], seen: Observed, uid: str, now: datetime) -> tuple[Emit, ...]:
    """Return an Event for each thing that somebody did to these objects; the same within a minute is the same news."""
    lines = disturbed(objects, seen, uid)
    return tuple(Emit(f"{now:%Y-%m-%dT%H:%M}-{line}", "Warning", "ServiceDrifted", line) for line in lines)
