"""What requests need of others: images, Secrets, pod templates, Git."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controller.core.doctor.finding import Finding, Reached
from controller.core.errors import Invalid
from controller.core.inputs import checks, credentials, index, podtemplate, request
from controller.core.model import Object, Policy, Request

WAITING_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


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
    except Invalid as invalid:
        found += _problems(name, invalid)
    try:
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
