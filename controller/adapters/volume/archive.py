"""What can be asked about kept runs. Each method raises NoAnswer, or Transient where the volume itself fails."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from controller.adapters.volume.artifacts import Files
from controller.adapters.volume.logs import Logs
from controller.adapters.volume.runs import Runs
from controller.adapters.volume.tree import NOT_THERE, Tree
from controller.core.documents.run import page
from controller.core.errors import Transient
from controller.core.kept import GOOD, LATEST, Content, Listing, NoAnswer


class Archive:
    """The shared volume, mounted at `root`, for readers. Safe in several threads."""

    def __init__(self, root: Path, living: Callable[[str], str]) -> None:
        """Take the mount point, and what gives the uid of the living request of a name ("": none is known)."""
        tree = Tree(root)
        self._runs = Runs(tree, living)
        self._logs, self._files = Logs(tree, self._runs), Files(tree)

    def runs(self, name: str) -> Sequence[Mapping[str, object]]:
        """Give what is told of each kept run of a request, newest first, the active one included."""
        with _translated("list runs"):
            kept = self._runs.request(name)
            left = (self._runs.left(kept, run) for run in kept.runs)
            return [page(run) for run in left if run is not None]

    def run(self, name: str, run: str) -> Mapping[str, object]:
        """Give what is told of one run: a number, latest or good."""
        with _translated("read a run"):
            kept = self._runs.request(name)
            number = self._runs.choose(kept, run)
            left = self._runs.left(kept, number)
        if left is None:
            raise NoAnswer("absent", f"nothing is told of run {number} of {name}: it did not come to its end")
        return page(left)

    def logs(self, name: str, run: str = "") -> Sequence[Mapping[str, object]]:
        """Give all attempts of all stages and environments of a run, the latest if none is named."""
        with _translated("list logs"):
            kept = self._runs.request(name)
            return self._logs.listed(kept, self._runs.choose(kept, run or LATEST))

    def log(self, name: str, stage: str, *, run: str, attempt: int, lines: int | None, follow: bool) -> Content:
        """Give one log; run "": the newest that has it, attempt 0: the newest, lines None: all."""
        with _translated("read a log"):
            given = self._logs.followed if follow else self._logs.content
            return given(self._runs.request(name), stage, run, attempt, lines)

    def artifacts(self, name: str, run: str = "") -> Listing:
        """Give the artifacts of a run, the last good one if none is named."""
        with _translated("list artifacts"):
            kept = self._runs.request(name)
            return self._files.listed(kept, self._runs.choose(kept, run or GOOD))

    def artifact(self, name: str, run: str, path: Sequence[str], *, tar: bool) -> Content:
        """Give one file of a run's artifacts, or (`tar`) a folder of them as an archive; path (): all of them."""
        with _translated("read an artifact"):
            kept = self._runs.request(name)
            given = self._files.archive if tar else self._files.content
            return given(kept, self._runs.choose(kept, run), path)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = os.strerror(error.errno or 0)
        if error.errno in NOT_THERE:
            raise NoAnswer("absent", f"could not {doing}: {words}") from error
        raise Transient("VolumeUnavailable", f"the shared volume: could not {doing}: {words}") from error
