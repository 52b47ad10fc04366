"""The facts of whole objects, which have to be those of what the caches hold of them."""

from collections.abc import Iterable, Sequence

from controller.core import facts
from controller.core.facts import DeploymentFact, JobFact, PodFact
from controller.core.model import Object
from controller.core.snapshot import Snapshot


def held(kind: str, *items: Object) -> list[Object]:
    """Return what the caches hold of objects, which may lack a name; nothing of those that nobody reads."""
    named = ({**item, "metadata": {"name": "n", **(item.get("metadata") or {})}} for item in items)
    return [snapshot.opened() for item in named if (snapshot := Snapshot.of(kind, item))]


def read_pod(pod: Object, events: Iterable[Object] = ()) -> PodFact:
    """Return the fact about a pod."""
    news = [*events]
    fact = facts.read_pod(pod, news)
    assert [facts.read_pod(item, held("Event", *news)) for item in held("Pod", pod)] == [fact]
    return fact


def read_job(job: Object, pods: Iterable[Object], events: Sequence[Object] = ()) -> JobFact:
    """Return the fact about a Job."""
    every = [*pods]
    fact = facts.read_job(job, every, events)
    assert [facts.read_job(item, held("Pod", *every), held("Event", *events)) for item in held("Job", job)] == [fact]
    return fact


def read_deployment(deployment: Object, pods: Iterable[Object], events: Sequence[Object] = ()) -> DeploymentFact:
    """Return the fact about a Deployment."""
    every = [*pods]
    fact = facts.read_deployment(deployment, every, events)
    assert [
        facts.read_deployment(item, held("Pod", *every), held("Event", *events))
        for item in held("Deployment", deployment)
    ] == [fact]
    return fact
