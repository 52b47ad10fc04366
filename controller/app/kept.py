"""What runs of this machine have left, as the commands that show runs read it: they need no cluster for it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import quote, unquote, urlencode, urlsplit

import anyio
from anyio import to_thread

from controller.adapters import storage
from controller.adapters.pages import Page, Reader
from controller.adapters.volume import Archive
from controller.adapters.web.api import ROUTES, ReadApi, parse
from controller.adapters.web.ports import LiveRequest, Site
from controller.adapters.web.replies import Stream
from controller.app.lock import lock
from controller.core import layout, names, times
from controller.core.archive import Archived, NoAnswer
from controller.core.documents import status as statuses
from controller.core.errors import Invalid, NotFound
from controller.core.model import Object, PastRun, Record

NAMESPACE = "local"
_OWNER = re.compile(layout.OWNER)
LOOK = 0.5  # seconds between two looks at the records while a page is open
PAUSE = 0.2  # seconds between two looks at a log that is followed


class Kept(Reader):
    """The projects that ran on this machine, each a request. Of those of one name, the one that ran last."""

    namespace = NAMESPACE
    what = "project"
    place = "on this machine"
    remedy = "coachwork run makes one"

    def __init__(self, root: Path) -> None:
        self._root, self._uids = root, dict[str, str]()
        self._archive = Archive(root, lambda name: self._uids.get(name, ""))
        self._api = ReadApi(self._archive, dict)

    def choose(self, folder: Path) -> str:
        """Return the name of the project in this folder, and mean it by that name from now on. Raises NotFound."""
        item = self.find(folder)
        self.mean(item.name, item.uid)
        return item.name

    def mean(self, name: str, uid: str) -> None:
        """Mean the project of this uid by its name from now on, even if it has not run yet."""
        self._uids[name] = uid

    def find(self, folder: Path) -> Archived:
        """Return the project in this folder. Raises NotFound where it has not run."""
        for item in reversed(self._archive.requests()):
            if item.record and _folder(item.record) == folder.resolve():
                return item
        raise NotFound(f"{folder}: the project in this folder has not run here: coachwork run {folder}")

    def source(self, name: str) -> str:
        """Return what ran under this name, as a person writes it: a folder or a repository's address, "" if nothing."""
        record = found.record if (found := self.all().get(name)) else None
        if record is None or record.spec is None:
            return ""
        return str(_folder(record) or record.spec.repository)

    def all(self) -> Mapping[str, Archived]:
        """Return the requests by name."""
        found = self._archive.requests()
        return {item.name: item for item in found if self._uids.get(item.name, item.uid) == item.uid}

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def ready(self, patience: float = 0.0) -> None:
        """Do nothing: no controller has to run."""

    def get(self, name: str) -> Object | None:
        """Return a ConfigMap as a cluster would have it, None if nothing has run under the name."""
        items = (item for item in self.all().values() if name in (item.name, names.status_of(item.name)))
        pairs = (pair for item in items for pair in self.pair(item))
        return next((pair for pair in pairs if pair["metadata"]["name"] == name), None)

    def labelled(self, label: str, values: Sequence[str]) -> list[Object]:
        """Return the ConfigMaps with one of these values of a label."""
        pairs = (pair for item in self.all().values() for pair in self.pair(item))
        return [pair for pair in pairs if names.labels_of(pair).get(label) in values]

    def pair(self, item: Archived) -> tuple[Object, Object]:
        """Return a request and its record as a cluster would have them.

        A run that nobody carries on any more is shown as it was left.
        """
        record = item.record or Record(item.uid)
        folder = self._root / layout.request(item.name, item.uid)
        if record.active and (held := lock(folder)):
            held.close()
            record = _interrupted(record, _modified(self._root / layout.record(item.name, item.uid)) / 1e9)
        data = {"repository": record.spec.repository, "path": record.spec.path} if record.spec else {}
        about = {"name": item.name, "uid": item.uid, "labels": {names.ROLE: names.ROLE_REQUEST}}
        request = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}
        return request, statuses.manifest(item.name, item.uid, NAMESPACE, record)

    def written(self, name: str = "") -> int:
        """Return when a record of this name, or any, was last written (nanoseconds), 0 where there is none."""
        found = (_OWNER.fullmatch(path.name) for path in (self._root / layout.RUNS).glob("*"))
        owners = (match.groups() for match in found if match and name in ("", match[1]))
        return max((_modified(self._root / layout.record(*owner)) for owner in owners), default=0)

    def site(self) -> Site:
        """Return what a page shows of this machine."""
        return Site(_Watched(self), self._archive, NAMESPACE, "laptop", metadata.version("coachwork"))

    def page(
        self,
        *parts: str,
        query: Mapping[str, str] = MappingProxyType({}),
        accept: str = "*/*",
        patience: float = 0.0,  # noqa: ARG002 (nothing has to be waited for)
    ) -> Page:
        """Return a page as the controller's port has it. Raises NotFound, Invalid, Transient."""
        given = {key: value for key, value in query.items() if value}
        target = "".join(f"/{quote(part, safe='')}" for part in parts) + f"?{urlencode(given)}"
        try:
            asked = parse(target, accept)
            reply = ROUTES[asked.route].answer(self._api, asked)
        except NoAnswer as none:
            raise Invalid("WrongUse", [str(none)]) if none.kind == "wrong" else NotFound(str(none)) from none
        if isinstance(reply, Stream):
            return _Read(reply.chunks, reply.close, reply.headers)
        return _Read(iter([reply.body]), lambda: None, reply.headers)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it has gone meanwhile
        return 0


