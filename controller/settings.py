"""The controller's settings: flags, then environment, then defaults, as one frozen value.

Refuses to start half-right: every problem comes at once, each with its place and what would be right.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

from controller.core import names
from controller.core.errors import Invalid
from controller.core.images import OFFICIAL, python_problem
from controller.core.inputs import engine, kinds
from controller.core.inputs.engine import Expected, reading
from controller.core.model import INGRESS_PATH, IngressPolicy, Policy
from controller.core.text import clean, near, parse_quantity, quoted

PREFIX = "COACHWORK_"
INGRESS_LIMIT = 200
RESOURCES = ("cpu", "memory", "ephemeral-storage")
VOLUME = PurePosixPath("/var/lib/coachwork")


# --- what a text means ----------------------------------------------------------------------------


def _seconds(low: int, high: int) -> Any:
    """Return the validator of a time; digits alone are seconds."""
    read = kinds.duration(low, high)
    return reading(lambda text: read(f"{text}s" if text.isdecimal() else text))


def _annotations(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of lines KEY=VALUE; keys as Kubernetes takes them."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("expected a line KEY=VALUE for each annotation")
    return tuple((kinds.qualified_name(name.strip()), value.strip()) for name, _, value in pairs)


def _ingress_path(text: str) -> str:
    """Return a path with places for names, in which no two services share a path."""
    filled = re.sub(r"\{(namespace|request|project|stage|service)\}", "x", text)
    distinct = "{service}" in text or ("{stage}" in text and ("{project}" in text or "{request}" in text))
    if not distinct or not re.fullmatch(r"(/[A-Za-z0-9._~-]{1,200})+", filled) or len(text) > INGRESS_LIMIT:
        rule = "it has {service}, or {stage} and {project} or {request}"
        what = "a path like /{namespace}/{service} or /{project}/{stage}"
        raise ValueError(f"expected {what}, got {quoted(text)}: {rule}")
    return text


def _host_and_port(text: str) -> str:
    """Return HOST:PORT; an address of IPv6 is in brackets."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]", host):
        raise ValueError(f"expected a host and a port like coachwork:80, got {quoted(text)}")
    kinds.whole(1, 65535)(port)
    return text


