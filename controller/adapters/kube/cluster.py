"""`Kube`: reads from the watch caches, a dozen calls, and our own writes put into the caches at once."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from controller.adapters.kube.watch import Store, Watch
from controller.core import names, sweep, times
from controller.core.errors import Conflict
from controller.core.model import Children, Object

APPLY = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH = "application/json-patch+json"
TRIES = 5  # at a write whose precondition others move
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"


class Kube:
    """One namespace of an API server: implements `controller.reconciler.Cluster`. Safe to use from many threads.

    Objects that the `cached_*` methods give are shared with the caches: nobody may change them.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.namespace = namespace
        self._transport = transport
        self._on_key: Callable[[str], None] = _nobody
        self._stores = {row.name: Store(row.name, self._changed, trimmer(row)) for row in WATCHED}
        self._watches: tuple[Watch, ...] = ()

    # --- the watches -----------------------------------------------------------------------------

    def start(self, on_key: Callable[[str], None]) -> None:
        """Begin to watch; `on_key` is called, from many threads, with a request's name for each change about it."""
        self._on_key = on_key
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

    # --- the caches ------------------------------------------------------------------------------

    def requests(self) -> Sequence[str]:
        """Give the names of all requests."""
        return [
            str(item["metadata"]["name"])
            for item in self._stores["ConfigMap"].values()
            if _label(item, names.ROLE) == names.ROLE_REQUEST
        ]

    def cached_request(self, name: str) -> Object | None:
        """Give the request's ConfigMap (label coachwork.io/role=request)."""
        return self._config_map(name, names.ROLE_REQUEST)

    def cached_status(self, name: str) -> Object | None:
        """Give the ConfigMap NAME-status."""
        return self._config_map(names.status_of(name), names.ROLE_STATUS)

    def cached_release(self, name: str) -> Object | None:
        """Give the ConfigMap NAME-release."""
        return self._config_map(names.release_of(name), names.ROLE_RELEASE)

    def cached_children(self, name: str) -> Children:
        """Give everything labelled coachwork.io/request=NAME, by name, and the warnings about its Jobs and Pods."""
        jobs, pods = self._of("Job", name), self._of("Pod", name)
        return Children(
            jobs=jobs,
            pods=pods,
            deployments=self._of("Deployment", name),
            services=self._of("Service", name),
            ingresses=self._of("Ingress", name),
            cronjobs=self._of("CronJob", name),
            events=self._about((*jobs, *pods)),
        )

    def cached_build(self, folder: str) -> Children:
        """Give the Job that builds an environment (label coachwork.io/environment=FOLDER), its pods and Events."""
        jobs, pods = (
            [item for item in self._stores[kind].values() if names.environment_of(item) == folder]
            for kind in ("Job", "Pod")
        )
        return Children(jobs=jobs, pods=pods, events=self._about((*jobs, *pods)))

    def _about(self, items: Iterable[Object]) -> Sequence[Object]:
        """Give the warnings about these objects."""
        uids = {item["metadata"].get("uid") for item in items}
        return [item for item in self._stores["Event"].values() if _involved(item).get("uid") in uids]

    def _config_map(self, name: str, role: str) -> Object | None:
        """Give a ConfigMap if it has this role."""
        item = self._stores["ConfigMap"].get(name)
        return item if item is not None and _label(item, names.ROLE) == role else None

    def _of(self, kind: str, request: str) -> Sequence[Object]:
        """Give the cached objects of one kind that belong to one request."""
        return [item for item in self._stores[kind].values() if names.owner_key(kind, item) == request]

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """Pass a change on to the requests that it is about: two, where an object changed hands."""
        for key in sorted({key for item in (old, new) if item is not None for key in self._owners(kind, item)}):
            self._on_key(key)

    def _owners(self, kind: str, item: Object) -> Iterable[str]:
        """Give the requests that an object is about. An Event that comes before its Job wakes when the Job does."""
        if kind != "Event":
            return names.woken(kind, item, self._stores["ConfigMap"].values)
        involved = _involved(item)
        store = self._stores.get(str(involved.get("kind"))) if involved.get("kind") in {"Job", "Pod"} else None
        subject = store.get(str(involved.get("name"))) if store else None
        return names.woken(str(involved["kind"]), subject, self._stores["ConfigMap"].values) if subject else ()

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
        cached = self._stores[row.name].get(manifest["metadata"]["name"])
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
            self._stores[row.name].leaving(name, uid, times.text(datetime.now(UTC)))

    def _written(self, row: Kind, call: Call) -> Object:
        """Do a write, and let the cache know what came of it."""
        answer = self._transport.call(call)
        if row.watches(answer):
            self._stores[row.name].put(answer)
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


def _nobody(_key: str) -> None:
    """Stand in for the receiver of keys before `start`."""


def _label(item: Object, label: str) -> str | None:
    """Give one label."""
    value = (item["metadata"].get("labels") or {}).get(label)
    return str(value) if value is not None else None


def _involved(event: Object) -> Mapping[str, str]:
    """Give what an Event is about."""
    return event.get("involvedObject") or {}
