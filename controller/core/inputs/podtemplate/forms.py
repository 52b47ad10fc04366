"""What a pod template may say, field by field, and why it may not say the rest.

Fields and types are those of Kubernetes' core/v1; each field of the newest Kubernetes that is claimed is here or among
the refused (tests/unit/core/inputs/test_podtemplate_fields.py). Kinds of volumes are those of Pod Security `restricted`
(https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, create_model

from controller.core import layout, names
from controller.core.inputs import kinds, variables
from controller.core.inputs.engine import Broken, Form, reading, together
from controller.core.text import LINE_LIMIT, parse_quantity, quoted

_DOMAIN = re.escape(names.DOMAIN)
OWN_LABELS = (  # what we and Jobs are found by
    rf"(?:{_DOMAIN}|app\.kubernetes\.io|batch\.kubernetes\.io)/|(?:job-name|controller-uid|pod-template-hash)\Z"
)
OWN_ANNOTATIONS = (  # ours, and those that Pod Security reads
    rf"(?:{_DOMAIN}|container\.apparmor\.security\.beta\.kubernetes\.io)/|seccomp\.security\."
)
OWN_PATHS = (str(layout.ROOT), layout.SHM, "/proc", "/sys")

_SECURITY = "security can't be changed by a template: every stage runs as user 10001 under Pod Security restricted"
_HOST = "a stage never shares the node's own namespaces: remove it"
_PROCESS = "the stage's process is Coachwork's business: the project names its script and args"
_PROBE = "probes are made from the project: PORT and READINESS_PATH"
_ACCOUNT = "a stage runs without rights, as the account that the controller's settings name: remove it"
_ONE = "a stage's pod has one container, which ends when the stage ends: remove it"
_RETRIES = "retries are the project's: RETRIES"
_TIME = "limits of time are the project's: MAX_COMPLETION_TIME_SECONDS, MAX_STARTUP_TIME_SECONDS"
_CLASS = "is given by the class: name one with priorityClassName or runtimeClassName"
_UNSUPPORTED = "is not supported in a template: remove it"
_CREDENTIAL = "would give the stage a token of the API server: remove it"
_METADATA = "a template sets labels and annotations only: remove it"
_VOLUME = (
    "this kind of volume is not allowed under Pod Security restricted: use one of configMap, csi, downwardAPI, "
    "emptyDir, ephemeral, persistentVolumeClaim, projected, secret"
)


@dataclass(frozen=True, slots=True)
class RefusedField:
    """A field that exists, and that a template can't have: why, and what to do instead."""

    why: str


def part(
    fields: Mapping[str, Any], *needs: str, rule: Callable[[Mapping[str, Any]], Iterable[Broken]] | None = None
) -> Any:
    """Return the form of a part of a pod: its fields with their types, of which `needs` have to be there."""
    refused = {name: field.why for name, field in fields.items() if isinstance(field, RefusedField)}
    own: dict[str, Any] = {"refused": refused}
    if rule:
        own["together"] = staticmethod(rule)
    known: dict[str, Any] = {
        name: (kind, ... if name in needs else None) for name, kind in fields.items() if name not in refused
    }
    return create_model("Part", __base__=Form, __namespace__=own, **known)


def each(item: Any, key: str = "", least: int = 0) -> Any:
    """Return the type of a list of such items; `key` is the field by which an item is known, each only once."""

    def once(items: Iterable[Any]) -> Iterable[Broken]:
        before: set[str] = set()
        for number, entry in enumerate(items):
            value = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(value, str) and value in before:
                yield (number, key), f"{quoted(value)} is there twice: remove one"
            before |= {value} if isinstance(value, str) else set()

    return Annotated[list.__class_getitem__(item), Field(min_length=least), together(once)]


def mapping(key: Any, value: Any) -> Any:
    """Return the type of a mapping of names to values, such as labels."""
    return dict.__class_getitem__((key, value))


def _one_of(*fields: str) -> Callable[[Mapping[str, Any]], Iterable[Broken]]:
    """Return the rule that a part has exactly one of these fields."""

    def rule(data: Mapping[str, Any]) -> Iterable[Broken]:
        given = sorted(data.keys() & set(fields))
        if len(given) > 1:
            yield (), f"has {' and '.join(given)}: one of them at most"
        if not data.keys() - {"name"}:
            yield (), f"expected one of {', '.join(fields)}"

    return rule


def _refused(why: str, *fields: str) -> dict[str, RefusedField]:
    return dict.fromkeys(fields, RefusedField(why))


# --- values -------------------------------------------------------------------------------------------


