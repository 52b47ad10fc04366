"""`LocalCluster`: the Cluster port and its watches over objects in memory, with a node on this machine."""

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from controller.adapters.local.admission import admit, duplicates
from controller.adapters.local.deployments import Deployments
from controller.adapters.local.jobs import CONTROLLER_UID, Jobs
from controller.adapters.local.machine import Machine
from controller.adapters.local.node import Node
from controller.adapters.local.pods import LOCAL_ADDRESS
from controller.adapters.local.schedule import Scheduler
from controller.adapters.local.services import Services
from controller.adapters.local.store import Change, Store, annotations, labels, now, owners
from controller.adapters.local.workloads import delete_pod
from controller.core import names, sweep
from controller.core.errors import AlreadyExists, Conflict, Refused, Transient
from controller.core.model import Object

OnChange: TypeAlias = Callable[[str, Object | None, Object | None], None]
"""Called for each change: kind, the object before (None: new), the object after (None: gone)."""

DELETABLE = ("Job", "Deployment", "Service", "Ingress")  # by the controller; a person may delete the others too


class LocalCluster:
    """One namespace on this machine: implements `controller.app.WatchedCluster`. Safe to use from many threads.

    Objects that it returns and reports are shared: nobody may change them.
    """

    def __init__(self, namespace: str, machine: Machine) -> None:
        self.namespace = namespace
        self._on_change: OnChange = lambda _kind, _old, _new: None
        self._scheduler = Scheduler()
        self._secrets = machine.secrets
        self._store = Store(namespace, self._note)
        places = replace(machine, volume=machine.volume.absolute(), scratch=machine.scratch.absolute())
        self._node = Node(self._store, self._scheduler, places)
        jobs = Jobs(self._store, self._scheduler, machine.back_off)
        deployments = Deployments(self._store, self._scheduler, machine.steady)
        services = Services(self._store)
        self._controllers = {
            "Pod": (self._node.changed, jobs.changed, deployments.changed, services.changed),
            "Job": (jobs.changed,),
            "Deployment": (deployments.changed,),
            "Service": (services.changed,),
        }
        self._synced = threading.Event()
        self._stopped = False

    # --- the watches -----------------------------------------------------------------------------

    def start(self, on_change: OnChange) -> None:
        """Call `on_change` for all that is there and each change from now on; a later call puts another in its place.

        It is called from many threads, one at a time.
        """
        with self._store.still() as objects:
            for item in filter(_is_watched, objects):
                on_change(item["kind"], None, item)
            self._on_change = on_change
        self._scheduler.start()
        self._synced.set()

    def stop(self) -> None:
        """End every process (SIGTERM, SIGKILL), wait for them, and remove all private folders."""
        if not self._stopped:
            self._stopped = True
            self._scheduler.stop()
            self._node.stop()

    @property
    def synced(self) -> bool:
        """Whether all that was there before the start has been reported."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds until `synced`; give it."""
        return self._synced.wait(timeout)

    @property
    def healthy(self) -> bool:
        """Whether the thread in which all happens lives."""
        return self._scheduler.alive

    def _note(self, change: Change) -> None:
        """Report a change to the controller at once, and to what plays the cluster in the scheduler's thread."""
        old, new = (item if item is not None and _is_watched(item) else None for item in (change.old, change.new))
        if old or new:
            self._on_change(change.item["kind"], old, new)
        self._scheduler.soon(partial(self._follow, change))

    def _follow(self, change: Change) -> None:
        self._collect(change)
        for controller in self._controllers.get(change.item["kind"], ()):
            controller(change)

    def _collect(self, change: Change) -> None:
        """Remove what has lost its last owner, or never had a living one."""
        if change.new is None:
            orphans = self._store.owned(change.item["metadata"]["uid"])
        else:
            orphans = [change.new] if change.old is None and owners(change.new) else []
        for item in orphans:
            if not any(self._store.lives(uid) for uid in owners(item)):
                self._delete(item)

    def _delete(self, item: Object) -> None:
        if item["kind"] == "Pod":
            delete_pod(self._store, item)
        else:
            self._store.remove(item)

    # --- calls -----------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        """Give one object as it is stored; None if there is none. The machine's secrets are shown without values."""
        if kind == "Secret":
            keys = self._secrets.get(name)
            return None if keys is None else {"kind": kind, "metadata": {"name": name}, "data": dict.fromkeys(keys, "")}
        return self._store.get(kind, name)

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """Give the pods of one Job as they are stored."""
        return [pod for pod in self._store.of_kind("Pod") if labels(pod).get(CONTROLLER_UID) == uid]

    def references(self) -> frozenset[PurePosixPath]:
        """Give what living objects and records need of the shared volume."""
        return sweep.references(item for kind in sweep.KINDS for item in self._store.of_kind(kind))

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where the name is taken, Refused where it is not modelled."""
        admit(manifest, self.namespace)
        if repeated := duplicates(manifest):
            raise Refused(
                f"the local cluster wants each variable once, not again {', '.join(repeated)}", forbidden=False
            )
        return self._store.create(_managed(manifest, "Update"))

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced: what an earlier write of ours set and this one leaves out is gone.

        Raises Conflict where metadata.uid is not that object's, Refused, Transient.
        """
        admit(manifest, self.namespace)
        kind, metadata = manifest["kind"], manifest["metadata"]
        if repeated := duplicates(manifest):
            raise Transient("ServerError", f"{kind} {metadata['name']}: duplicate entries for key {repeated[0]}")
        if "uid" not in metadata and self._store.get(kind, metadata["name"]) is None:
            with suppress(AlreadyExists):
                return self._store.create(_managed(manifest, "Apply"))
        return self._store.edit(manifest, lambda live: _applied(live, manifest))

    def replace(self, manifest: Object) -> Object:
        """Update, with metadata.resourceVersion as the precondition. Raises Conflict if that has moved on, Refused.

        KeyError (a defect) without one: it would overwrite whatever is there.
        """
        admit(manifest, self.namespace)
        version = manifest["metadata"]["resourceVersion"]
        return self._store.edit(manifest, lambda live: _replaced(live, manifest, version))

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete it and its pods, in the background; nothing where this uid is gone."""
        if kind not in DELETABLE:
            raise KeyError(f"the controller has no right to delete a {kind}")
        if (item := self._store.get(kind, name, uid)) is not None:
            self._delete(item)

    # --- what a person would do with kubectl -----------------------------------------------------------

    def remove(self, kind: str, name: str) -> None:
        """Delete an object of any kind, as `kubectl delete` does; nothing if there is none."""
        if (item := self._store.get(kind, name)) is not None:
            self._delete(item)

    def edit(self, kind: str, name: str, change: Callable[[Object], Object]) -> None:
        """Change an object, as `kubectl edit` does: all of it counts as that person's until we write it again."""
        if (item := self._store.get(kind, name)) is not None:
            entry = {"manager": "kubectl-edit", "operation": "Update", "apiVersion": item["apiVersion"], "time": now()}
            self._store.edit(item, lambda live: _noted(change(copy.deepcopy(live)), entry))

    def restore(self, manifest: Object) -> Object:
        """Create an object with the uid that it names: the request of an earlier process, as it lives on on the volume.

        Raises as `create`.
        """
        admit(manifest, self.namespace)
        return self._store.create(manifest, uid=manifest["metadata"]["uid"])

    def evict(self, name: str) -> None:
        """Delete a pod as the eviction API does: with the condition DisruptionTarget."""
        if (pod := self._store.get("Pod", name)) is not None:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            conditions = pod.get("status", {}).get("conditions") or ()
            self._store.note(pod, {"conditions": [*conditions, condition]})
            self._delete(pod)

    def objects(self, kind: str) -> Sequence[Object]:
        """Give all objects of a kind, oldest first: Events of all types among them."""
        return self._store.of_kind(kind)

    def log(self, pod: str) -> Path | None:
        """Give the file with a pod's output; None if there is none. It goes with the pod."""
        return self._node.log(pod)

    def addresses(self) -> Mapping[str, str]:
        """Give where the services answer on this machine now, by their names."""
        found = {item["metadata"]["name"]: annotations(item).get(LOCAL_ADDRESS) for item in self.objects("Service")}
        return {name: address for name, address in found.items() if address}


