"""What may go of the state folder: what the next run makes again, and runs that a person gives up.

Refuses to begin while anything of it is in use, and keeps runs away until the end.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from controller.adapters import removal, storage
from controller.app.lock import alone, lock
from controller.core import layout
from controller.core.archive import Archived
from controller.core.errors import Invalid

MADE_AGAIN = {
    "packages": (layout.ENVIRONMENTS, layout.BUILDS, layout.PYTHONS),
    "code": (layout.CHECKOUTS, layout.MIRRORS),
    "tools": (layout.TOOLS, layout.SCRATCH),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A folder that may go, as part of the packages, the code, the tools, or the runs of one project."""

    part: str
    place: Path
    top: Path  # where the next run removes what has resisted

    def remove(self) -> bool:
        """Remove it: out of sight at once, so that nothing that is cut off half-way is ever used. Return whether."""
        with storage.translated(f"remove {self.place}"):
            storage.discard(self.place, self.top)
        return not self.place.exists()


def locked(root: Path, projects: Sequence[Archived], *, only: bool) -> ExitStack:
    """Keep runs of these projects (`only`), or of all, away until what is returned is closed.

    Raises Invalid where one is active.
    """
    with ExitStack() as stack:
        for item in projects:
            if (own := lock(root / layout.request(item.name, item.uid))) is None:
                problem = f"{item.name}: `coachwork run` of it is under way: end it first"
                raise Invalid("AlreadyRunning", [problem])
            stack.enter_context(own)
        if not only:
            if (all_of_it := alone(root)) is None:
                raise Invalid("AlreadyRunning", [f"{root}: another `coachwork` command uses it: let it end first"])
            stack.enter_context(all_of_it)
        return stack.pop_all()


def made_again(root: Path) -> Iterator[Piece]:
    """Yield what the next run makes again."""
    for part, tops in MADE_AGAIN.items():
        for top in tops:
            yield from (Piece(part, place, root / top) for place in sorted((root / top).glob("*")))


def runs(root: Path, projects: Sequence[Archived], before: float | None) -> Iterator[Piece]:
    """Yield the runs of these projects; `before` (POSIX seconds): those that ended before, and not the last one.

    A project whose last run ended before goes as a whole, with its record and cache.
    """
    for item in projects:
        folder = root / layout.request(item.name, item.uid)
        places = [folder]
        if not _is_old(folder, before):
            last = {item.record.run, item.record.release_run} if item.record else set()
            places = [folder / str(run) for run in item.runs if run not in last]
        yield from (Piece(f"runs of {item.name}", place, root / layout.RUNS) for place in places)


def old(pieces: Iterator[Piece], before: float | None) -> list[Piece]:
    """Return the pieces that were written last before a time (POSIX seconds); None: all."""
    return [piece for piece in pieces if _is_old(piece.place, before)]


def _is_old(place: Path, before: float | None) -> bool:
    return before is None or removal.newest(place, time.time()) < before
