"""The shared volume: makes, writes, reads and removes what core/layout.py names, and nothing else.

Methods raise Transient where the volume fails: it can come back.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from controller.adapters import removal, storage
from controller.adapters.volume import runs
from controller.adapters.volume.environments import EnvironmentFolders
from controller.core import layout
from controller.core.documents import attempt as documents
from controller.core.documents.seal import sealed
from controller.core.errors import Invalid, NotYet
from controller.core.model import Attempt
from controller.core.text import format_size, quoted

SLICE = 10.0  # seconds of a pass for copying: less than a pass may take, and than is left to it when we are stopped


OnRemoved: TypeAlias = Callable[[Mapping[str, int], Mapping[str, int]], None]
"""Called with how many things went, and the bytes that came free, by the top folder of the volume."""


class Volume(EnvironmentFolders):
    """The shared volume, mounted at `root`."""

    def __init__(
        self, root: Path, *, has_pythons: bool = False, on_removed: OnRemoved = lambda _things, _freed: None
    ) -> None:
        """Use the volume that is mounted at `root`; see EnvironmentFolders. `on_removed` is called for each removal."""
        super().__init__(root, has_pythons=has_pythons)
        self._on_removed = on_removed
        self._tools: Sequence[Path] = ()  # and where they are once they are published
        self._published_tools = root
        self._copies: dict[Path, tuple[str, ...]] = {}  # those that were interrupted, and what they have come to

    def prepare(self, folders: Iterable[PurePosixPath]) -> None:
        """Make these folders, group-writable, and see that the tools are there, without which no pod starts.

        Raises Transient.
        """
        if self._tools and not (self._published_tools / layout.COMPLETE).exists():
            self.publish_tools(self._tools)
        with storage.translated("make folders"):
            for folder in folders:
                storage.make(self._root / folder)

    def read_document(self, path: PurePosixPath) -> str:
        """Return the text of a document where nobody else writes, "" if there is none. Raises Transient."""
        with storage.translated(f"read {path.name}"):
            try:
                return self._tree.read(path)
            except FileNotFoundError:
                return ""

    def keep_text(self, path: PurePosixPath, text: str) -> None:
        """Write a small file, atomically, and one of JSON sealed. Raises Transient."""
        with storage.translated(f"write {path.name}"):
            storage.write(self._root / path, sealed(text) if path.suffix == ".json" else text)

    def recall_text(self, path: PurePosixPath) -> str:
        """Return a small file of ours, "" if there is none, or none that can be read. Raises Transient."""
        with storage.translated(f"read {path.name}"):
            return self._tree.read_any(path)

    def probe(self) -> None:
        """Ask the volume itself, past all caches. Raises Transient; never returns while it hangs."""
        with storage.translated("ask for its room"):
            storage.space(self._root)

    def room(self) -> str:
        """Return how much of the volume is free, for a person; "" where it is not known."""
        try:
            found = storage.space(self._root)
        except OSError:
            return ""
        if found.inodes == 0:
            return "none of its inodes are free"
        return f"{format_size(found.free)} of {format_size(found.size)} are free" if found.size else ""

    def inherit(self, source: PurePosixPath, target: PurePosixPath, *, needed: bool = False) -> None:
        """Make `target` a copy of `source`, whole or not at all, if it is not there yet.

        What takes long goes on with the next call: NotYet says how far it is. Raises Invalid where a stage has left
        what can't be read, or where it is `needed` and not there; Transient.
        """
        folder, place = self._root / source, self._root / target
        part = place.with_name(f"{storage.PARTIAL}{place.name}")
        what = f"artifacts of run {layout.run_in(source)}"
        with storage.translated("copy artifacts"):
            storage.mark_used(place)
            if place.exists():
                return
            if not folder.is_dir():
                if needed:
                    raise Invalid("ArtifactsUnreadable", [f"{what} are not there any more"])
                return
            try:
                self._copy(folder, part, what)
                storage.publish(part, place)
                storage.mark_used(place)  # it has its source's time, which may be old enough for a sweep
            except RecursionError:
                removal.remove(part)
                line = f"{what}: folders in folders too deep to be copied: start a run of all stages"
                raise Invalid("ArtifactsUnreadable", [line]) from None
            except PermissionError as error:
                locked = Path(error.filename or "")
                if not locked.is_relative_to(folder):
                    raise
                removal.remove(part)
                name = quoted(locked.relative_to(folder).as_posix())
                why = "the stage that wrote it took the right away: let its group read it, or start a run of all stages"
                line = f"{what}: {name} can't be read by the controller ({why})"
                raise Invalid("ArtifactsUnreadable", [line]) from error

    def _copy(self, folder: Path, part: Path, what: str) -> None:
        """Copy a folder, or go on with that, for a slice of a pass. Raises NotYet, RecursionError, OSError."""
        until, begin = time.monotonic() + SLICE, self._copies.pop(part, ())

        def check(found: Path) -> None:
            storage.ask()
            if time.monotonic() >= until:
                at = found.relative_to(folder)
                self._copies[part] = at.parts
                done, whole = (format_size(removal.size_of(each)) for each in (part / at, found))
                raise NotYet(0.0, f"{what} are being copied: {done} of {whole} of {quoted(at.as_posix())}")

        if not part.exists():  # new, or a sweep has taken it
            begin = ()
        storage.make(part)
        storage.mark_used(part)
        removal.copy_tree(folder, part, check, begin)

    def adopt(self, source: PurePosixPath, copy: PurePosixPath, target: PurePosixPath) -> None:
        """Move the copy of `source` to `target`, if nothing is there yet. Raises as `inherit`, of which it is."""
        if not (self._root / target).exists():
            self.inherit(source, copy)
            with storage.translated("move artifacts"), suppress(FileNotFoundError):  # there were none
                storage.publish(self._root / copy, self._root / target)

    def attempts(self, folder: PurePosixPath, indexes: int = 0) -> Sequence[Attempt]:
        """Return the attempts that left something in a stage's log folder, the oldest first; of each of its indexes.

        Of more than there can be, the newest. Raises Transient.
        """
        with storage.translated("read attempts"):
            if not indexes:
                return self._attempts(folder)
            return [
                replace(attempt, index=index)
                for index in range(indexes)
                for attempt in self._attempts(folder / str(index))
            ]

    def last_attempts(self, folder: PurePosixPath, indexes: int) -> Mapping[int, Attempt]:
        """Return the newest attempt of each index of a parallel stage that left something. Raises Transient."""
        with storage.translated("read the last attempts"):
            newest = {index: runs.attempts(self._tree, folder / str(index)) for index in range(indexes)}
            return {index: self._attempt(folder / str(index), of[-1]) for index, of in newest.items() if of}

    def last_attempt(self, folder: PurePosixPath) -> Attempt | None:
        """Return the newest of them: a stage can leave any number. Raises Transient."""
        with storage.translated("read the last attempt"):
            numbers = runs.attempts(self._tree, folder)
            return self._attempt(folder, numbers[-1]) if numbers else None

    def _attempts(self, folder: PurePosixPath) -> list[Attempt]:
        return [self._attempt(folder, number) for number in runs.attempts(self._tree, folder)[-runs.ATTEMPTS :]]

    def _attempt(self, folder: PurePosixPath, number: int) -> Attempt:
        return documents.of_log(number, self._tree.read_any(folder / f"{number}.json", documents.LIMIT))

    def requests(self) -> Sequence[str]:
        """Return the names of the requests that have a folder here, whether they still live or not."""
        with storage.translated("list runs"):
            return sorted({name for name, _ in runs.owners(self._tree)})

    def newest_run(self, name: str, uid: str, after: int) -> int:
        """Return the request's newest run that has left logs, `after` if it is not newer. Raises Transient."""
        with storage.translated("list runs"):
            newer = (run for run in runs.runs(self._tree, name, uid) if run > after)
            return next((run for run in newer if runs.has_logs(self._tree, name, uid, run)), after)

    def runs(self, name: str, uid: str) -> Sequence[int]:
        """Return the request's runs that have a folder, newest first. Raises Transient."""
        with storage.translated("list runs"):
            return runs.runs(self._tree, name, uid)

    def keep_only(self, name: str, uid: str, keep: frozenset[int]) -> None:
        """Remove the runs of a request other than these, and none that is newer: a pass may have stood still since.

        What earlier requests of this name left is the sweep's: their pods may be on their way out still.
        """
        with storage.translated("remove old runs"):
            for run in {*runs.runs(self._tree, name, uid)} - keep:
                if run < max(keep, default=0):
                    self._remove(layout.run(name, uid, run))

    def forget(self, name: str, *, living: str = "") -> None:
        """Remove the folders of all requests of this name but the one whose uid is `living`."""
        with storage.translated("remove runs"):
            for owner, uid in runs.owners(self._tree):
                if owner == name and uid != living:
                    self._remove(layout.request(name, uid))

    def _remove(self, place: PurePosixPath) -> None:
        freed, top = storage.discard(self._root / place, self._root / layout.RUNS), str(layout.RUNS)
        self._on_removed({top: 1}, {top: freed})

    def publish_tools(self, tools: Sequence[Path]) -> str:
        """Copy these files and folders into one of their own, once; return its digest. Raises Transient."""
        whole, files = hashlib.sha256(), {}
        for tool in tools:
            for file in filter(Path.is_file, (tool, *sorted(tool.rglob("*")))):
                files[file.relative_to(tool.parent).as_posix()] = file
        for name, file in files.items():
            whole.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        digest = whole.hexdigest()[:16]
        target = self._root / layout.tools(digest)
        self._tools, self._published_tools = tools, target
        with storage.translated("publish the tools"):
            storage.mark_used(target)
            if not (target / layout.COMPLETE).exists():
                with storage.partial(target) as folder:
                    for name, file in files.items():
                        storage.make((folder / name).parent)
                        shutil.copyfile(file, folder / name)
                        (folder / name).chmod(0o755)
                    storage.write(folder / layout.COMPLETE, digest)
                    storage.publish(folder, target)
        return digest
