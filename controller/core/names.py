"""Labels, annotations and object names: deterministic, valid and bounded by construction."""

import hashlib
import re
from collections.abc import Mapping

from controller.core.model import Object
from controller.core.text import quoted

DOMAIN = "coachwork.io"
ROLE = f"{DOMAIN}/role"
REQUEST = f"{DOMAIN}/request"
REQUEST_UID = f"{DOMAIN}/request-uid"
STAGE = f"{DOMAIN}/stage"
RUN = f"{DOMAIN}/run"
COMMIT = f"{DOMAIN}/commit"
PHASE = f"{DOMAIN}/phase"
DIGEST = f"{DOMAIN}/digest"
TRIGGER = f"{DOMAIN}/trigger"
CANCEL = f"{DOMAIN}/cancel"
ALL = f"{DOMAIN}/all"
FROM = f"{DOMAIN}/from"
ONLY = f"{DOMAIN}/only"
SET = f"{DOMAIN}/set"
RERUN = f"{DOMAIN}/rerun"
ENVIRONMENT = f"{DOMAIN}/environment"
PEERS = f"{DOMAIN}/peers"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"  # Kubernetes' own, an annotation of an indexed Job's pods
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"  # Kubernetes' own, of a Job's pods
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "coachwork"

ROLE_REQUEST, ROLE_STATUS, ROLE_RELEASE = "request", "status", "release"

LABEL_LIMIT = 63
INDEX_ROOM = 6  # characters: -255, and the s- of a Service's name
INDEX_SIGN = ":"  # in no stage's name
REQUEST_LIMIT = 52  # as for a CronJob, whose Jobs' names need eleven characters more
RESERVED_SUFFIXES = ("-status", "-release")

STAGE_CONTAINER = "stage"
VOLUMES = (SHARED_VOLUME, SCRATCH_VOLUME, SHM_VOLUME, INDEX_VOLUME) = ("shared", "scratch", "shm", "index")


def status_of(request: str) -> str:
    """Return the name of the request's record."""
    return f"{request}-status"


def release_of(request: str) -> str:
    """Return the name of the ConfigMap that holds the request's last good services."""
    return f"{request}-release"


def job(request: str, stage: str, run: int, *, indexed: bool = False) -> str:
    """Return the name of the Job of one stage in one run: REQUEST-STAGE-RUN, a DNS label.

    An indexed one leaves room for the index, with which it becomes the host name of a pod.
    """
    limit = LABEL_LIMIT - INDEX_ROOM if indexed else LABEL_LIMIT
    return bounded(f"{request}-{kubernetes_name(stage)}", f"-{run}", limit)


def peers(job: str) -> str:
    """Return the name of the Service of an indexed Job whose pods find each other: a Service's starts with a letter."""
    return job if job[:1].isalpha() else f"s-{job}"


def indexed(stage: str, index: int) -> str:
    """Return by what name one index of a stage is known: where it is said what it printed, and why it failed."""
    return f"{stage}{INDEX_SIGN}{index}"


def stage_of(log: str) -> str:
    """Return the stage of a log's name: what a stage is called, or one of its indexes."""
    return log.partition(INDEX_SIGN)[0]


def build(folder: str) -> str:
    """Return the name of the Job that builds an environment: env-KEY."""
    return f"env-{folder}"


def request(project: str) -> str:
    """Return a request's name for a project that has none yet: a DNS label with neither of the reserved ends."""
    return bounded(re.sub(r"-(status|release)$", r"-\1-project", kubernetes_name(project)), limit=REQUEST_LIMIT)


def request_problem(text: str) -> str:
    """Return what is wrong with a request's name, and one that can be; "" if nothing is."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text) or len(text) > REQUEST_LIMIT:
        rule = f"at most {REQUEST_LIMIT} lower-case letters, digits and -, with a letter or digit at both ends"
        return f"expected {rule}, got {quoted(text)}{_instead(request(text), text)}"
    if text.endswith(RESERVED_SUFFIXES):
        return f"must not end in {' or '.join(RESERVED_SUFFIXES)}: write {request(text)}"
    return ""


def namespace_problem(text: str) -> str:
    """Return what is wrong with a namespace's name (a DNS label), and one that can be; "" if nothing is."""
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        return ""
    rule = f"at most {LABEL_LIMIT} lower-case letters, digits and -, with a letter or digit at both ends"
    return f"expected {rule}, got {quoted(text)}{_instead(bounded(kubernetes_name(text)), text)}"


def _instead(name: str, text: str) -> str:
    """Return the words that propose a name, "" where nothing of what was written is left in it."""
    return f": write {name}" if re.search(r"[A-Za-z0-9]", text) else ""


def service(project: str, stage: str) -> str:
    """Return the name of a service stage's Deployment, Service and Ingress: PROJECT--STAGE (as Bodywork 1.0).

    A Service's name is a DNS label that starts with a letter (RFC 1035): a digit gets `s-` before it.
    """
    name = f"{kubernetes_name(project)}--{kubernetes_name(stage)}"
    return bounded(name if name[:1].isalpha() else f"s-{name}")


def kubernetes_name(name: str) -> str:
    """Return `name` as a DNS label of any length: lower case, everything else a hyphen, trimmed; never empty."""
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")
    return plain or f"x{digest(name)}"


def bounded(name: str, suffix: str = "", limit: int = LABEL_LIMIT) -> str:
    """Return `name + suffix`, in at most `limit` characters: what is cut is replaced by a hash of the whole name."""
    if len(name) + len(suffix) <= limit:
        return name + suffix
    tail = f"-{digest(name)}{suffix}"
    return name[: limit - len(tail)].rstrip("-") + tail


def label_value(text: str) -> str:
    """Return `text` as a valid label value: kept where it is one, else cleaned and made unique by a hash."""
    if re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", text):
        return text
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", text).strip("-._")[:50]
    return f"{plain}-{digest(text)}".lstrip("-")


def variable(stage: str) -> str:
    """Return the end of COACHWORK_URL_<STAGE>: upper case, everything else an underscore."""
    return re.sub(r"[^A-Z0-9]", "_", stage.upper())


def labels_of(item: Object) -> Mapping[str, str]:
    """Return an object's labels."""
    return (item.get("metadata") or {}).get("labels") or {}


def environment_of(manifest: Object) -> str:
    """Return the folder of the environment that an object builds, "" where it builds none."""
    return str(labels_of(manifest).get(ENVIRONMENT, ""))


def digest(text: str, length: int = 8) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