def _whole(low: int = 0, high: int = 2**31 - 1) -> BeforeValidator:
    """Return the validator of a whole number within bounds."""

    def check(value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {quoted(value)}")
        return value

    return BeforeValidator(check)


def _quantity(value: Any) -> Any:
    """Check an amount as Kubernetes writes it; never a negative one."""
    written = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if parse_quantity(written) is None:
        raise ValueError(f'expected an amount like 500m, 2, "1Gi", got {quoted(value)}')
    return value


def _volume_name(text: str) -> str:
    if text in names.VOLUMES:
        raise ValueError(f"{quoted(text)} is a volume of Coachwork's own: choose another name")
    return kinds.matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "at most 63 lower-case letters, digits and -")(text)


def _mount_path(text: str) -> str:
    """Check where a volume appears: an absolute path that is neither within one of ours nor above one."""
    plain = text.startswith("/") and ":" not in text and text.isprintable()
    if not plain or posixpath.normpath(text).replace("//", "/") != text.rstrip("/") or len(text) > LINE_LIMIT:
        raise ValueError(f"expected an absolute path without . and .., and not /, got {quoted(text)}")
    path = PurePosixPath(text)
    for own in map(PurePosixPath, OWN_PATHS):
        if path.is_relative_to(own) or own.is_relative_to(path):
            raise ValueError(f"{own} is Coachwork's or the system's own: mount it elsewhere")
    return text


def _container_name(text: str) -> str:
    if text != names.STAGE_CONTAINER:
        one = _ONE.removesuffix(": remove it")
        raise ValueError(f"{one}: its name is {names.STAGE_CONTAINER}, got {quoted(text)}")
    return text


def _foreign(own: str, sentence: str) -> Any:
    """Return the type of a label's or annotation's name that is none of these, as a pattern has them."""

    def read(key: str) -> str:
        if re.match(own, key):
            raise ValueError(sentence)
        return kinds.qualified_name(key)

    return Annotated[str, reading(read)]


def _text(pattern: str, what: str) -> Any:
    return Annotated[str, reading(kinds.matching(pattern, what))]


Text = _text(rf"(?s:.{{1,{LINE_LIMIT}}})", f"text of 1 to {LINE_LIMIT} characters")
Name = Annotated[str, reading(kinds.object_name)]
Qualified = Annotated[str, reading(kinds.qualified_name)]
Label = _text(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "at most 63 letters, digits, - _ and .")
Labels = mapping(Qualified, Label)
Quantity = Annotated[Any, BeforeValidator(_quantity)]
Amounts = mapping(Qualified, Quantity)
Mode = Annotated[int, _whole(0, 0o777)]
Below = _text(r"(?!/)(?!(?:.*/)?\.\.(?:/|\Z))(?s:.+)", "a path below the volume, without ..")
VolumeName = Annotated[str, reading(_volume_name)]
Count, Weight = Annotated[int, _whole(1)], Annotated[int, _whole(1, 100)]


METADATA: Final = part({
    "labels": mapping(_foreign(OWN_LABELS, "this label is set by Coachwork or Kubernetes: remove it"), Label),
    "annotations": mapping(
        _foreign(OWN_ANNOTATIONS, "this annotation can't be set by a template: remove it"),
        _text(r"(?s:.{0,4096})", "text of at most 4096 characters"),
    ),
    "name": Any,  # an editor wants one; pods get their own
    **_refused(
        _METADATA, "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
        "generation", "managedFields", "namespace", "ownerReferences", "resourceVersion", "selfLink", "uid",
    ),
})  # fmt: skip

# --- where pods go ------------------------------------------------------------------------------------

_EXPRESSION = part({
    "key": Text, "operator": Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"], "values": each(Text),
}, "key", "operator")  # fmt: skip
_SELECTED = part({"matchLabels": Labels, "matchExpressions": each(_EXPRESSION)})


def _not_empty(term: Mapping[str, Any]) -> Iterable[Broken]:
    """Yield what is wrong with a term without expressions: it takes no node; merged with ours it would take one."""
    if not term:
        yield (), "expected matchExpressions or matchFields: write one, or remove the term"


