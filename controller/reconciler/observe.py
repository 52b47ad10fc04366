"""What is so: objects from the watch caches as facts, and live look-ups where a cache can't settle a question."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.documents import codec
from controller.core.documents import release as releases
from controller.core.errors import NotYet
from controller.core.facts import JobFact, ended_well, read_deployment, read_job
from controller.core.facts.indexes import unfinished
from controller.core.facts.owners import keeper_uid, owner, owner_name, owner_uid
from controller.core.model import Attempt, Cause, Children, Object, Record, Request
from controller.core.numbers import summary as sum_up
from controller.core.plan import Known, Observed, Refusal
from controller.core.plan.needs import Build
from controller.reconciler.ports import Cluster, Volume
from controller.reconciler.view import View

FOREIGN_DELAY = 1.0  # until the collector has removed a dead owner's object


def observe(view: View, cluster: Cluster, volume: Volume, known: Known, refusals: Sequence[Refusal]) -> Observed:
    """Return all facts about one request. Raises Transient where a live look-up fails."""
    request, record, children = known.request, known.record, view.children(known.request.name)
    stages = _stage_jobs(record)
    logs = {stage: layout.logs(request.name, request.uid, record.run, stage) for stage in record.stages}

    numbers: dict[str, Mapping[str, float]] = {}

    def read(job: Object) -> JobFact:
        stage = stages.get(job["metadata"]["name"])
        fact = _job(cluster, children, job)
        if not stage or record.stages[stage].state != "Running":
            return fact
        if fact.indexes:
            left = volume.last_attempts(logs[stage], fact.indexes.count) if fact.state != "Running" else {}
            numbers[stage] = sum_up(last.metrics for last in left.values())
            return _explained_index(fact, left)
        may_have_ended = fact.state != "Running" or any(owner_uid(pod) == fact.uid for pod in children.pods)
        last = volume.last_attempt(logs[stage]) if may_have_ended else None
        numbers[stage] = last.metrics if last else {}
        return ended_well(_explained(fact, last), last)

    jobs = {job["metadata"]["name"]: read(job) for job in children.jobs}
    ended: dict[str, Cause | None] = {}
    for name, stage in stages.items():
        if record.stages[stage].state != "Running" or (name in jobs and jobs[name].owner == record.request_uid):
            continue
        if live := cluster.get("Job", name):
            jobs[name] = replace(read(live), unwatched=_is_unwatched(live))
        elif any(_is_of(pod, request, record, stage) and not _has_ended(pod) for pod in children.pods):
            cause = Cause("JobDeleted", f"Job {name} was deleted, and its pod has not ended yet")
            jobs[name] = JobFact(
                name, "", record.request_uid, record.run, deleting=True, attempts=1, running=True, cause=cause
            )
        elif left := _left(volume, logs[stage], name, record.stages[stage].indexes):
            ended[stage], numbers[stage] = left
    autoscalers = {item["metadata"]["name"]: item for item in children.autoscalers}
    deployments = (
        read_deployment(item, children.pods, children.events, autoscalers.get(item["metadata"]["name"]))
        for item in children.deployments
    )
    release = view.release(request.name)
    return Observed(
        jobs=jobs,
        deployments={fact.name: fact for fact in deployments},
        serving={
            (item["kind"], item["metadata"]["name"]): item
            for item in chain(
                children.deployments, children.services, children.ingresses, children.autoscalers, children.budgets
            )
        },
        cronjob=next((item for item in children.cronjobs if item["metadata"]["name"] == request.name), None),
        release=release if release and _is_release_of(release, request.uid) else None,
        ended=ended,
        numbers=numbers,
        refusals=tuple(refusals),
    )


def _is_release_of(release: Object, uid: str) -> bool:
    """Return whether a release is a request's: where somebody has taken its owner away, its objects say so."""
    if owner_uid(release):
        return owner_uid(release) == uid
    held = codec.good(releases.read(release.get("data") or {}, release["metadata"]["name"])) or ()
    return any(keeper_uid(item) == uid for item in held)


