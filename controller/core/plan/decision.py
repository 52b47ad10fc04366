"""What the planner is told, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from controller.core.facts import DeploymentFact, JobFact
from controller.core.model import Cause, Object, Record

NO_STAGE = ""  # an action's or refusal's stage where it is the release that is written


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused an action of this very pass."""

    stage: str | None  # None: a deletion, which no stage waits for
    cause: Cause
    final: bool  # a 403 (quota, rights) can change and gets the grace of what can't be scheduled; the rest can't


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything of one request's objects, from lists that have all synced. Facts go by the object's name."""

    jobs: Mapping[str, JobFact] = field(default_factory=dict)
    deployments: Mapping[str, DeploymentFact] = field(default_factory=dict)
    others: Mapping[tuple[str, str], Object] = field(default_factory=dict)  # Service, Ingress by (kind, name)
    release: Object | None = None
    cronjob: Object | None = None  # of the request's name, whoever owns it
    ended: Mapping[str, Cause | None] = field(default_factory=dict)
    """Stages of the open step whose Job is really gone, by what their log folder says: None: ended well; a cause: ran
    and did not end well, or nobody knows. A stage that is not here and has no Job never started."""
    refusals: tuple[Refusal, ...] = ()


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
class Delete:
    """Delete one object by kind, name and uid."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event on the request. `key` makes its name: the same key is the same news."""

    key: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action: TypeAlias = Create | Apply | Delete | Emit


@dataclass(frozen=True, slots=True)
class Decision:
    """The record first, then the actions in their order; then look again after so many seconds (None: when told)."""

    record: Record
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    outcome: str = ""  # set in the pass that ends a run
