"""What asks for a run, and the records that begin or refuse one."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from controller.core import times
from controller.core.documents.status import HANDLED_LIMIT, HISTORY_LIMIT, PROBLEM_LIMIT
from controller.core.errors import WARNING
from controller.core.model import PastRun, Phase, Record, Request
from controller.core.plan.decision import Decision, Emit, Observed
from controller.core.plan.settle import INVALID_REQUEST, REFUSED, refusal, settle
from controller.core.text import fit

NO_COMMIT = "none"  # what `ref` was when it was no commit
OF_THE_TRIGGER = ("InvalidTrigger", "UnknownStage", "NothingToReuse", "RunNotKept", "ArtifactsUnreadable")
# What may come with what is applied a moment later, or as soon as a server answers.
MAY_COME = ("SecretMissing", "GitSecretMissing", "GitSecretKeyMissing", "GitRequirementUnreachable")


@dataclass(frozen=True, slots=True)
class Pending:
    """Why a run should start: Created, Changed, Polled, or Triggered (`trigger`: the annotation's value)."""

    cause: str
    trigger: str = ""
    commit: str = ""  # what `ref` is by now, as far as anybody looked


def pending(request: Request, record: Record, digest: str, commit: str = "") -> Pending | None:
    """Give what asks for a run of `request` (whose digest is given) beyond what `record` has handled; None: nothing.

    `commit` is what `ref` was when `poll` last looked, "" where it did not. The first one is only taken note of: a
    commit has to move, if only back, to ask for something. One run handles all that is pending when it is recorded.
    """
    trigger = _unhandled(request, record)
    if trigger:
        return Pending("Triggered", trigger, commit)
    if not record.request_digest:
        return Pending("Created", commit=commit) if request.run_on_create else None
    if digest and record.request_digest != digest:
        return Pending("Changed", commit=commit)
    moved = request.poll and commit and record.poll_commit and commit != record.poll_commit
    return Pending("Polled", commit=commit) if moved else None


def asked(request: Request, wanted: Pending) -> Request:
    """Give the request without what goes with a trigger, if it is not that trigger which asks for the run."""
    if wanted.trigger and wanted.trigger == request.trigger:
        return request
    return replace(request, resume="", only="", parameters=(), rerun=0, wrong=())


def _unhandled(request: Request, record: Record) -> str:
    fresh = request.trigger if request.trigger not in record.handled else ""
    return fresh or record.queued


def absorb(request: Request, record: Record, digest: str, commit: str = "") -> Record:
    """Give the record with all that is pending marked as handled (a run begins, or it is suspended or refused).

    `commit` is what `ref` is now, "" where nobody looked.
    """
    trigger = _unhandled(request, record)
    handled = (*record.handled, trigger)[-HANDLED_LIMIT:] if trigger else record.handled
    return replace(
        record,
        handled=handled,
        queued="",
        pending_since="",
        request_digest=digest or record.request_digest,
        poll_commit=commit or record.poll_commit,
    )


def skip(request: Request, record: Record, digest: str, commit: str = "") -> Record:
    """Give the record with what is pending handled by doing nothing (suspended; or created to wait for a trigger)."""
    trigger = _unhandled(request, record)
    return replace(absorb(request, record, digest, commit), finished_trigger=trigger or record.finished_trigger)


def remember(record: Record, past: PastRun) -> tuple[PastRun, ...]:
    """Give the history with one more run, newest first, bounded.

    What was no run goes first; then the oldest of the good or of the other runs, of which there are more: both are
    counted apart where it is about which to keep.
    """
    history = (past, *record.history)
    if len(history) <= HISTORY_LIMIT:
        return history
    kinds = Counter(map(_kind, history[1:]))
    most = "none" if kinds["none"] else max(("good", "bad"), key=lambda kind: kinds[kind])
    spare = max(number for number, item in enumerate(history) if number and _kind(item) == most)
    return history[:spare] + history[spare + 1 :]


def _kind(past: PastRun) -> str:
    if not past.run:
        return "none"
    return "good" if past.outcome == "Succeeded" else "bad"


def refuse(
    request: Request,
    record: Record,
    problems: tuple[str, ...],
    reason: str,
    now: datetime,
    digest: str = "",
    commit: str = "",
) -> Decision:
    """Record that nothing can start: the request or its project is invalid. What was pending counts as handled.

    An invalid request has no digest (""): mending it is a change, or its creation. A `ref` that is nothing yet moves
    when it gets to be something; what a repeated run ran says nothing about `ref`.
    """
    trigger = _unhandled(request, record)
    met = commit or (NO_COMMIT if digest and not record.poll_commit else "")
    told = _invalid(record, problems, reason)
    message = told.message
    record = replace(
        absorb(request, told, digest, "" if request.rerun else met),
        finished_trigger=trigger or record.finished_trigger,
        history=remember(
            record,
            PastRun(
                run=0,
                outcome="Invalid",
                commit=commit,
                trigger=trigger,
                reason=reason,
                message=message,
                finished=times.text(now),
            ),
        ),
    )
    not_begun = () if reason == INVALID_REQUEST else ("Invalid",)
    return Decision(record, (Emit(f"invalid-{reason}-{message}", "Warning", reason, message),), not_begun=not_begun)


def is_refusal(request: Request, record: Record, reason: str) -> bool:
    """Return whether what keeps a run from starting is what its trigger asks for, not the request or its project.

    A trigger that comes with the request itself is its first run: there is nothing yet that would stay as it is.
    """
    return bool(record.request_digest) and (bool(request.rerun) or reason in OF_THE_TRIGGER)


def is_news(request: Request, record: Record) -> bool:
    """Return whether what is wrong with a request's annotations has not been told yet."""
    if request.trigger and request.trigger not in record.handled:
        return True
    message = _told(request.wrong)
    return not any(past.outcome == REFUSED and past.message == message for past in record.history)


def decline(request: Request, record: Record, problems: tuple[str, ...], reason: str, now: datetime) -> Decision:
    """Record that the request's trigger was refused, and nothing else: what else is pending stays so.

    One that can't even be recorded (or has been) is told without its name.
    """
    trigger = request.trigger if request.trigger not in record.handled else ""
    message = _told(problems)
    past = PastRun(run=0, outcome=REFUSED, trigger=trigger, reason=reason, message=message, finished=times.text(now))
    record = replace(
        record,
        handled=(*record.handled, trigger)[-HANDLED_LIMIT:] if trigger else record.handled,
        queued="" if record.queued == trigger else record.queued,
        finished_trigger=trigger or record.finished_trigger,
        history=remember(record, past),
    )
    news = Emit(f"refused-{trigger}-{message}", "Warning", f"Run{REFUSED}", refusal(past))
    return Decision(record, (news,), not_begun=(REFUSED,))


def _told(problems: tuple[str, ...]) -> str:
    return fit("; ".join(problems))


def _invalid(record: Record, problems: tuple[str, ...], reason: str) -> Record:
    problems = tuple(fit(problem) for problem in problems[:PROBLEM_LIMIT])
    count = sum(not problem.startswith(WARNING) for problem in problems)
    message = fit(problems[0] if count <= 1 else f"{count} problems: {problems[0]}")
    return replace(record, phase="Invalid", reason=reason, message=message, problems=problems)


def refuse_request(
    request: Request, record: Record, problems: tuple[str, ...], seen: Observed, now: datetime
) -> Decision:
    """Record that the request itself is invalid, once; what it released before goes on as it is."""
    wanted = _invalid(record, problems, INVALID_REQUEST)
    last = next(iter(record.history), None)
    told = last is not None and (last.reason, last.message) == (wanted.reason, wanted.message)
    if told and not _unhandled(request, record):
        return replace(settle(request, record, seen, now), record=wanted)
    return refuse(request, record, problems, INVALID_REQUEST, now)


def stumble(record: Record, phase: Phase, reason: str, message: str, now: datetime) -> Record:
    """Give the record that tells why a run that is asked for has not begun yet (Git is out of reach, or busy)."""
    problems = record.problems if record.active else ()  # an active run's are its project's warnings
    since = record.pending_since if record.reason == reason else ""
    told = replace(record, phase=phase, reason=reason, message=fit(message), problems=problems)
    return told if record.active else replace(told, pending_since=since or times.text(now))


def may_come(record: Record, reason: str, now: datetime, grace: int) -> bool:
    """Return whether what keeps a run from starting may still come: a Secret applied with the request, a server."""
    if reason not in MAY_COME:
        return False
    since = times.after(record.pending_since, grace) if record.reason == reason else None
    return since is None or now < since
