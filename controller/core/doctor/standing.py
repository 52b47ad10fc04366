"""How the controller stands in its cluster: rights, clock, Pod Security, CronJobs, releases."""

import re
from collections.abc import Iterable, Mapping, Sequence

from controller.core import names
from controller.core.doctor.finding import Finding, Rights, State
from controller.core.inputs import checks
from controller.core.manifests.pod import spec as pod_spec
from controller.core.model import Object, Policy

SKEW_NOTE, SKEW_WRONG = 5.0, 60.0  # seconds between two clocks


def rights(check: str, wanted: Rights, lacking: Rights, remedy: str, state: State = "wrong") -> list[Finding]:
    """Give a finding (`state`) for each resource with a verb that is wanted and not allowed; one "ok" if all are."""
    missing = {place: verbs for place, verbs in sorted(lacking.items()) if verbs}
    if not missing:
        count = sum(map(len, wanted.values()))
        return [Finding(check, "ok", f"all {count} verbs on {len(wanted)} resources are allowed")]
    return [
        Finding(check, state, f"may not {', '.join(sorted(verbs))} {_resource(*place)}", remedy)
        for place, verbs in missing.items()
    ]


def _resource(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def clock(skew: float) -> Finding:
    """Give whether the controller's clock is the API server's; `skew` in seconds, positive: ours is ahead."""
    if abs(skew) < SKEW_NOTE:
        return Finding("clock", "ok", "the controller's clock is the API server's, to a few seconds")
    state: State = "wrong" if abs(skew) >= SKEW_WRONG else "note"
    line = f"the controller's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API server's"
    return Finding(
        "clock", state, line, "synchronise the nodes' clocks (NTP): times and grace periods are wrong until then"
    )


def trial_stage(policy: Policy) -> Object:
    """Give a suspended Job with a pod as stages have it: it is offered for admission, and never made."""
    container = {
        "name": names.STAGE_CONTAINER,
        "image": policy.image,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return _trial(policy, pod_spec(policy, container) | {"restartPolicy": "Never"})


def trial_loose(policy: Policy) -> Object:
    """Give the same with a pod that no level of Pod Security but `privileged` lets pass."""
    container = {"name": "loose", "image": policy.image, "securityContext": {"privileged": True}}
    return _trial(policy, {"containers": [container], "hostNetwork": True, "restartPolicy": "Never"})


def _trial(policy: Policy, spec: Object) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "coachwork-doctor", "namespace": policy.namespace},
        "spec": {"suspend": True, "template": {"spec": spec}},
    }


def pod_security(namespace: str, stage: Sequence[str], loose: Sequence[str]) -> Finding:
    """Give how the namespace judges pods, from the warnings at both trials (Pod Security warns at workloads)."""
    if refused := [line for line in stage if "PodSecurity" in line]:
        remedy = "report this: a stage's pod must pass Pod Security restricted"
        return Finding("pod security", "wrong", f"stages are not admitted: {refused[0]}", remedy)
    level = next((found[1] for line in loose if (found := re.search(r'PodSecurity "([a-z]+):', line))), "")
    if level == "restricted":
        return Finding("pod security", "ok", "the namespace asks for Pod Security restricted, and stages fit it")
    remedy = f"kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted"
    said = f"asks for Pod Security {level} only" if level else "asks for no Pod Security"
    return Finding("pod security", "note", f"the namespace {said}: stages fit restricted, other pods need not", remedy)


def cronjobs(items: Iterable[Object], scheduled: Mapping[str, bool]) -> list[Finding]:
    """Give the CronJobs that trigger what is not there; `scheduled`: each request, and whether it has a schedule."""
    found, count = [], 0
    for item in items:
        name, target, owned = str(item["metadata"]["name"]), _triggered(item), _is_owned(item)
        if not target:
            continue
        count += 1
        remove = f"kubectl delete cronjob {name}"
        if target not in scheduled:
            line = f"{name} triggers request {checks.shown(target)}, which is not there"
            found.append(Finding("cronjobs", "wrong", line, f"make the request, or {remove}"))
        elif owned and not scheduled[target]:
            line = f"{name} is of request {target}, which has no schedule any more"
            found.append(Finding("cronjobs", "wrong", line, remove))
    return found or [Finding("cronjobs", "ok", f"{count} CronJobs, each triggers a request that is there")]


def _triggered(cronjob: Object) -> str:
    """Give the request that a CronJob's pods trigger, "" for a CronJob that is about something else."""
    pod = ((cronjob["spec"].get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    for container in (pod.get("spec") or {}).get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        if words[:1] == ["coachwork"]:
            words = words[1:]
        if words[:1] == ["trigger"] and len(words) > 1:
            return str(words[1])
    return ""


def _is_owned(cronjob: Object) -> bool:
    return (cronjob["metadata"].get("labels") or {}).get(names.MANAGED_BY) == names.MANAGER


def version(controller: str, command: str) -> Finding:
    """Give whether the controller and this command are of one release."""
    if controller == command:
        return Finding("version", "ok", f"controller and command are {command}")
    remedy = "use the command of the controller's release, or update the controller"
    return Finding("version", "note", f"the controller is {controller or 'unknown'}, this command {command}", remedy)
