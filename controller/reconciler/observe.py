"""What is so: objects from the watch caches as facts, and live look-ups where a cache can't settle a question."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.facts import JobFact, read_deployment, read_job
from controller.core.facts.owners import owner_uid
from controller.core.model import Attempt, Cause, Children, Object, Record, Request
from controller.core.plan import Known, Observed, Refusal
from controller.core.plan.needs import Build
from controller.reconciler.ports import Cluster, Volume
from controller.reconciler.view import View


def observe(view: View, cluster: Cluster, volume: Volume, known: Known, refusals: Sequence[Refusal]) -> Observed:
    """Return all facts about one request. Raises Transient where a live look-up fails."""
    request, record = known.request, known.record
    children = view.children(request.name)
    read = partial(_stage_job, cluster, volume, request, record, children)
    jobs = {job["metadata"]["name"]: read(job) for job in children.jobs}
    ended: dict[str, Cause | None] = {}
    for stage, name in _missing(record, jobs):
        if (live := cluster.get("Job", name)) is not None:
            jobs[name] = read(live)
        elif any(_lives(pod, request, record, stage) for pod in children.pods):
            jobs[name] = _gone(name, record)
        elif attempts := volume.attempts(layout.logs(request.name, request.uid, record.run, stage)):
            ended[stage] = _ending(name, attempts[-1])
    deployments = (read_deployment(item, children.pods, children.events) for item in children.deployments)
    release = view.release(request.name)
    return Observed(
        jobs=jobs,
        deployments={fact.name: fact for fact in deployments},
        serving={
            (item["kind"], item["metadata"]["name"]): item
            for item in chain(children.deployments, children.services, children.ingresses)
        },
        cronjob=next((item for item in children.cronjobs if item["metadata"]["name"] == request.name), None),
        release=release if release and owner_uid(release) == request.uid else None,
        ended=ended,
        refusals=tuple(refusals),
    )


def build(view: View, cluster: Cluster, volume: Volume, folder: str) -> Build:
    """Return how an environment stands. Raises Transient."""
    made = volume.made_environment(folder)  # first: what is published in between must not look lost
    ready = volume.has_environment(folder)
    children = view.build(folder)
    job = next(iter(children.jobs), None) or (None if ready else cluster.get("Job", names.build(folder)))
    if job is None:
        return Build(ready, made, lingering=any(_has_not_ended(pod) for pod in children.pods))
    fact = _job(cluster, job, children)
    if fact.state == "Failed" and fact.cause is None and (said := _last_words(volume, layout.build_logs(folder))):
        fact = replace(fact, cause=said)
    return Build(ready, made, fact)


def _stage_job(
    cluster: Cluster, volume: Volume, request: Request, record: Record, children: Children, job: Object
) -> JobFact:
    """Give the fact about a stage's Job: from its pods, else from what the launcher wrote beside the log."""
    fact = _job(cluster, job, children)
    if not (record.active and fact.run == record.run and fact.state == "Failed" and fact.cause is None):
        return fact
    stage = next((name for name, kept in record.stages.items() if f"Job/{fact.name}" in kept.objects), None)
    said = _last_words(volume, layout.logs(request.name, request.uid, record.run, stage)) if stage else None
    return replace(fact, cause=said) if said else fact


def _last_words(volume: Volume, logs: PurePosixPath) -> Cause | None:
    """Give what the last attempt of a Job that failed left in its log folder, None where there was none."""
    attempts = volume.attempts(logs)
    if not attempts:
        return None
    last = attempts[-1]
    words = last.message or f"attempt {last.number} was ended from outside, with its pod"
    return Cause(last.reason or "PodLost", words)


def _job(cluster: Cluster, job: Object, children: Children) -> JobFact:
    """Give the fact about a Job; one that failed without a known cause costs one live list of its pods."""
    fact = read_job(job, children.pods, children.events)
    if fact.state == "Failed" and fact.cause is None:
        return read_job(job, cluster.pods_of_job(fact.uid), children.events)
    return fact


def _missing(record: Record, jobs: dict[str, JobFact]) -> list[tuple[str, str]]:
    """Give (stage, Job) of the open step's batch stages whose Job was to be there and is not in the cache."""
    builds = {item.name for item in record.spec.environments} if record.spec else set()
    return [
        (stage, item.removeprefix("Job/"))
        for stage, kept in record.stages.items()
        if record.active and kept.state == "Running" and stage not in builds
        for item in kept.objects
        if item.startswith("Job/") and _absent(item.removeprefix("Job/"), record, jobs)
    ]


def _absent(name: str, record: Record, jobs: dict[str, JobFact]) -> bool:
    return name not in jobs or jobs[name].owner != record.request_uid


def _lives(pod: Object, request: Request, record: Record, stage: str) -> bool:
    """Whether a pod of this stage and run has not ended: then nothing is known yet, and nothing may run beside it."""
    labels = pod["metadata"].get("labels") or {}
    mine = {
        names.REQUEST_UID: request.uid,
        names.RUN: str(record.run),
        names.STAGE: names.label_value(stage),
    }
    return mine.items() <= labels.items() and _has_not_ended(pod)


def _has_not_ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _gone(name: str, record: Record) -> JobFact:
    """Give what is known of a Job that is gone while its pod is not."""
    cause = Cause("JobDeleted", f"Job {name} was deleted, and its pod has not ended yet")
    owner = record.request_uid
    return JobFact(name, uid="", owner=owner, run=record.run, deleting=True, attempts=1, running=True, cause=cause)


def _ending(job: str, last: Attempt) -> Cause | None:
    """Give what the log folder says about a Job that is gone: it ended well, or it ran and can't be run again."""
    if last.ended and last.exit_code == 0:
        return None
    if last.ended and last.message:
        return Cause("JobDeleted", f"Job {job} was deleted; its last attempt said: {last.message}")
    return Cause("JobDeleted", f"Job {job} was deleted while attempt {last.number} ran (it is not run twice)")
