"""What is recorded of a request and its runs, and what attempts leave behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

LATER: Final = {"later": True}
"""Metadata of a field that 0.1.0 did not have: it is written where it says something, so no upgrade writes records."""

Phase: TypeAlias = Literal[
    "Pending", "Queued", "Running", "Ready", "Degraded", "Failed", "Invalid", "Suspended", "Cancelled", "Blocked"
]
StageState: TypeAlias = Literal["Waiting", "Running", "Done", "Unchanged", "Reused", "Failed", "Stopped", "Skipped"]
SUCCEEDED: Final[tuple[StageState, ...]] = ("Done", "Unchanged", "Reused")
PASSABLE: Final[tuple[StageState, ...]] = (*SUCCEEDED, "Skipped")  # of all stages of a step: the next one opens
ENDED: Final[tuple[StageState, ...]] = (*PASSABLE, "Failed", "Stopped")
IN_NEED: Final[tuple[Phase, ...]] = ("Failed", "Invalid", "Blocked", "Degraded")  # somebody should look at the request
PROGRESS: Final = "IndexesRunning"  # the reason of a parallel stage that runs: its message says how far it is
STARTING: Final = "Starting"  # the reason of a stage whose pod does not run yet, though nothing keeps it from that
STAGES_SHOWN: Final = 3  # of those that share an environment, behind its name


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
        """Return the numbers of the run's stages, by those that left any."""
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
