"""What a record says of a run's stages that the one before it did not: to be counted, once it is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from controller.core.model import ENDED, PastRun, Record, StageRecord, serves

StageKind: TypeAlias = Literal["batch", "service", "environment"]
NO_STAGE = StageRecord()


@dataclass(frozen=True, slots=True)
class StageChange:
    """One stage of a run, as it was and as it is."""

    name: str
    kind: StageKind
    before: StageRecord
    after: StageRecord

    @property
    def has_begun(self) -> bool:
        """Return whether it has begun since."""
        return self.after.started != "" and not self.before.started

    @property
    def has_ended(self) -> bool:
        """Return whether it has ended since, well or badly, if only by being passed over."""
        return self.after.state in ENDED and self.before.state not in ENDED

    @property
    def failed(self) -> range:
        """Return the numbers of its attempts that have failed since."""
        return range(_failed(self.before) + 1, _failed(self.after) + 1)


def _failed(stage: StageRecord) -> int:
    """Return how many attempts have failed: all but the one that runs, ended well or was stopped."""
    return stage.attempts if stage.state == "Failed" else max(stage.attempts - 1, 0)


def of_stages(before: Record, after: Record) -> Iterator[StageChange]:
    """Yield the stages and environments of the run in `after` that are not as they were."""
    same = before.run == after.run and before.request_uid == after.request_uid
    earlier = before.stages if same else {}
    for name, stage in after.stages.items():
        if (old := earlier.get(name, NO_STAGE)) != stage:
            yield StageChange(name, kind_of(after, name), old, stage)


def kind_of(record: Record, name: str) -> StageKind:
    """Return what a stage of the recorded run is."""
    spec = record.spec
    if spec and any(item.name == name for item in spec.environments):
        return "environment"
    return "service" if serves(record.stages[name].objects) or (spec and name in spec.services) else "batch"


def of_history(before: Record, after: Record) -> Iterator[PastRun]:
    """Yield the lines of the history that are new, newest first."""
    known = set(before.history)
    for past in after.history:
        if past in known:
            return
        yield past
