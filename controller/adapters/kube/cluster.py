"""`Kube`: the watches, a dozen calls, and our own writes put into the caches at once."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import PurePosixPath

from controller.adapters.kube import fields
from controller.adapters.kube.collection import Collection, trimmer
from controller.adapters.kube.examine import Examiner
from controller.adapters.kube.kinds import WATCHED, Kind, permitted
from controller.adapters.kube.translate import Missing
from controller.adapters.kube.transport import Call, OnCall, Timeouts, Transport, login
from controller.adapters.kube.watch import OnChange, Store, Watch
from controller.core import names, sweep, times
from controller.core.errors import Conflict
from controller.core.model import Object

APPLY = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH = "application/json-patch+json"
TRIES = 5  # at a write whose precondition others move
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"


class Kube:
    """One namespace of an API server: implements `controller.reconciler.Cluster`. Safe to use from many threads."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.namespace = namespace
        self._transport = transport
        self._stores: Mapping[str, Store] = {}  # by kind; none before `start`
        self._watches: tuple[Watch, ...] = ()

    # --- the watches -----------------------------------------------------------------------------

    def start(self, on_change: OnChange) -> None:
        """Begin to watch; `on_change` is called for each change, from many threads, in order for each object."""
        self._stores = {row.name: Store(row.name, on_change, trimmer(row)) for row in WATCHED}
        self._watches = tuple(
            Watch(Collection(self._transport, row, self.namespace), self._stores[row.name]) for row in WATCHED
        )
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """End the watches, all at once, and drop the connections."""
        for watch in self._watches:
            watch.request_stop()
        for watch in self._watches:
            watch.stop()
        self._transport.close()

    @property
    def synced(self) -> bool:
        """Whether the first lists of all kinds are in the caches: before, nothing may be judged."""
        return bool(self._watches) and all(watch.synced for watch in self._watches)

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds until `synced`; give it."""
        end = time.monotonic() + timeout
        return bool(self._watches) and all(watch.wait_synced(end - time.monotonic()) for watch in self._watches)

    @property
    def healthy(self) -> bool:
        """Whether every watch's thread lives: a dead one is a defect that only a restart mends."""
        return bool(self._watches) and all(watch.alive for watch in self._watches)

    def examiner(self) -> Examiner:
        """Give what asks about the controller's own standing."""
        return Examiner(self._transport, self.namespace)

    # --- calls -----------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        """Read one object from the API server itself; None if there is none. Raises Refused, NotYet, Transient."""
        row = permitted(kind, "get")
        try:
            return self._transport.call(Call("get", row.resource, "GET", row.path(self.namespace, name)))
        except Missing:
            return None

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """List the pods of one Job from the API server itself. Raises Refused, NotYet, Transient."""
        row = permitted("Pod", "list")
        query = ("labelSelector", f"{CONTROLLER_UID}={uid}")
        answer = self._transport.call(Call("list", row.resource, "GET", row.path(self.namespace), (query,)))
        return [trimmer(row)(item) for item in answer.get("items") or ()]

    def references(self) -> frozenset[PurePosixPath]:
        """Give what living objects and records need of the shared volume, by the API server itself.

        From lists made now, since a cache may lack an object, and in the order in which a need passes from one kind to
        the next (docs/adr/0012). Raises Refused, NotYet, Transient.
        """
        rows = (permitted(kind, "watch") for kind in sweep.KINDS)
        listed = (Collection(self._transport, row, self.namespace).everything() for row in rows)
        return sweep.references(chain.from_iterable(listed))

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where the name is taken, else Refused, NotYet, Transient."""
        row = permitted(manifest["kind"], "create")
        path, query = row.path(self.namespace), (("fieldManager", names.MANAGER),)
        return self._written(row, Call("create", row.resource, "POST", path, query, manifest))

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced. Raises Conflict where metadata.uid is not that object's, Refused, Transient."""
        row = permitted(manifest["kind"], "apply")
        path = row.path(self.namespace, manifest["metadata"]["name"])
        store = self._stores.get(row.name)
        cached = store.get(manifest["metadata"]["name"]) if store else None
        if cached is None or fields.created(cached):
            self._hand_over(row, path, manifest["metadata"].get("uid"))
        query = (("fieldManager", names.MANAGER), ("force", "true"))
        return self._written(row, Call("patch", row.resource, "PATCH", path, query, manifest, APPLY))

    def _hand_over(self, row: Kind, path: str, uid: str | None) -> None:
        """Let what our create set count as applied. Raises Conflict where others write all the time, Transient.

        The Deployment controller writes its status between our read and our write now and then: tried again, as
        client-go's RetryOnConflict does.
        """
        for _ in range(TRIES - 1):
            with suppress(Conflict):
                self._hand_over_once(row, path, uid)
                return
        self._hand_over_once(row, path, uid)

    def _hand_over_once(self, row: Kind, path: str, uid: str | None) -> None:
        try:
            live = self._transport.call(Call("get", row.resource, "GET", path))
        except Missing:
            return  # the apply says so itself
        metadata = live["metadata"]
        if metadata["uid"] != uid or not fields.created(live):
            return
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": fields.as_applied(metadata["managedFields"])},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        ]
        self._written(row, Call("patch", row.resource, "PATCH", path, body=patch, content_type=JSON_PATCH))

    def replace(self, manifest: Object) -> Object:
        """Update, with metadata.resourceVersion as the precondition. Raises Conflict if that has moved on, Refused.

        KeyError (a defect) without one: it would overwrite whatever is there.
        """
        row = permitted(manifest["kind"], "replace")
        if not manifest["metadata"].get("resourceVersion"):
            raise KeyError("replace without a resourceVersion would overwrite whatever is there")
        path, query = row.path(self.namespace, manifest["metadata"]["name"]), (("fieldManager", names.MANAGER),)
        return self._written(row, Call("update", row.resource, "PUT", path, query, manifest))

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete it and its pods, in the background; nothing where this uid is gone. Raises Refused, NotYet, Transient.

        It stays in the cache, as one that is being deleted, until the watch reports it gone.
        """
        row = permitted(kind, "delete")
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        call = Call("delete", row.resource, "DELETE", row.path(self.namespace, name), body=body)
        with suppress(Conflict):  # no such name, or another object has it by now
            self._transport.call(call)
            if store := self._stores.get(row.name):
                store.leaving(name, uid, times.text(datetime.now(UTC)))

    def _written(self, row: Kind, call: Call) -> Object:
        """Do a write, and let the cache know what came of it."""
        answer = self._transport.call(call)
        if row.watches(answer) and (store := self._stores.get(row.name)):
            store.put(answer)
        return answer


def connect(
    namespace: str = "",
    *,
    kubeconfig: str = "",
    context: str = "",
    on_call: OnCall = lambda _verb, _resource, _code: None,
    timeouts: Timeouts | None = None,
) -> Kube:
    """Give the cluster that a kubeconfig, or the pod's own service account, leads to. Does not call it yet.

    Without `namespace`: the context's or the pod's, else `default`. Raises Invalid where there are no credentials.
    """
    client, own = login(kubeconfig, context)
    return Kube(Transport(client, on_call, timeouts or Timeouts()), namespace or own or "default")
