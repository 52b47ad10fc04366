"""One pod of a stage: what it does, why it waits, or why it ended."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from controller.core import names
from controller.core.documents import attempt
from controller.core.model import Cause, Object
from controller.core.text import clean, parse_quantity, quoted

Blocked: TypeAlias = Literal["", "start", "schedule"]
"""Which grace applies to a pod that waits: for its image, Secret or container; or for a node, quota or volume."""

LAUNCHER_FAILED = 121
"""The launcher's own exit code: trying again can't help (see runtime/launch.py and the Jobs' podFailurePolicy)."""

OF_IMAGES = ("ImageUnavailable", "InvalidImageName")
"""Reasons whose cause names an image: what named the image is for others to say."""

_SLOW = "its image was being pulled, or its volumes mounted: pull it to the nodes first, or raise COACHWORK_START_GRACE"
_WAITING: Mapping[str, tuple[str, str]] = {
    "ErrImagePull": ("ImageUnavailable", ""),
    "ImagePullBackOff": ("ImageUnavailable", ""),
    "ErrImageNeverPull": ("ImageUnavailable", "the node does not have it, and may not pull it"),
    "ImageInspectError": ("ImageUnavailable", "the node can't read this image"),
    "RegistryUnavailable": ("ImageUnavailable", "the registry does not answer the node"),
    "InvalidImageName": ("InvalidImageName", "correct its name"),
    "CreateContainerConfigError": ("MissingConfiguration", "create it, or correct [secrets] in the stage's config.ini"),
    "CreateContainerError": ("ContainerFailed", "the node could not make the container from this image"),
    "RunContainerError": ("ContainerFailed", "the image needs a python3 of version 3.8 or later"),
}
_IN_YAML = (
    ("[secrets] in the stage's config.ini", "the stage's `secrets` in bodywork.yaml"),
    ("the stage's config.ini", "bodywork.yaml"),
    *((key, key.lower()) for key in ("DOCKER_IMAGE", "MEMORY_REQUEST_MB", "MEMORY_LIMIT_MB", "CPU_REQUEST", "GPU")),
)
_UNPULLED = ("ErrImagePull", "ImagePullBackOff")  # these two take turns, each with its own words
_UNPULLED_WHY = (  # in the order in which they are looked for: a kubelet's sentence has several
    (
        r"no such host|i/o timeout|connection refused|unreachable|no route|dial tcp|[Tt]imeout|EOF",
        "no way to its registry",
    ),
    (r"toomanyrequests|\b429\b", "its registry refuses so many pulls"),
    (r"denied|unauthorized|[Ff]orbidden|authorization|\b40[13]\b", "no such image, or it needs a pull secret"),
    (r"not found|manifest unknown|does not exist|no match for platform", "not found"),
    (r"no space left", "no space left on the node"),
)
_KEYS = {"cpu": "CPU_REQUEST", "memory": "MEMORY_REQUEST_MB", "nvidia.com/gpu": "GPU"}  # by what the scheduler names
UNMOUNTED = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume")


@dataclass(frozen=True, slots=True)
class PodFact:
    """What one pod shows. `cause` says why it failed, or else why it waits or last crashed."""

    phase: str
    ready: bool = False
    deleting: bool = False
    created: str = ""
    blocked: Blocked = ""
    cause: Cause | None = None
    exit_code: int | None = None  # of the stage's container, when it last ended
    attempt: int = 0  # of a batch stage, as its log is named; known once it ended
    crashed: bool = False  # the container is down now, and not for the first time or by choice
    image: str = ""  # as the node reports it, with its digest
    index: int | None = None  # of a parallel stage
    first_start: str = ""  # of the script in this pod; known once it ended
    starting: tuple[str, ...] = ()  # what a pod that nothing keeps from starting waits for, and why that may take long


def read_pod(pod: Object, events: Iterable[Object] = ()) -> PodFact:
    """Return the fact about one pod; of the Warning `events`, those about this pod are read."""
    status, metadata = pod.get("status") or {}, pod.get("metadata") or {}
    containers = status.get("containerStatuses") or ()
    container: Object = next((item for item in containers if item.get("name") == names.STAGE_CONTAINER), {})
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    message = attempt.read(ended.get("message") or "")
    blocked, waiting = _waiting(pod, container, events)
    created = metadata.get("creationTimestamp") or ""
    # a launcher left no word that was killed with its script, or never began ("1970-...")
    started = max(ended.get("startedAt") or "", created) if ended else ""
    return PodFact(
        phase=status.get("phase") or "Pending",
        ready=condition(status, "Ready").get("status") == "True",
        deleting=bool(metadata.get("deletionTimestamp")),
        created=created,
        blocked=blocked,
        cause=waiting or _ending(status, ended, message, container_of(pod.get("spec") or {})),
        exit_code=ended.get("exitCode"),
        attempt=message.attempt,
        crashed=bool(ended) and not state.get("running"),
        image=str(container.get("imageID") or ""),
        index=index_of(pod),
        first_start=message.first_start or started,
        starting=() if blocked or status.get("phase", "Pending") != "Pending" else _starting(pod.get("spec") or {}),
    )


def index_of(pod: Object) -> int | None:
    """Return the index of a parallel stage that a pod is of, None where its stage runs once."""
    said = ((pod.get("metadata") or {}).get("annotations") or {}).get(names.COMPLETION_INDEX, "")
    return int(said) if re.fullmatch("[0-9]{1,5}", said) else None


def _starting(spec: Object) -> tuple[str, ...]:
    """Return what a pod waits for that is on its way. That its image is pulled, no object says, only an Event."""
    image = quoted(container_of(spec).get("image", ""))
    if not (node := spec.get("nodeName")):
        return ("starting: no node is chosen yet",)
    return f"starting on node {clean(str(node))}", f"; it may have to pull image {image}"


def container_of(spec: Object) -> Object:
    """Return the stage's container of a pod's spec, {} where there is none."""
    return next((item for item in spec.get("containers") or () if item.get("name") == names.STAGE_CONTAINER), {})


def in_yaml(words: str) -> str:
    """Return a cause with the keys that it names as bodywork.yaml writes them: facts know no project."""
    for ini, yaml in _IN_YAML:
        words = words.replace(ini, yaml)
    return words


def newest(pods: Sequence[PodFact]) -> PodFact | None:
    """Return the pod that was created last, None of none."""
    return max(pods, key=lambda pod: pod.created, default=None)


def condition(status: Object, kind: str) -> Object:
    """Return the condition of this type, {} where there is none."""
    return next((dict(item) for item in status.get("conditions") or () if item.get("type") == kind), {})


def concerns(event: Object, uid: str) -> bool:
    """Return whether an Event is about the object of this uid."""
    return bool(uid) and (event.get("involvedObject") or {}).get("uid") == uid


def _waiting(pod: Object, container: Object, events: Iterable[Object]) -> tuple[Blocked, Cause | None]:
    waiting = (container.get("state") or {}).get("waiting") or {}
    if (reason := waiting.get("reason", "")) in _WAITING:
        (name, remedy), said = _WAITING[reason], waiting.get("message") or ""
        if reason in _UNPULLED and (image := container.get("image")):
            return "start", Cause(name, f"image {quoted(image)} can't be pulled{_unpulled(said, image)}")
        if "invalid UTF-8" in said:
            remedy = "a value of [secrets] is not text in UTF-8: correct the Secret"
        return "start", Cause(name, f"{_steady(said or reason)}{f' ({remedy})' if remedy else ''}")
    status = pod.get("status") or {}
    if status.get("phase") != "Pending":
        return "", None
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("reason") == "Unschedulable":
        return "schedule", _no_room(pod.get("spec") or {}, scheduled.get("message") or "")
    uid = (pod.get("metadata") or {}).get("uid") or ""
    for event in events:
        if event.get("reason") in UNMOUNTED and concerns(event, uid):
            return "schedule", Cause(str(event["reason"]), _steady(event.get("message") or ""))
    return "", None


def _unpulled(said: str, image: str) -> str:
    """Return why a kubelet can't pull an image, as far as it says, in words that are the same at each try."""
    words = said.replace(image, "")
    return next((f": {why}" for sign, why in _UNPULLED_WHY if re.search(sign, words)), "")


def _no_room(spec: Object, said: str) -> Cause:
    """Return why a pod has no node: the scheduler's words but for those on preemption, and what the pod asks for."""
    text = re.split(r" (?:no new claims to deallocate|preemption: )", _steady(said))[0].rstrip(".,")
    if "Insufficient" not in text:
        return Cause("Unschedulable", f"no node has room: {text}")
    requests = (container_of(spec).get("resources") or {}).get("requests") or {}
    lacking = [name for name in _KEYS if f"Insufficient {name}" in text and name in requests]
    asked = " and ".join(_amount(name, requests[name]) for name in lacking)
    less = f"lower {' and '.join(_KEYS[name] for name in lacking)}" if lacking else "ask for less"
    wanted = f" for {asked}" if asked else ""
    return Cause("Unschedulable", f"no node has room{wanted}: {text} ({less} in the stage's config.ini, or add nodes)")


def _amount(name: str, quantity: object) -> str:
    """Return an amount of a resource in the unit of the project's keys."""
    number = parse_quantity(str(quantity)) or Decimal(0)
    if name == "memory":
        return f"{(number / 2**20).normalize():f} MiB of memory"
    return f"{number.normalize():f} {_KEYS[name].partition('_')[0]}"


def _steady(text: str) -> str:
    """Return a kubelet's sentence without what changes from try to try (back-off times, pod uids, pull ids)."""
    return clean(re.sub(r"^Back-off \S+ restarting failed container.*", "restarting", text))


def _ending(status: Object, ended: Object, message: attempt.Ending, spec: Object) -> Cause | None:
    if status.get("reason") == "Evicted":
        text = status.get("message") or ""
        remedy = " (write less, or have COACHWORK_SCRATCH_LIMIT raised)" if "emptyDir" in text else ""
        return Cause("Evicted", f"the node evicted the pod: {text}{remedy}")
    if status.get("reason") == "DeadlineExceeded" and message.reason in ("", "Terminated"):
        if not ended or (ended.get("reason") == "ContainerStatusUnknown" and not ended.get("startedAt")):
            return Cause("TimedOut", f"the pod's limit passed before its container had started ({_SLOW})")
        return Cause("TimedOut", "the pod ran longer than its stage's limits allow, installation included")
    if ended:
        return _container_ending(ended, message, spec)
    if status.get("phase") == "Failed":
        return Cause(status.get("reason") or "PodLost", status.get("message") or "the pod was lost with its node")
    return None


def _container_ending(ended: Object, message: attempt.Ending, spec: Object) -> Cause | None:
    if ended.get("reason") == "OOMKilled" and message.reason in ("", "Signal", "ExitCode"):
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
        most = f"it used more than {_amount('memory', limit)}" if limit else "its node had no more memory"
        key = "MEMORY_LIMIT_MB" if limit else "MEMORY_REQUEST_MB"
        return Cause("OutOfMemory", f"the stage was killed because {most} (raise {key}, or use less)")
    if message.reason and message.message:
        return Cause(message.reason, message.message, foreign=True)
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return Cause("ContainerFailed", f"the image can't run python3: {_steady(ended.get('message') or '')}")
    if ended.get("reason") == "ContainerStatusUnknown":
        return Cause("PodLost", "the node lost the pod: it restarted, or went away")
    code = ended.get("exitCode", 0)
    return Cause("ExitCode", f"the container ended with code {code} and left no cause") if code else None
