"""Keep the CronJob of a request's schedule, whatever the request's run does meanwhile.

What keeps it from being made is said in a key of its own and disturbs nothing else: what runs and serves goes on.
"""

from dataclasses import replace

from controller.core import manifests
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.facts import drift
from controller.core.facts.owners import keeper_uid
from controller.core.facts.workloads import digest_of
from controller.core.inputs import podtemplate
from controller.core.manifests import with_uid
from controller.core.model import Object, Policy, Request
from controller.core.plan.decision import Action, Apply, Create, Decision, Delete, Emit, Observed
from controller.core.plan.needs import Live

SCHEDULE = "/schedule"  # an action's or refusal's stage where it is the CronJob; no stage's name has a /


def keep_schedule(request: Request, decision: Decision, observed: Observed, policy: Policy) -> Decision:
    """Return the decision with what brings the CronJob to what the request says, and with what is wrong with it."""
    record = decision.record
    if cause := next((item.cause for item in observed.refusals if item.stage == SCHEDULE), None):
        problem = f"{cause.reason}: {cause.message}"
        if record.schedule_problem == problem:
            return decision
        news = Emit(f"schedule-{cause.message}", "Warning", cause.reason, cause.message)
        record = replace(record, schedule_problem=problem)
        return replace(decision, record=record, actions=(*decision.actions, news))
    action = _action(request, observed, policy)
    problem = record.schedule_problem if action and not isinstance(action, Delete) else ""
    actions = (*decision.actions, *([action] if action else []))
    return replace(decision, record=replace(record, schedule_problem=problem), actions=actions)


def _action(request: Request, observed: Observed, policy: Policy) -> Action | None:
    found = observed.cronjob
    live = found if found and keeper_uid(found) == request.uid else None
    if live and "deletionTimestamp" in live["metadata"]:
        return None  # its end comes as an event
    if not request.schedule:
        return Delete("CronJob", request.name, live["metadata"]["uid"]) if live else None
    try:
        manifest = manifests.cronjob(request, policy, _template(request, observed, policy))
        if live is None:
            return Create(manifest, SCHEDULE)
        if digest_of(live) == digest_of(manifest) and not _is_edited(manifest, live, observed):
            return None
    except (NotYet, Transient):
        return None  # nobody knows the template now, or who changed it: it stays as it is
    return Apply(with_uid(manifest, live["metadata"]["uid"]), SCHEDULE)


def _is_edited(manifest: Object, live: Object, observed: Observed) -> bool:
    """Return whether somebody has changed what we set. The caches do not hold who did: that costs a look."""
    if not drift.differs(manifest, live):
        return False
    whole = observed.ask(Live("CronJob", manifest["metadata"]["name"]))
    return bool(whole and drift.read(manifest, whole))


def _template(request: Request, observed: Observed, policy: Policy) -> str:
    """Return the request's pod template as it is now, "" where it can't be used: the run of the next slot says why.

    Not that of the last run: its pods may no longer find a node, and then no slot would start a run with a newer one.
    """
    name = request.pod_template
    try:
        return podtemplate.read(observed.ask(Live("ConfigMap", name)), name, policy.claim) if name else ""
    except Invalid:
        return ""
