"""What of a change can matter to a decision: most of what a cluster writes on Jobs and pods says nothing new."""

from collections.abc import Iterable

from controller.core import names
from controller.core.facts.owners import owner_uid
from controller.core.facts.pods import index_of, read_pod
from controller.core.facts.workloads import digest_of, read_job
from controller.core.model import Object

STARTS, RUNS = 5, 1  # seconds after which it is shown that a pod still starts, or that it runs


def news(kind: str, old: Object | None, new: Object | None, pods: Iterable[Object]) -> float | None:
    """Return within how many seconds a change of an object (None: not there) is to be looked at; None: it says nothing.

    What shows only that a pod is on its way can wait: much of that is over by then. `pods` are those that a Job may
    have.
    """
    if kind not in ("Job", "Pod") or new is None:
        return 0.0
    if old is not None and _marks(old) != _marks(new):
        return 0.0
    return _of_job(old, new, pods) if kind == "Job" else _of_pod(old, new)


def _of_job(old: Object | None, new: Object, pods: Iterable[Object]) -> float | None:
    return None if old is not None and read_job(old, found := [*pods]) == read_job(new, found) else 0.0


def _of_pod(old: Object | None, new: Object) -> float | None:
    fact = read_pod(new)
    if old is not None and read_pod(old) == fact:
        return None
    if index_of(new) is not None:  # one of many, of which the Job will say how far they are
        return RUNS
    if (
        fact.phase not in ("Pending", "Running")
        or fact.blocked
        or fact.cause
        or fact.deleting
        or fact.exit_code is not None
    ):
        return 0.0
    return STARTS if fact.phase == "Pending" else RUNS


def _marks(item: Object) -> object:
    """Return whose an object is, and which it is."""
    return item["metadata"].get("uid"), owner_uid(item), names.labels_of(item), digest_of(item)
