"""The nouns: frozen values that the rest of the core computes with. No behaviour beyond trivial properties."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object exactly as the API gives or takes it."""

# --- what the user asks for -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One labelled ConfigMap, parsed. Durations are seconds."""

    name: str
    uid: str
    repository: str
    ref: str = ""  # "": the remote's HEAD
    path: str = "."
    run_on_create: bool = True
    deadline: int | None = None
    keep_runs: int = 5
    suspend: bool = False
    image: str = ""  # "": the controller's default stage image
    project_name: str = ""  # "": the project's own
    env: tuple[tuple[str, str], ...] = ()
    trigger: str = ""  # annotation coachwork.io/trigger
    cancel: str = ""  # annotation coachwork.io/cancel
    resume: str = ""  # the stage that the trigger's run begins with: annotation coachwork.io/from
    only: str = ""  # the one stage of the trigger's run: annotation coachwork.io/only
    git_secret: str = ""
    index_secret: str = ""
    schedule: str = ""  # five fields of cron, or @daily and the like
    time_zone: str = ""
    poll: int | None = None
    on_overlap: Literal["queue", "replace", "skip"] = "queue"
    pod_template: str = ""  # the ConfigMap that holds pod.yaml
    notify_secret: str = ""  # the Secret with the address to notify of runs
    parameters: tuple[tuple[str, str], ...] = ()  # of the trigger's run alone: annotation coachwork.io/set
    rerun: int = 0  # the run that the trigger's run repeats: annotation coachwork.io/rerun
    whole: bool = False  # the trigger's run reuses nothing: annotation coachwork.io/all
    wrong: tuple[str, ...] = ()  # with the annotations: the trigger is refused, the request is not invalid


@dataclass(frozen=True, slots=True, repr=False)
class GitCredentials:
    """What opens a private repository: a name and a password (or token), or a key with the hosts that are known."""

    username: str = ""
    password: str = ""
    private_key: str = ""
    known_hosts: str = ""
    authority: str = ""  # PEM: certificates that HTTPS servers may be signed by, in addition to the system's


@dataclass(frozen=True, slots=True)
class Resources:
    """What a stage's container asks for. CPU in cores, memory in MiB; None: not set."""

    cpu_request: float | None = None
    memory_request_mb: int | None = None
    cpu_limit: float | None = None
    memory_limit_mb: int | None = None
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """The key `key` of the Kubernetes Secret `secret` becomes the environment variable `variable`."""

    variable: str
    secret: str
    key: str
    optional: bool = False  # without it the variable is not set, and nothing waits for it


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one of a stage's numbers has to be for a run to go on: `text` is the limit as it is written.

    It is `number`, or what the last good run had, changed by it as `change` says.
    """

    name: str
    operator: str  # >= > <= < ==
    text: str
    number: float
    change: Literal["", "*", "+", "-"] = ""


@dataclass(frozen=True, slots=True)
class Parallel:
    """A batch stage that runs as `count` indexes, from 0, each with a pod, attempts and logs of its own."""

    count: int
    each: tuple[tuple[str, tuple[str, ...]], ...] = ()  # variables with their values; `count` is all combinations
    at_once: int = 0  # of them, at most
    peers: bool = False  # all at once, and they find each other by name

    def values(self, index: int) -> tuple[tuple[str, str], ...]:
        """Return the variables of one index with their values; the last varies fastest."""
        found = []
        for name, values in reversed(self.each):
            index, at = divmod(index, len(values))
            found.append((name, values[at]))
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs to its end. `retries` attempts follow a failing one; the limit is the script's own time in seconds."""

    max_completion_seconds: int = 60
    retries: int = 2
    require: tuple[Comparison, ...] = ()  # that its numbers hold, or it fails
    parallel: Parallel | None = None  # None: it runs once


TARGET_CPU_PERCENT: Final = 80


