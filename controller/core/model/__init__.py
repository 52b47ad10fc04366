"""The nouns: frozen values that the rest of the core computes with. No behaviour beyond trivial properties."""

from controller.core.model.objects import Children, Object
from controller.core.model.policy import INGRESS_PATH, IngressPolicy, Policy
from controller.core.model.project import (
    AS_OF_COMMIT,
    NOTEBOOK,
    TARGET_CPU_PERCENT,
    Batch,
    Comparison,
    Module,
    Parallel,
    Pipeline,
    ProjectTree,
    Resources,
    Secret,
    Service,
    Stage,
    Unread,
)
from controller.core.model.record import (
    ENDED,
    IN_NEED,
    LATER,
    PASSABLE,
    PROGRESS,
    STARTING,
    SUCCEEDED,
    Attempt,
    Cause,
    Environment,
    Failure,
    GitSource,
    Notice,
    NoticeEvent,
    PastRun,
    Phase,
    Record,
    RunSpec,
    StageRecord,
    StageState,
    Unknown,
    serves,
    titled,
)
from controller.core.model.request import GitCredentials, Request

__all__ = [
    "AS_OF_COMMIT", "ENDED", "INGRESS_PATH", "IN_NEED", "LATER", "NOTEBOOK", "PASSABLE", "PROGRESS", "STARTING",
    "SUCCEEDED", "TARGET_CPU_PERCENT", "Attempt", "Batch", "Cause", "Children", "Comparison", "Environment",
    "Failure", "GitCredentials", "GitSource", "IngressPolicy", "Module", "Notice", "NoticeEvent", "Object",
    "Parallel", "PastRun", "Phase", "Pipeline", "Policy", "ProjectTree", "Record", "Request", "Resources", "RunSpec",
    "Secret", "Service", "Stage", "StageRecord", "StageState", "Unknown", "Unread", "serves", "titled",
]  # fmt: skip
