"""What is so: objects from the watch caches as facts, and live look-ups where a cache can't settle a question."""

from collections.abc import Sequence
from itertools import chain

from controller.core.documents import codec
from controller.core.documents import release as releases
from controller.core.errors import NotYet
from controller.core.facts import read_deployment
from controller.core.facts.owners import keeper_uid, owner, owner_name, owner_uid
from controller.core.model import Object
from controller.core.plan import Known, Observed, Refusal
from controller.reconciler.jobs import StageJobs
from controller.reconciler.ports import Cluster, Volume
from controller.reconciler.view import View

FOREIGN_DELAY = 1.0  # until the collector has removed a dead owner's object


def observe(view: View, cluster: Cluster, volume: Volume, known: Known, refusals: Sequence[Refusal]) -> Observed:
    """Return all facts about one request. Raises Transient where a live look-up fails."""
    request, children = known.request, view.children(known.request.name)
    jobs = StageJobs(cluster, volume, request, known.record, children).read()
    autoscalers = {item["metadata"]["name"]: item for item in children.autoscalers}
    deployments = (
        read_deployment(item, children.pods, children.events, autoscalers.get(item["metadata"]["name"]))
        for item in children.deployments
    )
    serving = chain(children.deployments, children.services, children.ingresses, children.autoscalers, children.budgets)
    release = view.release(request.name)
    return Observed(
        jobs=jobs.facts,
        deployments={fact.name: fact for fact in deployments},
        serving={(item["kind"], item["metadata"]["name"]): item for item in serving},
        cronjob=next((item for item in children.cronjobs if item["metadata"]["name"] == request.name), None),
        release=release if release and _is_release_of(release, request.uid) else None,
        ended=jobs.ended,
        numbers=jobs.numbers,
        refusals=tuple(refusals),
    )


def _is_release_of(release: Object, uid: str) -> bool:
    """Return whether a release is a request's: where somebody has taken its owner away, its objects say so."""
    if owner_uid(release):
        return owner_uid(release) == uid
    held = codec.good(releases.read(release.get("data") or {}, release["metadata"]["name"])) or ()
    return any(keeper_uid(item) == uid for item in held)


def holder(cluster: Cluster, uid: str, live: Object) -> str:
    """Return who holds a living object, "" where it is the request's own. Raises NotYet where it goes by itself."""
    if keeper_uid(live) == uid or (live["kind"] == "ConfigMap" and _is_release_of(live, uid)):
        return ""
    reference, leaving = owner(live), "deletionTimestamp" in live["metadata"]
    if not leaving and reference.get("kind") == "ConfigMap":  # the collector comes once the owner does not live
        request = cluster.get("ConfigMap", reference["name"])
        leaving = request is None or request["metadata"]["uid"] != reference["uid"]
    if leaving:
        line = f"{live['kind']} {live['metadata']['name']} of a deleted request is still being removed"
        raise NotYet(FOREIGN_DELAY, line)
    return owner_name(live)