@dataclass(frozen=True, slots=True)
class Service:
    """Runs until replaced and answers on `port`; `max_startup_seconds` until it first does."""

    port: int
    max_startup_seconds: int = 60
    replicas: int = 1
    ingress: bool = False
    readiness_path: str = ""  # "": an open port is enough
    max_replicas: int = 0  # more than `replicas`: an autoscaler has as many pods as the load wants, up to so many
    target_cpu_percent: int = TARGET_CPU_PERCENT  # of the CPU that its pods request

    @property
    def scales(self) -> bool:
        """Whether an autoscaler owns the number of pods."""
        return self.max_replicas > self.replicas

    @property
    def several(self) -> bool:
        """Whether it may have two pods or more."""
        return max(self.replicas, self.max_replicas) > 1


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `folder` is a POSIX path below the project ("." for its root), `script` one below the folder."""

    name: str
    folder: str
    script: str
    work: Batch | Service
    args: tuple[str, ...] = ()
    requirements_file: str = ""  # below the project; "": none
    requirements: tuple[str, ...] = ()  # lines; from the file, or written in bodywork.yaml
    resources: Resources = Resources()
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[Secret, ...] = ()
    python: str = ""  # like 3.9; "": the project's
    python_place: str = field(default="PYTHON", compare=False)  # where that is written, for sentences
    left_out: tuple[str, ...] = ()  # with REUSE: files and folders of the project that it does without

    @property
    def notebook(self) -> str:
        """Return the path of its script below the project if that is a notebook, else ""."""
        return str(PurePosixPath(self.folder, self.script)) if self.script.endswith(NOTEBOOK) else ""


NOTEBOOK = ".ipynb"
AS_OF_COMMIT = "commit"
STAGES_SHOWN = 3  # of those that share an environment, behind its name
"""Packages as of the day on which a stage's requirements last changed."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A project at one commit: its stages by name, and the order of their steps."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    stages: Mapping[str, Stage]
    image: str = ""  # "": the request's or the controller's
    python: str = ""  # like 3.9; "": that of the image
    python_place: str = field(default="PYTHON of the project", compare=False)  # as for a stage
    bodywork_image: str = ""  # Bodywork's own image, as the project names it; it only decides on the Python
    is_yaml: bool = False  # keys are in lower case; services answer to http://STAGE:PORT too, where the name is free
    resolve_as_of: str = ""  # RFC 3339 day: packages as they were then; AS_OF_COMMIT; "": now
    run_on_failure: str = ""  # the stage that runs when a run has failed; in no step
    reuse: bool = False  # first stages whose inputs have not changed are taken from the last good run
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """What a Python file says of itself before it runs; all empty where nothing is known."""

    fault: str = ""  # why the controller's own Python does not compile it: IndentationError: unexpected indent
    needs: str = ""  # the oldest Python that takes it, 3.10; "": every one that stages may have
    needed_for: str = ""  # what the one before that says
    line: int = 0  # of `fault`, else of `needed_for`
    imports: tuple[str, ...] = ()  # a.b, .b: at its top level, on all ways through it


@dataclass(frozen=True, slots=True)
class ProjectTree:
    """What of a checkout the core reads: names of all files below the project, and the text of those it parses."""

    digest: str  # Git's id of the project's tree
    files: frozenset[str]  # POSIX, below the project
    texts: Mapping[str, bytes]  # of the files that were asked for so far
    faults: Mapping[str, str] = field(default_factory=dict)  # why a file can't be read: leaves the checkout, too large
    warnings: tuple[str, ...] = ()  # links that lead nowhere, Git LFS pointers and other things that are no error yet
    path: str = "."  # of the project in its repository
    modules: Mapping[str, Module] = field(default_factory=dict)  # of the Python files that were asked for so far


@dataclass(frozen=True, slots=True)
class Unread:
    """Files that the core has to know before it can judge a project: their texts, or what they are as modules."""

    texts: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.texts or self.modules)


# --- what the cluster holds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Children:
    """All objects of one request as the watch caches hold them now. `synced` lists only; never half a view."""

    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    deployments: Sequence[Object] = ()
    services: Sequence[Object] = ()
    ingresses: Sequence[Object] = ()
    autoscalers: Sequence[Object] = ()
    budgets: Sequence[Object] = ()
    events: Sequence[Object] = ()  # Warning events about the jobs and pods above
    cronjobs: Sequence[Object] = ()


# --- what is recorded ---------------------------------------------------------------------------

LATER: Final = {"later": True}
"""Metadata of a field that 0.1.0 did not have: it is written where it says something, so no upgrade writes records."""

