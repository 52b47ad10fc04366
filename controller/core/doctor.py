"""What `coachwork doctor` says: facts in, findings out. Pure; each finding is one line with its remedy.

Refuses to guess: what can't be known from inside one namespace (a registry's answer, the number of nodes) is a note or
is not said at all. No value of a Secret is in a finding.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from controller.core import checks, credentials, index, names, podtemplate, request
from controller.core.errors import Invalid
from controller.core.manifests.pod import spec as pod_spec
from controller.core.model import Object, Policy, Request

State: TypeAlias = Literal["ok", "note", "wrong"]
Rights: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""(apiGroup, resource) -> RBAC verbs."""

CHECKS: Final = (
    "controller", "version", "rights", "your rights", "volume", "claim", "images", "requests", "git", "clock",
    "pod security", "cronjobs",
)  # fmt: skip
GIB: Final = 1 << 30
SPACE_WRONG, SPACE_NOTE = GIB // 4, 2 * GIB  # bytes free
SLOW_NOTE, SLOW_WRONG = 0.1, 1.0  # seconds of one small write that reaches the disk
SKEW_NOTE, SKEW_WRONG = 5.0, 60.0  # seconds between two clocks
WAITING_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it ("" where nothing is to be done)."""

    check: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What was found at the volume's mount point; sizes in bytes, times in seconds."""

    problem: str = ""  # why it can't be written to, in one line
    mounted: bool = True
    free: int = 0
    size: int = 0
    inodes_free: int | None = None  # None: it does not count them
    sync: float = 0.0  # of one small write that reaches the disk
    mode: int = 0o775
    owner: str = ""  # uid:gid


@dataclass(frozen=True, slots=True)
class Reached:
    """How Git went for one request: the commit, else what is wrong."""

    request: str
    commit: str = ""
    problems: tuple[str, ...] = ()


def from_json(items: Iterable[Any]) -> list[Finding]:
    """Give the findings of another process; what is none is left out."""
    fields = ("check", "state", "message", "remedy")
    return [
        Finding(*(str(item.get(key, "")) for key in fields))  # type: ignore[arg-type]  # its state is one of ours
        for item in items
        if isinstance(item, dict) and item.get("state") in ("ok", "note", "wrong")
    ]


def to_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Give findings as JSON's own types."""
    return [asdict(finding) for finding in findings]


def healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is wrong."""
    return all(finding.state != "wrong" for finding in findings)


# --- rights ----------------------------------------------------------------------------------------


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


# --- the volume --------------------------------------------------------------------------------------


def volume(facts: VolumeFacts, root: str) -> list[Finding]:
    """Give what is to be said about the volume that is mounted at `root`."""
    if facts.problem:
        remedy = (
            "see that its claim is bound and writable by user and group 10001 (fsGroup, or the storage's own export)"
        )
        return [Finding("volume", "wrong", f"{root} can't be written to: {facts.problem}", remedy)]
    found = [*_mounted(facts, root), *_space(facts), *_speed(facts)]
    if found:
        return found
    free = f"{facts.free / GIB:.1f} of {facts.size / GIB:.1f} GiB free" if facts.size else "size unknown"
    speed = f"a write reaches the disk in {facts.sync * 1000:.0f} ms"
    return [Finding("volume", "ok", f"{root}: writable, {free}, {speed}, owner {facts.owner} mode {facts.mode:04o}")]


def _mounted(facts: VolumeFacts, root: str) -> Iterable[Finding]:
    if not facts.mounted:
        remedy = "mount the claim there (deploy/base/deployment.yaml): what is written now is lost with the pod"
        yield Finding("volume", "wrong", f"no volume is mounted at {root}", remedy)


def _space(facts: VolumeFacts) -> Iterable[Finding]:
    remedy = "make the claim larger, lower keep-runs, or delete requests that nobody needs"
    if facts.inodes_free == 0:
        yield Finding("volume", "wrong", "no file can be made: its inodes are used up", remedy)
    if facts.size and facts.free < min(SPACE_NOTE, facts.size // 10):
        state: State = "wrong" if facts.free < SPACE_WRONG else "note"
        yield Finding("volume", state, f"{facts.free / GIB:.2f} of {facts.size / GIB:.1f} GiB are free", remedy)


def _speed(facts: VolumeFacts) -> Iterable[Finding]:
    if facts.sync >= SLOW_NOTE:
        state: State = "wrong" if facts.sync >= SLOW_WRONG else "note"
        remedy = "each step of a run waits for such writes: use faster storage"
        yield Finding("volume", state, f"a small write takes {facts.sync:.2f} s to reach the disk", remedy)


def claim(found: Object | None, name: str, node: str) -> Finding:
    """Give whether stages can mount the claim wherever they are placed (`node`: the one that they are bound to)."""
    if found is None:
        remedy = "set COACHWORK_CLAIM to the claim that the controller's pod mounts"
        return Finding("claim", "wrong", f"there is no PersistentVolumeClaim {name}: no stage can start", remedy)
    phase = str((found.get("status") or {}).get("phase", ""))
    modes = (found.get("status") or {}).get("accessModes") or (found.get("spec") or {}).get("accessModes") or []
    if phase != "Bound":
        remedy = f"kubectl describe persistentvolumeclaim {name}: the storage class or the volume is missing"
        return Finding("claim", "wrong", f"{name} is {phase or 'not bound'}", remedy)
    if "ReadWriteMany" in modes:
        bound = f"; stages are still bound to node {node}: COACHWORK_NODE can go" if node else ""
        return Finding("claim", "note" if node else "ok", f"{name} is ReadWriteMany: stages run on any node{bound}")
    if "ReadWriteOnce" in modes and node:
        return Finding("claim", "ok", f"{name} is ReadWriteOnce: all stages are placed on node {node}")
    if "ReadWriteOnce" in modes:
        remedy = "set COACHWORK_NODE to the controller's node (deploy/overlays/dev does), or use a ReadWriteMany class"
        return Finding("claim", "wrong", f"{name} is ReadWriteOnce: stages on other nodes can't mount it", remedy)
    remedy = "use a claim that is ReadWriteMany, or ReadWriteOnce on one node"
    return Finding("claim", "wrong", f"{name} is {', '.join(modes)}: controller and stages can't both write", remedy)


# --- images and requests ----------------------------------------------------------------------------------


def images(policy: Policy, pods: Iterable[Object]) -> list[Finding]:
    """Give what can be known of images: the default one's tag, and what nodes can't pull now."""
    found = [
        Finding("images", "wrong", f"{image}: {reason}{text}", "correct the image, or give stages a pull secret")
        for image, (reason, text) in _unpulled(pods).items()
    ]
    last = policy.image.rpartition("/")[2]
    moving = "@" not in last and last.partition(":")[2] in ("", "latest")
    if moving and policy.image_pull_policy != "Always":
        line = f"{policy.image} has no fixed tag, and the pull policy is {policy.image_pull_policy}: nodes may differ"
        found.append(Finding("images", "note", line, "set COACHWORK_IMAGE to a fixed tag or digest"))
    ok = Finding("images", "ok", f"stages get {policy.image} by default, pull policy {policy.image_pull_policy}")
    return found or [ok]


def _unpulled(pods: Iterable[Object]) -> Mapping[str, tuple[str, str]]:
    found = {}
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in WAITING_IMAGE:
                text = checks.printable(str(waiting.get("message") or ""), 200)
                found[str(status.get("image", ""))] = (waiting["reason"], text and f": {text}")
    return found


def wanted_secrets(asked: Request) -> tuple[str, ...]:
    """Give the Secrets that a request names itself."""
    return tuple(filter(None, (asked.git_secret, asked.index_secret)))


def one_request(
    configmap: Object, there: Mapping[str, Object | None], template: Object | None, claim_name: str
) -> list[Finding]:
    """Give what is wrong with a request: its keys, its Secrets' keys, its pod template; [] if nothing is."""
    name = str(configmap["metadata"]["name"])
    try:
        asked = request.parse(configmap)
    except Invalid as invalid:
        return _problems(name, invalid)
    found: list[Finding] = []
    try:
        credentials.git_credentials(there.get(asked.git_secret), asked.git_secret, asked.repository)
    except Invalid as invalid:
        found += _problems(name, invalid)
    try:
        if asked.index_secret:
            index.settings(there.get(asked.index_secret), asked.index_secret)
        if asked.pod_template:
            podtemplate.read(template, asked.pod_template, claim_name)
    except Invalid as invalid:
        found += _problems(name, invalid)
    return found


def _problems(name: str, invalid: Invalid) -> list[Finding]:
    return [
        Finding("requests", "wrong", f"{name}: {line}", f"see {invalid.reason} in the docs")
        for line in invalid.problems
    ]


def requests(count: int, found: Sequence[Finding]) -> list[Finding]:
    """Give the findings of all requests, or that all are well."""
    return list(found) or [Finding("requests", "ok", f"{count} requests: keys, Secrets and pod templates are right")]


def git(reached: Iterable[Reached]) -> list[Finding]:
    """Give whether each request's repository answers with its credentials."""
    every = list(reached)
    bad = [Finding("git", "wrong", f"{item.request}: {line}") for item in every for line in item.problems]
    good = sum(1 for item in every if item.commit)
    slow = [item.request for item in every if not item.commit and not item.problems]
    if slow:
        remedy = "ask again, or look whether that host answers from inside the cluster"
        bad.append(Finding("git", "note", f"not answered in time: {', '.join(slow[:10])}", remedy))
    return bad or [Finding("git", "ok", f"{good} repositories answer with the credentials of their requests")]


# --- the cluster -----------------------------------------------------------------------------------------


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
