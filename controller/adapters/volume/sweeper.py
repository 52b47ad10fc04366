"""One sweep of the shared volume: lists what is old, learns what is needed, moves the rest out of sight and removes it.

What is needed is decided in core/sweep.py, and why nothing that is used meanwhile is lost is said in docs/adr/0012.
Refuses to touch what has no name of ours, and to begin while a run's note of what it uses can't be read.
"""

import os
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from controller.adapters import removal, storage
from controller.adapters.volume.tree import Tree
from controller.adapters.volume.usage import Usage
from controller.core import layout, sweep
from controller.core.documents import codec
from controller.core.documents.run import read_uses
from controller.core.errors import Transient
from controller.core.inputs import repository
from controller.core.sweep import Found, Graces, Kind

Living = Callable[[], AbstractSet[PurePosixPath]]
"""Returns what living objects and records need now. May raise Refused, NotYet, Transient: then nothing is swept."""

TOPS = (layout.MIRRORS, layout.CHECKOUTS, layout.ENVIRONMENTS, layout.BUILDS, layout.RUNS, layout.TOOLS, layout.SCRATCH)
OWN_NAMES = (".home", ".lock")  # what is hidden, begins like this, and is no half of anything
_NAMES = {
    layout.MIRRORS: r".+\.git",
    layout.ENVIRONMENTS: r"[^.].*",
    layout.TOOLS: r"[0-9a-f]{16}",
    layout.RUNS: layout.OWNER,
}
WRITTEN_TO = ("left", "half", "built")  # while they are used; nobody notes that they are
_HALF = r"environment\.partial-.+|cache"  # install_build.py's, until it is finished


@dataclass(slots=True)
class Swept:
    """What a sweep has done, by the top folder: things taken away, bytes that came free; and what it could not move."""

    things: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    resisting: int = 0


