"""Who holds a name that a request needs."""

from controller.core import errors
from controller.core.facts.owners import owner, owner_name, owner_uid
from controller.core.model import Object
from controller.reconciler.ports import Cluster

FOREIGN_DELAY = 1.0  # until the collector has removed a dead owner's object


def holder(cluster: Cluster, uid: str, live: Object) -> str:
    """Return who holds a living object, "" where it is the request's own. Raises NotYet where it goes by itself."""
    if owner_uid(live) == uid:
        return ""
    if _is_leaving(cluster, live):
        line = f"{live['kind']} {live['metadata']['name']} of a deleted request is still being removed"
        raise errors.NotYet(FOREIGN_DELAY, line)
    return owner_name(live)


def _is_leaving(cluster: Cluster, live: Object) -> bool:
    """Return whether an object is being deleted, or its owning request no longer lives: the collector will come."""
    reference = owner(live)
    if "deletionTimestamp" in live["metadata"]:
        return True
    if reference.get("kind") != "ConfigMap":
        return False
    request = cluster.get("ConfigMap", reference["name"])
    return request is None or request["metadata"]["uid"] != reference["uid"]
