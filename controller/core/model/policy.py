"""What the controller's settings mean for decisions and manifests."""

from dataclasses import dataclass
from typing import Final

INGRESS_PATH: Final = "/{namespace}/{service}"  # where an Ingress leads to a service from, by default


@dataclass(frozen=True, slots=True)
class IngressPolicy:
    """How an Ingress is made where a stage asks for one."""

    class_name: str = ""
    host: str = ""
    tls_secret: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    path: str = INGRESS_PATH  # "": stages are given none
    path_type: str = "ImplementationSpecific"  # as ingress-nginx reads it; "Prefix": as all controllers do


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of the settings that decisions and manifests need. Durations are seconds."""

    namespace: str
    image: str  # default stage image
    claim: str  # the shared volume's PersistentVolumeClaim
    tools: str  # digest of the published tools
    images: tuple[tuple[str, str], ...] = ()  # Python (like 3.9) and the image of stages that ask for it
    image_pull_policy: str = "IfNotPresent"
    node: str = ""  # place stages here (ReadWriteOnce); "": anywhere
    uid: int = 10001
    first_retry: int = 10  # of a batch stage: below 10 in the pod of the first failure, 10 is Kubernetes' own wait
    start_grace: int = 120  # a missing image or Secret
    schedule_grace: int = 1800  # no room, no quota, no volume
    install_limit: int = 900  # of building an environment
    install_space: int = 512 * 1024 * 1024  # bytes that have to be free on the volume before a build
    install_memory_mb: int = 512  # that a build asks for
    default_requests: tuple[tuple[str, str], ...] = ()  # resource and amount, for containers that name none
    default_limits: tuple[tuple[str, str], ...] = ()
    scratch_limit: int = 10 * 1024 * 1024 * 1024  # bytes of a stage's private disk: its copy of the project, its HOME
    version: str = ""  # of the controller
    platform: str = ""  # what the Python depends on besides the image; on a laptop, the interpreter
    log_cap: int = 64 * 1024 * 1024  # bytes of one attempt's log
    grace_period: int = 30
    service_account: str = "coachwork-stage"
    trigger_image: str = ""  # of the pods that a schedule starts: one with `coachwork` in it; "": `image`
    trigger_account: str = "coachwork-trigger"
    wake: str = ""  # HOST:PORT of the controller's port, as pods reach it; "": they call nobody
    ingress: IngressPolicy = IngressPolicy()