def build(view: View, cluster: Cluster, volume: Volume, folder: str) -> Build:
    """Return how an environment stands. Raises Transient."""
    children = view.build(folder)  # first: what happens from here on wakes the request
    made = volume.made_environment(folder)  # before `ready`: what is published in between must not look lost
    ready = volume.has_environment(folder)
    job = next(iter(children.jobs), None) or (None if ready else cluster.get("Job", names.build(folder)))
    fact = replace(_job(cluster, children, job), unwatched=not children.jobs and _is_unwatched(job)) if job else None
    if fact and _is_unexplained(fact):
        fact = _explained(fact, volume.last_attempt(layout.build_logs(folder)))
    lingering = job is None and not all(map(_has_ended, children.pods))
    return Build(ready, ready and volume.is_uncompiled(folder), made, fact, lingering)


def _job(cluster: Cluster, children: Children, job: Object) -> JobFact:
    """Return the fact about a Job. One that failed without a known cause costs one live list of its pods."""
    fact = read_job(job, children.pods, children.events)
    return read_job(job, cluster.pods_of_job(fact.uid), children.events) if _is_unexplained(fact) else fact


def _is_unwatched(job: Object) -> bool:
    """Return whether a Job has lost the labels by which the watches find it, and whom its news are about."""
    labels = names.labels_of(job)
    return labels.get(names.MANAGED_BY) != names.MANAGER or not (names.REQUEST in labels or names.ENVIRONMENT in labels)


def _is_unexplained(fact: JobFact) -> bool:
    return fact.state == "Failed" and fact.cause is None


def _explained(fact: JobFact, last: Attempt | None) -> JobFact:
    """Return the fact about a Job with why it failed by what the launcher left, where its pods do not say."""
    if not last or not _is_unexplained(fact):
        return fact
    words = last.message or f"attempt {last.number} was ended from outside, with its pod"
    return replace(fact, cause=Cause(last.reason or "PodLost", words))


def _left(
    volume: Volume, logs: PurePosixPath, job: str, indexes: int
) -> tuple[Cause | None, Mapping[str, float]] | None:
    """Return how a stage whose Job is gone ended, and its numbers, by its log folder; None where it never began."""
    if not indexes:
        last = volume.last_attempt(logs)
        return (_ending(job, last), last.metrics) if last else None
    left = volume.last_attempts(logs, indexes)
    return (_ending_of_indexes(job, left, indexes), sum_up(last.metrics for last in left.values())) if left else None


def _explained_index(fact: JobFact, left: Mapping[int, Attempt]) -> JobFact:
    """Return the fact about an indexed Job with why the first of its indexes failed, where no pod is left to say so."""
    if not fact.indexes or not _is_unexplained(fact):
        return fact
    at = unfinished(left, fact.indexes.count)
    fact = replace(fact, indexes=replace(fact.indexes, at=at))
    return fact if at is None else _explained(fact, left.get(at))


def _ending_of_indexes(job: str, left: Mapping[int, Attempt], count: int) -> Cause | None:
    """Return what the log folders of the indexes say about a Job that is gone, as of a stage that runs once."""
    at = unfinished(left, count)
    if at is None:
        return None
    if at in left and (cause := _ending(job, left[at])):
        return replace(cause, message=f"index {at}: {cause.message}")
    return Cause("JobDeleted", f"Job {job} was deleted before all of its {count} indexes had run")


def _stage_jobs(record: Record) -> Mapping[str, str]:
    """Return the stages of the active run that Jobs were made for, by the name of the Job."""
    builds = {item.name for item in record.spec.environments} if record.spec else set()
    return {
        item.removeprefix("Job/"): stage
        for stage, known in record.stages.items()
        if record.active and stage not in builds
        for item in known.objects
        if item.startswith("Job/")
    }


def _is_of(pod: Object, request: Request, record: Record, stage: str) -> bool:
    """Return whether a pod is of this stage and run: while it lives nothing may run next to it."""
    own = {names.REQUEST_UID: request.uid, names.RUN: str(record.run), names.STAGE: names.label_value(stage)}
    return own.items() <= names.labels_of(pod).items()


def _has_ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _ending(job: str, last: Attempt) -> Cause | None:
    """Return what the log folder says about a Job that is gone: it ended well, or it ran and can't be run again."""
    if last.ended and last.exit_code == 0:
        return None
    if last.ended and last.message:
        return Cause("JobDeleted", f"Job {job} was deleted; its last attempt said: {last.message}")
    return Cause("JobDeleted", f"Job {job} was deleted while attempt {last.number} ran (it is not run twice)")


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
