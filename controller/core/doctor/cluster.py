"""The doctor about releases, rights, clocks, Pod Security, CronJobs and autoscalers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from controller.core import names
from controller.core.doctor.finding import Finding, State
from controller.core.facts.pods import condition
from controller.core.manifests.pod import spec as pod_spec
from controller.core.model import Object, Policy
from controller.core.text import OR_ASK, clean, quoted

OLDEST = (1, 30)  # release of Kubernetes that knows all that we use: retries of each index of a Job
SKEW_NOTE, SKEW_WRONG = 5.0, 60.0  # seconds between two clocks

Rights: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""(apiGroup, resource) -> RBAC verbs."""


def version(controller: str, command: str) -> Finding:
    """Compare the releases of the controller and of this command."""
    if controller == command:
        return Finding("version", "ok", f"controller and command are {command}")
    remedy = "use the command of the controller's release, or update the controller"
    return Finding("version", "note", f"the controller is {controller or 'unknown'}, this command {command}", remedy)


def rights(check: str, needed: Rights, lacking: Rights, remedy: str, state: State = "wrong") -> list[Finding]:
    """Return a finding (`state`) for each resource with a verb that is needed and not allowed; "ok" if all are."""
    missing = {
        f"{resource}.{group}" if group else resource: verbs for (group, resource), verbs in lacking.items() if verbs
    }
    if not missing:
        count = sum(map(len, needed.values()))
        return [Finding(check, "ok", f"all {count} verbs on {len(needed)} resources are allowed")]
    return [
        Finding(check, state, f"may not {', '.join(sorted(missing[place]))} {place}", remedy)
        for place in sorted(missing)
    ]


def kubernetes(release: str) -> Finding:
    """Judge the API server's version, like v1.34.1."""
    found = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", release)
    if found is None:
        return Finding("kubernetes", "note", f"its version is unknown: {quoted(release)}")
    line = f"the API server is Kubernetes {found[1]}.{found[2]}"
    if (int(found[1]), int(found[2])) >= OLDEST:
        return Finding("kubernetes", "ok", line)
    needed = ".".join(map(str, OLDEST))
    remedy = f"update the cluster to {needed} or later: an older one runs no stages with PARALLEL or FOR_EACH"
    return Finding("kubernetes", "wrong", line, remedy)


def clock(skew: float) -> Finding:
    """Judge the difference between the controller's clock and the API server's; positive seconds: ours is ahead."""
    if abs(skew) < SKEW_NOTE:
        return Finding("clock", "ok", "the controller's clock agrees with the API server's to a few seconds")
    line = f"the controller's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API server's"
    remedy = "synchronise the nodes' clocks (NTP): times and grace periods are wrong until then"
    return Finding("clock", "wrong" if abs(skew) >= SKEW_WRONG else "note", line, remedy)


def trial_stage(policy: Policy) -> Object:
    """Return a suspended Job with a pod like a stage's: it is offered for admission, and never created."""
    container = {
        "name": names.STAGE_CONTAINER,
        "image": policy.image,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return _trial(policy, pod_spec(policy, container) | {"restartPolicy": "Never"})


def trial_loose(policy: Policy) -> Object:
    """Return the same with a pod that only the level `privileged` of Pod Security admits."""
    container = {"name": "loose", "image": policy.image, "securityContext": {"privileged": True}}
    return _trial(policy, {"containers": [container], "hostNetwork": True, "restartPolicy": "Never"})


def _trial(policy: Policy, spec: Object) -> Object:
    metadata = {"name": "coachwork-doctor", "namespace": policy.namespace}
    template = {"suspend": True, "template": {"spec": spec}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template}


def pod_security(namespace: str, stage: Sequence[str], loose: Sequence[str]) -> Finding:
    """Judge how the namespace admits pods, by the warnings at both trials (Pod Security warns at workloads)."""
    if refused := [line for line in stage if "PodSecurity" in line]:
        remedy = "report this: a stage's pod must pass Pod Security restricted"
        return Finding("pod security", "wrong", f"stages are not admitted: {refused[0]}", remedy)
    level = next((found[1] for line in loose if (found := re.search(r'PodSecurity "([a-z]+):', line))), "")
    if level == "restricted":
        return Finding("pod security", "ok", "the namespace enforces Pod Security restricted, and stages pass it")
    enforced = f"enforces Pod Security {level} only" if level else "enforces no Pod Security"
    line = f"the namespace {enforced}: stages would pass restricted, other pods need not"
    remedy = f"kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted"
    return Finding("pod security", "note", line, remedy)


def cronjobs(items: Iterable[Object], scheduled: Mapping[str, bool]) -> list[Finding]:
    """Return the CronJobs that trigger a missing request; `scheduled`: each request, and whether it has a schedule."""
    found, count = [], 0
    for item in items:
        name, target = str(item["metadata"]["name"]), _triggered(item)
        owned = names.labels_of(item).get(names.MANAGED_BY) == names.MANAGER
        count += bool(target)
        remove = f"kubectl delete cronjob {name}{OR_ASK}"
        if target and target not in scheduled:
            line = f"{name} triggers request {quoted(target)}, which does not exist"
            found.append(Finding("cronjobs", "wrong", line, f"create the request, or {remove}", clean(target)))
        elif target and owned and not scheduled[target]:
            line = f"{name} belongs to request {target}, which no longer has a schedule"
            found.append(Finding("cronjobs", "wrong", line, remove, target))
    return found or [Finding("cronjobs", "ok", f"{count} CronJobs, each triggers a request that exists")]


def _triggered(cronjob: Object) -> str:
    """Return the request that a CronJob's pods trigger, "" for a CronJob with another purpose."""
    pod = ((cronjob["spec"].get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    for container in (pod.get("spec") or {}).get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        words = words[1:] if words[:1] == ["coachwork"] else words
        if words[:1] == ["trigger"] and len(words) > 1:
            return str(words[1])
    return ""


def autoscalers(items: Iterable[Object]) -> list[Finding]:
    """Return those of services that do not know the load, and so change nothing."""
    every = [item for item in items if names.labels_of(item).get(names.MANAGED_BY) == names.MANAGER]
    conditions = ((item["metadata"]["name"], condition(item.get("status") or {}, "ScalingActive")) for item in every)
    blind = [(name, clean(found.get("message") or "")) for name, found in conditions if found.get("status") == "False"]
    remedy = "kubectl top pods: if it answers, its pods are not ready yet; else the cluster needs a metrics server"
    found = [Finding("autoscalers", "note", f"{name} does not scale: {why}", remedy) for name, why in blind]
    return found or [Finding("autoscalers", "ok", f"every autoscaler ({len(every)}) knows the load or is new")]
