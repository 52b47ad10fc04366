"""A stage's Job or Deployment together with its pods."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from controller.core import names, times
from controller.core.facts.indexes import Indexes, rounded, spans, telling
from controller.core.facts.owners import keeper_uid, leaving, owner_uid
from controller.core.facts.pods import (
    LAUNCHER_FAILED,
    Blocked,
    PodFact,
    concerns,
    condition,
    container_of,
    newest,
    read_pod,
)
from controller.core.model import Attempt, Cause, Object
from controller.core.text import clean

NO_POD = "FailedCreate"  # reason of an Event about a Job: a quota, or an admission policy
FIRST_PAUSE, LAST_PAUSE = 10, 600  # seconds of the Job controller between two attempts, each twice the one before


@dataclass(frozen=True, slots=True)
class JobFact:
    """A batch stage's Job. `attempts` counts those that failed, and the one that got past its pod's start."""

    name: str
    uid: str
    owner: str  # uid
    run: int
    state: Literal["Running", "Succeeded", "Failed"] = "Running"
    deleting: bool = False
    attempts: int = 0
    last_attempt: int = 0  # the newest that ended, as its log is named: disrupted ones count, and several of one pod
    running: bool = False  # its newest pod got past all that could keep it from starting
    blocked: Blocked = ""
    image: str = ""  # of its newest pod, with its digest
    finished: str = ""  # when it failed, RFC 3339
    cause: Cause | None = None  # Failed: why (None: nobody knows); Running: why it waits
    starting: tuple[str, ...] = ()  # as its newest pod says
    refused: Object | None = field(default=None, hash=False)  # the container of pods that no API server makes
    held: Cause | None = None  # why it makes no pods any more: somebody keeps it from that
    unwatched: bool = False  # somebody has taken the labels off by which the watches find it
    indexes: Indexes | None = None  # of a parallel stage


@dataclass(frozen=True, slots=True)
class DeploymentFact:
    """A service stage's Deployment, judged by its own generation only."""

    name: str
    uid: str
    owner: str
    run: int
    digest: str
    replicas: int = 0  # that have to be there: of a service that scales, the least
    ready: int = 0
    available: bool = False  # rolled out: as many are available, and no old one is there
    failed: bool = False  # will not come up by itself
    running: bool = False  # its pods got past all that could keep them from starting
    deleting: bool = False
    blocked: Blocked = ""
    image: str = ""  # of its pods, with its digest
    cause: Cause | None = None
    starting: tuple[str, ...] = ()  # as one of its pods says
    crash_started: str = ""  # first start of a script that is down now: its start-up limit runs from here


def run_of(thing: Object) -> int:
    """Return the run that an object's label names, 0 where it names none."""
    label = names.labels_of(thing).get(names.RUN, "")
    return int(label) if re.fullmatch("[0-9]{1,18}", label) else 0


def digest_of(thing: Object) -> str:
    """Return the digest of what an object was made from, as it says itself."""
    return str(((thing.get("metadata") or {}).get("annotations") or {}).get(names.DIGEST, ""))


def read_job(job: Object, pods: Iterable[Object], events: Sequence[Object] = ()) -> JobFact:
    """Return the fact about one Job; of `pods` and `events`, those that belong to it are read.

    Complete and Failed end it (SuccessCriteriaMet and FailureTarget only precede them). So does, 1.5 s before Complete,
    the pod of a Job of one completion that succeeded.
    """
    metadata, status, spec = job["metadata"], job.get("status") or {}, job.get("spec") or {}
    facts = [read_pod(pod, events) for pod in pods if owner_uid(pod) == metadata["uid"]]
    over = {item.get("type"): item for item in status.get("conditions") or () if item.get("status") == "True"}
    indexed = spec.get("completionMode") == "Indexed"
    done = "Complete" in over or (not indexed and any(pod.phase == "Succeeded" for pod in facts))
    failed = "Failed" in over and not done
    current = newest(facts)
    running = bool(current and current.phase != "Pending")
    counted = max(status.get("failed") or 0, sum(pod.phase == "Failed" for pod in facts))  # some of them only later
    between = bool(current and current.phase == "Failed" and not (done or failed))
    fact = JobFact(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=keeper_uid(job),
        run=run_of(job),
        state="Succeeded" if done else "Failed" if failed else "Running",
        deleting=bool(metadata.get("deletionTimestamp")),
        attempts=counted if between else (status.get("failed") or 0) + (not failed and (done or running)),
        last_attempt=max((pod.attempt for pod in facts), default=0),
        running=running,
        image=current.image if current else "",
        finished=str(over["Failed"].get("lastTransitionTime") or "") if failed else "",
        held=_held(job, has_pod=bool(current and current.phase in ("Pending", "Running"))),
    )
    if indexed:
        return _of_indexes(job, _with_indexes(job, fact, facts), facts, events)
    if failed:
        return replace(fact, cause=_failure(over["Failed"], facts))
    if current and between:
        return replace(fact, cause=_between(job, counted, current))
    if current and not (done or running):
        return replace(fact, blocked=current.blocked, cause=current.cause, starting=current.starting)
    return fact if done or running else _denied(job, fact, events)


