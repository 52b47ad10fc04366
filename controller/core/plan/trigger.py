"""What asks for a run, what of it waits for the active run or is passed over, and what is refused."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from controller.core import slots, times
from controller.core.documents.status import HANDLED_LIMIT, HISTORY_LIMIT, PROBLEM_LIMIT
from controller.core.errors import WARNING, Invalid
from controller.core.model import Cause, PastRun, Phase, Record, Request
from controller.core.plan.decision import Decision, Emit
from controller.core.plan.settle import INVALID_REQUEST, REFUSED, refusal
from controller.core.text import fit

NO_COMMIT = "none"  # what `ref` was when it was no commit
OF_THE_TRIGGER = ("InvalidTrigger", "UnknownStage", "NothingToReuse", "RunNotKept", "ArtifactsUnreadable")
# What may come with what is applied a moment later, or as soon as a server answers.
MAY_COME = ("SecretMissing", "GitSecretMissing", "GitSecretKeyMissing", "GitRequirementUnreachable")
_CAUSES = {"Changed": "a change of the request", "Polled": "a commit that moved", "Created": "the request"}


@dataclass(frozen=True, slots=True)
class Pending:
    """Why a run should start: Created, Changed, Polled, or Triggered (`trigger`: the annotation's value)."""

    cause: str
    trigger: str = ""
    commit: str = ""  # what `ref` is by now, as far as anybody knows


def pending(request: Request, record: Record, digest: str, commit: str) -> Pending | None:
    """Return what asks for a run of `request` (whose digest is given) beyond what `record` has handled.

    `commit` is what `ref` was when it was last polled, "" where it was not. The first one is only noted: a commit has
    to move, if only back, to ask for something. One run handles all that is pending when it is recorded.
    """
    if trigger := _unhandled(request, record):
        return Pending("Triggered", trigger, commit)
    if not record.request_digest:
        return Pending("Created", commit=commit) if request.run_on_create else None
    if digest and record.request_digest != digest:
        return Pending("Changed", commit=commit)
    moved = request.poll and commit and record.poll_commit and commit != record.poll_commit
    return Pending("Polled", commit=commit) if moved else None


def as_pending(request: Request, reason: Pending) -> Request:
    """Return the request without what goes with a trigger, if it is not that trigger which asks for the run."""
    if reason.trigger and reason.trigger == request.trigger:
        return request
    return replace(request, resume="", only="", parameters=(), rerun=0, whole=False, wrong=())


def may_reuse(request: Request, reason: Pending) -> bool:
    """Return whether a run may be spared first stages that would do what they did (REUSE).

    Not one that says what it runs, and no slot of a schedule: that is for what changes outside of the repository.
    """
    slot = request.schedule and slots.of_trigger(request.name, reason.trigger)
    return not (request.whole or request.only or request.resume or request.rerun or slot)


def _unhandled(request: Request, record: Record) -> str:
    fresh = request.trigger if request.trigger not in record.handled else ""
    return fresh or record.queued


def absorb(request: Request, record: Record, digest: str, commit: str) -> Record:
    """Return the record with all that is pending marked as handled: a run begins, or it is suspended or refused.

    `commit` is what `ref` is now, "" where nobody knows.
    """
    triggers = dict.fromkeys(filter(None, (record.queued, _unhandled(request, record))))
    return replace(
        record,
        handled=(*record.handled, *triggers)[-HANDLED_LIMIT:],
        queued="",
        pending_since="",
        request_digest=digest or record.request_digest,
        poll_commit=commit or record.poll_commit,
    )


def skip(request: Request, record: Record, digest: str, commit: str) -> Record:
    """Return the record with what is pending handled by doing nothing."""
    trigger = _unhandled(request, record)
    return replace(absorb(request, record, digest, commit), finished_trigger=trigger or record.finished_trigger)


def remember(record: Record, past: PastRun) -> tuple[PastRun, ...]:
    """Return the history with one more run, newest first, bounded.

    What was no run goes first; then the oldest of the good or of the other runs, of which there are more: which runs
    are kept is decided for each kind by itself.
    """
    history = (past, *record.history)
    if len(history) <= HISTORY_LIMIT:
        return history
    kinds = ["none" if not item.run else "good" if item.outcome == "Succeeded" else "bad" for item in history]
    older = Counter(kinds[1:])
    most = "none" if older["none"] else max(("good", "bad"), key=lambda kind: older[kind])
    spare = max(number for number, kind in enumerate(kinds) if number and kind == most)
    return history[:spare] + history[spare + 1 :]


# --- while a run is active (`on-overlap`) ----------------------------------------------------------


def replacement(request: Request, record: Record, reason: Pending | None) -> Cause | None:
    """Return why the active run of `record` has to make way, None where it goes on."""
    if reason is None or request.on_overlap != "replace" or request.suspend:
        return None
    by = f"trigger {reason.trigger}" if reason.trigger else _CAUSES[reason.cause]
    return Cause("Replaced", f"run {record.run} was replaced by {by} (on-overlap: replace)")


def overlap(request: Request, record: Record, reason: Pending | None, now: datetime, digest: str) -> Record:
    """Return an active run's record with what is pending waiting for its end, or passed over.

    An invalid request (its digest is "") passes nothing over: how it means to be is unknown. A change and a moved
    commit need no note to wait: they are met again when the run is over.
    """
    if reason and request.on_overlap == "skip" and digest and not record.queued:
        message = f"run {record.run} was active (on-overlap: skip)"
        past = PastRun(
            outcome="Skipped",
            commit=reason.commit,
            trigger=reason.trigger,
            reason="Skipped",
            message=message,
            finished=times.text(now),
        )
        handled = absorb(request, record, digest, reason.commit)
        finished = reason.trigger or record.finished_trigger
        return replace(handled, history=remember(record, past), finished_trigger=finished)
    fresh = request.trigger
    if not reason or not fresh or fresh in record.handled or fresh == record.queued:
        return record
    if not record.queued:
        return replace(record, queued=fresh)
    superseded = PastRun(run=0, outcome="Superseded", trigger=record.queued)
    handled_triggers = (*record.handled, record.queued)[-HANDLED_LIMIT:]
    return replace(record, queued=fresh, handled=handled_triggers, history=remember(record, superseded))


# --- what starts nothing ---------------------------------------------------------------------------


def invalid(record: Record, problems: tuple[str, ...], reason: str) -> Record:
    """Return the record that says what is wrong with the request or its project."""
    problems = tuple(fit(problem) for problem in problems[:PROBLEM_LIMIT])
    count = sum(not problem.startswith(WARNING) for problem in problems)
    message = fit(problems[0] if count <= 1 else f"{count} problems: {problems[0]}")
    return replace(record, phase="Invalid", reason=reason, message=message, problems=problems)


def refuse(
    request: Request, record: Record, found: Invalid, now: datetime, *, digest: str = "", commit: str = ""
) -> Decision:
    """Record that nothing can start: the request or its project is invalid. What was pending is handled by that.

    An active run goes on, and what is shown stays its own.

    An invalid request has no digest (""): mending it is a change, or its creation. A `ref` that is nothing yet moves
    when it gets to be something; what a repeated run ran says nothing about `ref`.
    """
    trigger = _unhandled(request, record)
    met = commit or (NO_COMMIT if digest and not record.poll_commit else "")
    described = invalid(record, found.lines, found.reason)
    words = record if record.active else described
    past = PastRun(0, "Invalid", commit, trigger, found.reason, described.message, finished=times.text(now))
    refused = replace(
        absorb(request, words, digest, "" if request.rerun else met),
        finished_trigger=trigger or record.finished_trigger,
        history=remember(record, past),
    )
    news = Emit(f"invalid-{found.reason}-{described.message}", "Warning", found.reason, described.message)
    return Decision(refused, (news,), not_begun=() if found.reason == INVALID_REQUEST else ("Invalid",))


def is_refused_already(request: Request, record: Record) -> bool:
    """Return whether the last thing that happened to an invalid request is that it was found to be so."""
    last = next(iter(record.history), PastRun())
    return (last.reason, last.message) == (record.reason, record.message) and not _unhandled(request, record)


def is_refusal(request: Request, record: Record, reason: str) -> bool:
    """Return whether what keeps a run from starting is what its trigger asks for, not the request or its project.

    A trigger that comes with the request itself is its first run: there is nothing yet that would stay as it is.
    """
    return bool(record.request_digest) and (bool(request.rerun) or reason in OF_THE_TRIGGER)


def is_news(request: Request, record: Record) -> bool:
    """Return whether what is wrong with a request's annotations has not been recorded yet."""
    message = fit("; ".join(request.wrong))
    known = any(past.outcome == REFUSED and past.message == message for past in record.history)
    return bool(request.trigger and request.trigger not in record.handled) or not known


def decline(request: Request, record: Record, found: Invalid, now: datetime) -> Decision:
    """Record that the request's trigger was refused, and nothing else: what else is pending stays so.

    One that can't even be recorded (or has been) is recorded without its name.
    """
    trigger = request.trigger if request.trigger not in record.handled else ""
    message = fit("; ".join(found.problems))
    past = PastRun(0, REFUSED, trigger=trigger, reason=found.reason, message=message, finished=times.text(now))
    record = replace(
        record,
        handled=(*record.handled, trigger)[-HANDLED_LIMIT:] if trigger else record.handled,
        queued="" if record.queued == trigger else record.queued,
        finished_trigger=trigger or record.finished_trigger,
        history=remember(record, past),
    )
    news = Emit(f"refused-{trigger}-{message}", "Warning", f"Run{REFUSED}", refusal(past))
    return Decision(record, (news,), not_begun=(REFUSED,))


def stumble(record: Record, phase: Phase, reason: str, message: str, now: datetime) -> Record:
    """Return the record that says why a run that is asked for has not begun yet (Git is out of reach, or busy)."""
    problems = record.problems if record.active else ()  # an active run's are its project's warnings
    since = record.pending_since if record.reason == reason else ""
    words = replace(record, phase=phase, reason=reason, message=fit(message), problems=problems)
    return words if record.active else replace(words, pending_since=since or times.text(now))


def may_come(record: Record, reason: str, now: datetime, grace: int) -> bool:
    """Return whether what keeps a run from starting may still come: a Secret applied with the request, a server."""
    since = times.after(record.pending_since, grace) if record.reason == reason else None
    return reason in MAY_COME and (since is None or now < since)
