"""The Jobs of stages and builds: what the caches say, and live look-ups and the volume where these settle nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.facts import JobFact, ended_well, read_job
from controller.core.facts.indexes import unfinished
from controller.core.facts.owners import owner_uid
from controller.core.model import Attempt, Cause, Children, Object, Record, Request
from controller.core.numbers import summary as sum_up
from controller.core.plan.needs import Build
from controller.reconciler.ports import Cluster, Volume
from controller.reconciler.view import View


@dataclass(frozen=True, slots=True)
class StageJobs:
    """The Jobs of a request, by name; how running stages ended whose Job is gone, and the numbers that stages left."""

    cluster: Cluster
    volume: Volume
    request: Request
    record: Record
    children: Children
    facts: dict[str, JobFact] = field(default_factory=dict)
    ended: dict[str, Cause | None] = field(default_factory=dict)
    numbers: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def read(self) -> "StageJobs":
        """Read the Jobs in the caches, and look for those of running stages that are not there. Raises Transient."""
        stages = _stage_jobs(self.record)
        for job in self.children.jobs:
            name = job["metadata"]["name"]
            self.facts[name] = self._fact(job, stages.get(name))
        for name, stage in stages.items():
            known = self.facts.get(name)
            if self._runs(stage) and not (known and known.owner == self.record.request_uid):
                self._look_for(name, stage)
        return self

    def _fact(self, job: Object, stage: str | None) -> JobFact:
        """Return the fact about a Job; of a running stage's, with what its launchers have left."""
        fact = _job(self.cluster, self.children, job)
        if stage is None or not self._runs(stage):
            return fact
        if fact.indexes:
            left = self.volume.last_attempts(self._logs(stage), fact.indexes.count) if fact.state != "Running" else {}
            self.numbers[stage] = sum_up(last.metrics for last in left.values())
            return _judged_by_indexes(fact, left)
        may_have_ended = fact.state != "Running" or any(owner_uid(pod) == fact.uid for pod in self.children.pods)
        last = self.volume.last_attempt(self._logs(stage)) if may_have_ended else None
        self.numbers[stage] = last.metrics if last else {}
        return ended_well(_explained(fact, last), last)

    def _look_for(self, name: str, stage: str) -> None:
        """Find the Job of a running stage, or its pod, or else how it ended; nothing where it never began."""
        if live := self.cluster.get("Job", name):
            self.facts[name] = replace(self._fact(live, stage), unwatched=_is_unwatched(live))
        elif any(self._is_of(pod, stage) and not _has_ended(pod) for pod in self.children.pods):
            cause = Cause("JobDeleted", f"Job {name} was deleted, and its pod has not ended yet")
            self.facts[name] = JobFact(
                name, "", self.record.request_uid, self.record.run, deleting=True, attempts=1, running=True, cause=cause
            )
        elif indexes := self.record.stages[stage].indexes:
            if left := self.volume.last_attempts(self._logs(stage), indexes):
                self.ended[stage] = _ending_of_indexes(name, left, indexes)
                self.numbers[stage] = sum_up(last.metrics for last in left.values())
        elif last := self.volume.last_attempt(self._logs(stage)):
            self.ended[stage], self.numbers[stage] = _ending(name, last), last.metrics

    def _runs(self, stage: str) -> bool:
        return self.record.stages[stage].state == "Running"

    def _logs(self, stage: str) -> PurePosixPath:
        return layout.logs(self.request.name, self.request.uid, self.record.run, stage)

    def _is_of(self, pod: Object, stage: str) -> bool:
        """Return whether a pod is of this stage and run: while it lives nothing may run next to it."""
        own = {
            names.REQUEST_UID: self.request.uid,
            names.RUN: str(self.record.run),
            names.STAGE: names.label_value(stage),
        }
        return own.items() <= names.labels_of(pod).items()


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


def _judged_by_indexes(fact: JobFact, left: Mapping[int, Attempt]) -> JobFact:
    """Return the fact about an indexed Job with what its launchers left: done is what all their outcomes say.

    Else why the first of its indexes failed, where no pod is left to say so.
    """
    if not fact.indexes or fact.state != "Failed":
        return fact
    at = unfinished(left, fact.indexes.count)
    if at is None:
        return fact if fact.deleting else replace(fact, state="Succeeded", cause=None)
    if not _is_unexplained(fact):
        return fact
    return _explained(replace(fact, indexes=replace(fact.indexes, at=at)), left.get(at))


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


def _has_ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _ending(job: str, last: Attempt) -> Cause | None:
    """Return what the log folder says about a Job that is gone: it ended well, or it ran and can't be run again."""
    if last.ended and last.exit_code == 0:
        return None
    if last.ended and last.message:
        return Cause("JobDeleted", f"Job {job} was deleted; its last attempt said: {last.message}")
    return Cause("JobDeleted", f"Job {job} was deleted while attempt {last.number} ran (it is not run twice)")


def _ending_of_indexes(job: str, left: Mapping[int, Attempt], count: int) -> Cause | None:
    """Return what the log folders of the indexes say about a Job that is gone, as of a stage that runs once."""
    at = unfinished(left, count)
    if at is None:
        return None
    if at in left and (cause := _ending(job, left[at])):
        return replace(cause, message=f"index {at}: {cause.message}")
    return Cause("JobDeleted", f"Job {job} was deleted before all of its {count} indexes had run")
