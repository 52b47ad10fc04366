"""What asks for a run while one is active: it waits, is passed over, or takes the active one's place (`on-overlap`)."""

from dataclasses import replace
from datetime import datetime

from controller.core import times
from controller.core.documents.status import HANDLED_LIMIT
from controller.core.model import Cause, PastRun, Record, Request
from controller.core.plan.trigger import Pending, absorb, remember

_ASKED = {"Changed": "a change of the request", "Polled": "a commit that moved", "Created": "the request"}


def replacement(request: Request, record: Record, wanted: Pending | None) -> Cause | None:
    """Give why the active run of `record` has to make way for `wanted`, None where it goes on."""
    if wanted is None or request.on_overlap != "replace" or request.suspend:
        return None
    asked = f"trigger {wanted.trigger}" if wanted.trigger else _ASKED[wanted.cause]
    return Cause("Replaced", f"run {record.run} was replaced by {asked} (on-overlap: replace)")


def overlap(request: Request, record: Record, wanted: Pending | None, now: datetime, digest: str) -> Record:
    """Give an active run's record with `wanted` waiting for its end, or passed over.

    An invalid request (its digest is "") passes nothing over: how it means to be is not known.
    """
    if wanted is None:
        return record
    if request.on_overlap == "skip" and digest and not record.queued:
        return _skipped(request, record, wanted, now, digest)
    return _queued(request, record)


def _skipped(request: Request, record: Record, wanted: Pending, now: datetime, digest: str) -> Record:
    past = PastRun(
        run=0,
        outcome="Skipped",
        commit=wanted.commit,
        trigger=wanted.trigger,
        reason="Skipped",
        message=f"run {record.run} was active (on-overlap: skip)",
        finished=times.text(now),
    )
    handled = absorb(request, record, digest, wanted.commit)
    finished = wanted.trigger or record.finished_trigger
    return replace(handled, history=remember(record, past), finished_trigger=finished)


def _queued(request: Request, record: Record) -> Record:
    """Give the record with the newest trigger waiting; one that waited before it is Superseded.

    A change and a moved commit need no note: they are seen again when the run is over.
    """
    fresh = request.trigger
    if not fresh or fresh in record.handled or fresh == record.queued:
        return record
    if not record.queued:
        return replace(record, queued=fresh)
    superseded = PastRun(run=0, outcome="Superseded", trigger=record.queued)
    return replace(
        record,
        queued=fresh,
        handled=(*record.handled, record.queued)[-HANDLED_LIMIT:],
        history=remember(record, superseded),
    )