Phase: TypeAlias = Literal[
    "Pending", "Queued", "Running", "Ready", "Degraded", "Failed", "Invalid", "Suspended", "Cancelled", "Blocked"
]
StageState: TypeAlias = Literal["Waiting", "Running", "Done", "Unchanged", "Reused", "Failed", "Stopped", "Skipped"]
PROGRESS: Final = "IndexesRunning"  # the reason of a parallel stage that runs: its message says how far it is
STARTING: Final = "Starting"  # the reason of a stage whose pod does not run yet, though nothing keeps it from that


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is as it is: a CamelCase reason and one line with the place, the cause and the remedy."""

    reason: str
    message: str
    foreign: bool = field(default=False, compare=False)  # a launcher's words: what they quote is nobody's key


Unknown: TypeAlias = Mapping[str, Any]
"""What a newer version has added to what is known: kept, and written back."""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the recorded run. Times are RFC 3339 in UTC, empty where unknown."""

    state: StageState = "Waiting"
    reason: str = ""
    message: str = ""
    started: str = ""
    finished: str = ""
    attempts: int = 0
    image: str = ""  # as the node reported it, with its digest
    waiting_since: str = ""  # first seen unable to start
    waiting_for: str = ""  # which grace that gets: start or schedule
    objects: tuple[str, ...] = ()  # "Job/iris-train-7"
    indexes: int = field(default=0, metadata=LATER)  # of a parallel stage; 0: it runs once
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)  # the numbers that it left
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class GitSource:
    """A requirement that is a Git repository: its address as the requirement writes it, and what it was resolved to."""

    address: str
    repository: str
    commit: str
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """One distinct environment of a run, as it was decided at the run's start."""

    name: str  # by which it is shown, as a stage is: environment, environment-2
    folder: str  # below environments/ and builds/: its key, and a number where an earlier one went out of date
    stages: tuple[str, ...]  # that use it
    sources: tuple[GitSource, ...] = ()
    stale: str = ""  # uid of a failed build's Job from before the run, which is to be ignored
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run was started with: it, and not the request as it is by now, decides what the run does."""

    repository: str
    commit: str
    path: str
    tree: str
    image: str  # resolved default stage image
    project_name: str = ""
    env: tuple[tuple[str, str], ...] = ()
    deadline: int | None = None
    trigger: str = ""  # the annotation's value, or "" for a start by creation or change
    cause: str = ""  # Created, Changed, Triggered, Polled
    base: int = 0  # the run whose artifacts this one begins with; 0: none
    environments: tuple[Environment, ...] = ()
    index_secret: str = ""  # the Secret with the settings of package indexes, for environment builds only
    index_keys: tuple[str, ...] = ()  # its keys that count
    secrets: tuple[tuple[str, str], ...] = ()  # the stages' Secrets, with their versions when the first step opened
    parameters: tuple[tuple[str, str], ...] = ()  # of this run alone: over `env`, below secrets
    rerun: int = 0  # the run that this one repeats; 0: none
    pod_template: str = ""  # merged under its pods: canonical JSON (core/inputs/podtemplate), "": none
    images: tuple[tuple[str, str], ...] = ()  # of stages that run in another image than the default one
    taken: tuple[str, ...] = ()  # short names of its services that others hold
    part: tuple[str, ...] = ()  # the stages that a run of a part of the project starts; (): all
    steps: tuple[tuple[str, ...], ...] = field(default=(), metadata=LATER)  # of the project; (): 0.1.0 began the run
    services: tuple[str, ...] = field(default=(), metadata=LATER)  # the stages among them that serve
    on_failure: str = field(default="", metadata=LATER)  # the stage that runs when the run has failed; in no step
    reuse: tuple[tuple[str, str], ...] = field(default=(), metadata=LATER)  # with REUSE: why each stage runs, or not
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PastRun:
    """One line of the history."""

    run: int = 0  # 0: no run was made of it
    outcome: str = ""  # Succeeded, Failed, Cancelled, Superseded, Skipped, Refused, Invalid
    commit: str = ""
    trigger: str = ""
    reason: str = ""
    message: str = ""
    started: str = ""
    finished: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)  # some of each stage
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run will end badly, while its failure stage still runs; `stage` is "" where no stage is to blame."""

    stage: str
    reason: str
    message: str
    unknown: Unknown = field(default_factory=dict, hash=False)


