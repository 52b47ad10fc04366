"""One request, top to bottom: observe, plan, record, act. Owns the Protocols of what it needs from the edge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from controller.core.model import Children, Object, ProjectTree


class Cluster(Protocol):
    """The API server, one namespace of it. Reads named `cached_*` come from the watch caches and never block."""

    def cached_request(self, name: str) -> Object | None:
        """Give the request's ConfigMap (label coachwork.io/role=request)."""

    def cached_status(self, name: str) -> Object | None:
        """Give the ConfigMap NAME-status."""

    def cached_release(self, name: str) -> Object | None:
        """Give the ConfigMap NAME-release."""

    def cached_children(self, name: str) -> Children:
        """Give everything labelled coachwork.io/request=NAME."""

    def get(self, kind: str, name: str) -> Object | None:
        """Read one object from the API server itself; None if there is none."""

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """List the pods of one Job from the API server itself."""

    def create(self, manifest: Object) -> Object:
        """Create. Raises Refused, Transient; `AlreadyExists` where the name is taken."""

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced; `manifest` carries metadata.uid where the object should exist already."""

    def replace(self, manifest: Object) -> Object:
        """Update with metadata.resourceVersion as the precondition. Raises `Conflict` if it has moved on."""

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete with propagationPolicy Background and the uid as precondition; nothing if it is gone."""


class Source(Protocol):
    """Git."""

    def resolve(self, repository: str, ref: str) -> str:
        """Give the full commit that `ref` ("" for HEAD) names on the remote now. Raises Invalid, Transient."""

    def publish(self, repository: str, commit: str) -> None:
        """Have the checkout of `commit` on the volume, complete. Raises Invalid, Transient."""

    def read(self, repository: str, commit: str, path: str) -> ProjectTree:
        """Give what the core reads of the project in folder `path` of a published checkout. Raises Invalid."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a stage as its log folder tells it."""

    number: int
    ended: bool
    exit_code: int | None = None
    reason: str = ""
    message: str = ""


class Volume(Protocol):
    """The shared volume."""

    def prepare(self, folders: Iterable[PurePosixPath]) -> None:
        """Make these folders, group-writable."""

    def keep_record(self, path: PurePosixPath, data: Mapping[str, str]) -> None:
        """Write the record's copy, atomically."""

    def recall_record(self, path: PurePosixPath) -> Mapping[str, str] | None:
        """Give the record's copy, None if there is none."""

    def attempts(self, folder: PurePosixPath) -> Sequence[Attempt]:
        """Give the attempts that left something in a stage's log folder, oldest first."""
