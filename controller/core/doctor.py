"""What `coachwork doctor` finds: facts in, findings out. Each finding is one line with its remedy.

It does not guess: what can't be known from inside one namespace (a registry's answer, the number of nodes) is a note or
is not mentioned at all. No value of a Secret is in a finding.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from controller.core import names
from controller.core.errors import Invalid
from controller.core.exits import Exit
from controller.core.inputs import credentials, index, podtemplate, request
from controller.core.manifests.pod import spec as pod_spec
from controller.core.model import Object, Policy
from controller.core.text import OR_ASK, clean, format_size, quoted

CHECKS: Final = (
    "controller", "version", "rights", "your rights", "volume", "claim", "images", "requests", "git", "clock",
    "pod security", "cronjobs",
)  # fmt: skip
WAITING_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
SKEW_NOTE, SKEW_WRONG = 5.0, 60.0  # seconds between two clocks
GIB: Final = 1 << 30
SPACE_WRONG, SPACE_NOTE = GIB // 4, 2 * GIB  # bytes free
SLOW_NOTE, SLOW_WRONG = 0.1, 1.0  # seconds in which a small write reaches the disk

State: TypeAlias = Literal["ok", "note", "wrong"]
Rights: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""(apiGroup, resource) -> RBAC verbs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, its state, the message, and the remedy ("" where nothing has to be done)."""

    check: str
    state: State
    message: str
    remedy: str = ""
    request: str = ""  # at whose request the fault lies; "": the installation


def from_json(items: Iterable[Any]) -> list[Finding]:
    """Return the findings of another process; what is malformed is left out."""
    fields = ("check", "state", "message", "remedy", "request")
    return [
        Finding(*(str(item.get(key, "")) for key in fields))  # type: ignore[arg-type]  # its state is one of ours
        for item in items
        if isinstance(item, dict) and item.get("state") in ("ok", "note", "wrong")
    ]


def healthy(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.state != "wrong" for finding in findings)


def exit_code(findings: Iterable[Finding]) -> Exit:
    """Return how `coachwork doctor` ends: a fault of the installation counts more than one of a request."""
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if any(not finding.request for finding in wrong):
        return Exit.FAILED
    return Exit.INVALID if wrong else Exit.DONE


# --- the cluster ---------------------------------------------------------------------------------------


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
        owned = (item["metadata"].get("labels") or {}).get(names.MANAGED_BY) == names.MANAGER
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


# --- the volume and its claim --------------------------------------------------------------------------


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


