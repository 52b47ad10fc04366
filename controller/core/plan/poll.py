"""When to poll `ref`, as often as `poll` says. It costs the Git server one answer and fetches nothing.

What is remembered is only when to poll next and what was there: a restarted controller polls afresh. All requests of a
repository and an interval ask for what is there at the same moments, so that one answer serves them all; each looks at
it a little later, at a distance of its own, so that their passes do not come at once.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.core.errors import Invalid, NotYet, Transient
from controller.core.model import Request
from controller.core.plan.decision import Decision, Emit, Known, Observed, Poll
from controller.core.plan.needs import Commit
from controller.core.text import fit

LONGEST_PAUSE = 1800  # seconds between polls that fail, unless `poll` itself is longer
_DOUBLINGS = 8
_SPREAD = 4  # the part of an interval in which the requests of a repository look at the answer
_LONGEST_SPREAD = 20  # seconds
_START = datetime(2026, 1, 1, tzinfo=UTC)  # moments lie whole intervals from here, and from each repository's number


def poll(known: Known, observed: Observed, now: datetime) -> Poll | None:
    """Return what is known of `ref`, by polling if it is time to; None where `poll` is not set.

    While a run is active that whatever moved has to wait for, nobody needs to know.
    """
    request, last = known.request, known.poll
    if not request.poll or is_idle(known):
        return last if request.poll else None
    about = (request.uid, f"{request.repository} {request.ref} {request.git_secret} {request.poll}")
    if last is None or last.about != about:  # after a restart, a change of the address: not all at once
        last = Poll(about, problem=known.record.poll_problem, due=_next(request, now))
    if last.due and now < last.due <= now + 2 * _pause(request, last):  # later: the clock was set back
        return last
    moment = _next(request, now) - timedelta(seconds=request.poll) - _distance(request)  # the repository's last one
    try:
        return Poll(about, observed.ask(Commit(moment)), due=_next(request, now))
    except NotYet as busy:  # other passes are at Git: soon, as of the same moment, and nothing is wrong
        return replace(last, due=now + timedelta(seconds=max(busy.delay, _spread(request))))
    except Transient as error:
        problem = f"{error.reason}: {error}"
    except Invalid as invalid:
        problem = f"{invalid.reason}: {'; '.join(invalid.problems)}"
    due = _next(request, now + _pause(request, last) - timedelta(seconds=request.poll))
    return replace(last, problem=fit(problem), due=due, failures=last.failures + 1)


def _pause(request: Request, last: Poll) -> timedelta:
    """Return how long to wait after a poll, which may have failed as the last ones did."""
    every = request.poll or 1
    return timedelta(seconds=min(every << min(last.failures, _DOUBLINGS), max(LONGEST_PAUSE, every)))


def is_idle(known: Known) -> bool:
    """Return whether `ref` is not polled now, since what moved would have to wait for the active run."""
    return known.record.active and known.request.on_overlap == "queue"


def _next(request: Request, now: datetime) -> datetime:
    """Return the request's own next moment: shortly after the one in each interval that the repository has."""
    every = timedelta(seconds=request.poll or 1)
    moment = _START + timedelta(seconds=_number(request.repository)) + _distance(request)
    return now + every - (now - moment) % every


def _distance(request: Request) -> timedelta:
    """Return how long after the repository's moment the request has its own."""
    return timedelta(seconds=_spread(request) * (_number(request.uid) / 2**32))


def _spread(request: Request) -> float:
    return min((request.poll or 1) / _SPREAD, _LONGEST_SPREAD)


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def with_poll(known: Known, decision: Decision, result: Poll | None, observed: Observed, now: datetime) -> Decision:
    """Return the decision with why the last poll failed, and with the next poll as its latest next pass."""
    if known.problems:  # an invalid request does not say what it polls
        return replace(decision, poll=known.poll)
    commit = observed.answers.get(Commit())
    if result and isinstance(commit, str):  # polled now, or resolved for a run
        result = Poll(result.about, commit, due=_next(known.request, now))
    decision = replace(decision, poll=result)
    if is_idle(known) and known.request.poll:
        return decision
    if result and result.due:
        decision = decision.within(max((result.due - now).total_seconds(), 0.0))
    problem = result.problem if result else ""
    if decision.record.poll_problem == problem:
        return decision
    news = Emit(f"poll-{problem}", "Warning", "PollFailed", problem)
    record = replace(decision.record, poll_problem=problem)
    return replace(decision, record=record, actions=(*decision.actions, *([news] if problem else [])))
