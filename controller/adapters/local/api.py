"""`Api`: what an API server does for one namespace, over a `Store`. Nothing happens in it by itself.

What plays the rest of a cluster (controllers, a node) listens to the same store.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from controller.adapters.local.admission import duplicates
from controller.adapters.local.store import LOCAL_ADDRESS, Change, Store, annotations, now
from controller.adapters.local.workloads import delete
from controller.core import names, sweep
from controller.core.errors import AlreadyExists, Conflict, Refused, Transient
from controller.core.model import Object
from controller.core.snapshot import OnChange, Snapshot

# by the controller; a person may delete others too
DELETABLE = (
    "Job", "CronJob", "Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget",
)  # fmt: skip


class Api:
    """One namespace: implements `controller.app.WatchedCluster`. Safe to use from many threads.

    Objects that it returns are shared: nobody may change them.
    """

    def __init__(self, store: Store, admit: Callable[[Object], None]) -> None:
        """`admit` raises Refused for what is not to be stored."""
        self.namespace = store.namespace
        self._store, self._admit = store, admit
        self._on_change: OnChange = lambda _kind, _old, _new: None
        self._synced = threading.Event()
        store.subscribe(self._report)

    # --- the watches -----------------------------------------------------------------------------

    def start(self, on_change: OnChange) -> None:
        """Call `on_change` for all that is there and each change from now on; a later call puts another in its place.

        It is called from many threads, one at a time.
        """
        with self._store.still() as objects:
            for held in filter(None, map(_held, objects)):
                on_change(held.kind, None, held)
            self._on_change = on_change
        self._synced.set()

    def stop(self) -> None:
        """Do nothing: no thread runs here."""

    def hurry(self) -> None:
        """Do nothing: nothing pauses here."""

    @property
    def synced(self) -> bool:
        """Return whether all that was there before the start has been reported."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds until `synced`, and return it."""
        return self._synced.wait(timeout)

    @property
    def healthy(self) -> bool:
        """Return whether changes are reported."""
        return True

    def _report(self, change: Change) -> None:
        """Report a change of what the controller watches; what loses its labels is gone, for a watch."""
        old, new = map(_held, (change.old, change.new))
        if old != new:
            self._on_change(change.item["kind"], old, new)

    # --- calls -----------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        """Return one object as it is stored, None if it is not there."""
        return self._store.get(kind, name)

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """Return the pods of one Job as they are stored."""
        return [pod for pod in self._store.of_kind("Pod") if names.labels_of(pod).get(names.CONTROLLER_UID) == uid]

    def references(self) -> frozenset[PurePosixPath]:
        """Return what living objects and records need of the shared volume."""
        return sweep.references(item for kind in sweep.KINDS for item in self._store.of_kind(kind))

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where the name is taken, Refused where it is not admitted."""
        self._admit(manifest)
        return self._store.create(_managed(manifest, "Update"))

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced: what an earlier write of ours set and this one leaves out is gone.

        Raises Conflict where metadata.uid is not that object's, Refused, Transient.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        if repeated := duplicates(manifest):
            raise Transient("ServerError", f"{kind} {metadata['name']}: duplicate entries for key {repeated[0]}")
        self._admit(manifest)
        if "uid" not in metadata and self._store.get(kind, metadata["name"]) is None:
            with suppress(AlreadyExists):
                return self._store.create(_managed(manifest, "Apply"))

        def applied(live: Object) -> Object:  # ours is as `manifest` has it, what the cluster notes stays
            if kind == "Deployment" and manifest["spec"]["selector"] != live["spec"]["selector"]:
                raise Refused(f"Deployment {metadata['name']}: spec.selector: field is immutable", forbidden=False)
            noted = {key: value for key, value in annotations(live).items() if key == LOCAL_ADDRESS}
            merged = {**metadata, "annotations": {**annotations(manifest), **noted}}
            rest = {**manifest, "metadata": merged}
            if kind == "Deployment":  # one that leaves the number of pods to others does not change it
                rest["spec"] = {"replicas": live["spec"].get("replicas", 1), **manifest["spec"]}
            return _rewritten(live, rest, "Apply")

        return self._store.edit(manifest, applied)

    def replace(self, manifest: Object) -> Object:
        """Update, with metadata.resourceVersion as the precondition. Raises Conflict if that has moved on, Refused.

        KeyError (a defect) without one: it would overwrite whatever is there.
        """
        self._admit(manifest)
        version = manifest["metadata"]["resourceVersion"]

        def replaced(live: Object) -> Object:
            if live["metadata"]["resourceVersion"] != version:
                raise Conflict(f"{live['kind']} {live['metadata']['name']} has been written since it was read")
            return _rewritten(live, manifest, "Update")

        return self._store.edit(manifest, replaced)

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete it and its pods, in the background; nothing where this uid is gone."""
        if kind not in DELETABLE:
            raise KeyError(f"the controller has no right to delete a {kind}")
        if (item := self._store.get(kind, name, uid)) is not None:
            delete(self._store, item)

    # --- what a person would do with kubectl -----------------------------------------------------------

    def remove(self, kind: str, name: str) -> None:
        """Delete an object of any kind, as `kubectl delete` does; nothing if there is none."""
        if (item := self._store.get(kind, name)) is not None:
            delete(self._store, item)

    def edit(self, kind: str, name: str, change: Callable[[Object], Object]) -> None:
        """Change an object, as `kubectl edit` does: all of it is that person's until we write it again."""
        if (item := self._store.get(kind, name)) is not None:
            entry = {"manager": "kubectl-edit", "operation": "Update", "apiVersion": item["apiVersion"], "time": now()}
            self._store.edit(item, lambda live: _noted(change(copy.deepcopy(live)), entry))

    def restore(self, manifest: Object) -> Object:
        """Create an object with the uid that it names: the request of an earlier process, as it lives on on the volume.

        Raises as `create`.
        """
        self._admit(manifest)
        return self._store.create(manifest, uid=manifest["metadata"]["uid"])

    def evict(self, name: str) -> None:
        """Delete a pod as the eviction API does: with the condition DisruptionTarget."""
        if (pod := self._store.get("Pod", name)) is not None:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            conditions = pod.get("status", {}).get("conditions") or ()
            self._store.note(pod, {"conditions": [*conditions, condition]})
            delete(self._store, pod)

    def objects(self, kind: str) -> Sequence[Object]:
        """Return all objects of a kind, oldest first: Events of all types among them."""
        return self._store.of_kind(kind)


