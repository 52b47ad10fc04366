"""What Jobs and Deployments have in common: pods made from a template, and the way back from a pod."""

import secrets

from controller.adapters.local.store import Change, Store, now, owners
from controller.core.model import Object

POD_NAME_LIMIT = 63  # a pod's name becomes its host name


def new_pod(owner: Object, labels: Object, middle: str = "") -> Object:
    """Return a pod made from a workload's template, with `labels` in addition to the template's."""
    template, metadata = owner["spec"]["template"], owner["metadata"]
    end = f"{middle}-{secrets.token_hex(3)[:5]}"
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    own = template.get("metadata") or {}
    pod = {
        "name": metadata["name"][: POD_NAME_LIMIT - len(end)].rstrip("-") + end,
        "labels": {**(own.get("labels") or {}), **labels},
        "annotations": dict(own.get("annotations") or {}),
        "ownerReferences": [reference],
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": template["spec"],
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    }  # fmt: skip


def owner_of(store: Store, pod: Object, kind: str) -> Object | None:
    """Return the living workload of this kind that controls a pod."""
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference["kind"] == kind and reference.get("controller"):
            return store.get(kind, reference["name"], reference["uid"])
    return None


def is_ready(pod: Object) -> bool:
    """Return whether a pod takes traffic: ready, and not on its way out."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def delete_pod(store: Store, pod: Object) -> None:
    """Mark a pod as leaving: the node ends its container, then removes it."""

    def marked(live: Object) -> Object:
        if "deletionTimestamp" in live["metadata"]:
            return live
        return {**live, "metadata": {**live["metadata"], "deletionTimestamp": now()}}

    if store.get("Pod", pod["metadata"]["name"], pod["metadata"]["uid"]):
        store.edit(pod, marked)


def delete(store: Store, item: Object) -> None:
    """Delete an object: a pod ends first, all else is gone at once."""
    if item["kind"] == "Pod":
        delete_pod(store, item)
    else:
        store.remove(item)


def collect(store: Store, change: Change) -> None:
    """Delete what has lost its last owner by a change, or never had a living one: the garbage collector."""
    if change.new is None:
        orphans = store.owned(change.item["metadata"]["uid"])
    else:
        orphans = [change.new] if change.old is None and owners(change.new) else []
    for item in orphans:
        if not any(store.lives(uid) for uid in owners(item)):
            delete(store, item)
