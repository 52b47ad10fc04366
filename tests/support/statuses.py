"""Objects with their status as a real API server (1.34) gives them, for tests of the facts."""

import json
from typing import Any

from controller.core import names
from controller.core.model import Object

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "iris", "uid": "request-uid", "controller": True}
STARTED = "2026-11-23T14:54:34Z"


def said(reason: str, message: str, **more: Any) -> str:
    """Return a termination message of the launcher."""
    return json.dumps({"reason": reason, "message": message, **more})


def terminated(code: int, reason: str = "Error", message: str = "") -> Object:
    """Return the state of a container that ended."""
    ended = {"exitCode": code, "reason": reason, "startedAt": STARTED, "finishedAt": STARTED}
    return {"terminated": {**ended, "message": message} if message else ended}


def waiting(reason: str, message: str = "") -> Object:
    """Return the state of a container that waits."""
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def pod(
    state: Object | None = None, *, phase: str = "Pending", owner: str = "job-uid", name: str = "p", **more: Any
) -> Object:
    """Return a pod; `more` is further status, but for last (the last state), created, labels, digest and deleting."""
    containers = []
    if state is not None:
        containers = [
            {
                "name": names.STAGE_CONTAINER,
                "image": "registry.invalid/nope:1",
                "ready": more.pop("ready", False),
                "restartCount": 0,
                "state": state,
                "lastState": more.pop("last", {}),
            }
        ]
    metadata: Object = {
        "name": name,
        "uid": f"{name}-uid",
        "creationTimestamp": more.pop("created", STARTED),
        "labels": more.pop("labels", {}),
        "annotations": {names.DIGEST: more.pop("digest", "new")},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "uid": owner, "controller": True}],
    }
    if more.pop("deleting", False):
        metadata["deletionTimestamp"] = STARTED
    status = {"phase": phase, "containerStatuses": containers, **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def condition(kind: str, reason: str = "", status: str = "True", message: str = "", **more: Any) -> Object:
    """Return one condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def job(*conditions: Object, **status: Any) -> Object:
    """Return a Job of run 7."""
    metadata = {
        "name": "iris-train-7",
        "uid": "job-uid",
        "labels": {names.RUN: "7"},
        "ownerReferences": [OWNER],
    }
    spec = {"template": {"spec": {"containers": [{"name": names.STAGE_CONTAINER}]}}}
    return {"kind": "Job", "metadata": metadata, "spec": spec, "status": {"conditions": list(conditions), **status}}


def deployment(*conditions: Object, wanted: int = 1, generation: int = 3, applied: str = "", **status: Any) -> Object:
    """Return a Deployment whose template has the digest "new"; `applied`: when we last did."""
    fields = [
        {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-24T00:00:00Z"},
        {"manager": "kubectl", "operation": "Update", "time": "2026-11-24T00:00:00Z"},
        {"manager": names.MANAGER, "operation": "Apply", "time": applied},
    ]
    metadata = {
        "name": "iris--web",
        "uid": "deployment-uid",
        "generation": generation,
        "labels": {names.RUN: "7"},
        "annotations": {names.DIGEST: "new"},
        "ownerReferences": [OWNER],
        "managedFields": fields if applied else [],
    }
    spec = {"replicas": wanted, "selector": {"matchLabels": {names.STAGE: "web"}}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions), **status}}


def service_pod(state: Object, *, phase: str = "Running", **more: Any) -> Object:
    """Return a pod of that Deployment."""
    return pod(state, phase=phase, labels=more.pop("labels", {names.STAGE: "web"}), **more)


def event(reason: str, message: str, uid: str, kind: str = "Pod") -> Object:
    """Return a Warning event about an object."""
    return {
        "kind": "Event",
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "uid": uid},
    }
