"""Bring one service's live objects to what they should be, and say when they are."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.facts import DeploymentFact
from controller.core.facts.workloads import digest_of, owner_uid, run_of
from controller.core.manifests import with_uid
from controller.core.model import Object
from controller.core.plan.decision import Action, Apply, Create, Observed


def converge(stage: str, objects: Sequence[Object], seen: Observed, uid: str) -> tuple[Action, ...]:
    """Give what makes the live objects of a service equal to `objects` (the Deployment first).

    What exists and carries the same digest is left alone. A changed Service or Ingress waits for the rollout: its port
    changes only when all pods answer on the new one (DESIGN 2.3.6). An object that another owner holds counts as
    missing here: creating it tells.
    """
    deployment, *others = objects
    actions: list[Action] = []
    live = seen.deployments.get(deployment["metadata"]["name"])
    if live is None or live.owner != uid:
        actions.append(Create(deployment, stage, folders_of(deployment)))
    elif not live.deleting and (live.digest != digest_of(deployment) or _is_unreleased(live, deployment, seen)):
        actions.append(Apply(with_uid(deployment, live.uid), stage, folders_of(deployment)))
    rolled_out = bool(live and live.digest == digest_of(deployment) and live.available)
    for item in others:
        existing = seen.others.get((item["kind"], item["metadata"]["name"]))
        if existing is None or owner_uid(existing) != uid:
            actions.append(Create(item, stage))
        elif digest_of(existing) != digest_of(item) and rolled_out:
            actions.append(Apply(with_uid(item, existing["metadata"]["uid"]), stage))
    return tuple(actions)


def _is_unreleased(live: DeploymentFact, deployment: Object, seen: Observed) -> bool:
    """Whether nothing says any more how an unchanged service was applied: then the run applies it as its own."""
    return seen.release is None and live.run != run_of(deployment)


def folders_of(manifest: Object) -> tuple[PurePosixPath, ...]:
    """Give the folders of the shared volume, of those a request owns, that the manifest's pods mount.

    They must be there before the pods: the kubelet would make a missing one, and root would own it.
    """
    containers = manifest["spec"]["template"]["spec"]["containers"]
    mounts = (mount for item in containers for mount in item["volumeMounts"] if mount["name"] == names.SHARED_VOLUME)
    paths = (PurePosixPath(mount.get("subPath", "")) for mount in mounts)
    return tuple(path for path in paths if path.is_relative_to(layout.RUNS))