_NODE_TERM = part(
    {"matchExpressions": each(_EXPRESSION, least=1), "matchFields": each(_EXPRESSION, least=1)}, rule=_not_empty
)
_NODE_PREFERENCE = part({"weight": Weight, "preference": _NODE_TERM}, "weight", "preference")
_POD_TERM = part({
    "labelSelector": _SELECTED, "namespaceSelector": _SELECTED, "namespaces": each(Name), "topologyKey": Text,
    "matchLabelKeys": each(Text), "mismatchLabelKeys": each(Text),
}, "topologyKey")  # fmt: skip
_POD_PREFERENCE = part({"weight": Weight, "podAffinityTerm": _POD_TERM}, "weight", "podAffinityTerm")
_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
_PODS = part({_REQUIRED: each(_POD_TERM), _PREFERRED: each(_POD_PREFERENCE)})
_NODES = part({
    _REQUIRED: part({"nodeSelectorTerms": each(_NODE_TERM, least=1)}, "nodeSelectorTerms"),
    _PREFERRED: each(_NODE_PREFERENCE),
})  # fmt: skip
_TOLERATION = part({
    "key": Text, "operator": Literal["Exists", "Equal", "Lt", "Gt"], "value": Label,
    "tolerationSeconds": Annotated[int, _whole(-(2**31))],
    "effect": Literal["NoSchedule", "PreferNoSchedule", "NoExecute"],
})  # fmt: skip
_SPREAD = part({
    "maxSkew": Count, "topologyKey": Text, "whenUnsatisfiable": Literal["DoNotSchedule", "ScheduleAnyway"],
    "labelSelector": _SELECTED, "matchLabelKeys": each(Text), "minDomains": Count,
    "nodeAffinityPolicy": Literal["Honor", "Ignore"], "nodeTaintsPolicy": Literal["Honor", "Ignore"],
}, "maxSkew", "topologyKey", "whenUnsatisfiable")  # fmt: skip

# --- volumes ------------------------------------------------------------------------------------------

