"""Count what has become of a run, once it is recorded: a pass that is repeated counts nothing twice.

The record's times are whole seconds. How long something took is counted from when this process saw it begin, and from
what is recorded only where another one did. Refuses to let a pass fail: numbers are a courtesy.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.core import changes, layout, times
from controller.core.changes import StageChange, StageKind
from controller.core.errors import Transient
from controller.core.model import Attempt, Record, Request
from controller.reconciler.gather import Moment
from controller.reconciler.ports import Metrics, Volume

FAILURES = ("Failed", "Invalid", "Refused")


@dataclass(slots=True)
class Begun:
    """What this process saw of a request: since when a run is asked for, when the active one and its stages began."""

    asked: datetime | None = None
    times: dict[str, datetime] = field(default_factory=dict)  # by stage; "" for the run
    failed: dict[str, int] = field(default_factory=dict)  # by stage, how many attempts have been counted as failed


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts what a newly written record says that the one before did not."""

    volume: Volume
    metrics: Metrics
    _begun: dict[str, Begun] = field(default_factory=dict)  # by request

    def forget(self, name: str) -> None:
        """Forget a request that is gone."""
        self._begun.pop(name, None)

    def count(self, request: Request, before: Record, after: Record, outcomes: Iterable[str], moment: Moment) -> None:
        """Count what `after`, which has just been written, says that `before` did not.

        `outcomes` of runs that ended, the active one's first if it did.
        """
        begun = self._begun.setdefault(request.name, Begun())
        news = moment.now - timedelta(seconds=max(moment.monotonic - moment.news, 0.0))
        if after.spec and after.run != before.run:
            asked = begun.asked or times.moment(before.pending_since) or news
            self.metrics.run_began((moment.now - asked).total_seconds())
            begun.asked, begun.times, begun.failed = None, {"": moment.now}, {}
        waits = after.queued or after.pending_since
        begun.asked = (begun.asked or news) if waits else None
        for change in changes.of_stages(before, after):
            self._count_stage(request, after, change, begun, moment.now)
        for past in changes.of_history(before, after):
            if past.outcome in FAILURES:
                self.metrics.failed(past.reason)
        for outcome in outcomes:
            began = begun.times.pop("", None) or times.moment(after.started)
            self.metrics.run_ended(outcome, _seconds(began, moment.now))
        if not after.active:
            begun.times.clear()
            begun.failed.clear()
            if not begun.asked:
                self.forget(request.name)

    def _count_stage(self, request: Request, record: Record, change: StageChange, begun: Begun, now: datetime) -> None:
        stage, kind = change.after, change.kind
        if change.has_begun:
            begun.times[change.name] = now
        failed = range(max(change.failed.start, begun.failed.get(change.name, 0) + 1), change.failed.stop)
        failed = range(0) if stage.indexes else failed  # theirs are counted when all are over
        if not change.has_ended and not failed:
            return
        begun.failed[change.name] = max(failed.stop - 1, begun.failed.get(change.name, 0))
        ran = change.has_ended and stage.state in ("Done", "Failed") and stage.attempts > 0
        tried = self._attempts(request, record, change) if failed or ran or stage.indexes else ()
        attempts = {attempt.number: attempt for attempt in reversed(tried)}  # of index 0, if any
        newest = {stage.attempts} if change.has_ended and not stage.indexes else set[int]()
        self.metrics.redacted(sum(attempts[number].redacted for number in attempts.keys() & {*failed, *newest}))
        for number in failed:
            self.metrics.attempt_ended(kind, "failed")
            if number < stage.attempts:
                self.metrics.retried(attempts[number].reason if number in attempts else "PodLost")
        if not change.has_ended:
            return
        if stage.indexes:
            self._count_indexes(kind, tried)
        last = {"Done": "succeeded", "Stopped": "stopped"}.get(stage.state)
        if last and stage.attempts and not stage.indexes:
            self.metrics.attempt_ended(kind, last)
        began = begun.times.get(change.name) or times.moment(stage.started)
        self.metrics.stage_ended(kind, stage.state, _seconds(began, now))
        script = times.moment(attempts[min(attempts)].script) if attempts else None
        if began and script and began <= script <= now:  # a build may have begun for another run, and a stage may lie
            self.metrics.script_began(kind, _seconds(began, script))

    def _count_indexes(self, kind: StageKind, attempts: Sequence[Attempt]) -> None:
        """Count the attempts of all indexes of a parallel stage."""
        self.metrics.redacted(sum(attempt.redacted for attempt in attempts))
        for attempt, following in zip(attempts, (*attempts[1:], None), strict=False):
            ended = "succeeded" if attempt.exit_code == 0 else "failed" if attempt.ended else "stopped"
            self.metrics.attempt_ended(kind, ended)
            if ended != "succeeded" and following and following.index == attempt.index:
                self.metrics.retried(attempt.reason or "PodLost")

    def _attempts(self, request: Request, record: Record, change: StageChange) -> Sequence[Attempt]:
        """Return what the attempts of a stage have left; () where the volume does not say."""
        folders = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
        logs = layout.logs(request.name, request.uid, record.run, change.name)
        place = layout.build_logs(folders[change.name]) if change.kind == "environment" else logs
        with suppress(Transient):
            return self.volume.attempts(place, change.after.indexes)
        return ()


def _seconds(began: datetime | None, end: datetime) -> float | None:
    """Return how long something took, None where nobody knows when it began."""
    return max((end - began).total_seconds(), 0.0) if began else None
