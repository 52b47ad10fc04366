"""The table of kinds: where each lives in the API, what of it is watched, and what may be done with it.

Everything that needs a right goes through this table and is refused (KeyError, a defect) if it is not in it. So
`RIGHTS` is what the Role has to grant: no more, no less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias
from urllib.parse import quote

from controller.core import names
from controller.core.model import Object

Method: TypeAlias = Literal["get", "list", "watch", "create", "apply", "replace", "delete"]

VERBS: Mapping[Method, tuple[str, ...]] = MappingProxyType({
    "get": ("get",),
    "list": ("list",),
    "watch": ("list", "watch"),
    "create": ("create",),
    "apply": ("create", "patch"),  # server-side apply creates what is missing: both verbs are checked [T]
    "replace": ("update",),
    "delete": ("delete",),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, the methods that are used on it, and the label (one of the values) or field that is watched."""

    name: str
    group: str
    version: str
    resource: str
    methods: frozenset[Method]
    label: str = names.MANAGED_BY
    values: tuple[str, ...] = (names.MANAGER,)
    field: tuple[str, str] | None = None  # instead of the label

    @property
    def selector(self) -> tuple[str, str]:
        """Return the query parameter that selects what is watched."""
        if self.field:
            return "fieldSelector", "=".join(self.field)
        return "labelSelector", f"{self.label} in ({','.join(self.values)})"

    def watches(self, manifest: Object) -> bool:
        """Return whether this object is one that the watch selects."""
        if self.field:
            return manifest.get(self.field[0]) == self.field[1]
        return names.labels_of(manifest).get(self.label) in self.values

    def path(self, namespace: str, name: str = "") -> str:
        """Return the URL path of the collection, or of one object."""
        root = f"/apis/{self.group}" if self.group else "/api"
        path = f"{root}/{self.version}/namespaces/{quote(namespace, safe='')}/{self.resource}"
        return f"{path}/{quote(name, safe='')}" if name else path


def _kind(name: str, group: str, version: str, resource: str, methods: Iterable[Method]) -> Kind:
    """Return a kind whose objects are the controller's own, by label."""
    return Kind(name, group, version, resource, frozenset(methods))


_WORKLOAD: tuple[Method, ...] = ("get", "watch", "create", "apply", "delete")
_SERVING: tuple[Method, ...] = (*_WORKLOAD, "replace")  # what somebody changed is put back by an update

_ALL = (
    Kind(
        "ConfigMap", "", "v1", "configmaps", frozenset[Method]({"get", "watch", "create", "apply", "replace"}),
        label=names.ROLE, values=(names.ROLE_REQUEST, names.ROLE_STATUS, names.ROLE_RELEASE),
    ),
    Kind(
        "Event", "", "v1", "events", frozenset[Method]({"watch", "list", "create"}),
        field=("type", "Warning"),  # nothing else says that a quota or a mount failed
    ),
    _kind("Secret", "", "v1", "secrets", ("get",)),  # by name, and never cached
    _kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", ("get",)),  # its access mode, for the doctor
    _kind("ResourceQuota", "", "v1", "resourcequotas", ("list",)),  # whether they would refuse our pods: the doctor's
    _kind("LimitRange", "", "v1", "limitranges", ("list",)),  # what pods get by them: the doctor's, too
    _kind("Lease", "coordination.k8s.io", "v1", "leases", ("get", "create", "replace")),  # by name: who leads
    _kind("Job", "batch", "v1", "jobs", ("get", "watch", "create", "delete")),
    _kind("CronJob", "batch", "v1", "cronjobs", _WORKLOAD),
    _kind("Pod", "", "v1", "pods", ("list", "watch")),
    _kind("Deployment", "apps", "v1", "deployments", _SERVING),
    _kind("Service", "", "v1", "services", _SERVING),
    _kind("Ingress", "networking.k8s.io", "v1", "ingresses", _SERVING),
    _kind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", _SERVING),
    _kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", _SERVING),
)  # fmt: skip

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})


WATCHED = tuple(kind for kind in _ALL if "watch" in kind.methods)
"""The kinds whose objects are in the caches."""


def permitted(kind: str, method: Method) -> Kind:
    """Return the kind's row; KeyError where the controller has no business with it, and so no right."""
    row = KINDS[kind]
    if method not in row.methods:
        raise KeyError(f"{method} {kind} is not in the table of kinds")
    return row


RIGHTS: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType({
    (kind.group, kind.resource): frozenset(verb for method in kind.methods for verb in VERBS[method]) for kind in _ALL
})  # fmt: skip
"""(apiGroup, resource) -> RBAC verbs: exactly what the controller's Role grants."""

CALLS = (
    *((verb, resource) for (_, resource), verbs in RIGHTS.items() for verb in sorted(verbs)),
    *(("create", "selfsubjectaccessreviews"), ("get", "version")),  # everybody may
)
"""(verb, resource): every call of the API server that the controller makes."""
