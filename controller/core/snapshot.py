"""What the caches hold of an object: what anybody reads of its kind, as JSON.

Thousands of requests have to fit into a small pod, and most of an object is ballast: an object of the API is 10 KB of
text and 40 KB in memory, its snapshot less than 1 KB in both. What a fact, a decision or an index is to read has to be
in the shape of its kind, no matter what fills the caches. It follows that a change of anything else is no change.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any, Self, TypeAlias

from controller.core import names
from controller.core.facts.pods import UNMOUNTED
from controller.core.facts.workloads import NO_POD
from controller.core.model import Object


@dataclass(frozen=True, slots=True)
class Some:
    """Those items of a list whose `field` has one of these values."""

    field: str
    values: tuple[str, ...]
    shape: "Shape"


Shape: TypeAlias = EllipsisType | Mapping[str, "Shape"] | Some
"""...: all of a value. A mapping: these fields of it, or of each of its items where it is a list."""


def _all(*fields: str) -> Mapping[str, Shape]:
    return dict.fromkeys(fields, ...)


_IDENTITY: Mapping[str, Shape] = {
    **_all("name", "uid", "deletionTimestamp"),
    "labels": _all(names.REQUEST, names.REQUEST_UID, names.STAGE, names.RUN, names.ENVIRONMENT),
    "ownerReferences": _all("controller", "kind", "name", "uid"),
}
_ANNOTATIONS = _all(names.TRIGGER, names.CANCEL, names.FROM, names.ONLY, names.SET, names.RERUN, names.ALL)
_WRITTEN = Some("manager", (names.MANAGER,), _all("manager", "operation", "subresource", "time"))  # not which fields
_MARKS = _all(names.DIGEST, names.COMPLETION_INDEX)
_ENDED = _all("exitCode", "message", "reason", "startedAt")
_SERVING: Mapping[str, Shape] = {  # what is compared with the manifest
    "metadata": {
        **_IDENTITY, **_all("generation", "finalizers", "labels", "annotations", "ownerReferences"),
        "managedFields": _WRITTEN,
    },
    "spec": ...,
}  # fmt: skip

SHAPES: Mapping[str, Mapping[str, Shape]] = {
    "ConfigMap": {
        "metadata": {
            **_IDENTITY,
            **_all("resourceVersion", "labels"),
            "annotations": _ANNOTATIONS,
            "managedFields": _WRITTEN,
        },
        **_all("data", "binaryData"),
    },
    "Job": {
        "metadata": {**_IDENTITY, "finalizers": ...},
        "spec": {
            **_all("backoffLimit", "suspend", "parallelism", "completionMode", "completions"),
            "podFailurePolicy": {"rules": {"action": ..., "onExitCodes": _all("values")}},
            "template": {"spec": {"containers": _all("name", "resources"), "subdomain": ...}},
        },
        "status": {
            **_all("failed", "completedIndexes", "failedIndexes"),
            "conditions": Some(
                "type", ("Complete", "Failed"), _all("type", "status", "reason", "message", "lastTransitionTime")
            ),
        },
    },
    "Pod": {
        "metadata": {**_IDENTITY, "annotations": _MARKS, "creationTimestamp": ...},
        "spec": {"nodeName": ..., "containers": _all("name", "image", "resources")},
        "status": {
            **_all("phase", "reason", "message"),
            "conditions": Some(
                "type",
                ("Ready", "PodScheduled", "PodReadyToStartContainers"),
                _all("type", "status", "reason", "message", "lastTransitionTime"),
            ),
            "containerStatuses": {
                **_all("name", "image", "imageID"),
                "state": {"running": ..., "waiting": _all("reason", "message"), "terminated": _ENDED},
                "lastState": {"terminated": _ENDED},
            },
        },
    },
    "Event": {
        "metadata": _all("name"),
        "involvedObject": _all("kind", "name", "uid"),
        **_all("reason", "message"),
    },
    "CronJob": _SERVING,
    "Deployment": {
        **_SERVING,
        "status": {
            **_all("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
            "conditions": Some(
                "type",
                ("Progressing", "ReplicaFailure"),
                _all("type", "status", "reason", "message", "lastUpdateTime"),
            ),
        },
    },
    "Service": _SERVING,
    "Ingress": _SERVING,
    "HorizontalPodAutoscaler": _SERVING,
    "PodDisruptionBudget": _SERVING,
}  # fmt: skip
"""By kind, what is read."""

EVENTS = (*UNMOUNTED, NO_POD)
"""The reasons of Warnings that say what no object does. All others are about what the objects show, too."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is held of one object."""

    kind: str
    name: str
    text: str

    @classmethod
    def of(cls, kind: str, item: Object) -> Self | None:
        """Return what is held of an object, None for one that nobody reads."""
        if kind == "Event" and item.get("reason") not in EVENTS:
            return None
        return cls(kind, item["metadata"]["name"], _text(_picked(item, SHAPES[kind])))

    def opened(self) -> Object:
        """Return it as an object of its own: the caller may do with it what it likes."""
        item: Object = {**json.loads(self.text), "kind": self.kind}
        return item

    def marked(self, since: str) -> Self:
        """Return it as that of an object that is being deleted."""
        item = json.loads(self.text)
        return replace(self, text=_text({**item, "metadata": {"deletionTimestamp": since, **item["metadata"]}}))


OnChange: TypeAlias = Callable[[str, Snapshot | None, Snapshot | None], None]
"""Called once for each change: kind, what was held before (None: nothing), what is held now (None: nothing).

It is called under the lock of a store, so that it learns of an object's changes in their order: it is quick, and does
not call back.
"""


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _picked(value: Any, shape: Shape) -> Any:
    if isinstance(shape, EllipsisType):
        return value
    if isinstance(shape, Some):
        return [_picked(item, shape.shape) for item in value or () if item.get(shape.field) in shape.values]
    if isinstance(value, list):
        return [_picked(item, shape) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: value[key] if inner is ... else _picked(value[key], inner) for key, inner in shape.items() if key in value
    }
