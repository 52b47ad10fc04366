"""Look at `ref` as often as `poll` says. A look costs the Git server one answer and fetches nothing.

What it remembers is only when to look next and what was there: a restarted controller looks anew. Each request has its
own moment within its interval, so that many of them never look at once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core import errors
from controller.core.documents.status import one_line
from controller.core.model import Record, Request
from controller.core.plan import Decision
from controller.reconciler.ports import Clock

LONGEST_PAUSE = 1800  # seconds between looks that find nothing, unless `poll` itself is longer
_DOUBLINGS = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of `ref`: its commit ("": nothing), why the last look failed, and when the next one is due."""

    commit: str = ""
    problem: str = ""
    due: datetime | None = None
    failures: int = 0

    def reminded(self, decision: Decision, now: datetime) -> Decision:
        """Give the decision with the next look as the latest moment of the next pass."""
        if self.due is None:
            return decision
        seconds = max((self.due - now).total_seconds(), 0.0)
        again = decision.requeue_after
        return replace(decision, requeue_after=seconds if again is None else min(seconds, again))


class Poller:
    """Knows for each request what `ref` was when anybody last asked."""

    def __init__(self, resolve: Callable[[Request], str], clock: Clock) -> None:
        """Take what asks the Git server, and the time."""
        self._resolve, self._clock = resolve, clock
        self._looks: dict[str, tuple[tuple[str, str], Look]] = {}

    def resolve(self, request: Request) -> str:
        """Give the commit that `ref` is now, and note it. Raises as the source does."""
        commit = self._resolve(request)
        self._note(request, Look(commit, due=_next(request, self._clock())))
        return commit

    def look(self, request: Request, record: Record) -> Look:
        """Give what is known of `ref`, by looking if it is time to.

        While a run is active that whatever moved has to wait for, nobody needs to know.
        """
        known, now = self._known(request), self._clock()
        if not request.poll or (record.active and request.on_overlap == "queue"):
            return Look(problem=record.poll_problem if request.poll else "")
        if known is None:  # after a restart, a change of the address: not all at once
            known = Look(problem=record.poll_problem, due=_next(request, now))
            self._note(request, known)
        if known.due and now >= known.due:
            known = self._asked(request, known, now)
            self._note(request, known)
        return known

    def forget(self, name: str) -> None:
        """Forget a request that is gone."""
        self._looks.pop(name, None)

    def _asked(self, request: Request, known: Look, now: datetime) -> Look:
        try:
            return Look(self._resolve(request), due=_next(request, now))
        except errors.NotYet:  # another pass is at the same repository: soon, and nothing is wrong
            return Look(known.commit, known.problem, _next(request, now), known.failures)
        except errors.Transient as error:
            problem = f"{error.reason}: {error}"
        except errors.Invalid as invalid:
            problem = f"{invalid.reason}: {'; '.join(invalid.problems)}"
        failures = known.failures + 1
        wait = min((request.poll or 1) << min(known.failures, _DOUBLINGS), max(LONGEST_PAUSE, request.poll or 1))
        return Look(known.commit, one_line(problem), now + timedelta(seconds=wait), failures)

    def _known(self, request: Request) -> Look | None:
        about, look = self._looks.get(request.name, (None, None))
        return look if about == _about(request) else None

    def _note(self, request: Request, look: Look) -> None:
        self._looks[request.name] = (_about(request), look)


def _about(request: Request) -> tuple[str, str]:
    """Give what the answer depends on; another interval begins anew as well."""
    return request.uid, f"{request.repository} {request.ref} {request.git_secret} {request.poll}"


def _next(request: Request, now: datetime) -> datetime | None:
    """Give the request's own next moment: one in each interval, at a distance that follows from its uid."""
    if not request.poll:
        return None
    offset = int(hashlib.sha256(request.uid.encode()).hexdigest()[:8], 16) % request.poll
    passed = (now.timestamp() - offset) % request.poll
    return now + timedelta(seconds=request.poll - passed)
