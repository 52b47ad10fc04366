"""What serves is kept as it was put there: by the last good run, or by a stage of the active run that is done."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.core import manifests, names
from controller.core.errors import Invalid
from controller.core.facts import drift
from controller.core.facts.owners import keeper_uid, leaving
from controller.core.facts.workloads import digest_of, run_of
from controller.core.manifests import RunContext, with_uid
from controller.core.model import Object, Record, Service, Stage
from controller.core.plan.decision import Action, Apply, Create, Delete, Emit, Observed, Restore
from controller.core.plan.needs import Key, Live

_UNOPENED = ("Waiting", "Skipped")
CANT_PUT_BACK = "it can't be put back"


def key_of(manifest: Object) -> Key:
    """Return the kind and name of an object."""
    return manifest["kind"], manifest["metadata"]["name"]


def released(observed: Observed) -> Mapping[str, Sequence[Object]]:
    """Return the release's objects by the stage that they serve, the Deployment first. Raises Invalid."""
    by_stage: dict[str, list[Object]] = defaultdict(list)
    for item in manifests.release_objects(observed.release) if observed.release else ():
        by_stage[item["metadata"]["labels"]["app.kubernetes.io/name"]].append(item)
    return {
        stage: sorted(items, key=lambda item: item["kind"] != "Deployment")
        for stage, items in by_stage.items()
        if any(item["kind"] == "Deployment" for item in items)
    }


def held(context: RunContext, record: Record, observed: Observed) -> Mapping[str, Sequence[Object]]:
    """Return the objects of each service while a run is active: released ones, and those of stages that it opened."""
    opened = {
        names.label_value(name): of_stage(context, stage, observed)
        for name, stage in context.pipeline.stages.items()
        if isinstance(stage.work, Service) and name in record.stages and record.stages[name].state not in _UNOPENED
    }
    return {**_before(observed), **opened}


def of_stage(context: RunContext, stage: Stage, observed: Observed) -> Sequence[Object]:
    """Return a stage's objects as they are applied: an unchanged one keeps the values of the run that made it."""
    known = {key_of(item): item for items in _before(observed).values() for item in items}
    found = ((item, known.get(key_of(item))) for item in manifests.service_objects(context, stage))
    return [old if old and digest_of(old) == digest_of(item) else item for item, old in found]


def _before(observed: Observed) -> Mapping[str, Sequence[Object]]:
    try:
        return released(observed)
    except Invalid:  # recorded when the run is over: it needs the old release for nothing
        return {}


def with_drift(observed: Observed, services: Mapping[str, Sequence[Object]]) -> Observed:
    """Return what is observed with what others have changed of these objects.

    The caches do not hold who set which field: what differs costs a look at the object itself.
    """
    applied = (
        (unscaled(item, items, there), there)
        for items in services.values()
        for item in items
        if (there := observed.serving.get(key_of(item)))
    )
    changed = {Live(*key_of(item)): (item, there) for item, there in applied if drift.differs(item, there)}
    observed.require(*changed)
    found = {}
    for question, (item, there) in changed.items():
        live = observed.ask(question)
        if live and live["metadata"]["uid"] == there["metadata"]["uid"] and (difference := drift.read(item, live)):
            found[key_of(item)] = difference
    return replace(observed, drift=found)


def hold(context: RunContext, record: Record, observed: Observed, now: datetime) -> tuple[Action, ...]:
    """Return what puts back services that an active run has not touched yet, or is done with."""
    running = {names.label_value(name) for name, stage in record.stages.items() if stage.state == "Running"}
    services = held(context, record, observed)
    there = (
        item
        for name, items in services.items()
        for item in items
        if name not in running or key_of(item) in observed.drift
    )
    actions: list[Action] = [*drift_news(there, observed, context.uid, now)]
    for stage, objects in services.items():
        actions += converge(stage, objects, observed, context.uid) if stage not in running else ()
    return tuple(actions)


