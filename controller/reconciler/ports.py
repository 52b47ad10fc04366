"""What the reconciler needs from the edge. Errors of every method: those of core/errors.py, and no others."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Protocol

from controller.core.changes import StageKind
from controller.core.model import Attempt, GitCredentials, Object, ProjectTree, Unread
from controller.core.notices import Letter


class Cluster(Protocol):
    """One namespace of the API server itself; what its watches have brought is in `View`."""

    def get(self, kind: str, name: str) -> Object | None:
        """Read one object from the API server itself; None if there is none."""

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        """List the pods of one Job from the API server itself."""

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where a living object has the name; Refused, NotYet, Transient."""

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced; metadata.uid is in the manifest. Raises Conflict where the uid is another."""

    def replace(self, manifest: Object) -> Object:
        """Update with metadata.resourceVersion as the precondition. Raises Conflict where it has moved on."""

    def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete with propagationPolicy Background and the uid as precondition; nothing if it is gone."""


class Source(Protocol):
    """Git."""

    def resolve(
        self, repository: str, ref: str, credentials: GitCredentials | None = None, since: float | None = None
    ) -> str:
        """Return the full commit that `ref` ("" for HEAD) names on the remote. Raises Invalid, NotYet, Transient.

        None: now. Else at `since` (by time.monotonic) or later, if somebody with these credentials has asked since.
        """

    def published(self, repository: str, commit: str) -> bool:
        """Return whether the checkout of `commit` is on the volume, complete. Raises Invalid, Transient."""

    def publish(self, repository: str, commit: str, credentials: GitCredentials | None = None) -> None:
        """Put the checkout of `commit` on the volume, complete. Raises Invalid, NotYet, Transient."""

    def read(self, repository: str, commit: str, path: str) -> ProjectTree:
        """Return what the core reads of the project in folder `path` of a published checkout. Raises Invalid."""

    def extend(self, repository: str, commit: str, tree: ProjectTree, wanted: Unread) -> ProjectTree:
        """Return the tree with what else is wanted of its files; each is there then, or its fault is."""

    def contents(self, repository: str, commit: str, path: str) -> Mapping[str, str]:
        """Return what tells the content of each file below the project from any other, by the file's path."""

    def fingerprint(self, repository: str, commit: str, path: str, names: Iterable[str]) -> str:
        """Return a digest of the content of files and folders below the project: equal for equal content."""

    def last_change(
        self,
        repository: str,
        commit: str,
        path: str,
        files: Sequence[str],
        meaning: Callable[[Mapping[str, bytes]], Hashable],
    ) -> str:
        """Return the day since which these files of the project mean what they mean, "" where that is no day."""


class Volume(Protocol):
    """The shared volume; paths are those of core/layout.py."""

    def prepare(self, folders: Iterable[PurePosixPath]) -> None:
        """Make these folders, group-writable."""

    def read_document(self, path: PurePosixPath) -> str:
        """Return the text of a document where nobody else writes, "" if there is none."""

    def environment(self, key: str) -> str:
        """Return the folder that an environment of this key is in, or is built in; it is in use now."""

    def has_environment(self, folder: str) -> bool:
        """Return whether an environment is published, and whole."""

    def is_uncompiled(self, folder: str) -> bool:
        """Return whether modules of a published environment are not compiled."""

    def made_environment(self, folder: str) -> bool:
        """Return whether a build has made it, whole."""

    def publish_environment(self, folder: str) -> None:
        """Move what a build has made to where stages find it; one that is there and whole stays."""

    def packages(self, folder: str) -> str:
        """Return what an environment holds, a line NAME==VERSION for each package; "" where it is not there."""

    def retire_environment(self, folder: str) -> None:
        """Let the next run build this environment again: its Python is no longer the image's."""

    def keep_text(self, path: PurePosixPath, text: str) -> None:
        """Write a small file, atomically."""

    def recall_text(self, path: PurePosixPath) -> str:
        """Return a small file of ours, "" if there is none."""

    def room(self) -> str:
        """Return how much of it is free, in words; "" where nobody knows."""

    def inherit(self, source: PurePosixPath, target: PurePosixPath, *, needed: bool = False) -> None:
        """Make `target` a copy of the folder `source`, unless it is there, or `source` is gone.

        Raises Invalid where it is gone and `needed`, or where a stage left what can't be read; NotYet where it takes
        longer.
        """

    def adopt(self, source: PurePosixPath, copy: PurePosixPath, target: PurePosixPath) -> None:
        """Move what `inherit` made of `source`, or makes now, to `target`, unless something is there."""

    def attempts(self, folder: PurePosixPath, indexes: int = 0) -> Sequence[Attempt]:
        """Return the attempts that left something in a stage's log folder, the oldest first; of each of its indexes."""

    def last_attempts(self, folder: PurePosixPath, indexes: int) -> Mapping[int, Attempt]:
        """Return the newest attempt of each index of a parallel stage that left something."""

    def last_attempt(self, folder: PurePosixPath) -> Attempt | None:
        """Return the newest of them: a stage can leave any number."""

    def newest_run(self, name: str, uid: str, after: int) -> int:
        """Return the number of the request's newest run that has left logs, `after` if it is not newer than that."""

    def runs(self, name: str, uid: str) -> Sequence[int]:
        """Return the request's runs that have a folder, newest first."""

    def keep_only(self, name: str, uid: str, runs: frozenset[int]) -> None:
        """Remove the request's other runs, but for those that are newer than these."""

    def forget(self, name: str, *, living: str = "") -> None:
        """Remove the folders of all requests of this name but the one whose uid is `living`."""


class Metrics(Protocol):
    """The counters of the reconciler. Times are seconds, None where nobody knows."""

    def run_began(self, waited: float) -> None:
        """Note how long a run that has begun was waited for."""

    def run_ended(self, outcome: str, lasted: float | None) -> None:
        """Count a run by its outcome: Succeeded, Failed, Cancelled; Invalid or Refused where none came of it."""

    def failed(self, reason: str) -> None:
        """Count a run that failed, or that none came of, by the reason."""

    def stage_ended(self, kind: StageKind, state: str, lasted: float | None) -> None:
        """Count a stage or environment by the state that it ended in."""

    def script_began(self, kind: StageKind, waited: float | None) -> None:
        """Note how long it took from the opening of a stage's step to the first moment of its script."""

    def attempt_ended(self, kind: StageKind, outcome: str) -> None:
        """Count an attempt: succeeded, failed or stopped."""

    def retried(self, reason: str) -> None:
        """Count an attempt that another one followed, by the reason that it failed for."""

    def redacted(self, count: int) -> None:
        """Count values of secrets that launchers have blanked in what stages wrote."""


class Messenger(Protocol):
    """Sends letters, in threads of its own."""

    def send(self, letter: Letter) -> None:
        """Begin to send a letter, unless that has begun. Waits for nothing; its request is woken when it is over."""

    def letters(self, uid: str) -> Mapping[str, str | None]:
        """Return what came of the letters of a request, by key: None: nothing yet; "": it arrived; or a problem."""


class _Silent:
    """Sends nothing: on a laptop a run has no request that could ask for it."""

    def send(self, letter: Letter) -> None:
        """Do nothing."""

    def letters(self, uid: str) -> Mapping[str, str | None]:  # noqa: ARG002 (as the port has it)
        """Return that nothing was sent."""
        return {}


SILENT: Final = _Silent()


class Clock(Protocol):
    """The time now, aware."""

    def __call__(self) -> datetime:
        """Return the time."""
