"""Which requests and runs there are on the volume, and what is told about each run."""

import io
import os
import re
from collections.abc import Callable

from controller.adapters.volume.tree import READ_LIMIT, Tree
from controller.core import layout
from controller.core.documents import codec
from controller.core.documents import run as documents
from controller.core.documents import status as statuses
from controller.core.documents.codec import Absent, Corrupt, Good, TooNew
from controller.core.documents.run import RunFile
from controller.core.kept import GOOD, Kept, NoAnswer, choose
from controller.core.model import Record
from controller.core.text import nearest, quoted

REMEMBERED = 256  # records
_FOLDER = re.compile(r"([a-z0-9][-a-z0-9]{0,99})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_RUN = re.compile(r"[1-9][0-9]{0,8}")


class Runs:
    """Requests and runs as the volume tells them. Methods raise NoAnswer and OSError."""

    def __init__(self, tree: Tree, living: Callable[[str], str]) -> None:
        """Take what gives the uid of the living request of a name, "" where none is known."""
        self._tree, self._living = tree, living
        self._records: dict[str, tuple[tuple[int, ...], Record | None]] = {}  # by uid, with the file's version

    def request(self, name: str) -> Kept:
        """Give the living request of this name; where none is known the newest one that left a folder."""
        found = [_FOLDER.fullmatch(entry) for entry in self._tree.names(layout.RUNS, _FOLDER)]
        owners = [(match[1], match[2]) for match in found if match]
        uids = [uid for owner, uid in owners if owner == name]
        if living := self._living(name):
            uids = [uid for uid in uids if uid == living]
            if not uids:
                raise NoAnswer("absent", f"{name} has no run yet: see its record, {name}-status")
        if not uids:
            line = f"no request {quoted(name)} has left a run here; {nearest(name, {owner for owner, _ in owners})}"
            raise NoAnswer("absent", line)
        uid = max(uids, key=lambda uid: self._written(name, uid))
        runs = self._tree.names(layout.request(name, uid), _RUN)
        return Kept(name, uid, self.record(name, uid), tuple(sorted(map(int, runs), reverse=True)))

    def record(self, name: str, uid: str) -> Record | None:
        """Give the record's copy; None where there is none that can be read. It is parsed again only if it is new."""
        file = self._tree.find(layout.record(name, uid))
        if file is None:
            return None
        with io.BufferedReader(file) as text:
            status = os.fstat(file.fileno())
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            known = self._records.get(uid)
            if known and known[0] == version:
                return known[1]
            record = codec.good(statuses.read_copy(text.read(READ_LIMIT).decode(errors="replace"), uid))
        if len(self._records) >= REMEMBERED:
            self._records.clear()
        self._records[uid] = (version, record)
        return record

    def left(self, kept: Kept, run: int) -> RunFile | None:
        """Return what a run left, or its record says of it while it is under way; None where nothing does."""
        match documents.read(self._tree.read_any(layout.run_record(kept.name, kept.uid, run))):
            case Good(found) | TooNew(found):
                return found
            case Absent() | Corrupt():
                return documents.of_active(kept.name, kept.record) if kept.record and kept.record.run == run else None

    def choose(self, kept: Kept, which: str) -> int:
        """Give the run that `which` means: a number, latest or good."""
        return choose(kept, which, self._good(kept) if which == GOOD else 0)

    def _good(self, kept: Kept) -> int:
        """Give the run that is released, else the last one that succeeded, 0 where there is none."""
        if kept.record and kept.record.release_run in kept.runs:
            return kept.record.release_run
        found = ((run, self.left(kept, run)) for run in kept.runs)
        return next((run for run, left in found if left and left.outcome == "Succeeded"), 0)

    def _written(self, name: str, uid: str) -> float:
        file = self._tree.find(layout.record(name, uid))
        if file is None:
            return 0.0
        with file:
            return os.fstat(file.fileno()).st_mtime
