"""What a pod waits for before its container runs, and since when: a node, its image, or what it needs besides."""

from collections.abc import Iterable, Sequence

from controller.core.documents.progress import Progress
from controller.core.facts.pods import condition, container_of, read_pod
from controller.core.model import Object
from controller.core.text import clean, quoted


def pending(pods: Iterable[Object]) -> Object | None:
    """Return the newest of these pods if it does not run yet."""
    there = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    newest = max(there, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)
    return newest if newest and (newest.get("status") or {}).get("phase", "Pending") == "Pending" else None


def on_a_node_since(pod: Object) -> str:
    """Return since when a pending pod has a node, "" where it has none."""
    scheduled = condition(pod.get("status") or {}, "PodScheduled")
    return str(scheduled.get("lastTransitionTime") or "") if (pod.get("spec") or {}).get("nodeName") else ""


def starting(pod: Object, events: Sequence[Object] = (), pulling: str = "") -> Progress:
    """Return what a pending pod waits for; `pulling`: since when its image is pulled, as the Event of that says.

    A kubelet reports nothing of a pod while it pulls; only once that has failed, that there was nothing else to do.
    """
    spec, status, fact = pod.get("spec") or {}, pod.get("status") or {}, read_pod(pod, events)
    sandbox = condition(status, "PodReadyToStartContainers")
    image, node = quoted(container_of(spec).get("image", "")), clean(str(spec.get("nodeName") or ""))
    step, since = f"starting on node {node}", on_a_node_since(pod)
    if not node:
        step, since = "waiting for a node", str(condition(status, "PodScheduled").get("lastTransitionTime") or "")
    elif pulling or sandbox.get("status") == "True":
        step = f"pulling image {image} on node {node}"
        since = pulling or str(sandbox.get("lastTransitionTime") or "")
    why = f": {clean(fact.cause.message)}" if fact.blocked and fact.cause else ""
    return Progress(step, f"{step}{why}", since or fact.created)
