"""Bring one service's live objects to what they should be, and say when they are, and what somebody did to them."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import digest_of, run_of
from controller.core.manifests import with_uid
from controller.core.model import Object
from controller.core.plan.decision import Action, Apply, Create, Observed, Restore
from controller.core.plan.needs import Key


def key_of(manifest: Object) -> Key:
    """Return the kind and name of an object."""
    return manifest["kind"], manifest["metadata"]["name"]


def converge(stage: str, objects: Sequence[Object], seen: Observed, uid: str) -> tuple[Action, ...]:
    """Return what makes the live objects of a service equal to `objects` (the Deployment first).

    What exists, carries the same digest and was changed by nobody is left alone. A changed Service or Ingress waits for
    the rollout: its port changes only when all pods answer on the new one (DESIGN 2.3.6). An object that another owner
    holds counts as missing here: creating it tells.
    """
    deployment = objects[0]
    live = seen.deployments.get(deployment["metadata"]["name"])
    rolled_out = bool(live and live.digest == digest_of(deployment) and live.available)
    wanted = (_action(stage, item, seen, uid, ready=rolled_out or item is deployment) for item in objects)
    return tuple(filter(None, wanted))


def _action(stage: str, item: Object, seen: Observed, uid: str, *, ready: bool) -> Action | None:
    live, folders = seen.serving.get(key_of(item)), folders_of(item)
    if live is None or owner_uid(live) != uid:
        return Create(item, stage, folders)
    if "deletionTimestamp" in live["metadata"]:
        return None  # its end comes as an event
    if digest_of(live) == digest_of(item) and key_of(item) in seen.drift:
        return Restore(item, stage, folders)
    if (ready and digest_of(live) != digest_of(item)) or _is_unreleased(live, item, seen):
        return Apply(with_uid(item, live["metadata"]["uid"]), stage, folders)
    return None


def _is_unreleased(live: Object, item: Object, seen: Observed) -> bool:
    """Return whether nothing says any more how an unchanged service was applied: then the run applies it as its own."""
    return seen.release is None and run_of(live) != run_of(item)


def disturbed(objects: Iterable[Object], seen: Observed, uid: str) -> list[str]:
    """Return a line for each of these objects that somebody has changed or taken away."""
    lines = []
    for item in objects:
        (kind, name), live = key_of(item), seen.serving.get(key_of(item))
        drift = seen.drift.get(key_of(item))
        if live is None:
            lines.append(f"{kind} {name} was deleted, or its labels were removed: it is put back")
        elif owner_uid(live) == uid and "deletionTimestamp" in live["metadata"]:
            lines.append(f"{kind} {name} is being deleted: it is made again")
        elif drift:
            lines.append(f"{kind} {name}: {drift.by} changed {drift.fields}: it is put back")
    return lines


def folders_of(manifest: Object) -> tuple[PurePosixPath, ...]:
    """Give the folders of the shared volume, of those a request owns, that the manifest's pods mount.

    They must be there before the pods: the kubelet would make a missing one, and root would own it.
    """
    template = manifest["spec"].get("template") or {"spec": {"containers": ()}}
    mounts = (
        mount
        for item in template["spec"]["containers"]
        for mount in item["volumeMounts"]
        if mount["name"] == names.SHARED_VOLUME
    )
    paths = (PurePosixPath(mount.get("subPath", "")) for mount in mounts)
    return tuple(path for path in paths if path.is_relative_to(layout.RUNS))
