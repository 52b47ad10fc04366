"""No run is active: keep what was released as it was released, and remove what nobody needs.

This is where roll-back happens: a service that a failed run touched differs from the release, so it is applied again as
the release holds it; a service that no release knows is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.core import layout, manifests, names, sweep
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import digest_of
from controller.core.model import Object, PastRun, Phase, Record, Request, serves
from controller.core.plan.decision import Action, Decision, Delete, Observed
from controller.core.plan.needs import KeptRun
from controller.core.plan.services import CANT_PUT_BACK, converge, disturbed, drift_news, key_of, released
from controller.core.text import fit

INVALID_REQUEST = "InvalidRequest"
REFUSED = "Refused"
NOTHING = ("Superseded", "Skipped", REFUSED)  # outcomes of what changed nothing
_GONE = "is gone: services stay as they are, but can't be repaired or rolled back; start a run to write it again"


def settle(request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    """Decide for a request whose last run is over (or that never had one)."""
    services = released(observed)
    actions: list[Action] = list(stale_jobs(record, observed))
    actions += drift_news((item for items in services.values() for item in items), observed, request.uid, now)
    for stage, objects in services.items():
        actions += converge(stage, objects, observed, request.uid)
    if not _is_lost(record, observed):
        wanted = {key_of(item) for items in services.values() for item in items}
        actions += (
            Delete(kind, name, item["metadata"]["uid"])
            for (kind, name), item in observed.serving.items()
            if owner_uid(item) == record.request_uid
            and "deletionTimestamp" not in item["metadata"]
            and (kind, name) not in wanted
        )
    last = next(iter(record.history), PastRun())
    more = f" ({refusal(last)})" if last.outcome == REFUSED else ""  # said until something else comes
    settled = _phase(request, replace(record, message=record.message.removesuffix(more)), services, observed)
    return Decision(replace(settled, message=fit(f"{settled.message}{more}")), tuple(actions))


def stale_jobs(record: Record, observed: Observed) -> tuple[Action, ...]:
    """Return the deletion of Jobs of earlier runs, and of those that still run though their run is over.

    Those of stages that are done are about to end by themselves. What is recorded is the run's own, whatever its label.
    """
    own = {item for stage in record.stages.values() for item in stage.objects}
    done = {item for stage in record.stages.values() if stage.state == "Done" for item in stage.objects}
    return tuple(
        Delete("Job", fact.name, fact.uid)
        for fact in observed.jobs.values()
        if fact.owner == record.request_uid
        and not fact.deleting
        and f"Job/{fact.name}" not in (own if record.active or fact.state != "Running" else done)
        and (fact.run < record.run or (not record.active and fact.state == "Running"))
    )


def _is_lost(record: Record, observed: Observed) -> bool:
    """Return whether somebody took the release away: there is none, yet services are not of bad runs alone.

    Then what runs may well be what was released, and stays: even as a bad run has left it, if the last good run had
    services, or may have left some alone. What that run was is unknown where its file is lost.
    """
    mine = [fact for fact in observed.deployments.values() if fact.owner == record.request_uid]
    if observed.release is not None or not mine:
        return False
    bad = {past.run for past in record.history if past.run and past.outcome != "Succeeded"}
    if any(fact.run not in bad for fact in mine):
        return True
    if not record.release_run:
        return False
    stages = observed.ask(KeptRun(record.release_run)).stages.values()
    served = (stage.state == "Skipped" or serves(stage.objects) for stage in stages)
    return not stages or any(served)


def _gone(request: Request) -> str:
    return f"ConfigMap {names.release_of(request.name)} {_GONE}"


def _phase(request: Request, record: Record, services: Mapping[str, Sequence[Object]], observed: Observed) -> Record:
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
        return _with(record, "Invalid", last.reason, last.message)
    if last.outcome != "Succeeded":
        gone = f" ({_gone(request)})" if _is_lost(record, observed) else ""
        phase: Phase = "Cancelled" if last.outcome == "Cancelled" else "Failed"
        return _with(record, phase, last.reason, f"{last.message}{gone}")
    return _serving(request, record, last, services, observed)


def _serving(
    request: Request, record: Record, last: PastRun, services: Mapping[str, Sequence[Object]], observed: Observed
) -> Record:
    """Return Ready, or Degraded where somebody changed what was released, or where it is not all up."""
    if _is_lost(record, observed):
        return _with(record, "Degraded", "ReleaseMissing", _gone(request))
    if changes := disturbed((item for items in services.values() for item in items), observed, record.request_uid):
        message = "; ".join(map(": ".join, changes))
        # A pass learns of refusals only after its record: what the last one wrote of them holds until there is news.
        known = record.reason == "ServiceDrifted" and CANT_PUT_BACK in record.message
        if known and not observed.refusals and all(what in record.message for what, _ in changes):
            message = record.message
        return _with(record, "Degraded", "ServiceDrifted", message)
    for stage, (deployment, *_) in services.items():
        fact = observed.deployments.get(deployment["metadata"]["name"])
        cause = f": {fact.cause.message}" if fact and fact.cause else ""
        if fact is None or fact.owner != record.request_uid:
            problem = f"has 0 of {deployment['spec']['replicas']} pods ready"
        elif fact.available and fact.digest == digest_of(deployment):
            continue
        elif fact.ready < fact.replicas:
            problem = f"has {fact.ready} of {fact.replicas} pods ready{cause}"
        else:
            problem = f"is being rolled over{cause}"
        return _with(record, "Degraded", "ServiceDegraded", f"service {stage} {problem}")
    return _with(record, "Ready", last.reason, last.message)


def refusal(past: PastRun) -> str:
    """Return the sentence for a trigger that was refused."""
    return f"trigger {past.trigger} was refused: {past.message}" if past.trigger else past.message


def _with(record: Record, phase: Phase, reason: str, message: str) -> Record:
    return replace(record, phase=phase, reason=reason, message=fit(message))


def retained(record: Record, keep: int, observed: Observed) -> frozenset[int]:
    """Return the runs whose folders stay: also those that services mount, of their own run and of the one before."""
    objects: Iterable[Object] = manifests.release_objects(observed.release) if observed.release else ()
    deployments = (item for item in objects if item["kind"] == "Deployment")
    mounted = (layout.run_in(path) for item in deployments for path in manifests.folders_of(item))
    serving = (fact.run for fact in observed.deployments.values())
    return sweep.retained(record, keep) | {*filter(None, mounted), *serving}
