"""Keep the CronJob of a request's schedule, whatever the request's run does meanwhile.

What keeps it from being made is told in a key of its own and disturbs nothing else: what runs and serves goes on.
"""

from dataclasses import replace

from controller.core import manifests
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import digest_of
from controller.core.manifests import with_uid
from controller.core.model import Object, Policy, Record, Request
from controller.core.plan.decision import Action, Apply, Create, Decision, Delete, Emit, Observed

SCHEDULE = "/schedule"  # an action's or refusal's stage where it is the CronJob; no stage's name has a /


def keep_schedule(request: Request, decision: Decision, seen: Observed, policy: Policy) -> Decision:
    """Give the decision with what brings the CronJob to what the request wants, and with what is wrong with it."""
    wanted = _wanted(request, seen, policy)
    refused = next((item.cause for item in seen.refusals if item.stage == SCHEDULE), None)
    if refused:
        told = _told(decision.record, f"{refused.reason}: {refused.message}")
        if told is decision.record:  # it is known
            return decision
        news = Emit(f"schedule-{refused.message}", "Warning", refused.reason, refused.message)
        return replace(decision, record=told, actions=(*decision.actions, news))
    problem = decision.record.schedule_problem if wanted and not isinstance(wanted[0], Delete) else ""
    return replace(decision, record=_told(decision.record, problem), actions=(*decision.actions, *wanted))


def _told(record: Record, problem: str) -> Record:
    return record if record.schedule_problem == problem else replace(record, schedule_problem=problem)


def _wanted(request: Request, seen: Observed, policy: Policy) -> tuple[Action, ...]:
    live = seen.cronjob if seen.cronjob and owner_uid(seen.cronjob) == request.uid else None
    if live and "deletionTimestamp" in live["metadata"]:
        return ()  # its end comes as an event
    if not request.schedule:
        return (Delete("CronJob", request.name, live["metadata"]["uid"]),) if live else ()
    manifest = manifests.cronjob(request, policy)
    if live is None:
        return (Create(manifest, SCHEDULE),)
    if digest_of(live) != digest_of(manifest) or _is_edited(live, manifest):
        return (Apply(with_uid(manifest, live["metadata"]["uid"]), SCHEDULE),)
    return ()


def _is_edited(live: Object, wanted: Object) -> bool:
    """Whether a person changed when it fires. What its Jobs are made of comes back with defaults: not compared."""
    there = live.get("spec") or {}
    return any(there.get(key) != value for key, value in wanted["spec"].items() if key != "jobTemplate")
