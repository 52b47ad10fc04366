"""The Job controller: one completion or indexes, retries with exponential back-off, podFailurePolicy, conditions.

After Kubernetes 1.34 (pkg/controller/job, KEP-3329, KEP-3850). Counts are absent when 0.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from controller.adapters.local.schedule import Scheduler, Timer
from controller.adapters.local.store import Change, Store, now
from controller.adapters.local.workloads import delete_pod, new_pod, owner_of
from controller.core import names
from controller.core.facts.pods import index_of
from controller.core.model import Object

PAIR = 2  # numbers that are written as they are
LAST = 60  # back-offs: the longest is so many times the first (10 min of 10 s)
_SUCCESS = "CompletionsReached", "Reached expected number of succeeded pods"
_USED_UP = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
_LOST = "FailedIndexes", "Job has failed indexes"
_LOST_TOO_MANY = "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"


@dataclass
class _Indexes:
    """How far the indexes of one Job are."""

    completed: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    failures: dict[int, int] = field(default_factory=dict)
    resting: dict[int, Timer] = field(default_factory=dict)  # between two attempts


class Jobs:
    """Brings every Job to its end."""

    def __init__(self, store: Store, scheduler: Scheduler, back_off: float) -> None:
        self._store, self._scheduler, self._back_off = store, scheduler, back_off
        self._counted: set[str] = set()  # uids of pods
        self._timers: dict[str, Timer] = {}  # by the Job's uid
        self._indexes: dict[str, _Indexes] = {}  # by the Job's uid

    def changed(self, change: Change) -> None:
        """Start a new Job, count a pod that ended."""
        item = change.item
        if item["kind"] == "Job":
            if change.old is None:
                self._store.note(item, {"startTime": now()})
                if item["spec"].get("completionMode") == "Indexed":
                    self._indexes[item["metadata"]["uid"]] = _Indexes()
                    self._fill(item)
                else:
                    self._try(item)
            elif change.new is None:
                self._forget(item["metadata"]["uid"])
        elif change.new is None:
            self._counted.discard(item["metadata"]["uid"])
        elif (job := owner_of(self._store, item, "Job")) and item.get("status", {}).get("phase") in _OVER:
            self._count(job, item)

    def _forget(self, uid: str) -> None:
        indexes = self._indexes.pop(uid, None)
        own = self._timers.pop(uid, None)
        for timer in [*(indexes.resting.values() if indexes else ()), *([own] if own else [])]:
            timer.cancel()

    def _lives(self, job: Object) -> bool:
        return self._store.get("Job", job["metadata"]["name"], job["metadata"]["uid"]) is not None

    def _try(self, job: Object, index: int | None = None) -> None:
        """Make the pod of the next attempt."""
        if not self._lives(job):
            return
        own = {"controller-uid": job["metadata"]["uid"], "job-name": job["metadata"]["name"]}
        labels = {**{f"batch.kubernetes.io/{key}": value for key, value in own.items()}, **own}
        if index is None:
            self._store.note(job, {"active": 1})
            self._store.create(new_pod(job, labels))
            return
        pod = new_pod(job, {**labels, names.COMPLETION_INDEX: str(index)}, f"-{index}")
        pod["metadata"]["annotations"][names.COMPLETION_INDEX] = str(index)
        self._store.create(pod)

    # --- many indexes ------------------------------------------------------------------------------

    def _fill(self, job: Object) -> None:
        """Make pods of as many indexes as may run at once: as the Job says, and no more than there are processors.

        Peers need each other, and all run.
        """
        indexes, spec = self._indexes.get(job["metadata"]["uid"]), job["spec"]
        if indexes is None or not self._lives(job):
            return
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        width = spec["parallelism"] if "subdomain" in spec["template"]["spec"] else min(spec["parallelism"], processors)
        owned = self._store.owned(job["metadata"]["uid"], "Pod")
        taken = {index_of(pod) for pod in owned if pod["metadata"]["uid"] not in self._counted}  # or ended just now
        idle = set(range(spec["completions"])) - taken - indexes.completed - indexes.lost - indexes.resting.keys()
        begun = sorted(idle)[: max(width - len(taken), 0)]
        for index in begun:
            self._try(job, index)
        self._store.note(job, {"active": len(_active(owned)) + len(begun) or None})

    def _count_index(self, job: Object, pod: Object, index: int, indexes: _Indexes) -> None:
        spec, failed = job["spec"], job.get("status", {}).get("failed", 0)
        action = "" if pod["status"]["phase"] == "Succeeded" else _judge(job, pod)[0]
        if not action:
            indexes.completed.add(index)
        elif action != "Ignore":
            failed, times = failed + 1, indexes.failures.get(index, 0) + 1
            indexes.failures[index] = times
            if action == "FailIndex" or times > spec["backoffLimitPerIndex"]:
                indexes.lost.add(index)
            else:
                pause = min(2.0 ** (times - 1), LAST) * self._back_off
                indexes.resting[index] = self._scheduler.after(pause, partial(self._again, job, index))
        counts = {
            "failed": failed or None,
            "succeeded": len(indexes.completed) or None,
            "completedIndexes": _spans(indexes.completed) or None,
            "failedIndexes": _spans(indexes.lost) or None,
        }
        if len(indexes.lost) > spec.get("maxFailedIndexes", spec["completions"]):
            self._end(job, counts, ("FailureTarget", "Failed"), _LOST_TOO_MANY)
            for other in _active(self._store.owned(job["metadata"]["uid"], "Pod")):
                delete_pod(self._store, other)
        elif len(indexes.completed) + len(indexes.lost) < spec["completions"]:
            self._store.note(job, counts)
            self._fill(job)
        elif indexes.lost:
            self._end(job, counts, ("FailureTarget", "Failed"), _LOST)
        else:
            self._end(job, counts, ("SuccessCriteriaMet", "Complete"), _SUCCESS)

    def _again(self, job: Object, index: int) -> None:
        if indexes := self._indexes.get(job["metadata"]["uid"]):
            indexes.resting.pop(index, None)
            self._fill(job)

    # --- one completion ------------------------------------------------------------------------------

    def _count(self, job: Object, pod: Object) -> None:
        if pod["metadata"]["uid"] in self._counted or job["status"].get("conditions"):
            return
        self._counted.add(pod["metadata"]["uid"])
        indexes, index = self._indexes.get(job["metadata"]["uid"]), index_of(pod)
        if indexes is not None and index is not None:
            self._count_index(job, pod, index, indexes)
            return
        if pod["status"]["phase"] == "Succeeded":
            self._end(job, {"succeeded": 1}, ("SuccessCriteriaMet", "Complete"), _SUCCESS)
            return
        action, rule = _judge(job, pod)
        if action == "Ignore":
            self._try(job)
            return
        failed = job.get("status", {}).get("failed", 0) + 1
        counts = {"failed": failed}
        if action == "FailJob":
            self._end(job, counts, ("FailureTarget", "Failed"), ("PodFailurePolicy", rule))
        elif failed > job["spec"].get("backoffLimit", 6):
            self._end(job, counts, ("FailureTarget", "Failed"), _USED_UP)
        else:
            self._store.note(job, {"active": None, **counts})
            pause = min(2.0 ** (failed - 1), LAST) * self._back_off
            self._timers[job["metadata"]["uid"]] = self._scheduler.after(pause, partial(self._try, job))

    def _end(self, job: Object, counts: Object, types: tuple[str, str], why: tuple[str, str]) -> None:
        """Announce the end, then make it: a reader that takes the first condition for the end is wrong."""
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now(), "reason": why[0], "message": why[1]}
            for kind in types
        ]
        self._store.note(job, {"active": None, "conditions": conditions[:1], **counts})
        completed = {"completionTime": now()} if types[1] == "Complete" else {}
        self._store.note(job, {"conditions": conditions, **completed})
        if seconds := job["spec"].get("ttlSecondsAfterFinished"):
            self._timers[job["metadata"]["uid"]] = self._scheduler.after(seconds, partial(self._store.remove, job))


_OVER = ("Succeeded", "Failed")


def _active(pods: Iterable[Object]) -> list[Object]:
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in _OVER]


def _spans(indexes: Iterable[int]) -> str:
    """Return indexes as a Job's status writes them: 0-2,5,6."""
    found: list[list[int]] = []
    for index in sorted(indexes):
        if found and index == found[-1][-1] + 1:
            found[-1].append(index)
        else:
            found.append([index])
    spans = ([f"{span[0]}-{span[-1]}"] if len(span) > PAIR else map(str, span) for span in found)
    return ",".join(text for span in spans for text in span)


def _judge(job: Object, pod: Object) -> tuple[str, str]:
    """Return what the first podFailurePolicy rule that matches a failed pod does, and its sentence; else Count."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        if sentence := _matches(rule, pod):
            return rule["action"], f"{sentence} matching {rule['action']} rule at index {number}"
    return "Count", ""


def _matches(rule: Object, pod: Object) -> str:
    status, name = pod.get("status", {}), f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for condition in rule.get("onPodConditions") or ():
        for item in status.get("conditions") or ():
            if (item["type"], item["status"]) == (condition["type"], condition.get("status", "True")):
                return f"{name[0].upper()}{name[1:]} has condition {item['type']}"
    codes = rule.get("onExitCodes") or {}
    for container in status.get("containerStatuses") or () if codes else ():
        code = container["state"].get("terminated", {}).get("exitCode", 0)
        named = codes.get("containerName", container["name"]) == container["name"]
        if code and named and (code in codes["values"]) == (codes["operator"] == "In"):
            return f"Container {container['name']} for {name} failed with exit code {code}"
    return ""
