"""Pipeline + run -> Job, Deployment, Service and the like; request -> CronJob: the exact objects that are applied.

Every name, label and value follows from the arguments, so that any pass of any controller makes the same objects. Each
object carries a digest of what it was made from: equal digests mean that nothing it depends on has changed.
"""

from controller.core.manifests.build import build
from controller.core.manifests.context import RunContext
from controller.core.manifests.cronjob import cronjob
from controller.core.manifests.objects import (
    AUTOSCALER,
    deployment,
    event,
    folders_of,
    job,
    peers,
    release,
    release_objects,
    service_objects,
    stage_objects,
    with_uid,
)

__all__ = [
    "AUTOSCALER",
    "RunContext",
    "build",
    "cronjob",
    "deployment",
    "event",
    "folders_of",
    "job",
    "peers",
    "release",
    "release_objects",
    "service_objects",
    "stage_objects",
    "with_uid",
]