def _of_indexes(job: Object, fact: JobFact, pods: Sequence[PodFact], events: Sequence[Object]) -> JobFact:
    """Return the fact about an indexed Job with why it failed, or why no pod of it is there."""
    if fact.state == "Failed":
        return replace(fact, cause=fact.cause or _late(condition(job["status"], "Failed")))
    if fact.state == "Succeeded" or any(pod.phase in {"Pending", "Running"} for pod in pods):
        return fact
    denied = _denied(job, fact, events)
    return replace(denied, refused=None) if pods else denied  # the Job stays: some of its indexes have begun


def _denied(job: Object, fact: JobFact, events: Sequence[Object]) -> JobFact:
    """Return the fact about a Job without a pod: a quota's denial shows only in an Event about it."""
    denied = (event for event in events if concerns(event, fact.uid) and event.get("reason") == NO_POD)
    denial = next(denied, None)
    if not denial:
        return fact
    container = container_of(((job.get("spec") or {}).get("template") or {}).get("spec") or {})
    return replace(fact, blocked="schedule", cause=_refusal(denial.get("message") or ""), refused=container or None)


def _with_indexes(job: Object, fact: JobFact, pods: Sequence[PodFact]) -> JobFact:
    """Return the fact about an indexed Job. While some of its pods run, others may wait for room, but not for peers."""
    spec, status = job["spec"], job.get("status") or {}
    count, completed = int(spec.get("completions") or 0), spans(status.get("completedIndexes"))
    lost = spans(status.get("failedIndexes"))
    bad = telling(pods, completed, lost)
    indexes = Indexes(count, rounded(len(completed), count), len(lost), bad.index if bad else None)
    running = any(pod.phase == "Running" for pod in pods)
    waits = running and not ((spec.get("template") or {}).get("spec") or {}).get("subdomain")
    blocked = next((pod for pod in pods if pod.blocked and not waits), None) if fact.state == "Running" else None
    begun = running or bool(completed or lost or bad)
    return replace(
        fact,
        attempts=max(fact.last_attempt, int(begun)),
        running=begun,
        blocked=blocked.blocked if blocked else "",
        cause=blocked.cause if blocked else bad.cause if bad else None,
        starting=next((pod.starting for pod in pods if pod.starting), ()),
        indexes=indexes,
    )


def _held(job: Object, *, has_pod: bool) -> Cause | None:
    """Return what people (or a queue) have done to a Job that makes no pods any more, None where they have not."""
    name, spec = job["metadata"]["name"], job.get("spec") or {}
    if "deletionTimestamp" in job["metadata"]:
        return None if has_pod else Cause("BeingDeleted", leaving("Job", job))
    if not spec.get("suspend") and spec.get("parallelism", 1) != 0:
        return None
    width = spec.get("parallelism") or spec.get("completions") or 1
    patch = f'{{"spec": {{"suspend": false, "parallelism": {width}}}}}'
    return Cause("JobSuspended", f"Job {name} is suspended (to resume it: kubectl patch job {name} -p '{patch}')")


def ended_well(fact: JobFact, last: Attempt | None) -> JobFact:
    """Return the fact about a Job with what its launchers left: done is what the outcome of its newest attempt says.

    The cluster knows that a second or two later, or never, where it lost the pod in between.
    """
    if fact.deleting or fact.indexes or fact.state == "Succeeded" or not last or not last.ended or last.exit_code != 0:
        return fact
    unseen = fact.state == "Running" and not fact.running  # its pod is Pending still, as far as anybody has said
    return replace(
        fact,
        state="Succeeded",
        attempts=fact.attempts + unseen,
        last_attempt=max(fact.last_attempt, last.number),
        blocked="",
        cause=None,
    )


def _between(job: Object, failed: int, last: PodFact) -> Cause | None:
    """Return why a Job waits between two attempts, None where no other follows, or nobody knows why it failed."""
    spec = job.get("spec") or {}
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or ()
    ending = ((rule.get("onExitCodes") or {}).get("values") or () for rule in rules if rule.get("action") == "FailJob")
    limit = spec.get("backoffLimit") or 0
    if not last.cause or failed > limit or any(last.exit_code in codes for codes in ending):
        return None
    pause = min(FIRST_PAUSE * 2 ** (failed - 1), LAST_PAUSE)
    number = max(failed, last.attempt)
    of = limit + 1 + number - failed
    line = f"attempt {number} of {of} failed, the next one begins within about {pause} s: {last.cause.message}"
    return replace(last.cause, message=line)


