"""What the page is shown of: a place with its requests as they stand, and of what their runs left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from controller.core.archive import Content, Extract, Listing
from controller.core.documents import codec
from controller.core.documents import release as releases
from controller.core.documents import status as statuses
from controller.core.documents.progress import Report
from controller.core.documents.status import Brief
from controller.core.model import Object, Record


class LiveRequest:
    """One request as it stands; what it is made of is read when it is first asked for, in threads only.

    The same `version` means the same content: what was made of it need not be made again.
    """

    def __init__(self, name: str, version: int, read: Callable[[], Sequence[Object]]) -> None:
        """`read` returns the ConfigMaps of the request, its record and its release, {} for none. Raises Transient."""
        self.name, self.version, self._read = name, version, read

    @cached_property
    def _content(self) -> Sequence[Object]:
        return self._read()

    @property
    def config_map(self) -> Object:
        """The request's ConfigMap."""
        return self._content[0]

    @property
    def uid(self) -> str:
        """The uid of the request, "" where it is gone."""
        return str(self.config_map.get("metadata", {}).get("uid", ""))

    @property
    def _status(self) -> Mapping[str, str]:
        return self._content[1].get("data") or {}

    @property
    def brief(self) -> Brief | None:
        """The record in brief, None where there is none yet: to list many requests at once."""
        return statuses.brief(self._status, self.uid)

    @property
    def release(self) -> Sequence[Object]:
        """The service objects of the request's release."""
        return codec.good(releases.read(self._content[2].get("data") or {}, self.name)) or ()

    @cached_property
    def record(self) -> Record:
        """The request's record."""
        return codec.view(statuses.read(self._status, self.uid)) or Record(self.uid)


class Live(Protocol):
    """The requests of a place as they stand. All but `wait` are called in threads, and raise Transient."""

    def requests(self) -> Sequence[LiveRequest]:
        """Return all requests, by name; costs little until one of them is looked into."""

    def request(self, name: str) -> LiveRequest | None:
        """Return one request, None where there is none of that name."""

    def version(self, name: str = "") -> int:
        """Return what grows with every change of this request, or of any."""

    async def wait(self, name: str, version: int, seconds: float) -> int:
        """Wait on the event loop, so many seconds at most, until the version is another one; return it."""


class RunArchive(Protocol):
    """What is read of kept runs. Each method raises NoAnswer and Transient."""

    def runs(self, name: str) -> Sequence[Mapping[str, object]]:
        """Return the record of each kept run, newest first."""

    def numbers(self, name: str) -> Sequence[int]:
        """Return the numbers of the kept runs, newest first."""

    def run(self, name: str, run: str) -> Mapping[str, object]:
        """Return the record of one run: a number, latest or good."""

    def progress(self, name: str) -> Report:
        """Return what stages and environments of the active run are at before their scripts run."""

    def logs(self, name: str, run: str = "") -> Sequence[Mapping[str, object]]:
        """Return all attempts of all stages of a run; "": the latest."""

    def log(self, name: str, stage: str, *, run: str, attempt: int, extract: Extract, follow: bool) -> Content:
        """Return one log; run "", attempt 0: the newest."""

    def artifacts(self, name: str, run: str = "") -> Listing:
        """Return the artifacts of a run; "": the last good one."""

    def artifact(self, name: str, run: str, path: Sequence[str], *, tar: bool) -> Content:
        """Return one file of a run's artifacts, or a folder of them as an archive."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place that a page shows."""

    live: Live
    archive: RunArchive
    namespace: str
    place: Literal["pod", "laptop"]
    version: str
    examine: Callable[[], Mapping[str, object]] = field(default=dict)
