"""What the planner is told, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from controller.core.facts import DeploymentFact, Drift, JobFact
from controller.core.model import Cause, Object, Record

Key: TypeAlias = tuple[str, str]
"""Kind and name of an object."""

NO_STAGE = ""  # an action's or refusal's stage where it is the release that is written


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused an action of this very pass."""

    stage: str | None  # None: a deletion, which no stage waits for
    cause: Cause
    final: bool  # a 403 (quota, rights) can change and gets the grace of what can't be scheduled; the rest can't
    about: Key | None = None  # the object that could not be written


@dataclass(frozen=True, slots=True)
class Build:
    """An environment that an active run wants, as the volume and the cluster have it."""

    ready: bool = False  # published
    made: bool = False  # complete, but not published yet
    job: JobFact | None = None
    lingering: bool = False  # there is no Job, but a pod of one that has not ended


@dataclass(frozen=True, slots=True)
class Missing:
    """A Secret, or a key of one, that stages want and that is not there; the line has the remedy."""

    stages: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything of one request's objects, from lists that have all synced. Facts go by the object's name."""

    jobs: Mapping[str, JobFact] = field(default_factory=dict)
    deployments: Mapping[str, DeploymentFact] = field(default_factory=dict)
    serving: Mapping[Key, Object] = field(default_factory=dict)
    """Deployments, Services and Ingresses."""
    drift: Mapping[Key, Drift] = field(default_factory=dict)  # of these, what somebody has changed
    release: Object | None = None
    cronjob: Object | None = None  # of the request's name, whoever owns it
    ended: Mapping[str, Cause | None] = field(default_factory=dict)
    """Stages of the open step whose Job is really gone, by what their log folder says: None: ended well; a cause: ran
    and did not end well, or nobody knows. A stage that is not here and has no Job never started."""
    refusals: tuple[Refusal, ...] = ()
    builds: Mapping[str, Build] = field(default_factory=dict)  # by the environment's folder; of an active run
    missing: tuple[Missing, ...] = ()  # before the first step is open
    secrets: tuple[tuple[str, str], ...] = ()  # Secrets of the stages with their versions; before the first step


@dataclass(frozen=True, slots=True)
class Create:
    """Create `manifest` for `stage`; the folders must be on the volume before."""

    manifest: Object
    stage: str
    folders: tuple[PurePosixPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply `manifest` (its uid is in it) for `stage`."""

    manifest: Object
    stage: str
    folders: tuple[PurePosixPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Restore:
    """Put back what somebody has changed of an object that was applied as `manifest`."""

    manifest: Object
    stage: str
    folders: tuple[PurePosixPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object by kind, name and uid."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Move a finished environment from its build's folder to where stages find it; one that is there stays."""

    folder: str


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event on the request. `key` makes its name: the same key is the same news."""

    key: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action: TypeAlias = Create | Apply | Restore | Delete | Publish | Emit


@dataclass(frozen=True, slots=True)
class Decision:
    """The record first, then the actions in their order; then look again after so many seconds (None: when told)."""

    record: Record
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    outcome: str = ""  # set in the pass that ends a run
    not_begun: tuple[str, ...] = ()  # outcomes of what came to no run in this pass