_ITEMS = each(part({"key": Text, "path": Below, "mode": Mode, **_refused(_UNSUPPORTED, "user")}, "key", "path"))
_FIELD = part({"fieldPath": Text, "apiVersion": Text}, "fieldPath")
_RESOURCE = part({"resource": Text, "containerName": Text, "divisor": Quantity}, "resource")
_DOWNWARD = each(part({
    "path": Below, "fieldRef": _FIELD, "resourceFieldRef": _RESOURCE, "mode": Mode, **_refused(_UNSUPPORTED, "user"),
}, "path"))  # fmt: skip
_OBJECT = {"name": Name, "items": _ITEMS, "optional": bool}
_MODES = {"defaultMode": Mode, **_refused(_UNSUPPORTED, "defaultUser")}
_CLAIM = part({
    "accessModes": each(Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"], least=1),
    "resources": part({"requests": Amounts, **_refused(_UNSUPPORTED, "limits")}, "requests"),
    "storageClassName": Name, "volumeMode": Literal["Filesystem"], "volumeName": Name, "selector": _SELECTED,
    **_refused(_UNSUPPORTED, "dataSource", "dataSourceRef", "volumeAttributesClassName"),
}, "accessModes", "resources")  # fmt: skip
_SOURCES = part({
    "configMap": part(_OBJECT, "name"),
    "secret": part(_OBJECT, "name"),
    "downwardAPI": part({"items": _DOWNWARD}),
    **_refused(_CREDENTIAL, "serviceAccountToken", "podCertificate"),
    **_refused(_UNSUPPORTED, "clusterTrustBundle"),
})  # fmt: skip
VOLUMES: Final[Mapping[str, Any]] = {
    "configMap": part({**_OBJECT, **_MODES}, "name"),
    "secret": part({"secretName": Name, "items": _ITEMS, "optional": bool, **_MODES}, "secretName"),
    "emptyDir": part({"medium": Literal["", "Memory"], "sizeLimit": Quantity, **_refused(_UNSUPPORTED, "mode")}),
    "persistentVolumeClaim": part({"claimName": Name, "readOnly": bool}, "claimName"),
    "projected": part({"sources": each(_SOURCES), **_MODES}, "sources"),
    "downwardAPI": part({"items": _DOWNWARD, **_MODES}),
    "ephemeral": part({
        "volumeClaimTemplate": part({"metadata": METADATA, "spec": _CLAIM}, "spec"),
    }, "volumeClaimTemplate"),
    "csi": part({
        "driver": Name, "fsType": Text, "readOnly": bool, "volumeAttributes": mapping(str, Text),
        "nodePublishSecretRef": part({"name": Name}, "name"),
    }, "driver"),
}  # fmt: skip
_VOLUME_FORM = part({"name": VolumeName, **VOLUMES, **_refused(
    _VOLUME, "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker",
    "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image", "iscsi", "nfs", "photonPersistentDisk",
    "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)}, "name", rule=_one_of(*sorted(VOLUMES)))  # fmt: skip

# --- the stage's container ------------------------------------------------------------------------------

_MOUNT = part({
    "name": VolumeName, "mountPath": Annotated[str, reading(_mount_path)], "subPath": Below, "readOnly": bool,
    **_refused("is not supported: use subPath", "subPathExpr"),
    **_refused(_SECURITY, "mountPropagation"),
    **_refused(_UNSUPPORTED, "recursiveReadOnly", "bindMountOptions"),
}, "name", "mountPath")  # fmt: skip
_KEY = part({"name": Name, "key": Text, "optional": bool}, "name", "key")
_FROM = {"configMapKeyRef": _KEY, "fieldRef": _FIELD, "resourceFieldRef": _RESOURCE, "secretKeyRef": _KEY}


def _one_value(variable: Mapping[str, Any]) -> Iterable[Broken]:
    if variable.keys() >= {"value", "valueFrom"}:
        yield (), "has value and valueFrom: one of them at most"


_ENV = part({
    "name": Annotated[str, reading(variables.name)], "value": Annotated[str, reading(variables.value)],
    "valueFrom": part({**_FROM, **_refused(_UNSUPPORTED, "fileKeyRef")}, rule=_one_of(*_FROM)),
}, "name", rule=_one_value)  # fmt: skip
CONTAINER: Final = part({
    "name": Annotated[str, reading(_container_name)],
    "env": each(_ENV, "name"),
    "volumeMounts": each(_MOUNT, "mountPath"),
    "resources": part({"requests": Amounts, "limits": Amounts, **_refused(_UNSUPPORTED, "claims")}),
    **_refused("which variables it would set is not known beforehand: name each one in env", "envFrom"),
    **_refused("name the image with the request's key image, or DOCKER_IMAGE of the project", "image"),
    **_refused("is a setting of the controller: COACHWORK_IMAGE_PULL_POLICY", "imagePullPolicy"),
    **_refused(_PROCESS, "command", "args", "workingDir", "lifecycle", "stdin", "stdinOnce", "tty"),
    **_refused(_PROBE, "ports", "livenessProbe", "readinessProbe", "startupProbe"),
    **_refused(_SECURITY, "securityContext", "volumeDevices"),
    **_refused(_RETRIES, "restartPolicy", "restartPolicyRules"),
    **_refused(_UNSUPPORTED, "resizePolicy", "terminationMessagePath", "terminationMessagePolicy"),
}, "name")  # fmt: skip

# --- the pod ------------------------------------------------------------------------------------------

_DNS = part({
    "nameservers": each(Text), "searches": each(Text), "options": each(part({"name": Text, "value": Text}, "name")),
})  # fmt: skip
SPEC: Final = part({
    "imagePullSecrets": each(part({"name": Name}, "name"), "name"),
    "nodeSelector": Labels,
    "tolerations": each(_TOLERATION),
    "affinity": part({"nodeAffinity": _NODES, "podAffinity": _PODS, "podAntiAffinity": _PODS}),
    "topologySpreadConstraints": each(_SPREAD),
    "schedulerName": Text,
    "priorityClassName": Name,
    "runtimeClassName": Name,
    "dnsPolicy": Literal["ClusterFirst", "Default", "None"],
    "dnsConfig": _DNS,
    "hostAliases": each(part({"ip": Text, "hostnames": each(Text, least=1)}, "ip", "hostnames"), "ip"),
    "volumes": each(_VOLUME_FORM, "name"),
    "containers": each(CONTAINER, "name"),
    **_refused(_ONE, "initContainers", "ephemeralContainers"),
    **_refused(_HOST, "hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"),
    **_refused(_SECURITY, "securityContext"),
    **_refused(_ACCOUNT, "serviceAccountName", "serviceAccount"),
    **_refused(_CREDENTIAL, "automountServiceAccountToken"),
    **_refused(_RETRIES, "restartPolicy"),
    **_refused(_TIME, "activeDeadlineSeconds"),
    **_refused("a stage always has 30 seconds after SIGTERM: remove it", "terminationGracePeriodSeconds"),
    **_refused("goes past the scheduler: use nodeSelector or affinity", "nodeName"),
    **_refused(_CLASS, "priority", "preemptionPolicy", "overhead"),
    **_refused("name amounts at the container stage: containers[0].resources", "resources"),
    **_refused(
        _UNSUPPORTED, "enableServiceLinks", "evictionResponders", "hostname", "hostnameOverride", "os",
        "readinessGates", "resourceClaims", "schedulingGates", "schedulingGroup", "setHostnameAsFQDN", "subdomain",
    ),
})  # fmt: skip

POD: Final = part({
    "apiVersion": Literal["v1"],  # a whole Pod is taken too, so that editors and tools know what the file is
    "kind": Literal["Pod"],
    "metadata": METADATA,
    "spec": SPEC,
    **_refused("is written by Kubernetes: remove it", "status"),
})  # fmt: skip
