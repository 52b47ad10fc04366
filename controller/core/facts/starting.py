"""What a pod waits for before its container runs, and since when: a node, its image, or what it needs besides."""

from collections.abc import Iterable, Sequence

from controller.core.documents.progress import Progress
from controller.core.facts.pods import condition, container_of, read_pod
from controller.core.model import Object
from controller.core.text import clean, quoted


def starting(pods: Iterable[Object], events: Sequence[Object] = ()) -> Progress | None:
    """Return what the newest of these pods waits for, None where it runs, or there is none."""
    there = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    newest = max(there, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)
    if newest is None or (newest.get("status") or {}).get("phase", "Pending") != "Pending":
        return None
    spec, status, fact = newest.get("spec") or {}, newest.get("status") or {}, read_pod(newest, events)
    scheduled, sandbox = condition(status, "PodScheduled"), condition(status, "PodReadyToStartContainers")
    image, node = quoted(container_of(spec).get("image", "")), clean(str(spec.get("nodeName") or ""))
    if not node:
        step, begun = "waiting for a node", scheduled
    elif sandbox.get("status") == "True":  # all volumes are mounted: what is left are its image and the container
        step, begun = f"pulling image {image} on node {node}", sandbox
    else:
        step, begun = f"starting on node {node}", scheduled
    since = str(begun.get("lastTransitionTime") or fact.created)
    return Progress(step, f"{step}: {fact.cause.message}" if fact.blocked and fact.cause else step, since)
