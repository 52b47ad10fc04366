"""Services: records, and where on this machine one of their ready pods answers (no traffic is passed on)."""

from controller.adapters.local.machine import port_of
from controller.adapters.local.ports import ADDRESS
from controller.adapters.local.store import LOCAL_ADDRESS, Change, Store, annotated, annotations
from controller.adapters.local.workloads import is_ready
from controller.core import names
from controller.core.model import Object


class Services:
    """Keeps each Service's annotation coachwork.io/local-address true: absent while no pod is ready."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def changed(self, change: Change) -> None:
        """Update the Services that a changed Service or Pod concerns."""
        if change.item["kind"] == "Service":
            self._update(change.item)
            return
        for service in self._store.of_kind("Service"):
            if _selects(service, change.item):
                self._update(service)

    def _update(self, service: Object) -> None:
        """Name the pod that answers on the declared port; where none does, stay with the one that answers."""
        live = self._store.get("Service", service["metadata"]["name"], service["metadata"]["uid"])
        if live is None:
            return
        pods = [pod for pod in self._store.of_kind("Pod") if _selects(live, pod) and is_ready(pod)]
        found = {address: pod for pod in pods if (address := annotations(pod).get(LOCAL_ADDRESS))}
        present = annotations(live).get(LOCAL_ADDRESS)
        staying = [present] if present in found else []
        preferred = [address for address, pod in found.items() if address == f"http://{ADDRESS}:{port_of(pod)}"]
        best = next(iter([*preferred, *staying, *found]), None)
        if best != present:
            self._store.edit(live, lambda old: annotated(old, LOCAL_ADDRESS, best))


def _selects(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= names.labels_of(pod).items()