def _images(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs PYTHON=IMAGE, separated by commas or white space."""
    pairs = [part.partition("=") for part in re.split(r"[\s,]+", text) if part]
    known = {python: image for python, _, image in pairs}
    if len(known) != len(pairs) or any(
        python_problem(python) or not kinds.is_image(image) for python, _, image in pairs
    ):
        example = "3.9=python:3.9-slim, 3.12=python:3.12-slim"
        raise ValueError(f"expected a Python and its image, each Python once, like {example}, got {quoted(text)}")
    return tuple(known.items())


def _amounts(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs RESOURCE=AMOUNT, separated by commas or white space."""
    pairs = [part.partition("=") for part in re.split(r"[\s,]+", text) if part]
    known = {resource: amount for resource, _, amount in pairs}
    if len(known) != len(pairs) or not all(
        resource in RESOURCES and parse_quantity(amount) for resource, amount in known.items()
    ):
        what = f"amounts of {', '.join(RESOURCES)}, each once and above 0, like cpu=500m, memory=1Gi"
        raise ValueError(f"expected {what}, got {quoted(text)}")
    return tuple(known.items())


Name: TypeAlias = Annotated[str, reading(kinds.object_name)]
Image: TypeAlias = Annotated[str, reading(kinds.image), Expected("an image like python:3.12-slim")]
Path: TypeAlias = Annotated[str, reading(kinds.matching(r"[^\0]{1,4096}", "a path"))]
_absolute = kinds.matching(r"/[^\0]{0,4095}", "an absolute path like /var/lib/coachwork")


# --- the settings ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a controller runs with. Each field is the flag --a-field and the variable COACHWORK_A_FIELD."""

    namespace: Annotated[
        str, reading(kinds.without(names.namespace_problem)), Expected("the namespace of requests and workloads")
    ]  # requests, workloads, Secrets and the claim are in this one
    image: Image  # of stages whose project and request name none
    images: Annotated[tuple[tuple[str, str], ...], reading(_images)] = OFFICIAL  # of stages that ask for a Python
    volume: Annotated[PurePosixPath, reading(lambda text: PurePosixPath(_absolute(text)))] = VOLUME
    claim: Name = "coachwork"  # PersistentVolumeClaim that is mounted at `volume`
    node: Name = ""  # stages are placed here (ReadWriteOnce); "": anywhere
    image_pull_policy: Annotated[str, reading(kinds.choice("IfNotPresent", "Always", "Never"))] = "IfNotPresent"
    service_account: Name = "coachwork-stage"  # of stages
    trigger_image: Image = ""  # of the pods that a schedule starts; "": `image`
    trigger_service_account: Name = "coachwork-trigger"  # of the same
    workers: Annotated[int, reading(kinds.whole(1, 64))] = 8  # requests reconciled at once
    pass_limit: Annotated[int, _seconds(1, 604_800)] = 900  # seconds of a pass, without its Git, until /healthz fails
    port: Annotated[int, reading(kinds.whole(0, 65535))] = 8080  # of /metrics, /healthz, /readyz, /api/; 0: any
    wake: Annotated[str, reading(_host_and_port)] = ""  # where pods call once they are done; "": they do not
    wake_port: Annotated[int, reading(kinds.whole(0, 65535))] = 8081  # where these calls arrive; 0: any free one
    log_level: Annotated[str, reading(kinds.choice("DEBUG", "INFO", "WARNING", "ERROR"))] = "INFO"
    pod: Name = ""  # its name, by which the controller holds the Lease; "": a name of its own at each start
    kubeconfig: Path = ""  # "": the pod's own account
    context: Path = ""  # of the kubeconfig; "": its current one

    allow_file_repositories: Annotated[bool, reading(kinds.flag)] = False  # file:// URLs, for tests and laptops
    git_resolve_timeout: Annotated[int, _seconds(1, 3600)] = 20  # seconds of asking a remote for its refs
    git_fetch_timeout: Annotated[int, _seconds(1, 86_400)] = 300  # seconds of one fetch, and of one checkout
    git_max_bytes: Annotated[int, reading(kinds.size(1 << 20, 1 << 40))] = 2 << 30  # of a mirror, and of a checkout
    git_max_files: Annotated[int, reading(kinds.whole(1, 10_000_000))] = 100_000  # of a checkout
    git_concurrency: Annotated[int, reading(kinds.whole(1, 64))] = 4  # at remotes at once; at most half of the workers

    first_retry: Annotated[int, _seconds(0, 10)] = 10  # seconds to a stage's first retry; below 10 in the same pod
    start_grace: Annotated[int, _seconds(0, 86_400)] = 120  # seconds that a missing image or Secret may last
    schedule_grace: Annotated[int, _seconds(0, 604_800)] = 1800  # seconds without room, quota or volume
    install_limit: Annotated[int, _seconds(1, 86_400)] = 900  # seconds of building an environment
    install_memory: Annotated[int, reading(kinds.size(1 << 24, 1 << 40))] = 512 << 20  # that a build asks for
    default_requests: Annotated[tuple[tuple[str, str], ...], reading(_amounts)] = ()  # of containers that name none
    default_limits: Annotated[tuple[tuple[str, str], ...], reading(_amounts)] = ()
    install_space: Annotated[int, reading(kinds.size(0, 1 << 50))] = 512 << 20  # free on the volume before a build
    scratch_limit: Annotated[int, reading(kinds.size(1 << 24, 1 << 50))] = 10 << 30  # of a stage's private disk
    log_cap: Annotated[int, reading(kinds.size(1 << 10, 1 << 40))] = 64 << 20  # bytes kept of one attempt's output

    ingress_class: Name = ""  # "": the cluster's default
    ingress_host: Name = ""  # "": any
    ingress_tls_secret: Name = ""  # "": no TLS
    ingress_path: Annotated[str, reading(_ingress_path)] = INGRESS_PATH  # at which they lead to a service
    ingress_path_type: Annotated[str, reading(kinds.choice("ImplementationSpecific", "Prefix"))] = (
        "ImplementationSpecific"  # a regular expression of ingress-nginx
    )
    ingress_annotations: Annotated[tuple[tuple[str, str], ...], reading(_annotations)] = ()  # lines KEY=VALUE


def load(environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Return the settings: a flag (by its field's name; None: not given) wins over its variable, that over the default.

    An empty variable is as if it were not set, as a manifest that clears a value means it. Raises
    Invalid("InvalidSettings") with one line for each problem.
    """
    texts, places = {}, {}
    for option in fields(Settings):
        flag, text = flags.get(option.name), environ.get(PREFIX + option.name.upper(), "")
        places[option.name] = PREFIX + option.name.upper() if flag is None else f"--{option.name.replace('_', '-')}"
        if text or flag is not None:
            texts[option.name] = (text if flag is None else str(flag)).strip()
    found, faults = engine.check(Settings, texts)
    known = [PREFIX + option.name.upper() for option in fields(Settings)]
    problems = [  # what is almost a setting: the variables of stages and of service links begin with COACHWORK_ too
        f"{clean(variable)}: {engine.unknown(variable, known)}"
        for variable in sorted(environ)
        if variable.startswith(PREFIX) and variable not in known and near(variable, known, cutoff=0.9)
    ]
    problems += [f"{places[str(fault.location[0])]}: {fault.sentence}" for fault in faults]
    if "context" in texts and "kubeconfig" not in texts:
        problems.append(f"{places['context']}: names a context, but no kubeconfig is set: set {PREFIX}KUBECONFIG too")
    if found and found.wake and found.wake_port == found.port != 0:
        problems.append(f"{places['wake_port']}: {found.port} is the port of the pages too: set another")
    if problems or not found:
        raise Invalid("InvalidSettings", problems)
    return found


def policy(settings: Settings, tools_digest: str) -> Policy:
    """Return what of the settings the planner needs; `tools_digest` names the tools that are on the volume now."""
    return Policy(
        namespace=settings.namespace,
        image=settings.image,
        claim=settings.claim,
        tools=tools_digest,
        images=settings.images,
        image_pull_policy=settings.image_pull_policy,
        node=settings.node,
        first_retry=settings.first_retry,
        start_grace=settings.start_grace,
        schedule_grace=settings.schedule_grace,
        install_limit=settings.install_limit,
        install_memory_mb=settings.install_memory >> 20,
        default_requests=settings.default_requests,
        default_limits=settings.default_limits,
        install_space=settings.install_space,
        scratch_limit=settings.scratch_limit,
        log_cap=settings.log_cap,
        service_account=settings.service_account,
        trigger_image=settings.trigger_image,
        trigger_account=settings.trigger_service_account,
        wake=settings.wake,
        ingress=IngressPolicy(
            class_name=settings.ingress_class,
            host=settings.ingress_host,
            tls_secret=settings.ingress_tls_secret,
            annotations=settings.ingress_annotations,
            path=settings.ingress_path,
            path_type=settings.ingress_path_type,
        ),
    )
