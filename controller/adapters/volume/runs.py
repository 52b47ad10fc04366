"""Which requests, runs and attempts there are on the volume, and what each run says of itself."""

import io
import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from controller.adapters.volume.tree import READ_LIMIT, Tree
from controller.core import archive, layout
from controller.core.archive import GOOD, Archived, NoAnswer
from controller.core.documents import codec
from controller.core.documents import run as documents
from controller.core.documents import status as statuses
from controller.core.documents.codec import Absent, Corrupt, Good, TooNew
from controller.core.documents.run import RunFile
from controller.core.model import Record
from controller.core.text import nearest, quoted

REMEMBERED = 256  # records
ATTEMPTS = 106  # of a batch stage, or of an index of one, as many as RETRIES allow; a script can leave any number
LOGS = 1000  # folders and files that are looked at for a log
_OWNER = re.compile(layout.OWNER)
_RUN = re.compile(r"[1-9][0-9]{0,8}")
_LOG = re.compile(r"[1-9][0-9]{0,8}\.log")
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")


def owners(tree: Tree) -> list[tuple[str, str]]:
    """Return name and uid of each request that has left a folder. Raises OSError."""
    found = map(_OWNER.fullmatch, tree.names(layout.RUNS, _OWNER))
    return [(match[1], match[2]) for match in found if match]


def runs(tree: Tree, name: str, uid: str) -> tuple[int, ...]:
    """Return the runs of a request that have a folder, newest first. Raises OSError."""
    return tuple(sorted(map(int, tree.names(layout.request(name, uid), _RUN)), reverse=True))


def has_logs(tree: Tree, name: str, uid: str, run: int) -> bool:
    """Return whether a pod of a run may have left anything of its logs. Raises OSError."""
    files, complete = tree.walk(layout.all_logs(name, uid, run), files=1, entries=LOGS)
    return bool(files) or not complete


def attempts(tree: Tree, folder: PurePosixPath) -> list[int]:
    """Return the attempts that have a log in a stage's log folder, oldest first. Raises OSError."""
    return sorted(int(name.partition(".")[0]) for name in tree.names(folder, _LOG))


def indexes(tree: Tree, folder: PurePosixPath) -> list[int]:
    """Return the indexes of a parallel stage that have a folder of their own in its log folder. Raises OSError."""
    return sorted(map(int, tree.names(folder, _INDEX)))


class Runs:
    """Requests and runs as the volume has them. Methods raise NoAnswer and OSError."""

    def __init__(self, tree: Tree, living: Callable[[str], str]) -> None:
        """Read from `tree`; `living` returns the uid of the living request of a name, "" where none is known."""
        self._tree, self._living = tree, living
        self._records: dict[str, tuple[tuple[int, ...], Record | None]] = {}  # by uid, with the file's version

    def requests(self) -> list[Archived]:
        """Return every request that has left a folder, the one whose record was written last at the end."""
        found = sorted(owners(self._tree), key=lambda owner: self._tree.modified(layout.record(*owner)))
        return [Archived(*owner, self.record(*owner), runs(self._tree, *owner)) for owner in found]

    def request(self, name: str) -> Archived:
        """Return the living request of this name; where none is known, the newest one that has left a folder."""
        found = owners(self._tree)
        uids = [uid for owner, uid in found if owner == name]
        if living := self._living(name):
            uids = [uid for uid in uids if uid == living]
            if not uids:
                raise NoAnswer("absent", f"{name} has no run yet: see its record, {name}-status")
        if not uids:
            line = f"no request {quoted(name)} has left a run here; {nearest(name, {owner for owner, _ in found})}"
            raise NoAnswer("absent", line)
        uid = max(uids, key=lambda uid: self._tree.modified(layout.record(name, uid)))
        return Archived(name, uid, self.record(name, uid), runs(self._tree, name, uid))

    def record(self, name: str, uid: str) -> Record | None:
        """Return the record's copy, None where there is none that can be read. Only a new one is parsed again."""
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

    def left(self, archived: Archived, run: int) -> RunFile | None:
        """Return what a run left, or its record says of it while it is under way; None where nothing does."""
        match documents.read(self._tree.read_any(layout.run_record(archived.name, archived.uid, run))):
            case Good(found) | TooNew(found):
                return found
            case Absent() | Corrupt():
                record = archived.record
                return documents.of_active(archived.name, record) if record and record.run == run else None

    def choose(self, archived: Archived, which: str) -> int:
        """Return the run that `which` means: a number, latest, or good: what is released, else the last to succeed."""
        good = archived.record.release_run if archived.record else 0
        if which == GOOD and good not in archived.runs:
            found = ((run, self.left(archived, run)) for run in archived.runs)
            good = next((run for run, left in found if left and left.outcome == "Succeeded"), 0)
        return archive.choose(archived, which, good)
