"""What the stages of a run print, read on from their logs as it comes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from controller.adapters.volume.logtext import Growing
from controller.adapters.volume.runs import ATTEMPTS, attempts, indexes
from controller.adapters.volume.tree import Tree
from controller.core import layout, names
from controller.core.archive import Extract
from controller.core.model import Record

PIECES = 16  # of one log in one look, so that a stage that prints without end holds up nothing else


@dataclass(frozen=True, slots=True)
class Printed:
    """Some bytes that one attempt of a stage has printed."""

    stage: str
    attempt: int
    piece: bytes


class Output:
    """The logs of one run and of the environments that are built for it. Refuses those of older builds."""

    def __init__(self, root: Path, name: str, uid: str) -> None:
        self._tree, self._name, self._uid = Tree(root), name, uid
        self._began = time.time()
        self._logs: dict[PurePosixPath, Growing] = {}
        self._over: set[PurePosixPath] = set()  # those that have ended, and of which all was read

    def fresh(self, record: Record) -> Iterator[Printed]:
        """Yield what was printed since the last time, by stage and attempt."""
        builds = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
        for stage, entry in record.stages.items():
            if entry.state == "Waiting":
                continue
            build = builds.get(stage)
            folder = layout.build_logs(build) if build else layout.logs(self._name, self._uid, record.run, stage)
            with suppress(OSError):  # of the disk: the run says what it makes of it
                for index in indexes(self._tree, folder) if entry.indexes else ():
                    yield from self._of(names.indexed(stage, index), folder / str(index))
                yield from self._of(stage, folder, self._began if build else 0.0)

    def _of(self, name: str, folder: PurePosixPath, since: float = 0.0) -> Iterator[Printed]:
        """Yield what is new in the logs of a folder. One that has ended and was read is closed: few are open."""
        for attempt in attempts(self._tree, folder)[:ATTEMPTS]:
            path = folder / f"{attempt}.log"
            if path in self._over or (path not in self._logs and since and self._tree.modified(path) < since):
                continue
            ended = self._tree.modified(path.with_suffix(".json")) != 0
            log = self._logs.setdefault(path, Growing(self._tree, path, Extract()))
            fresh = [*islice(log.fresh(), PIECES)]
            yield from (Printed(name, attempt, piece) for piece in fresh)
            if ended and len(fresh) < PIECES:
                self._over.add(path)
                self._logs.pop(path).close()

    def close(self) -> None:
        """Close the files."""
        for log in self._logs.values():
            log.close()