def _held(item: Object | None) -> Snapshot | None:
    """Return what the caches hold of an object, None for one that is not watched, or not there."""
    return Snapshot.of(item["kind"], item) if item is not None and _is_watched(item) else None


def _is_watched(item: Object) -> bool:
    """Return whether the controller's watches select an object: requests and records, Warnings, and what is its own."""
    match item["kind"]:
        case "ConfigMap":
            return names.labels_of(item).get(names.ROLE) in (names.ROLE_REQUEST, names.ROLE_STATUS, names.ROLE_RELEASE)
        case "Event":
            return bool(item.get("type") == "Warning")
        case _:
            return names.labels_of(item).get(names.MANAGED_BY) == names.MANAGER


def _managed(manifest: Object, operation: str) -> Object:
    """Return an object with the note of when we wrote it, by which facts tell old conditions from new ones."""
    entry = {"manager": names.MANAGER, "operation": operation, "apiVersion": manifest["apiVersion"], "time": now()}
    return _noted(manifest, entry)


def _noted(manifest: Object, entry: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "managedFields": [entry]}}


def _rewritten(live: Object, manifest: Object, operation: str) -> Object:
    """Return `manifest` with what only the cluster writes; `live` itself where nothing differs."""
    unchanged = {key: live["metadata"][key] for key in _UNCHANGED if key in live["metadata"]}
    given = {key: value for key, value in manifest["metadata"].items() if value not in ({}, [])}
    new = {**copy.deepcopy(manifest), "metadata": {**copy.deepcopy(given), **unchanged}}
    if "status" in live:
        new["status"] = live["status"]
    return live if new == live else _managed(new, operation)


_UNCHANGED = ("namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "managedFields")
