"""`Kube`: the watches, a dozen calls, and our own writes put into the caches at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from controller.adapters.kube import fields
from controller.adapters.kube.examine import Examiner
from controller.adapters.kube.kinds import WATCHED, Method, permitted
from controller.adapters.kube.limit import Limit
from controller.adapters.kube.login import login
from controller.adapters.kube.readers import TIMEOUTS, Judge
from controller.adapters.kube.resource import Resource
from controller.adapters.kube.translate import ObjectGone
from controller.adapters.kube.transport import OnCall, Timeouts, Transport
from controller.adapters.kube.watch import Watch, WatchCache
from controller.core import names, sweep, times
from controller.core.errors import Conflict
from controller.core.model import Object
from controller.core.snapshot import OnChange

TRIES = 5  # at a write whose precondition others move


class Kube:
    """One namespace of an API server: implements `controller.reconciler.Cluster`. Safe to use from many threads.

    Every call raises Refused, NotYet and Transient, and KeyError (a defect) for what the table of kinds lacks.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.namespace = namespace
        self._transport = transport
        self._caches: Mapping[str, WatchCache] = {}  # by kind; none before `start`
        self._watches: tuple[Watch, ...] = ()

    # --- the watches -----------------------------------------------------------------------------

    def start(self, on_change: OnChange) -> None:
        """Begin to watch; `on_change` is called for each change, from many threads, in order for each object."""
        watched = [self._resource(row.name, "watch") for row in WATCHED]
        self._caches = {one.kind: WatchCache(one.kind, on_change) for one in watched}
        self._watches = tuple(Watch(one, self._caches[one.kind]) for one in watched)
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """End the watches, all at once, and drop the connections."""
        for watch in self._watches:
            watch.request_stop()
        for watch in self._watches:
            watch.stop()
        self._transport.close()

    def hurry(self) -> None:
        """Let watches that pause begin their next round now."""
        for watch in self._watches:
            watch.hurry()

    @property
    def synced(self) -> bool:
        """Return whether the first lists of all kinds are in the caches: before, nothing may be judged."""
        return bool(self._watches) and all(watch.synced for watch in self._watches)

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds until `synced`, and return it."""
        end = time.monotonic() + timeout
        return bool(self._watches) and all(watch.wait_synced(end - time.monotonic()) for watch in self._watches)

    @property
    def healthy(self) -> bool:
        """Return whether every watch's thread lives: a dead one is a defect that only a restart mends."""
        return bool(self._watches) and all(watch.alive for watch in self._watches)

    def watch_age(self, kind: str) -> float:
        """Return the seconds since the watch of a kind last heard anything, 0 before `start`."""
        return next((watch.age() for watch in self._watches if watch.kind == kind), 0.0)

    def examiner(self) -> Examiner:
        """Return what asks about the controller's own standing."""
        return Examiner(self._transport, self.namespace)

    def judge(self) -> Judge:
        """Return what asks who may read the controller's pages."""
        return Judge(self._transport.without_credentials(TIMEOUTS), self.namespace)

    # --- calls -----------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        """Read one object from the API server itself; None if it is not there."""
        return self._resource(kind, "get").get(name)

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """List the pods of one Job from the API server itself."""
        return [*self._resource("Pod", "list").listed(("labelSelector", f"{names.CONTROLLER_UID}={uid}"))]

    def pulling(self, uid: str) -> str:
        """Return since when the image of a pod is pulled, "" where no Event says so."""
        selector = f"involvedObject.uid={uid},reason=Pulling"
        events = self._resource("Event", "list").listed(("fieldSelector", selector))
        return max((str(event.get("lastTimestamp") or event.get("eventTime") or "") for event in events), default="")

    def references(self) -> frozenset[PurePosixPath]:
        """Return what living objects and records need of the shared volume, by the API server itself.

        From lists made now, since a cache may lack an object, and in the order in which a need passes from one kind to
        the next (docs/adr/0012).
        """
        kinds = (self._resource(kind, "watch") for kind in sweep.KINDS)
        listed = ({**item, "kind": one.kind} for one in kinds for item in one.listed(one.row.selector))
        return sweep.references(listed)

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where the name is taken."""
        resource = self._resource(manifest["kind"], "create")
        return self._written(resource, resource.create(manifest))

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced. Raises Conflict where metadata.uid is not that object's."""
        resource, name = self._resource(manifest["kind"], "apply"), manifest["metadata"]["name"]
        cache = self._caches.get(resource.kind)
        known = cache.get(name) if cache else None
        if known is None or fields.created(known) or fields.leaves_number(manifest):  # caches hold no fields
            self._hand_over(resource, manifest)
        return self._written(resource, resource.apply(manifest))

    def _hand_over(self, resource: Resource, manifest: Object) -> None:
        """Let what our create set belong to our apply, and what this one leaves to others to nobody.

        Raises Conflict where others write all the time.

        The Deployment controller writes its status between our read and our write now and then: tried again, as
        client-go's RetryOnConflict does.
        """
        name, uid = manifest["metadata"]["name"], manifest["metadata"].get("uid")
        for last in (False,) * (TRIES - 1) + (True,):
            live = resource.get(name)
            if live is None or live["metadata"]["uid"] != uid or not fields.is_to_hand_over(live, manifest):
                return  # the apply says so itself
            entries, version = fields.handed_over(live, manifest), live["metadata"]["resourceVersion"]
            patch: list[Object] = [
                {"op": "replace", "path": "/metadata/managedFields", "value": entries},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            ]
            try:
                self._written(resource, resource.patch(name, patch))
            except Conflict:
                if last:
                    raise
            else:
                return

    def replace(self, manifest: Object) -> Object:
        """Update, with metadata.resourceVersion as the precondition. Raises Conflict if that has moved on."""
        resource = self._resource(manifest["kind"], "replace")
        return self._written(resource, resource.replace(manifest))

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete it and its pods, in the background; nothing where this uid is gone. Raises Conflict if that failed.

        It stays in the cache, as one that is being deleted, until the watch reports it gone.
        """
        resource = self._resource(kind, "delete")
        try:
            resource.delete(name, uid)
        except ObjectGone:
            return
        except Conflict:  # another object has the name by now, or the server could not commit
            if (live := resource.get(name)) and live["metadata"]["uid"] == uid:
                raise
            return
        if cache := self._caches.get(kind):
            cache.leaving(name, uid, times.text(datetime.now(UTC)))

    def _resource(self, kind: str, method: Method) -> Resource:
        return Resource(self._transport, permitted(kind, method), self.namespace, names.MANAGER)

    def _written(self, resource: Resource, answer: Object) -> Object:
        """Let the cache know what came of a write."""
        if resource.row.watches(answer) and (cache := self._caches.get(resource.kind)):
            cache.put(answer)
        return answer


def connect(
    namespace: str = "",
    *,
    kubeconfig: str = "",
    context: str = "",
    on_call: OnCall = lambda _verb, _resource, _code, _seconds: None,
    timeouts: Timeouts | None = None,
    limit: Limit | None = None,
    fence: Callable[[], None] = lambda: None,
) -> Kube:
    """Return the cluster that a kubeconfig, or the pod's own service account, leads to. Does not call it yet.

    `fence` raises NotYet where nothing may be written.
    Without `namespace`: the context's or the pod's, else `default`. Raises Invalid where there are no credentials.
    """
    client, own = login(kubeconfig, context)
    return Kube(Transport(client, on_call, timeouts or Timeouts(), limit, fence), namespace or own or "default")
