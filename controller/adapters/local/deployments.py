"""The Deployment controller: rolling updates with maxUnavailable 0 and maxSurge 1, and what it reports of them.

After Kubernetes 1.34 (pkg/controller/deployment: rolling.go, progress.go). There are no ReplicaSets here: pods belong
to the Deployment, and the hash of its template in a label says which are present ones and which are old.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from controller.adapters.local.schedule import Scheduler, Timer
from controller.adapters.local.store import Change, Store, now
from controller.adapters.local.workloads import delete_pod, is_ready, new_pod, owner_of
from controller.core import names
from controller.core.model import Object

HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class _Counts:
    """A Deployment's living pods."""

    desired: int
    updated: int
    old: int
    ready: int
    available: int  # ready for minReadySeconds

    @property
    def complete(self) -> bool:
        return self.old == 0 and self.updated == self.available == self.desired

    def is_ahead_of(self, other: "_Counts") -> bool:
        """Return whether this is progress, which restarts the deadline of the rollout."""
        more = self.updated > other.updated or self.ready > other.ready or self.available > other.available
        return more or self.old < other.old


@dataclass
class _Rollout:
    """How far the rollout of one template has come."""

    template: str
    counts: _Counts
    condition: Object
    timer: Timer | None = None


class Deployments:
    """Brings the pods of every Deployment to its template, and never below its replicas."""

    def __init__(self, store: Store, scheduler: Scheduler, longest: float) -> None:
        """`longest` is the most that a pod must have been ready for, whatever minReadySeconds says."""
        self._store, self._scheduler, self._longest = store, scheduler, longest
        self._rollouts: dict[str, _Rollout] = {}  # by the Deployment's uid
        self._ready_since: dict[str, float] = {}  # monotonic time by the pod's uid

    def changed(self, change: Change) -> None:
        """Sync the Deployment that a changed Deployment or Pod concerns."""
        item = change.item
        if item["kind"] == "Pod":
            deployment = owner_of(self._store, item, "Deployment")
            if change.new is None or not is_ready(change.new):
                self._ready_since.pop(item["metadata"]["uid"], None)
        else:
            deployment = self._store.get("Deployment", item["metadata"]["name"], item["metadata"]["uid"])
            if deployment is None and (rollout := self._rollouts.pop(item["metadata"]["uid"], None)):
                _cancel(rollout)
        if deployment:
            self._sync(deployment)

    def _sync(self, deployment: Object) -> None:
        """Create and delete pods as the rolling update goes on, and report how far it is."""
        present, old = self._pods(deployment)
        desired, mark = deployment["spec"].get("replicas", 1), template_hash(deployment)
        room = desired + 1 - len(present) - len(old)
        for _ in range(min(desired - len(present), room)):
            self._store.create(new_pod(deployment, {HASH: mark}, f"-{mark}"))
        for pod in _surplus(desired, present, old, partial(self._is_available, deployment)):
            delete_pod(self._store, pod)
        present, old = self._pods(deployment)
        ready = len([pod for pod in (*present, *old) if is_ready(pod)])
        available = len([pod for pod in (*present, *old) if self._is_available(deployment, pod)])
        self._report(deployment, _Counts(desired, len(present), len(old), ready, available))

    def _is_available(self, deployment: Object, pod: Object) -> bool:
        """Return whether a pod has been ready for long enough; if that is yet to come, it is looked at again then."""
        if not is_ready(pod):
            return False
        least: float = min(deployment["spec"].get("minReadySeconds", 0), self._longest)
        now, uid = time.monotonic(), pod["metadata"]["uid"]
        if least and uid not in self._ready_since:
            self._scheduler.after(least, partial(self._sync_again, deployment))
        return now >= self._ready_since.setdefault(uid, now) + least

    def _sync_again(self, deployment: Object) -> None:
        live = self._store.get("Deployment", deployment["metadata"]["name"], deployment["metadata"]["uid"])
        if live:
            self._sync(live)

    def _pods(self, deployment: Object) -> tuple[list[Object], list[Object]]:
        """Return the pods of the present template and those of older ones, without those that leave."""
        mark, pods = template_hash(deployment), self._store.owned(deployment["metadata"]["uid"], "Pod")
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        present = [pod for pod in living if names.labels_of(pod).get(HASH) == mark]
        return present, [pod for pod in living if names.labels_of(pod).get(HASH) != mark]

    # --- what it reports --------------------------------------------------------------------------------

    def _report(self, deployment: Object, counts: _Counts) -> None:
        rollout = self._progress(deployment, counts)
        available = counts.available >= counts.desired
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": (counts.updated + counts.old) or None,
            "updatedReplicas": counts.updated or None,
            "readyReplicas": counts.ready or None,
            "availableReplicas": counts.available or None,
            "unavailableReplicas": max(counts.desired, counts.updated + counts.old) - counts.available or None,
            "conditions": [
                {
                    "type": "Available",
                    "status": str(available),
                    "reason": f"MinimumReplicas{'A' if available else 'Una'}vailable",
                },
                rollout.condition,
            ],
        }
        self._store.note(deployment, status)

    def _progress(self, deployment: Object, counts: _Counts) -> _Rollout:
        uid, mark = deployment["metadata"]["uid"], template_hash(deployment)
        known = self._rollouts.get(uid)
        if known is None or known.template != mark:
            if known:
                _cancel(known)
            known = self._rollouts[uid] = _Rollout(mark, counts, {})
            self._go_on(deployment, known, "NewReplicaSetCreated")
        elif known.condition["reason"] != "NewReplicaSetAvailable" and counts.is_ahead_of(known.counts):
            self._go_on(deployment, known, "ReplicaSetUpdated")
        known.counts = counts
        if counts.complete and known.condition["reason"] != "NewReplicaSetAvailable":
            _cancel(known)
            known.condition = _progressing("True", "NewReplicaSetAvailable")
        return known

    def _go_on(self, deployment: Object, rollout: _Rollout, reason: str) -> None:
        """Note progress: the deadline starts again."""
        _cancel(rollout)
        rollout.condition = _progressing("True", reason)
        seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
        rollout.timer = self._scheduler.after(seconds, partial(self._late, deployment, rollout))

    def _late(self, deployment: Object, rollout: _Rollout) -> None:
        rollout.condition = _progressing("False", "ProgressDeadlineExceeded")
        self._sync_again(deployment)


def template_hash(deployment: Object) -> str:
    """Return a digest of a Deployment's pod template: equal templates have equal ones."""
    return names.digest(repr(_sorted(deployment["spec"]["template"])), 10)


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _surplus(
    desired: int, present: Sequence[Object], old: Sequence[Object], available: Callable[[Object], bool]
) -> list[Object]:
    """Return the pods that may go: old ones that are not available, then as many as are available beyond `desired`."""
    unavailable_new = len([pod for pod in present if not available(pod)])
    spare = max(len(present) + len(old) - desired - unavailable_new, 0)
    leaving = [pod for pod in old if not available(pod)][:spare]
    beyond = len([pod for pod in (*present, *old) if available(pod)]) - desired
    leaving += [pod for pod in old if available(pod)][: max(beyond, 0)]
    excess = len(present) - desired
    return leaving + sorted(present, key=is_ready)[: max(excess, 0)]


def _cancel(rollout: _Rollout) -> None:
    if rollout.timer:
        rollout.timer.cancel()


def _progressing(status: str, reason: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "lastUpdateTime": now()}