def _failure(ending: Object, pods: Sequence[PodFact]) -> Cause | None:
    """Return why a failed Job failed: what its last failed pod says, else what its condition says if that says more."""
    if last := newest([pod for pod in pods if pod.cause and pod.phase == "Failed"]):
        return last.cause
    return _late(ending)


def _late(ending: Object) -> Cause | None:
    late = ending.get("reason") == "DeadlineExceeded"
    return Cause("TimedOut", ending.get("message") or "the Job's deadline has passed") if late else None


def _refusal(message: str) -> Cause:
    """Return why no pod was made, without the name of the pod, which is another one at each try."""
    text = clean(re.sub(r'^(Error creating: )?pods "[^"]*" is forbidden: ', "", message))
    if "exceeded quota" in message:
        return Cause("QuotaExceeded", f"{text} (raise the quota, or ask for less in the stage's config.ini)")
    if "failed quota" in message and "must specify" in message:
        remedy = "name them in the stage's config.ini, or set COACHWORK_DEFAULT_REQUESTS and COACHWORK_DEFAULT_LIMITS"
        return Cause("PodRefused", f"{text} ({remedy})")
    return Cause("PodRefused", text)


def read_deployment(
    deployment: Object, pods: Iterable[Object], events: Sequence[Object] = (), autoscaler: Object | None = None
) -> DeploymentFact:
    """Return the fact about one Deployment; of `pods`, those of its stage and its present template are read."""
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    replicas = _least(deployment, autoscaler)
    observed = (status.get("observedGeneration") or 0) >= (metadata.get("generation") or 1)
    facts = [read_pod(pod, events) for pod in pods if _is_present(pod, deployment)]
    down = [pod for pod in facts if not pod.ready and not pod.deleting]
    updated, there, up = (status.get(key) or 0 for key in ("updatedReplicas", "replicas", "availableReplicas"))
    available = observed and updated == there and min(there, up) >= replicas
    late = observed and not available and _progress_deadline_passed(deployment)
    fatal = [pod for pod in down if pod.crashed and pod.exit_code == LAUNCHER_FAILED]
    crashed = [pod for pod in down if pod.crashed and pod.first_start]
    blocked = [pod for pod in down if pod.blocked]
    telling = next(iter([*fatal, *crashed, *blocked, *[pod for pod in down if pod.cause]]), None)
    failure = condition(status, "ReplicaFailure")
    refused = _refusal(failure.get("message") or "") if not telling and failure.get("status") == "True" else None
    overdue = Cause("NotReady", "its pods did not become ready in time") if late else None
    return DeploymentFact(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=keeper_uid(deployment),
        run=run_of(deployment),
        digest=digest_of(deployment),
        replicas=replicas,
        ready=status.get("readyReplicas") or 0,
        available=available,
        failed=not available and (late or bool(fatal)),
        running=bool(facts) and not blocked and all(pod.phase != "Pending" for pod in facts),
        deleting=bool(metadata.get("deletionTimestamp")),
        image=max((pod.image for pod in facts), default=""),
        blocked="" if available else blocked[0].blocked if blocked else "schedule" if refused else "",
        cause=None if available else telling.cause if telling else refused or overdue,
        starting=next((pod.starting for pod in down if pod.starting), ()),
        crash_started="" if available else min((pod.first_start for pod in crashed), default=""),
    )


def _least(deployment: Object, autoscaler: Object | None) -> int:
    """Return how many pods have to be there; what an autoscaler adds to its own least is a gain."""
    replicas = int((deployment.get("spec") or {}).get("replicas", 1) or 0)
    return min(replicas, (autoscaler.get("spec") or {}).get("minReplicas") or 1) if autoscaler else replicas


def _is_present(pod: Object, deployment: Object) -> bool:
    """Return whether a pod is one of a Deployment's, made from its present template."""
    selector = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return selector.items() <= names.labels_of(pod).items() and digest_of(pod) == digest_of(deployment)


def _progress_deadline_passed(deployment: Object) -> bool:
    """Return whether our last apply is overdue: after a roll-back an older one's condition stands for a moment."""
    progress = condition(deployment.get("status") or {}, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return False
    entries = deployment["metadata"].get("managedFields") or ()
    ours = (item for item in entries if item.get("manager") == names.MANAGER and not item.get("subresource"))
    applied = times.moment(max((item.get("time") or "" for item in ours), default=""))
    since = times.moment(progress.get("lastUpdateTime") or "")
    return bool(since and (not applied or since > applied))