class Sweeper:
    """Sweeps one volume, mounted at `root`."""

    def __init__(self, root: Path) -> None:
        self._root, self._tree, self._usage = root, Tree(root), Usage(root, TOPS)

    def room(self) -> storage.Space:
        """Return the volume's size and what is free. Raises Transient."""
        with storage.translated("measure what is free"):
            return storage.space(self._root)

    def used(self) -> Mapping[str, int]:
        """Return the bytes in each top folder, as far as they are known by now. Raises Transient."""
        with storage.translated("measure what is used"):
            return self._usage.measure()

    def touch(self, path: PurePosixPath) -> None:
        """Note that something is in use."""
        storage.mark_used(self._root / path)

    def sweep(self, living: Living, graces: Graces, now: float) -> Swept:
        """Remove what is older than its grace at the time `now` (POSIX seconds), and that nobody needs.

        Raises Transient, and what `living` and the fence raise.
        """
        swept = Swept()
        storage.ask()
        with storage.translated("sweep"):
            old = [found for found in self._found(now) if sweep.is_old(found, graces, now)]
            if any(found.kind != "left" for found in old):
                old = self._unneeded(old, living, swept)
            for found in sorted(old, key=lambda found: found.kind != "cache"):  # which a change next to it makes used
                deep = found.kind in WRITTEN_TO
                if not (deep and now - removal.newest(self._root / found.path, now) <= graces.of(found.kind)):
                    self._take(found, swept)
            # Of this sweep, and of those that were interrupted.
            for trash in (trash for top in TOPS for trash in (self._root / top).glob(f"{layout.TRASH}*")):
                storage.ask()
                swept.bytes[trash.parent.name] += removal.erase(trash)
                swept.resisting += os.path.lexists(trash)
        return swept

    # --- what there is -----------------------------------------------------------------------------

    def _found(self, now: float) -> Iterator[Found]:
        """Yield all that could be swept; what seems to be of the future gets the present, and its whole grace."""
        for path, kind in self._named():
            place = self._root / path
            used = self._used(place, kind)
            if used > now + sweep.MINUTE:
                with suppress(OSError):
                    os.utime(place, (now, now))
            elif used:
                yield Found(path, kind, used)

    def _named(self) -> Iterator[tuple[PurePosixPath, Kind]]:
        """Yield what has a name of ours, and the halves that hide next to it."""
        for top, pattern in _NAMES.items():
            yield from self._in(top, pattern, "kept")
        for folder in self._folders(layout.CHECKOUTS, r"[^.].*"):
            yield from self._in(folder, repository.COMMIT, "kept")
        for folder in self._folders(layout.RUNS, _NAMES[layout.RUNS]):
            yield from self._in(folder, r"[0-9]+", "kept")
            for run in self._folders(folder, r"[0-9]+"):
                yield from self._in(run, "", "left")
        for folder, kind in self._in(layout.BUILDS, r"[^.].*", "built"):
            yield folder, "cache" if folder == layout.BUILD_CACHE else kind
            yield from self._in(folder, _HALF, "half") if folder != layout.BUILD_CACHE and kind == "built" else ()
        yield from self._in(layout.SCRATCH, r"[^.].*", "left")
        for mirror in (self._root / layout.MIRRORS).glob("*.git"):  # what an ended git left in one
            for pack in (*mirror.glob("objects/pack/tmp_*"), *mirror.glob("objects/pack/.tmp-*")):
                yield PurePosixPath(pack.relative_to(self._root)), "left"

    def _folders(self, folder: PurePosixPath, pattern: str) -> Iterator[PurePosixPath]:
        return (path for path, kind in self._in(folder, pattern, "kept") if kind == "kept")

    def _in(self, folder: PurePosixPath, pattern: str, kind: Kind) -> Iterator[tuple[PurePosixPath, Kind]]:
        """Yield the folders of this pattern in a folder (links are not ours), and halves of whatever kind."""
        try:
            with os.scandir(self._root / folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            hidden = entry.name.startswith(".") and not entry.name.startswith(OWN_NAMES)
            if hidden and not entry.name.startswith(layout.TRASH):
                yield folder / entry.name, "left"
            elif pattern and re.fullmatch(pattern, entry.name) and entry.is_dir(follow_symlinks=False):
                yield folder / entry.name, kind

    def _used(self, place: Path, kind: Kind) -> float:
        """Return when something was last used, 0 if it is gone."""
        places = [place]
        if place.parent == self._root / layout.MIRRORS:
            places += [place / "objects" / "pack", *place.glob("objects/pack/*")]
        if kind == "cache":  # each build makes a folder in its folder, and new packages one in it
            places += [place.parent, *place.glob("*")]
        latest = 0.0
        if os.path.lexists(place):
            for each in places:
                with suppress(FileNotFoundError, NotADirectoryError):
                    latest = max(latest, each.lstat().st_mtime)
        return latest

    # --- what is needed ------------------------------------------------------------------------------

    def _unneeded(self, old: Iterable[Found], living: Living, swept: Swept) -> list[Found]:
        """Return what nobody needs, with what is left; runs go first and at once: what only they used goes with them.

        The notes of runs are read before the objects are listed: a need passes from one to the next in this order.
        """
        uses = self._uses()
        needed = sweep.Needed(self._with_submodules(living()))
        lone = [found for found in old if found.kind == "left" or not needed.covers(found.path)]
        runs = [found for found in lone if found.kind == "kept" and found.path.is_relative_to(layout.RUNS)]
        gone = [found.path for found in runs if self._take(found, swept)]
        noted = sweep.Needed(self._with_submodules(sweep.without(uses, gone)))
        others = (found for found in lone if found not in runs)
        return [found for found in others if found.kind in ("left", "half") or not noted.covers(found.path)]

    def _with_submodules(self, needed: Iterable[PurePosixPath]) -> set[PurePosixPath]:
        """Return these paths, and for each mirror among them those of its submodules, and of theirs."""
        found = set(needed)
        mirrors = [path for path in found if path.parent == layout.MIRRORS]
        while mirrors:
            names = self._tree.read_any(mirrors.pop() / layout.SUBMODULES).split()
            more = {layout.MIRRORS / name for name in names} - found
            found |= more
            mirrors += more
        return found

    def _uses(self) -> Mapping[PurePosixPath, frozenset[PurePosixPath]]:
        """Return what each run has noted, by its folder. Raises Transient where a note can't be read.

        Only a note in a run's own folder is one: in the cache next to it, a stage can leave a file of that name.
        """
        noted = {}
        for folder in self._folders(layout.RUNS, _NAMES[layout.RUNS]):
            for run in self._folders(folder, r"[0-9]+"):
                try:
                    text = self._tree.read(run / layout.USES)
                except FileNotFoundError:
                    continue
                if (uses := codec.good(read_uses(text))) is None:
                    why = "is damaged or of a newer version, and nothing is swept: remove that run's folder"
                    raise Transient("VolumeUnavailable", f"the shared volume: {run / layout.USES} {why}")
                noted[run] = uses
        return noted

    # --- taking away -----------------------------------------------------------------------------------

    def _take(self, found: Found, swept: Swept) -> bool:
        """Move it out of sight, unless somebody has used it since it was found; return whether it is gone.

        Who uses it notes that first and looks for it then; this moves it first and looks for such a note then. So one
        of both sees the other, whatever comes first.
        """
        place, top = self._root / found.path, found.path.parts[0]
        trash = self._root / top / f"{layout.TRASH}{uuid.uuid4().hex[:12]}"
        if self._used(place, found.kind) != found.used:
            return False
        storage.ask()
        try:
            place.rename(trash)
        except FileNotFoundError:
            return False
        except OSError:  # the kubelet made it for a mount that was gone: root owns it, so it can't be moved
            with suppress(OSError):
                place.rmdir()
            swept.resisting += (resists := os.path.lexists(place))
            return not resists
        if found.kind != "cache" and self._used(trash, found.kind) != found.used:
            with suppress(OSError):  # made again meanwhile: as good
                trash.rename(place)
            return False
        swept.things[top] += 1
        return True
