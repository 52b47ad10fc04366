"""The Job controller: one completion, retries with exponential back-off, podFailurePolicy, conditions in their order.

After Kubernetes 1.34 (pkg/controller/job, KEP-3329, KEP-3850). Counts are absent when 0.
"""

from functools import partial

from controller.adapters.local.schedule import Scheduler, Timer
from controller.adapters.local.store import Change, Store, now
from controller.adapters.local.workloads import new_pod, owner_of
from controller.core.model import Object

LAST = 60  # back-offs: the longest is so many times the first (10 min of 10 s)
_SUCCESS = "CompletionsReached", "Reached expected number of succeeded pods"
_USED_UP = "BackoffLimitExceeded", "Job has reached the specified backoff limit"


class Jobs:
    """Brings every Job to its end."""

    def __init__(self, store: Store, scheduler: Scheduler, back_off: float) -> None:
        self._store, self._scheduler, self._back_off = store, scheduler, back_off
        self._counted: set[str] = set()  # uids of pods
        self._timers: dict[str, Timer] = {}  # by the Job's uid

    def changed(self, change: Change) -> None:
        """Start a new Job, count a pod that ended."""
        item = change.item
        if item["kind"] == "Job":
            if change.old is None:
                self._store.note(item, {"startTime": now()})
                self._try(item)
            elif change.new is None and (timer := self._timers.pop(item["metadata"]["uid"], None)):
                timer.cancel()
        elif change.new is None:
            self._counted.discard(item["metadata"]["uid"])
        elif (job := owner_of(self._store, item, "Job")) and item.get("status", {}).get("phase") in _OVER:
            self._count(job, item)

    def _try(self, job: Object) -> None:
        """Make the pod of the next attempt."""
        if self._store.get("Job", job["metadata"]["name"], job["metadata"]["uid"]) is None:
            return
        own = {"controller-uid": job["metadata"]["uid"], "job-name": job["metadata"]["name"]}
        labels = {**{f"batch.kubernetes.io/{key}": value for key, value in own.items()}, **own}
        self._store.note(job, {"active": 1})
        self._store.create(new_pod(job, labels))

    def _count(self, job: Object, pod: Object) -> None:
        if pod["metadata"]["uid"] in self._counted or job["status"].get("conditions"):
            return
        self._counted.add(pod["metadata"]["uid"])
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