class _Watched:
    """What is kept as a page shows it: looked at again and again while somebody waits for a change."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def requests(self) -> Sequence[LiveRequest]:
        """Return all projects, by name."""
        return [self._made(item) for _, item in sorted(self._kept.all().items())]

    def request(self, name: str) -> LiveRequest | None:
        """Return one project, None where none of that name has run."""
        item = self._kept.all().get(name)
        return self._made(item) if item else None

    def _made(self, item: Archived) -> LiveRequest:
        return LiveRequest(item.name, self._kept.written(item.name), lambda: (*self._kept.pair(item), {}))

    def version(self, name: str = "") -> int:
        """Return when a record was last written: this one, or any."""
        return self._kept.written(name)

    async def wait(self, name: str, version: int, seconds: float) -> int:
        """Wait, so many seconds at most, until the version is another one; return it."""
        for _ in range(int(seconds / LOOK)):
            if (now := await to_thread.run_sync(self.version, name)) != version:
                return now
            await anyio.sleep(LOOK)
        return version


class _Read:
    """A page that is read from this machine's own files."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], None], headers: Mapping[str, str]) -> None:
        self._chunks, self._close, self._rest, self.headers = chunks, close, b"", headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[bytes]:
        with storage.translated("read what a run left"):
            for chunk in self._chunks:
                if chunk:
                    yield chunk
                else:  # nothing yet
                    time.sleep(PAUSE)

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        piece = self._rest or next(iter(self), b"")
        self._rest = piece[size:]
        return piece[:size]


def _folder(record: Record) -> Path | None:
    """Return the folder that a record's run was made of, None for one of a repository's address."""
    if record.spec is None or (address := urlsplit(record.spec.repository)).scheme != "file":
        return None
    return Path(unquote(address.path), record.spec.path)


def _interrupted(record: Record, at: float) -> Record:
    """Return the record of a run whose `coachwork run` has ended before it: the next one will say the same."""
    stages = {
        name: replace(stage, state="Stopped") if stage.state == "Running" else stage
        for name, stage in record.stages.items()
    }
    end = PastRun(
        run=record.run,
        outcome="Cancelled",
        commit=record.spec.commit if record.spec else "",
        reason="Cancelled",
        message="interrupted: nothing of it runs any more",
        started=record.started,
        finished=times.text(datetime.fromtimestamp(at, UTC)),
    )
    return replace(
        record, phase="Cancelled", reason=end.reason, message=end.message, finished=end.finished, stages=stages,
        history=(end, *record.history),
    )  # fmt: skip