NoticeEvent: TypeAlias = Literal["Failed", "RolledBack", "Recovered"]


@dataclass(frozen=True, slots=True)
class Notice:
    """That people are to be notified of a run of the history, and what came of it so far."""

    run: int
    event: NoticeEvent
    tries: int = 0  # that failed
    due: str = ""  # when the next one is
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Record:
    """The state of one request, kept in NAME-status and, as a copy, on the volume."""

    request_uid: str
    phase: Phase = "Pending"
    reason: str = ""
    message: str = ""
    problems: tuple[str, ...] = ()
    run: int = 0
    step: int = 0  # the open step of the run, from 1; 0: none
    spec: RunSpec | None = None  # of run `run`
    ref: str = ""
    started: str = ""
    finished: str = ""  # empty while the run is active
    stages: Mapping[str, StageRecord] = field(default_factory=dict)
    handled: tuple[str, ...] = ()  # the last 50 triggers, newest last
    queued: str = ""  # a trigger that waits behind the active run
    finished_trigger: str = ""
    request_digest: str = ""
    release_run: int = 0
    release_commit: str = ""
    release_numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    """By stage: the numbers of the last good run that ran it."""
    history: tuple[PastRun, ...] = ()  # newest first
    failure: Failure | None = None  # of the active run
    pending_since: str = ""  # since when a run that is asked for can't begin, for the reason that is shown
    poll_commit: str = ""  # what `ref` was when it was last handled: by a run, or by doing nothing
    poll_problem: str = ""  # why the last look at `ref` found nothing; it disturbs nothing else
    schedule_problem: str = ""  # why the CronJob is not as it should be
    notices: tuple[Notice, ...] = ()  # that have not arrived yet, oldest first
    notify_problem: str = ""  # why the last one did not arrive
    unknown: Unknown = field(default_factory=dict, hash=False)

    @property
    def active(self) -> bool:
        """Return whether a run is active."""
        return self.spec is not None and not self.finished

    @property
    def measured(self) -> Mapping[str, Mapping[str, float]]:
        """The numbers of the run's stages, by those that left any."""
        return {name: stage.metrics for name, stage in self.stages.items() if stage.metrics}

    def why(self, name: str) -> str:
        """Return why a stage of the run was reused or was not, "" where nothing was to be (REUSE)."""
        return dict(self.spec.reuse).get(name, "") if self.spec else ""

    def title(self, name: str) -> str:
        """Return what people read of a stage or an environment: of several environments also whose each is."""
        environments = self.spec.environments if self.spec else ()
        return titled(name, next((item.stages for item in environments if item.name == name), ()), len(environments))


def titled(name: str, stages: Sequence[str], environments: int) -> str:
    """Return the name of one of so many environments with the stages that use it, where it is not the only one."""
    more = [f"{len(stages) - STAGES_SHOWN} more"] if len(stages) > STAGES_SHOWN else []
    return f"{name} ({', '.join([*stages[:STAGES_SHOWN], *more])})" if stages and environments > 1 else name


def serves(objects: Iterable[str]) -> bool:
    """Return whether the objects of a stage, as its record names them, are those of a service."""
    return any(item.startswith("Deployment/") for item in objects)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a stage, as its log folder shows it."""

    number: int
    ended: bool
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    started: str = ""
    finished: str = ""
    script: str = ""  # when the script's process started, RFC 3339 in UTC with milliseconds
    redacted: int = field(default=0, metadata=LATER)  # values of secrets that were blanked in its log
    index: int | None = None  # of a parallel stage
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)  # the numbers that it left
    unknown: Unknown = field(default_factory=dict, hash=False)


# --- what the controller's settings mean for the planner -------------------------------------------


INGRESS_PATH = "/{namespace}/{service}"  # where an Ingress leads to a service from, unless a setting says otherwise


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
    first_retry: int = (
        10  # until the first retry of a batch stage; below 10 in the same pod, 10 is Kubernetes' own wait
    )
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
