"""What a pod template may say, field by field, and why it may not say the rest.

Field names, types and keys of lists are those of Kubernetes' core/v1 (PodSpec, Container; OpenAPI of 1.34). Kinds of
volumes are those of Pod Security `restricted` (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final

from controller.core import layout, names
from controller.core.inputs import checks, variables
from controller.core.inputs.podtemplate.shape import (
    Check,
    Each,
    Fields,
    Refused,
    Shape,
    Texts,
    boolean,
    name,
    one_of,
    quantity,
    text,
    whole,
)

LABEL_LIMIT = 63
ANNOTATION_LIMIT = 4096
OWN_LABELS = (f"{names.DOMAIN}/", "app.kubernetes.io/", "batch.kubernetes.io/")  # what we and Jobs are found by
OWN_LABEL_NAMES = ("job-name", "controller-uid", "pod-template-hash")
# Annotations that Pod Security reads, and ours.
OWN_ANNOTATIONS = (f"{names.DOMAIN}/", "container.apparmor.security.beta.kubernetes.io/", "seccomp.security.")
OWN_PATHS = (str(layout.ROOT), layout.SHM, "/proc", "/sys")

_SECURITY = "security can't be changed by a template: every stage runs as user 10001 under Pod Security restricted"
_HOST = "a stage never shares the node's own namespaces: remove it"
_PROCESS = "the stage's process is Coachwork's business: the project names its script and args"
_PROBE = "probes are made from the project: PORT and READINESS_PATH"
_ACCOUNT = "a stage runs without rights, as the account that the controller's settings name: remove it"
_ONE = "a stage's pod has one container, which ends when the stage ends: remove it"
_IMAGE = "name the image with the request's key image, or DOCKER_IMAGE of the project"
_TIME = "limits of time are the project's: MAX_COMPLETION_TIME_SECONDS, MAX_STARTUP_TIME_SECONDS"
_CLASS = "is given by the class: name one with priorityClassName or runtimeClassName"
_UNSUPPORTED = "is not supported in a template: remove it"
_CREDENTIAL = "would give the stage a token of the API server: remove it"
_VOLUME = (
    "this kind of volume is not allowed under Pod Security restricted: use one of configMap, csi, downwardAPI, "
    "emptyDir, ephemeral, persistentVolumeClaim, projected, secret"
)
_UNSAFE_VOLUMES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker",
    "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image", "iscsi", "nfs", "photonPersistentDisk",
    "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip


def _refused(why: str, *fields: str) -> dict[str, Shape]:
    return dict.fromkeys(fields, Refused(why))


# --- labels -----------------------------------------------------------------------------------------


def _qualified(value: str) -> str:
    """Check the name of a label, annotation or resource: [prefix/]name."""
    prefix, slash, last = value.rpartition("/")
    good = re.fullmatch(rf"[A-Za-z0-9]([A-Za-z0-9._-]{{0,{LABEL_LIMIT - 2}}}[A-Za-z0-9])?", last)
    return "" if good and (not slash or checks.is_dns_name(prefix)) else "expected a name like example.com/team"


def _label(value: Any) -> str:
    good = isinstance(value, str) and re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", value)
    rule = f"expected text of at most {LABEL_LIMIT} letters, digits, - _ and ., in quotes if it looks like a number"
    return "" if good else f"{rule}, got {checks.shown(value)}"


def _own_label(key: str) -> str:
    own = key.startswith(OWN_LABELS) or key in OWN_LABEL_NAMES
    return "this label is set by Coachwork or Kubernetes: remove it" if own else _qualified(key)


def _own_annotation(key: str) -> str:
    return (
        "this annotation can't be set by a template: remove it" if key.startswith(OWN_ANNOTATIONS) else _qualified(key)
    )


def _annotation(value: Any) -> str:
    good = isinstance(value, str) and len(value) <= ANNOTATION_LIMIT
    return "" if good else f"expected text of at most {ANNOTATION_LIMIT} characters, in quotes"


METADATA: Final = Fields({
    "labels": Texts(_own_label, _label),
    "annotations": Texts(_own_annotation, _annotation),
    "name": lambda _value: "",  # an editor wants one; pods get their own
})  # fmt: skip

# --- where pods go ------------------------------------------------------------------------------------

_OPERATORS = one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_EXPRESSION = Fields({"key": text, "operator": _OPERATORS, "values": Each(text)}, needs=("key", "operator"))
_SELECTED = Fields({"matchLabels": Texts(_qualified, _label), "matchExpressions": Each(_EXPRESSION)})
# A term without expressions takes no node; merged with ours it would take one, so it is refused.
_NODE_TERM = Fields(
    {"matchExpressions": Each(_EXPRESSION, least=1), "matchFields": Each(_EXPRESSION, least=1)},
    one_of=frozenset({"matchExpressions"}),
)
_NODE_PREFERENCE = Fields({"weight": whole(1, 100), "preference": _NODE_TERM}, needs=("weight", "preference"))
_POD_TERM = Fields(
    {
        "labelSelector": _SELECTED, "namespaceSelector": _SELECTED, "namespaces": Each(name), "topologyKey": text,
        "matchLabelKeys": Each(text), "mismatchLabelKeys": Each(text),
    },
    needs=("topologyKey",),
)  # fmt: skip
_POD_PREFERENCE = Fields({"weight": whole(1, 100), "podAffinityTerm": _POD_TERM}, needs=("weight", "podAffinityTerm"))
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_PODS = Fields({_REQUIRED: Each(_POD_TERM), _PREFERRED: Each(_POD_PREFERENCE)})
_NODES = Fields({
    _REQUIRED: Fields({"nodeSelectorTerms": Each(_NODE_TERM, least=1)}, needs=("nodeSelectorTerms",)),
    _PREFERRED: Each(_NODE_PREFERENCE),
})  # fmt: skip
_TOLERATION = Fields({
    "key": text, "operator": one_of("Exists", "Equal"), "value": _label, "tolerationSeconds": whole(-(2**31)),
    "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
})  # fmt: skip
_POLICY = one_of("Honor", "Ignore")
_SPREAD = Fields(
    {
        "maxSkew": whole(1), "topologyKey": text, "whenUnsatisfiable": one_of("DoNotSchedule", "ScheduleAnyway"),
        "labelSelector": _SELECTED, "matchLabelKeys": Each(text), "minDomains": whole(1),
        "nodeAffinityPolicy": _POLICY, "nodeTaintsPolicy": _POLICY,
    },
    needs=("maxSkew", "topologyKey", "whenUnsatisfiable"),
)  # fmt: skip

# --- volumes ------------------------------------------------------------------------------------------

_MODE = whole(0, 0o777)


def _below(value: Any) -> str:
    good = isinstance(value, str) and value and not value.startswith("/") and ".." not in value.split("/")
    return "" if good else f"expected a path below the volume, without .., got {checks.shown(value)}"


_ITEMS = Each(Fields({"key": text, "path": _below, "mode": _MODE}, needs=("key", "path")))
_FIELD = Fields({"fieldPath": text, "apiVersion": text}, needs=("fieldPath",))
_RESOURCE = Fields({"resource": text, "containerName": text, "divisor": quantity}, needs=("resource",))
_DOWNWARD = Each(
    Fields({"path": _below, "fieldRef": _FIELD, "resourceFieldRef": _RESOURCE, "mode": _MODE}, needs=("path",))
)
_OBJECT: dict[str, Shape] = {"items": _ITEMS, "optional": boolean}
_CLAIM = Fields({
    "accessModes": Each(one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"), least=1),
    "resources": Fields({"requests": Texts(_qualified, quantity)}, needs=("requests",)),
    "storageClassName": name, "volumeMode": one_of("Filesystem"), "volumeName": name, "selector": _SELECTED,
}, needs=("accessModes", "resources"))  # fmt: skip
_SOURCES = Fields({
    "configMap": Fields({"name": name, **_OBJECT}, needs=("name",)),
    "secret": Fields({"name": name, **_OBJECT}, needs=("name",)),
    "downwardAPI": Fields({"items": _DOWNWARD}),
    **_refused(_CREDENTIAL, "serviceAccountToken", "podCertificate"),
    **_refused(_UNSUPPORTED, "clusterTrustBundle"),
})  # fmt: skip
VOLUMES: Final[dict[str, Shape]] = {
    "configMap": Fields({"name": name, "defaultMode": _MODE, **_OBJECT}, needs=("name",)),
    "secret": Fields({"secretName": name, "defaultMode": _MODE, **_OBJECT}, needs=("secretName",)),
    "emptyDir": Fields({"medium": one_of("", "Memory"), "sizeLimit": quantity}),
    "persistentVolumeClaim": Fields({"claimName": name, "readOnly": boolean}, needs=("claimName",)),
    "projected": Fields({"sources": Each(_SOURCES), "defaultMode": _MODE}, needs=("sources",)),
    "downwardAPI": Fields({"items": _DOWNWARD, "defaultMode": _MODE}),
    "ephemeral": Fields(
        {"volumeClaimTemplate": Fields({"metadata": METADATA, "spec": _CLAIM}, needs=("spec",))},
        needs=("volumeClaimTemplate",),
    ),
    "csi": Fields(
        {
            "driver": name, "fsType": text, "readOnly": boolean, "volumeAttributes": Texts(lambda _key: "", text),
            "nodePublishSecretRef": Fields({"name": name}, needs=("name",)),
        },
        needs=("driver",),
    ),
}  # fmt: skip


def _volume_name(value: Any) -> str:
    if value in names.VOLUMES:
        return f"{checks.shown(value)} is a volume of Coachwork's own: choose another name"
    good = isinstance(value, str) and checks.is_dns_name(value) and "." not in value and len(value) <= LABEL_LIMIT
    return (
        "" if good else f"expected lower-case letters, digits and -, {LABEL_LIMIT} at most, got {checks.shown(value)}"
    )


def _mount_path(value: Any) -> str:
    """Check where a volume appears: an absolute path that is neither within one of ours nor above one."""
    plain = isinstance(value, str) and value.startswith("/") and ":" not in value and value.isprintable()
    if not plain or posixpath.normpath(value).replace("//", "/") != value.rstrip("/") or len(value) > checks.LINE_LIMIT:
        return f"expected an absolute path without . and .., and not /, got {checks.shown(value)}"
    path = PurePosixPath(value)
    own = next((own for own in OWN_PATHS if path.is_relative_to(own) or PurePosixPath(own).is_relative_to(path)), "")
    return f"{own} is Coachwork's or the system's own: mount it elsewhere" if own else ""


_VOLUME_SHAPE = Fields(
    {"name": _volume_name, **VOLUMES, **_refused(_VOLUME, *_UNSAFE_VOLUMES)},
    needs=("name",),
    one_of=frozenset(VOLUMES),
)
_MOUNT = Fields(
    {
        "name": _volume_name, "mountPath": _mount_path, "subPath": _below, "readOnly": boolean,
        "subPathExpr": Refused("is not supported: use subPath"),
        "mountPropagation": Refused(_SECURITY),
        **_refused(_UNSUPPORTED, "recursiveReadOnly"),
    },
    needs=("name", "mountPath"),
)  # fmt: skip

# --- the stage's container -------------------------------------------------------------------------------


def _reading(read: Callable[[str], str]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            return f"expected text: put the value in quotes, got {checks.shown(value)}"
        try:
            read(value)
        except ValueError as error:
            return str(error)
        return ""

    return check


_KEY = Fields({"name": name, "key": text, "optional": boolean}, needs=("name", "key"))
_FROM: dict[str, Shape] = {
    "secretKeyRef": _KEY,
    "configMapKeyRef": _KEY,
    "fieldRef": _FIELD,
    "resourceFieldRef": _RESOURCE,
}
_VALUE_FROM = Fields({**_FROM, **_refused(_UNSUPPORTED, "fileKeyRef")}, one_of=frozenset(_FROM))
_ENV = Fields(
    {"name": _reading(variables.name), "value": _reading(variables.value), "valueFrom": _VALUE_FROM},
    needs=("name",),
    one_of=frozenset({"value", "valueFrom"}),
)
_AMOUNTS = Texts(_qualified, quantity)


def _container_name(value: Any) -> str:
    own = names.STAGE_CONTAINER
    return "" if value == own else f"{_ONE.removesuffix(': remove it')}: its name is {own}, got {checks.shown(value)}"


CONTAINER: Final = Fields(
    {
        "name": _container_name,
        "env": Each(_ENV, "name"),
        "volumeMounts": Each(_MOUNT, "mountPath"),
        "resources": Fields({"requests": _AMOUNTS, "limits": _AMOUNTS, "claims": Refused(_UNSUPPORTED)}),
        "envFrom": Refused("which variables it would set is not known beforehand: name each one in env"),
        "image": Refused(_IMAGE),
        "imagePullPolicy": Refused("is a setting of the controller: COACHWORK_IMAGE_PULL_POLICY"),
        **_refused(_PROCESS, "command", "args", "workingDir", "lifecycle", "stdin", "stdinOnce", "tty"),
        **_refused(_PROBE, "ports", "livenessProbe", "readinessProbe", "startupProbe"),
        **_refused(_SECURITY, "securityContext", "volumeDevices"),
        **_refused("retries are the project's: RETRIES", "restartPolicy", "restartPolicyRules"),
        **_refused(_UNSUPPORTED, "resizePolicy", "terminationMessagePath", "terminationMessagePolicy"),
    },
    needs=("name",),
)

# --- the pod ------------------------------------------------------------------------------------------

_DNS = Fields({
    "nameservers": Each(text), "searches": Each(text),
    "options": Each(Fields({"name": text, "value": text}, needs=("name",))),
})  # fmt: skip
SPEC: Final = Fields({
    "imagePullSecrets": Each(Fields({"name": name}, needs=("name",)), "name"),
    "nodeSelector": Texts(_qualified, _label),
    "tolerations": Each(_TOLERATION),
    "affinity": Fields({"nodeAffinity": _NODES, "podAffinity": _PODS, "podAntiAffinity": _PODS}),
    "topologySpreadConstraints": Each(_SPREAD),
    "schedulerName": text,
    "priorityClassName": name,
    "runtimeClassName": name,
    "dnsPolicy": one_of("ClusterFirst", "Default", "None"),
    "dnsConfig": _DNS,
    "hostAliases": Each(Fields({"ip": text, "hostnames": Each(text, least=1)}, needs=("ip", "hostnames")), "ip"),
    "volumes": Each(_VOLUME_SHAPE, "name"),
    "containers": Each(CONTAINER, "name"),
    **_refused(_ONE, "initContainers", "ephemeralContainers"),
    **_refused(_HOST, "hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"),
    **_refused(_SECURITY, "securityContext"),
    **_refused(_ACCOUNT, "serviceAccountName", "serviceAccount"),
    **_refused(_CREDENTIAL, "automountServiceAccountToken"),
    **_refused("retries are the project's: RETRIES", "restartPolicy"),
    **_refused(_TIME, "activeDeadlineSeconds"),
    **_refused("a stage always has 30 seconds after SIGTERM: remove it", "terminationGracePeriodSeconds"),
    **_refused("goes past the scheduler: use nodeSelector or affinity", "nodeName"),
    **_refused(_CLASS, "priority", "preemptionPolicy", "overhead"),
    **_refused("name amounts at the container stage: containers[0].resources", "resources"),
    **_refused(
        _UNSUPPORTED, "enableServiceLinks", "hostname", "hostnameOverride", "subdomain", "setHostnameAsFQDN", "os",
        "readinessGates", "schedulingGates", "resourceClaims",
    ),
})  # fmt: skip

POD: Final = Fields({
    "apiVersion": one_of("v1"),  # a whole Pod is taken too, so that editors and tools know what the file is
    "kind": one_of("Pod"),
    "metadata": METADATA,
    "spec": SPEC,
})  # fmt: skip