def converge(stage: str, objects: Sequence[Object], observed: Observed, uid: str) -> tuple[Action, ...]:
    """Return what makes the live objects of a service equal to `objects` (the Deployment first).

    What exists, carries the same digest and was changed by nobody is left alone. Any other changed object waits for the
    rollout: a Service's port changes only when all pods answer on the new one. An object that another owner holds is
    missing here: creating it shows whose it is. An autoscaler that is not wanted any more goes first, and is waited
    for: the number of pods that is applied then is the last word.
    """
    if scaling := going_autoscaler(objects, observed, uid):
        metadata = scaling["metadata"]
        return () if "deletionTimestamp" in metadata else (Delete(*key_of(scaling), metadata["uid"]),)
    deployment = objects[0]
    fact = observed.deployments.get(deployment["metadata"]["name"])
    rolled_out = bool(fact and fact.digest == digest_of(deployment) and fact.available)
    actions: list[Action] = []
    for item in objects:
        live = observed.serving.get(key_of(item))
        if live is None or keeper_uid(live) != uid:
            actions.append(Create(item, stage))
            continue
        if "deletionTimestamp" in live["metadata"]:
            continue  # its end comes as an event
        same = digest_of(live) == digest_of(item)
        # where no release says how an unchanged service was applied, the run applies it as its own
        unreleased = observed.release is None and run_of(live) != run_of(item)
        if same and key_of(item) in observed.drift:
            actions.append(Restore(unscaled(item, objects, live), stage))
        elif unreleased or (not same and (rolled_out or item is deployment)):
            actions.append(Apply(with_uid(unscaled(item, objects, live), live["metadata"]["uid"]), stage))
    return tuple(actions)


def unscaled(item: Object, objects: Sequence[Object], live: Object) -> Object:
    """Return an object as it has to be: the number of pods is the autoscaler's, unless it is below the least.

    At 0 no autoscaler does anything (its own switch), and one that is new acts only after a while.
    """
    scales = any(other["kind"] == manifests.AUTOSCALER for other in objects)
    if item["kind"] != "Deployment" or not scales or live["spec"].get("replicas", 1) < item["spec"]["replicas"]:
        return item
    return {**item, "spec": {key: value for key, value in item["spec"].items() if key != "replicas"}}


def going_autoscaler(objects: Sequence[Object], observed: Observed, uid: str) -> Object | None:
    """Return the service's autoscaler that is there, and is not among its objects."""
    key = manifests.AUTOSCALER, objects[0]["metadata"]["name"]
    live = observed.serving.get(key)
    return live if live and keeper_uid(live) == uid and key not in map(key_of, objects) else None


def going_services(objects: Iterable[Object], observed: Observed, uid: str) -> Iterator[str]:
    """Yield a sentence for each of these objects that is being deleted, and is still there."""
    for item in objects:
        live = observed.serving.get(key_of(item))
        if live and keeper_uid(live) == uid and "deletionTimestamp" in live["metadata"]:
            yield leaving(item["kind"], live)


def disturbed(objects: Iterable[Object], observed: Observed, uid: str) -> list[tuple[str, str]]:
    """Return what somebody did to each of these objects that were changed or taken away, and what is done about it."""
    refused = {item.about: item.cause.message for item in observed.refusals}
    lines = []
    for item in objects:
        (kind, name), live = key_of(item), observed.serving.get(key_of(item))
        change = observed.drift.get(key_of(item))
        cause = refused.get(key_of(item))
        remedy = f"{CANT_PUT_BACK} ({cause})" if cause else "it is put back"
        if live is None:
            lines.append((f"{kind} {name} was deleted, or its labels were removed", remedy))
        elif going := next(going_services([item], observed, uid), ""):
            lines.append((going, "it is made again"))
        elif change:
            lines.append((f"{kind} {name}: {change.by} changed {change.fields}", remedy))
    return lines


def drift_news(objects: Iterable[Object], observed: Observed, uid: str, now: datetime) -> tuple[Emit, ...]:
    """Return an Event for each thing that somebody did to these objects; the same within a minute is the same news."""
    lines = map(": ".join, disturbed(objects, observed, uid))
    return tuple(Emit(f"{now:%Y-%m-%dT%H:%M}-{line}", "Warning", "ServiceDrifted", line) for line in lines)