def volume(facts: VolumeFacts, root: str) -> list[Finding]:
    """Return what is wrong with the volume that is mounted at `root`, or that nothing is."""
    if facts.problem:
        remedy = (
            "see that its claim is bound and writable by user and group 10001 (fsGroup, or the storage's own export)"
        )
        return [Finding("volume", "wrong", f"{root} can't be written to: {facts.problem}", remedy)]
    found = []
    if not facts.mounted:
        remedy = "mount the claim there (deploy/base/deployment.yaml): what is written now is lost with the pod"
        found.append(Finding("volume", "wrong", f"no volume is mounted at {root}", remedy))
    room = "make the claim larger, lower keep-runs, or delete requests that are no longer needed"
    if facts.inodes_free == 0:
        found.append(Finding("volume", "wrong", "no file can be created: its inodes are used up", room))
    if facts.size and facts.free < min(SPACE_NOTE, facts.size // 10):
        line = f"{format_size(facts.free)} of {format_size(facts.size)} are free"
        found.append(Finding("volume", "wrong" if facts.free < SPACE_WRONG else "note", line, room))
    if facts.sync >= SLOW_NOTE:
        line = f"a small write takes {facts.sync:.2f} s to reach the disk"
        remedy = "each step of a run waits for such writes: use faster storage"
        found.append(Finding("volume", "wrong" if facts.sync >= SLOW_WRONG else "note", line, remedy))
    free = f"{format_size(facts.free)} of {format_size(facts.size)} free" if facts.size else "size unknown"
    speed = f"a write reaches the disk in {facts.sync * 1000:.0f} ms"
    line = f"{root}: writable, {free}, {speed}, owner {facts.owner} mode {facts.mode:04o}"
    return found or [Finding("volume", "ok", line)]


def claim(found: Object | None, name: str, node: str) -> Finding:
    """Judge whether stages can mount the claim wherever they are placed (`node`: the one that they are bound to)."""
    if found is None:
        remedy = "set COACHWORK_CLAIM to the claim that the controller's pod mounts"
        return Finding("claim", "wrong", f"PersistentVolumeClaim {name} not found: no stage can start", remedy)
    status = found.get("status") or {}
    modes = status.get("accessModes") or (found.get("spec") or {}).get("accessModes") or []
    if (phase := str(status.get("phase", ""))) != "Bound":
        remedy = f"kubectl describe persistentvolumeclaim {name}: the storage class or the volume is missing"
        return Finding("claim", "wrong", f"{name} is {phase or 'not bound'}", remedy)
    if "ReadWriteMany" in modes:
        bound = f"; stages are still bound to node {node}: COACHWORK_NODE can be removed" if node else ""
        return Finding("claim", "note" if node else "ok", f"{name} is ReadWriteMany: stages run on any node{bound}")
    if "ReadWriteOnce" in modes and node:
        return Finding("claim", "ok", f"{name} is ReadWriteOnce: all stages are placed on node {node}")
    if "ReadWriteOnce" in modes:
        remedy = "set COACHWORK_NODE to the controller's node (deploy/overlays/dev does), or use a ReadWriteMany class"
        return Finding("claim", "wrong", f"{name} is ReadWriteOnce: stages on other nodes can't mount it", remedy)
    remedy = "use a claim that is ReadWriteMany, or ReadWriteOnce on one node"
    return Finding("claim", "wrong", f"{name} is {', '.join(modes)}: controller and stages can't both write", remedy)


# --- the requests --------------------------------------------------------------------------------------


def images(policy: Policy, pods: Iterable[Object]) -> list[Finding]:
    """Return what can be known of images: what nodes can't pull now, and whether the default one's tag can move."""
    unpulled = {}
    for pod in pods:
        request_name = names.labels_of(pod).get(names.REQUEST, "")
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting") or {}
            if (reason := waiting.get("reason")) in WAITING_IMAGE:
                cause = clean(str(waiting.get("message") or ""), 200)
                image = str(status.get("image", ""))
                line = f"{image}: {reason}{cause and f': {cause}'}"
                unpulled[image] = (line, "" if image == policy.image else request_name)
    remedy = "correct the image, or give stages a pull secret"
    found = [Finding("images", "wrong", line, remedy, whose) for line, whose in unpulled.values()]
    last = policy.image.rpartition("/")[2]
    if "@" not in last and last.partition(":")[2] in ("", "latest") and policy.image_pull_policy != "Always":
        line = f"{policy.image} has no fixed tag, and the pull policy is {policy.image_pull_policy}: nodes may differ"
        found.append(Finding("images", "note", line, "set COACHWORK_IMAGE to a fixed tag or digest"))
    ok = Finding("images", "ok", f"stages get {policy.image} by default, pull policy {policy.image_pull_policy}")
    return found or [ok]


def one_request(
    configmap: Object, secrets: Mapping[str, Object | None], template: Object | None, claim_name: str
) -> list[Finding]:
    """Return what is wrong with a request: its keys, the keys of its Secrets, its pod template."""
    name = str(configmap["metadata"]["name"])

    def problems(check: Callable[[], object]) -> list[Finding]:
        try:
            check()
        except Invalid as invalid:
            remedy = f"see {invalid.reason} in the docs"
            return [Finding("requests", "wrong", f"{name}: {line}", remedy, name) for line in invalid.problems]
        return []

    if found := problems(partial(request.parse, configmap)):
        return found
    parsed = request.parse(configmap)
    git, packages = parsed.git_secret, parsed.index_secret
    found = problems(lambda: credentials.git_credentials(secrets.get(git), git, parsed.repository))
    found += problems(lambda: packages and index.settings(secrets.get(packages), packages))
    found += problems(lambda: parsed.pod_template and podtemplate.read(template, parsed.pod_template, claim_name))
    return found


def requests(count: int, found: Sequence[Finding]) -> list[Finding]:
    """Return the findings about all requests, or that all are valid."""
    return list(found) or [Finding("requests", "ok", f"{count} requests: keys, Secrets and pod templates are valid")]


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of asking Git for one request: the commit, else the problems; neither if there was no answer."""

    request: str
    commit: str = ""
    problems: tuple[str, ...] = ()


def git(reached: Iterable[Reached]) -> list[Finding]:
    """Return which requests' repositories do not answer with their credentials, or that all do."""
    every = list(reached)
    found = [
        Finding("git", "wrong", f"{item.request}: {line}", request=item.request)
        for item in every
        for line in item.problems
    ]
    if slow := [item.request for item in every if not item.commit and not item.problems]:
        remedy = "try again, or check whether that host answers from inside the cluster"
        found.append(Finding("git", "note", f"no answer in time: {', '.join(slow[:10])}", remedy))
    good = sum(1 for item in every if item.commit)
    return found or [Finding("git", "ok", f"{good} repositories answer with the credentials of their requests")]
