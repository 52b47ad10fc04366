"""The one decision: what is recorded and observed -> the new record and what to do, or what has to be known first.

`decide` computes nothing but its answer. Where it depends on what nobody has looked up yet, it says so (`Needs`) and is
called again with the answers; the same arguments always lead to the same answer. All policy is here and in the modules
below it: what is refused, declined, waits, is tried again, replaced or queued. A decision whose actions were all
carried out leads to one without actions.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from controller.core.documents.codec import Corrupt, TooNew
from controller.core.errors import VOLUME_FULL, Invalid, NotYet, Transient
from controller.core.manifests import RunContext
from controller.core.model import Cause, Policy, Record, Request
from controller.core.plan import begin
from controller.core.plan.decision import Decision, Emit, Known, Observed, Tidy, Unanswered
from controller.core.plan.needs import Inherited, Needs, Room
from controller.core.plan.notify import deliver
from controller.core.plan.poll import poll, with_poll
from controller.core.plan.run import advance, fail
from controller.core.plan.schedule import keep_schedule
from controller.core.plan.services import held, released, with_drift
from controller.core.plan.settle import INVALID_REQUEST, retained, settle
from controller.core.plan.stage import late_images
from controller.core.plan.trigger import (
    MAY_COME,
    Pending,
    as_pending,
    decline,
    invalid,
    is_news,
    is_refusal,
    is_refused_already,
    may_come,
    overlap,
    pending,
    refuse,
    replacement,
    skip,
    stumble,
)
from controller.core.text import fit

DAMAGED = "record and copy on the volume were written over or lost: the history is gone, and a run may start"
REPLACE_PAUSE = 30.0  # seconds between two looks at whether what is to replace the active run can start by now
ROOM = "enlarge the claim, lower keep-runs or delete requests; it goes on by itself"


def decide(known: Known, observed: Observed, policy: Policy, now: datetime) -> Decision | Needs:
    """Return what to record and to do about a request, or what has to be looked up before that."""
    if isinstance(known.found, TooNew):  # acting as if there were no record would repeat what ran
        problem = known.found.problem
        blocked = replace(known.record, phase="Blocked", reason="RecordTooNew", message=problem)
        return Decision(blocked, (Emit(f"blocked-{problem}", "Warning", "RecordTooNew", problem),), poll=known.poll)
    try:
        decision = _decided(known, observed, policy, now)
    except Unanswered as unanswered:
        return unanswered.needs
    decision = _with_images(known, decision, late_images(decision.record, observed))
    if not isinstance(known.found, Corrupt):
        return decision
    return replace(decision, actions=(Emit("record-damaged", "Warning", "RecordDamaged", DAMAGED), *decision.actions))


def _with_images(known: Known, decision: Decision, late: Mapping[str, str]) -> Decision:
    """Return the decision with late images in its record, if that is written anyway; else the run's file gets them."""
    record = decision.record
    if not late or record == known.record:
        return replace(decision, late_images=late if record.finished else {})
    named = {name: replace(record.stages[name], image=image) for name, image in late.items()}
    return replace(decision, record=replace(record, stages={**record.stages, **named}))


def _decided(known: Known, observed: Observed, policy: Policy, now: datetime) -> Decision:
    if observed.failed:
        return _stumbled(known, observed.failed, observed, now)
    result = poll(known, observed, now)
    try:
        decision = _of_request(known, observed, policy, now, result.commit if result else "")
    except (NotYet, Transient) as error:
        return replace(_stumbled(known, error, observed, now), poll=result)
    except Invalid as damaged:  # what we wrote ourselves was written over
        again = Transient(damaged.reason, damaged.problems[0])
        return replace(_stumbled(known, again, observed, now), poll=result)
    decision = with_poll(known, decision, result, observed, now)
    record = decision.record
    if observed.refusals:
        cause = observed.refusals[0].cause
        return replace(decision, error=Transient(cause.reason, cause.message))
    if record.active and record.reason == VOLUME_FULL:  # a build's: who sees it makes room
        return replace(decision, error=Transient(VOLUME_FULL, record.message))
    return decision


def _stumbled(known: Known, error: NotYet | Transient, observed: Observed, now: datetime) -> Decision:
    """Return the decision that ends a pass with an error; the record says what is waited for."""
    active = known.record.active
    if isinstance(error, NotYet):
        record = stumble(known.record, "Running" if active else "Queued", "NotYet", str(error), now)
    else:
        if error.reason == VOLUME_FULL:
            free = observed.ask(Room())
            error = Transient(VOLUME_FULL, f"{error} ({f'{free}: ' if free else ''}{ROOM})")
        record = stumble(known.record, "Running" if active else "Pending", error.reason, str(error), now)
    decision = Decision(record, error=error)
    return decision if known.problems else deliver(known.request, decision, observed, now)


def _of_request(known: Known, observed: Observed, policy: Policy, now: datetime, commit: str) -> Decision:
    """Decide on the run, and on what goes on with or without it: the schedule, and the folders of earlier runs."""
    request, record = known.request, known.record
    if known.problems and not record.active:  # what it released before goes on as it is
        words = invalid(record, known.problems, INVALID_REQUEST)
        if is_refused_already(request, words):
            return replace(_settled(request, record, observed, now), record=words)
        return refuse(request, record, Invalid(INVALID_REQUEST, known.problems), now)
    decision = _of_run(known, observed, policy, now, commit)
    if known.problems:  # an invalid request does not say what it wants
        return decision
    decision = keep_schedule(request, deliver(request, decision, observed, now), observed, policy)
    if not decision.outcome:
        return decision
    tidy = Tidy(retained(decision.record, request.keep_runs, observed))  # last: it may take long
    more = request.poll or observed.serving or pending(request, decision.record, known.digest, commit)
    again = decision.requeue_after if more or decision.record.notices else None
    return replace(decision, actions=(*decision.actions, tidy), requeue_after=again)


