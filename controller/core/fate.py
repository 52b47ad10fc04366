"""What has become of a trigger, and which run was good, as the record says. For commands."""

from dataclasses import dataclass
from typing import Literal

from controller.core.model import PastRun, Record

Course = Literal["unseen", "waiting", "running", "over"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What has become of a trigger. `past` is its line of the history, if it is over and the history still has it."""

    course: Course
    past: PastRun | None = None


def fate_of(record: Record, trigger: str) -> Fate:
    """Return what the record says of a trigger. Over without a line: nothing was started for it, or it is long ago."""
    if record.active and record.spec and record.spec.trigger == trigger:
        return Fate("running")
    past = next((past for past in record.history if past.trigger == trigger), None)
    if past:
        return Fate("over", past)
    if record.queued == trigger:
        return Fate("waiting")
    if trigger == record.finished_trigger or trigger in record.handled:
        return Fate("over")
    return Fate("unseen")


def fate_of_run(record: Record, run: int) -> Fate:
    """Return what the record says of a run."""
    if record.active and record.run == run:
        return Fate("running")
    past = next((past for past in record.history if past.run == run), None)
    return Fate("over", past) if past or record.run >= run else Fate("unseen")


def good_run(record: Record) -> int:
    """Return the number of the newest run that succeeded, 0 if none is known."""
    found = next((past.run for past in record.history if past.run and past.outcome == "Succeeded"), 0)
    return max(found, record.release_run)
