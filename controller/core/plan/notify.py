"""Notify people of runs that failed or recovered: the record says what is owed, before and until it has arrived.

What keeps a notification from arriving is said in a key of its own and disturbs nothing else. It is tried again, later
each time; a controller that dies between the arrival and its record sends it again, under the same id.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controller.core import times
from controller.core.model import Notice, NoticeEvent, PastRun, Record, Request, serves
from controller.core.notices import Letter
from controller.core.plan.decision import Decision, Emit, Notify, Observed
from controller.core.text import fit

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (30, 120, 600, 3600, 4 * 3600, 12 * 3600))
MOST = 10  # that wait for their turn; of more, the oldest are given up
_UNTOUCHED = ("Waiting", "Skipped", "Unchanged")


def owed(record: Record, outcome: str) -> tuple[Notice, ...]:
    """Return the notices of `record` with that of its run, which ends with this outcome, if there is one.

    Whom the request names, `deliver` sees: one that is invalid just now does not say.
    """
    before = next((past.outcome for past in record.history if past.outcome in ("Succeeded", "Failed")), "")
    if outcome != "Failed" and (outcome, before) != ("Succeeded", "Failed"):
        return record.notices
    touched = any(serves(stage.objects) and stage.state not in _UNTOUCHED for stage in record.stages.values())
    event: NoticeEvent = (
        "Recovered" if outcome == "Succeeded" else "RolledBack" if touched and record.release_run else "Failed"
    )
    return (*record.notices, Notice(record.run, event))[-MOST:]


def deliver(request: Request, decision: Decision, observed: Observed, now: datetime) -> Decision:
    """Return the decision with what sends the oldest notice, or with what came of that."""
    record = decision.record if request.notify_secret else replace(decision.record, notices=(), notify_problem="")
    if not record.notices:
        return replace(decision, record=record)
    notice, *rest = record.notices
    past = next((past for past in record.history if past.run == notice.run), PastRun())
    letter = Letter(
        uid=request.uid,
        secret=request.notify_secret,
        tries=notice.tries,
        request=request.name,
        run=notice.run,
        event=notice.event,
        commit=past.commit,
        reason=past.reason,
        message=past.message,
        finished=past.finished,
    )
    if letter.key not in observed.letters:
        wait = (times.moment(notice.due) or now) - now
        if timedelta(0) < wait <= PAUSES[-1]:  # more: the clock was set back
            return decision.within(wait.total_seconds())
        return replace(decision, actions=(*decision.actions, Notify(letter)))
    problem = observed.letters[letter.key]
    if problem is None:  # under way: its end wakes the request
        return decision
    if problem:
        return _failed(decision, notice, rest, problem, now)
    arrived = replace(decision, record=replace(record, notices=tuple(rest), notify_problem=""))
    return arrived.within(0.0) if rest else arrived


def _failed(decision: Decision, notice: Notice, rest: Sequence[Notice], problem: str, now: datetime) -> Decision:
    """Return the decision after a try that failed: another one comes later, or it is given up."""
    pause = PAUSES[notice.tries] if notice.tries < len(PAUSES) else None
    given_up = "" if pause else f" was given up after {notice.tries + 1} tries"
    line = fit(f"notification of run {notice.run}{given_up}: {problem}")
    left = [replace(notice, tries=notice.tries + 1, due=times.text(now + pause)), *rest] if pause else rest
    news = Emit(f"notify-{line}", "Warning", "NotificationFailed", line)
    tried = replace(decision.record, notices=tuple(left), notify_problem=line)
    after = replace(decision, record=tried, actions=(*decision.actions, news))
    return after.within(pause.total_seconds() if pause else 0.0)