def _of_run(known: Known, observed: Observed, policy: Policy, now: datetime, commit: str) -> Decision:
    request, record = known.request, known.record
    reason = pending(request, record, known.digest, commit)
    if refused := _refusal(known, reason, observed):
        return _passed_over(known, decline(request, record, refused, now), observed, policy, now)
    if record.active:
        if reason and (cause := replacement(request, record, reason)):
            return _replaced(known, reason, cause, observed, policy, now)
        waiting = overlap(request, record, reason, now, known.digest)
        return _advanced(request, waiting, observed, policy, now)
    if reason and not request.suspend:
        return _new_run(known, reason, observed, policy, now)
    return _settled(request, skip(request, record, known.digest, commit), observed, now)


def _refusal(known: Known, reason: Pending | None, observed: Observed) -> Invalid | None:
    """Return why the request's trigger is refused at once: nothing waits for what can't start."""
    request, record = known.request, known.record
    if request.suspend or not record.request_digest:
        return None
    if request.wrong:
        return Invalid("InvalidTrigger", request.wrong) if is_news(request, record) else None
    if reason is None or not reason.trigger or reason.trigger != request.trigger:
        return None
    try:
        if request.rerun and not (record.active and request.rerun == record.run):
            begin.recalled(known, request, observed)
    except Invalid as invalid:
        return invalid if is_refusal(request, record, invalid.reason) else None
    except (NotYet, Transient):  # nobody knows now
        return None
    return None


def _replaced(
    known: Known, reason: Pending, cause: Cause, observed: Observed, policy: Policy, now: datetime
) -> Decision:
    """End the active run for what is pending, once that could begin: nothing makes way for what can't start."""
    request, record, commit = as_pending(known.request, reason), known.record, ""
    try:
        commit = begin.commit_of(known, request, reason, observed)
        begin.prepared(known, request, reason, observed, policy, now)
    except (Invalid, NotYet, Transient) as found:
        if isinstance(found, Invalid) and found.reason not in MAY_COME:
            return _unbegun(known, request, found, commit, observed, policy, now)
        waiting = overlap(known.request, record, reason, now, known.digest)
        decision = _advanced(known.request, waiting, observed, policy, now)
        if not decision.record.active:
            return decision
        why = "; ".join(found.problems) if isinstance(found, Invalid) else str(found)
        words = fit(f"{decision.record.message} (what is to replace it can't start yet: {why})")
        return replace(decision, record=replace(decision.record, message=words)).within(REPLACE_PAUSE)
    return fail(known.request, record, cause, observed, now, "Cancelled")


def _unbegun(
    known: Known, request: Request, found: Invalid, commit: str, observed: Observed, policy: Policy, now: datetime
) -> Decision:
    """Record why what is pending can't begin; an active run goes on."""
    if is_refusal(request, known.record, found.reason):
        return _passed_over(known, decline(known.request, known.record, found, now), observed, policy, now)
    refused = refuse(request, known.record, found, now, digest=known.digest, commit=commit)
    return _passed_over(known, refused, observed, policy, now) if known.record.active else refused


def _passed_over(known: Known, declined: Decision, observed: Observed, policy: Policy, now: datetime) -> Decision:
    """Carry on after what is pending came to nothing, as if it had not come."""
    record = declined.record
    if record.active:
        rest = _advanced(known.request, record, observed, policy, now)
    else:
        rest = _settled(known.request, record, observed, now)
    return replace(rest, actions=(*declined.actions, *rest.actions), requeue_after=0.0, not_begun=declined.not_begun)


def _new_run(known: Known, reason: Pending, observed: Observed, policy: Policy, now: datetime) -> Decision:
    """Open the first step of a new run; or record why there is none."""
    request, commit = as_pending(known.request, reason), ""
    try:
        commit = begin.commit_of(known, request, reason, observed)
        record, context = begin.begun(known, request, reason, observed, policy, now)
    except Invalid as found:
        if may_come(known.record, found.reason, now, policy.start_grace):
            raise Transient(found.reason, "; ".join(found.problems)) from found
        return _unbegun(known, request, found, commit, observed, policy, now)
    announced = Emit(f"{record.run}-started", "Normal", "RunStarted", record.message)
    if record.spec and record.spec.base:  # its artifacts come once it is recorded whose they are
        return Decision(record, (announced,), requeue_after=0.0)
    decision = _gone_on(context, request, record, observed, now)
    return replace(decision, actions=(announced, *decision.actions))


def _advanced(request: Request, record: Record, observed: Observed, policy: Policy, now: datetime) -> Decision:
    spec = record.spec
    if spec is None:
        raise ValueError("no run is active")
    try:
        _, pipeline = observed.ask(begin.project_of(spec))
        if spec.base and not record.step:
            observed.ask(Inherited(record.run, spec.base))
    except Invalid as invalid:  # what it needs is lost and can't be had again, or is read otherwise now
        return fail(request, record, Cause(invalid.reason, "; ".join(invalid.problems)), observed, now)
    return _gone_on(begin.context_of(request, record, spec, pipeline, policy), request, record, observed, now)


def _gone_on(context: RunContext, request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    return advance(context, request, record, with_drift(observed, held(context, record, observed)), now)


def _settled(request: Request, record: Record, observed: Observed, now: datetime) -> Decision:
    return settle(request, record, with_drift(observed, released(observed)), now)
