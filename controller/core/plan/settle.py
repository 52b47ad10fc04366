"""No run is active: keep what was released as it was released, and remove what nobody needs.

This is where roll-back happens: a service that a failed run touched differs from the release, so it is applied again as
the release holds it; a service that no release knows is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.core import layout, manifests, names, sweep
from controller.core.facts import DeploymentFact
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import digest_of
from controller.core.model import Object, PastRun, Phase, Record, Request
from controller.core.plan.converge import converge, disturbed, folders_of, key_of
from controller.core.plan.decision import Action, Decision, Delete, Observed
from controller.core.plan.hold import news, released
from controller.core.text import fit

INVALID_REQUEST = "InvalidRequest"
REFUSED = "Refused"
NOTHING = ("Superseded", "Skipped", REFUSED)  # outcomes of what changed nothing
_GONE = "is gone: services stay as they are, but can't be repaired; start a run to write it anew"


def settle(request: Request, record: Record, seen: Observed, now: datetime) -> Decision:
    """Decide for a request whose last run is over (or that never had one)."""
    found = released(seen)
    actions: list[Action] = list(stale_jobs(record, seen))
    actions += news((item for items in found.values() for item in items), seen, request.uid, now)
    for stage, objects in found.items():
        actions += converge(stage, objects, seen, request.uid)
    actions += _unreleased(record, found, seen)
    return Decision(_with_refusal(_phase(request, record, found, seen)), tuple(actions))


def stale_jobs(record: Record, seen: Observed) -> tuple[Action, ...]:
    """Give the deletion of Jobs of earlier runs, and of those that still run though their run is over."""
    return tuple(
        Delete("Job", fact.name, fact.uid)
        for fact in seen.jobs.values()
        if fact.owner == record.request_uid
        and not fact.deleting
        and (fact.run < record.run or (not record.active and fact.state == "Running"))
    )


def _unreleased(record: Record, found: Mapping[str, Iterable[Object]], seen: Observed) -> Iterable[Action]:
    if _lost(record, seen):
        return
    wanted = {key_of(item) for items in found.values() for item in items}
    for (kind, name), item in seen.serving.items():
        mine = owner_uid(item) == record.request_uid and "deletionTimestamp" not in item["metadata"]
        if mine and (kind, name) not in wanted:
            yield Delete(kind, name, item["metadata"]["uid"])


def _lost(record: Record, seen: Observed) -> bool:
    """Whether somebody took the release away: there is none, yet a service is not of a run that is known as bad.

    Then what runs may well be what was released, and stays.
    """
    bad = {past.run for past in record.history if past.run and past.outcome != "Succeeded"}
    mine = [fact for fact in seen.deployments.values() if fact.owner == record.request_uid]
    return seen.release is None and any(fact.run not in bad for fact in mine)


def _phase(request: Request, record: Record, found: Mapping[str, Sequence[Object]], seen: Observed) -> Record:
    last = next(
        (past for past in record.history if past.outcome not in NOTHING and past.reason != INVALID_REQUEST), None
    )
    if record.phase == "Invalid" and record.reason == INVALID_REQUEST:
        record = replace(record, problems=())
    if request.suspend:
        return _with(record, "Suspended", "Suspended", "nothing new starts while `suspend` is set")
    if last is None:
        return _with(record, "Pending", "WaitingForTrigger", "waits for a trigger: run-on-create is false")
    if last.outcome == "Invalid":
        return replace(_with(record, "Invalid", last.reason, last.message), problems=record.problems)
    if last.outcome == "Succeeded" and _lost(record, seen):
        return _with(record, "Degraded", "ReleaseMissing", f"ConfigMap {names.release_of(request.name)} {_GONE}")
    if last.outcome == "Succeeded":
        return _serving(record, last, found, seen)
    return _with(record, "Cancelled" if last.outcome == "Cancelled" else "Failed", last.reason, last.message)


def _with_refusal(record: Record) -> Record:
    """Return the record with its message telling of a trigger that was refused, until something else comes."""
    last = next(iter(record.history), PastRun())
    if last.outcome != REFUSED:
        return record
    return replace(record, message=fit(f"{record.message} ({refusal(last)})"))


def refusal(past: PastRun) -> str:
    """Return the sentence for a trigger that was refused."""
    return f"trigger {past.trigger} was refused: {past.message}" if past.trigger else past.message


def _serving(record: Record, last: PastRun, found: Mapping[str, Sequence[Object]], seen: Observed) -> Record:
    """Return Ready, or Degraded where somebody changed what was released, or where it is not all up."""
    lines = disturbed((item for items in found.values() for item in items), seen, record.request_uid)
    if lines:
        return _with(record, "Degraded", "ServiceDrifted", "; ".join(lines))
    for stage, (deployment, *_) in found.items():
        fact = seen.deployments.get(deployment["metadata"]["name"])
        if problem := _not_up(fact if fact and fact.owner == record.request_uid else None, deployment):
            return _with(record, "Degraded", "ServiceDegraded", f"service {stage} {problem}")
    return _with(record, "Ready", last.reason, last.message)


def _not_up(fact: DeploymentFact | None, deployment: Object) -> str:
    if fact is None:
        return f"has 0 of {deployment['spec']['replicas']} pods ready"
    if fact.available and fact.digest == digest_of(deployment):
        return ""
    cause = f": {fact.cause.message}" if fact.cause else ""
    if fact.ready < fact.wanted:
        return f"has {fact.ready} of {fact.wanted} pods ready{cause}"
    return f"is being rolled over{cause}"


def _with(record: Record, phase: Phase, reason: str, message: str) -> Record:
    return replace(record, phase=phase, reason=reason, message=fit(message))


def retained(record: Record, keep: int, seen: Observed) -> frozenset[int]:
    """Return the runs whose folders stay, what serves included."""
    serving = {*_mounted(seen.release), *(fact.run for fact in seen.deployments.values())}
    return sweep.retained(record, keep) | serving


def _mounted(release: Object | None) -> Iterable[int]:
    """Give the runs whose folders the released services mount: their own, and the one before it."""
    for item in manifests.release_objects(release) if release else ():
        if item["kind"] == "Deployment":
            yield from filter(None, map(layout.run_in, folders_of(item)))