def _managed(manifest: Object, operation: str) -> Object:
    """Give an object with the note of when we wrote it, by which facts tell old conditions from new ones."""
    entry = {"manager": names.MANAGER, "operation": operation, "apiVersion": manifest["apiVersion"], "time": now()}
    return _noted(manifest, entry)


def _noted(manifest: Object, entry: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "managedFields": [entry]}}


def _applied(live: Object, manifest: Object) -> Object:
    """Give what an apply makes of an object: ours is ours anew, what the cluster notes stays. Raises Refused."""
    if manifest["kind"] == "Deployment" and manifest["spec"]["selector"] != live["spec"]["selector"]:
        raise Refused(f"Deployment {live['metadata']['name']}: spec.selector: field is immutable", forbidden=False)
    noted = {key: value for key, value in annotations(live).items() if key == LOCAL_ADDRESS}
    wanted = {**manifest, "metadata": {**manifest["metadata"], "annotations": {**annotations(manifest), **noted}}}
    return _rewritten(live, wanted, "Apply")


def _replaced(live: Object, manifest: Object, version: str) -> Object:
    """Give what an update makes of an object. Raises Conflict where it has been written since `version`."""
    if live["metadata"]["resourceVersion"] != version:
        raise Conflict(f"{live['kind']} {live['metadata']['name']} has been written since it was read")
    return _rewritten(live, manifest, "Update")


def _rewritten(live: Object, manifest: Object, operation: str) -> Object:
    """Give `manifest` with what only the cluster writes; `live` itself where nothing differs."""
    kept = {key: live["metadata"][key] for key in _KEPT if key in live["metadata"]}
    given = {key: value for key, value in manifest["metadata"].items() if value not in ({}, [])}
    new = {**copy.deepcopy(manifest), "metadata": {**copy.deepcopy(given), **kept}}
    if "status" in live:
        new["status"] = live["status"]
    return live if new == live else _managed(new, operation)


_KEPT = ("namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "managedFields")


def _is_watched(item: Object) -> bool:
    """Return whether the controller's watches select an object: requests and records, Warnings, and what is its own."""
    match item["kind"]:
        case "ConfigMap":
            return labels(item).get(names.ROLE) in (names.ROLE_REQUEST, names.ROLE_STATUS, names.ROLE_RELEASE)
        case "Event":
            return bool(item.get("type") == "Warning")
        case _:
            return labels(item).get(names.MANAGED_BY) == names.MANAGER
