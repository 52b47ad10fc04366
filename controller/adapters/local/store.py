"""Objects with uids, versions, generations and owners, and the order of their changes.

Stored objects are values: a change makes a new one, so that readers share them without copies. It judges no content
(admission.py does) and refuses a write whose precondition no longer holds.
"""

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.core import times
from controller.core.errors import AlreadyExists, Conflict
from controller.core.model import Object

LOCAL_ADDRESS = "coachwork.io/local-address"  # annotation: where a pod, or a Service, answers on this machine
GENERATED = ("Job", "Deployment", "Pod", "Ingress", "PodDisruptionBudget")  # kinds whose spec has generations


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object: `old` is None where it is new, `new` where it is gone."""

    old: Object | None
    new: Object | None

    @property
    def item(self) -> Object:
        """Return the object as it is, or was last."""
        return self.new or self.old or {}


class Store:
    """The objects of one namespace. Safe to use from many threads."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._listeners: list[Callable[[Change], None]] = []
        self._objects: dict[tuple[str, str], Object] = {}
        self._version = 0
        self._lock = threading.RLock()

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` for each change from now on, under the lock, so that all learn of changes in their order."""
        self._listeners.append(listener)

    # --- reading ---------------------------------------------------------------------------------

    def get(self, kind: str, name: str, uid: str = "") -> Object | None:
        """Return an object, if it is the one with this uid (where one is given)."""
        with self._lock:
            item = self._objects.get((kind, name))
        return item if item and (not uid or item["metadata"]["uid"] == uid) else None

    def of_kind(self, kind: str) -> Sequence[Object]:
        """Return all objects of a kind, oldest first."""
        with self._lock:
            return [item for (found, _), item in self._objects.items() if found == kind]

    def owned(self, uid: str, kind: str = "") -> Sequence[Object]:
        """Return what names `uid` among its owners."""
        with self._lock:
            items = list(self._objects.values())
        return [item for item in items if uid in owners(item) and kind in ("", item["kind"])]

    def lives(self, uid: str) -> bool:
        """Return whether any object has this uid."""
        with self._lock:
            return any(item["metadata"]["uid"] == uid for item in self._objects.values())

    @contextmanager
    def still(self) -> Iterator[Sequence[Object]]:
        """Yield all objects; none changes meanwhile."""
        with self._lock:
            yield list(self._objects.values())

    # --- writing -----------------------------------------------------------------------------------

    def create(self, manifest: Object, uid: str = "") -> Object:
        """Store a new object, with the uid of its earlier life if one is given. Raises AlreadyExists."""
        with self._lock:
            if _key(manifest) in self._objects:
                raise AlreadyExists(f"{manifest['kind']} {manifest['metadata']['name']} already exists")
            metadata = {
                **manifest["metadata"],
                "namespace": self.namespace,
                "uid": uid or str(uuid.uuid4()),
                "creationTimestamp": now(),
                **({"generation": 1} if manifest["kind"] in GENERATED else {}),
            }
            return self._commit(None, {**copy.deepcopy(manifest), "metadata": copy.deepcopy(metadata)})

    def edit(self, item: Object, change: Callable[[Object], Object]) -> Object:
        """Store what `change` makes of the living object; one that changes nothing makes no version.

        Raises Conflict where the object that `item` names (and its uid, where it has one) is gone, and what `change`
        raises.
        """
        with self._lock:
            kind, name = _key(item)
            live = self.get(kind, name, item["metadata"].get("uid", ""))
            if live is None:
                raise Conflict(f"{kind} {name} is gone, or another has its name")
            new = change(live)
            if new == live:
                return live
            if kind in GENERATED and new.get("spec") != live.get("spec"):
                generation = live["metadata"]["generation"] + 1
                new = {**new, "metadata": {**new["metadata"], "generation": generation}}
            return self._commit(live, new)

    def note(self, item: Object, status: Mapping[str, object]) -> None:
        """Set some fields of an object's status (None: absent); nothing if the object is gone."""

        def noted(live: Object) -> Object:
            merged = {**live.get("status", {}), **status}
            return {**live, "status": {key: value for key, value in merged.items() if value is not None}}

        if self.get(item["kind"], item["metadata"]["name"], item["metadata"]["uid"]):
            self.edit(item, noted)

    def remove(self, item: Object) -> None:
        """Remove an object; nothing if it is gone."""
        with self._lock:
            live = self.get(*_key(item), item["metadata"]["uid"])
            if live:
                del self._objects[_key(item)]
                self._notify(Change({**live, "metadata": {**live["metadata"], **self._next()}}, None))

    def _commit(self, old: Object | None, new: Object) -> Object:
        stored = {**new, "metadata": {**new["metadata"], **self._next()}}
        self._objects[_key(new)] = stored
        self._notify(Change(old, stored))
        return stored

    def _notify(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def _next(self) -> dict[str, str]:
        self._version += 1
        return {"resourceVersion": str(self._version)}


def now() -> str:
    """Return the time as the API writes it."""
    return times.text(datetime.now(UTC))


def owners(item: Object) -> Sequence[str]:
    """Return the uids of an object's owners."""
    return [str(owner["uid"]) for owner in item["metadata"].get("ownerReferences") or ()]


def annotations(item: Object) -> Mapping[str, str]:
    """Return an object's annotations."""
    return item["metadata"].get("annotations") or {}


def annotated(item: Object, name: str, value: str | None) -> Object:
    """Return an object with this annotation, without it where `value` is None."""
    changed = {key: text for key, text in {**annotations(item), name: value}.items() if text is not None}
    return {**item, "metadata": {**item["metadata"], "annotations": changed}}


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]
