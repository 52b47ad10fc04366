"""Answers about the runs that are kept. Each method raises NoAnswer, or Transient where the volume itself fails."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from controller.adapters import storage
from controller.adapters.volume.artifacts import Artifacts
from controller.adapters.volume.logs import Logs
from controller.adapters.volume.runs import Runs
from controller.adapters.volume.tree import NOT_THERE, Tree
from controller.core import layout
from controller.core.archive import GOOD, Archived, Content, Extract, Listing, NoAnswer
from controller.core.documents import progress as documents
from controller.core.documents.progress import Progress, Report
from controller.core.documents.run import page
from controller.core.model import Record

OPEN = ("Waiting", "Running", "Done")  # states of an environment that may be under way: it is compiled while it is used


class Archive:
    """The shared volume, mounted at `root`, for readers. Safe in several threads."""

    def __init__(
        self,
        root: Path,
        living: Callable[[str], str],
        waiting: Callable[[str, Record], Mapping[str, Progress]] = lambda _name, _record: {},
    ) -> None:
        """Read below `root`; `living` returns the uid of the living request of a name, "" where none is known.

        `waiting` returns what the stages and environments of its active run wait for whose containers do not run yet.
        """
        self._tree = tree = Tree(root)
        self._waiting = waiting
        self._runs = Runs(tree, living)
        self._logs, self._artifacts = Logs(tree, self._runs), Artifacts(tree)

    def requests(self) -> Sequence[Archived]:
        """Return every request that has left a folder, the one whose record was written last at the end."""
        with _translated("list requests"):
            return self._runs.requests()

    def runs(self, name: str) -> Sequence[Mapping[str, object]]:
        """Return what each kept run of a request left, newest first, the active one included."""
        with _translated("list runs"):
            archived = self._runs.request(name)
            left = (self._runs.left(archived, run) for run in archived.runs)
            return [page(run) for run in left if run is not None]

    def numbers(self, name: str) -> Sequence[int]:
        """Return the numbers of the runs that have a folder, newest first: reads none of them."""
        with _translated("list runs"):
            return self._runs.request(name).runs

    def run(self, name: str, run: str) -> Mapping[str, object]:
        """Return what one run left: a number, latest or good."""
        with _translated("read a run"):
            archived = self._runs.request(name)
            number = self._runs.choose(archived, run)
            left = self._runs.left(archived, number)
        if left is None:
            why = "it was cut off before its end, or its file is damaged"
            raise NoAnswer("absent", f"run {number} of {name} left no record that can be read: {why}")
        return page(left)

    def progress(self, name: str) -> Report:
        """Return what stages and environments of the active run are at before their scripts run."""
        with _translated("read how far builds are"):
            record = self._runs.request(name).record
            if record is None or not record.active:
                return Report(record.run if record else 0)
            return Report(record.run, {**builds(self._tree, record), **self._waiting(name, record)})

    def logs(self, name: str, run: str = "") -> Sequence[Mapping[str, object]]:
        """Return all attempts of all stages and environments of a run; "": of the latest, or where a stage last ran."""
        with _translated("list logs"):
            archived = self._runs.request(name)
            return self._logs.listed(archived, run)

    def log(self, name: str, stage: str, *, run: str, attempt: int, extract: Extract, follow: bool) -> Content:
        """Return one log; run "": the newest that has it, attempt 0: the newest."""
        with _translated("read a log"):
            answer = self._logs.followed if follow else self._logs.content
            return answer(self._runs.request(name), stage, run, attempt, extract)

    def artifacts(self, name: str, run: str = "") -> Listing:
        """Return the artifacts of a run, the last good one if none is named."""
        with _translated("list artifacts"):
            archived = self._runs.request(name)
            return self._artifacts.listed(archived, self._runs.choose(archived, run or GOOD))

    def artifact(self, name: str, run: str, path: Sequence[str], *, tar: bool) -> Content:
        """Return one file of a run's artifacts, or (`tar`) a folder of them as an archive; path (): all of them."""
        with _translated("read an artifact"):
            archived = self._runs.request(name)
            answer = self._artifacts.archive if tar else self._artifacts.content
            return answer(archived, self._runs.choose(archived, run), path)


def builds(tree: Tree, record: Record) -> Mapping[str, Progress]:
    """Return how far the builds are that a run needs, whichever run had them begun. Raises OSError."""
    items = [item for item in record.spec.environments if record.stages[item.name].state in OPEN] if record.spec else []
    texts = {item.name: tree.read_any(layout.build_progress(item.folder), documents.LIMIT) for item in items}
    found = {name: documents.read(text, datetime.now(UTC)) for name, text in texts.items()}
    return {name: progress for name, progress in found.items() if progress}


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    with storage.translated(doing):
        try:
            yield
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            raise NoAnswer("absent", f"could not {doing}: {os.strerror(error.errno or 0)}") from error
