"""The doctor about requests: their keys, Secrets, images and repositories."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from controller.core import names, notices
from controller.core.doctor.finding import Finding
from controller.core.errors import Invalid
from controller.core.inputs import credentials, index, podtemplate, request
from controller.core.model import Object, Policy
from controller.core.text import clean

WAITING_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


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
    git, packages, people = parsed.git_secret, parsed.index_secret, parsed.notify_secret
    found = problems(lambda: credentials.git_credentials(secrets.get(git), git, parsed.repository))
    found += problems(lambda: packages and index.settings(secrets.get(packages), packages))
    found += problems(lambda: people and notices.receiver(secrets.get(people), people))
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
