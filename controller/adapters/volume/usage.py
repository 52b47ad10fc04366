"""What is on the shared volume, by top folder: measured bit by bit.

A round lists all runs, environments and checkouts, and looks into some: those that are new, and then those that were
measured longest ago.
"""

import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path, PurePosixPath

from controller.adapters import removal
from controller.core import layout

ENTRIES = 10_000  # files and folders of a round
MOST = 200_000  # of one thing; the rest of it is not counted
DEEP = (layout.CHECKOUTS, layout.RUNS)  # what is in them belongs to something that has many


@dataclass(slots=True)
class Usage:
    """Sizes of the things on a volume, mounted at `root`, and in which round each was measured."""

    root: Path
    tops: tuple[PurePosixPath, ...]
    _rounds: Iterator[int] = field(default_factory=count)
    _sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def measure(self) -> Mapping[str, int]:
        """Return the bytes in each top folder, as far as they are known by now. Raises OSError."""
        number, left = next(self._rounds), ENTRIES
        there = {place: top for top in self.tops for place in _things(self.root / top, deep=top in DEEP)}
        self._sizes = {place: known for place, known in self._sizes.items() if place in there}
        for place in sorted(there, key=lambda place: self._sizes.get(place, (0, -1))[1]):
            if left <= 0:
                break
            size, entries = _size(place)
            self._sizes[place], left = (size, number), left - entries
        found = Counter({str(top): 0 for top in self.tops})
        for place, (size, _) in self._sizes.items():
            found[str(there[place])] += size
        return found


def _things(top: Path, *, deep: bool) -> Iterator[Path]:
    for entry in removal.entries(top):
        if deep and entry.is_dir(follow_symlinks=False):
            yield from _things(Path(entry.path), deep=False)
        else:
            yield Path(entry.path)


def _size(place: Path) -> tuple[int, int]:
    """Return the bytes that a file or folder takes, and how many there are; links to one file share what it takes."""
    size = entries = 0
    for status in islice(removal.statuses(place), MOST):
        entries += 1
        size += status.st_blocks * removal.BLOCK // (1 if stat.S_ISDIR(status.st_mode) else status.st_nlink)
    return size, max(entries, 1)
