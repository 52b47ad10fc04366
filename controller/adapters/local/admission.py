"""What the local cluster takes: the fields and values that it models, and no others.

A field that is not named here is refused with a sentence, since to run a stage without it would be a guess. ANY marks
what is stored and shown but means nothing on this machine (see the package's docstring).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from controller.core import names
from controller.core.errors import Refused
from controller.core.model import Object

Check = Callable[[Any], str]
"""Returns what is wrong with a value, "" if nothing."""

NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _whole(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return "" if good else f"expected a whole number, 0 or more, got {value!r}"


def _one_of(*values: Any) -> Check:
    listed = " and ".join(map(repr, values))
    return lambda value: "" if value in values else f"the local cluster models {listed} only, not {value!r}"


def _text(value: Any) -> str:
    """Refuse references to variables: what our manifests write is escaped (`$$`)."""
    if not isinstance(value, str):
        return f"expected text, got {value!r}"
    return "the local cluster does not expand $(NAME)" if "$(" in value.replace("$$", "") else ""


def _path_below(value: Any) -> str:
    parts = str(value).split("/")
    return "expected a path below the volume" if ".." in parts or parts[0] == "" else ""


ANY: Final = None
_METADATA: Mapping[str, Any] = dict.fromkeys(
    ("name", "namespace", "labels", "annotations", "ownerReferences", "uid", "resourceVersion", "generation",
     "creationTimestamp", "managedFields"), ANY,
)  # fmt: skip
_PORT = {"port": ANY}
_PROBE = {
    "tcpSocket": _PORT,
    "httpGet": {**_PORT, "path": ANY},
    "periodSeconds": _whole,
    "timeoutSeconds": _whole,
    "failureThreshold": _whole,
}
_VARIABLE = {
    "name": ANY,
    "value": _text,
    "valueFrom": {
        "secretKeyRef": {"name": ANY, "key": ANY, "optional": ANY},
        "fieldRef": {"fieldPath": _one_of("status.podIP", f"metadata.annotations['{names.COMPLETION_INDEX}']")},
    },
}
_CONTAINER = {
    "name": ANY, "image": ANY, "imagePullPolicy": ANY, "securityContext": ANY, "resources": ANY,
    "command": [_text],
    "env": [_VARIABLE],
    "volumeMounts": [{"name": ANY, "mountPath": ANY, "subPath": _path_below, "readOnly": ANY}],
    "terminationMessagePolicy": _one_of("File"),
    "ports": [{"name": ANY, "containerPort": _whole}],
    "readinessProbe": _PROBE,
    "lifecycle": {"preStop": {"sleep": {"seconds": _whole}}},
}  # fmt: skip
_TEMPLATE = {
    "metadata": {"labels": ANY, "annotations": ANY},
    "spec": {
        "restartPolicy": _one_of("Never", "Always"),
        "subdomain": ANY,  # peers find each other at one address
        "serviceAccountName": ANY, "automountServiceAccountToken": ANY, "enableServiceLinks": ANY,
        "securityContext": ANY, "topologySpreadConstraints": ANY,
        "terminationGracePeriodSeconds": _whole,
        "activeDeadlineSeconds": _whole,
        "containers": [_CONTAINER],
        # sizeLimit is not watched: the launcher looks at its own limit, and the disk is the user's
        "volumes": [
            {"name": ANY, "persistentVolumeClaim": {"claimName": ANY}, "emptyDir": {"medium": ANY, "sizeLimit": ANY}}
        ],
    },
}  # fmt: skip
_RULE = {
    "action": _one_of("Ignore", "FailJob", "FailIndex", "Count"),
    "onPodConditions": [{"type": ANY, "status": ANY}],
    "onExitCodes": {"containerName": ANY, "operator": _one_of("In", "NotIn"), "values": ANY},
}
_ROLLING = {"type": _one_of("RollingUpdate"), "rollingUpdate": {"maxUnavailable": _one_of(0), "maxSurge": _one_of(1)}}
_SPECS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ConfigMap": ("v1", {"data": ANY}),
    "Event": ("v1", dict.fromkeys(
        ("involvedObject", "type", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count"), ANY)),
    "Job": ("batch/v1", {"spec": {
        "backoffLimit": _whole, "ttlSecondsAfterFinished": _whole,
        "completionMode": _one_of("Indexed"), "completions": _whole, "parallelism": _whole,
        "backoffLimitPerIndex": _whole, "maxFailedIndexes": _whole,
        "podFailurePolicy": {"rules": [_RULE]}, "template": _TEMPLATE}}),
    "Deployment": ("apps/v1", {"spec": {
        "replicas": _whole, "selector": {"matchLabels": ANY}, "strategy": _ROLLING,
        "progressDeadlineSeconds": _whole, "minReadySeconds": _whole, "revisionHistoryLimit": ANY,
        "template": _TEMPLATE}}),
    "Service": ("v1", {"spec": {
        "type": _one_of("ClusterIP"), "clusterIP": _one_of("None"), "publishNotReadyAddresses": ANY,
        "selector": ANY, "ports": ANY}}),
    "Ingress": ("networking.k8s.io/v1", {"spec": ANY}),
    "HorizontalPodAutoscaler": ("autoscaling/v2", {"spec": ANY}),
    "PodDisruptionBudget": ("policy/v1", {"spec": ANY}),
}  # fmt: skip


def admit(manifest: Object, namespace: str) -> None:
    """See that an object is one that the local cluster models. Raises Refused with all that is not."""
    kind, name = str(manifest.get("kind")), str(manifest.get("metadata", {}).get("name"))
    if kind not in _SPECS:
        raise Refused(f"the local cluster has no kind {kind!r}", forbidden=False)
    version, fields = _SPECS[kind]
    shape = {"apiVersion": _one_of(version), "kind": ANY, "metadata": _METADATA, "status": ANY, **fields}
    problems = list(_problems(shape, manifest, ""))
    if not NAME.fullmatch(name):
        problems.append(f"metadata.name: expected a DNS name, got {name!r}")
    if manifest["metadata"].get("namespace", namespace) != namespace:
        problems.append(f"metadata.namespace: the local cluster is namespace {namespace!r}")
    problems += _pod_problems(manifest.get("spec", {}).get("template")) if kind in ("Job", "Deployment") else ()
    if repeated := duplicates(manifest):
        problems.append(f"the local cluster wants each variable once, not again {', '.join(repeated)}")
    if problems:
        raise Refused(f"{kind} {name}: {'; '.join(problems)}", forbidden=False)


def duplicates(manifest: Object) -> list[str]:
    """Return the variables that a pod template sets twice: a create takes them, an apply fails on them."""
    containers = manifest.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ()
    found = [variable["name"] for container in containers for variable in container.get("env") or ()]
    return sorted({name for name in found if found.count(name) > 1})


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, list) and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _problems(shape[0], item, f"{path}[{number}]")
    elif isinstance(shape, Mapping) and isinstance(value, Mapping):
        for key, item in value.items():
            place = f"{path}.{key}".lstrip(".")
            yield from _problems(shape[key], item, place) if key in shape else (f"{place}: {_UNKNOWN}",)
    elif isinstance(shape, list | Mapping):
        yield f"{path}: expected a {'list' if isinstance(shape, list) else 'mapping'}, got {value!r}"
    elif shape is not ANY and (sentence := shape(value)):
        yield f"{path}: {sentence}"


_UNKNOWN = "the local cluster does not model this field"


def _pod_problems(template: Any) -> Iterator[str]:
    """Return what is wrong with a template as a whole."""
    spec = template.get("spec", {}) if isinstance(template, Mapping) else {}
    containers = spec.get("containers")
    if not isinstance(containers, list) or len(containers) != 1:
        yield "spec.template.spec.containers: the local cluster runs exactly one container in a pod"
    elif not containers[0].get("command"):
        yield "spec.template.spec.containers[0].command: images are not pulled, so their commands are not known"
