"""The shared volume: makes, writes, reads and removes what core/layout.py names, and nothing else.

Every file is written beside its place and renamed into it. Foreign errors become Transient: a volume can come back.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from controller.adapters import removal, storage
from controller.adapters.volume import attempts
from controller.adapters.volume.environments import Environments
from controller.core import layout
from controller.core.errors import Invalid
from controller.core.model import Attempt
from controller.core.text import format_size, quoted

UID_LENGTH = 36


class Volume(Environments):
    """The shared volume, mounted at `root`."""

    def prepare(self, folders: Iterable[PurePosixPath]) -> None:
        """Make these folders, group-writable. Raises Transient."""
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
        """Write a small file, atomically. Raises Transient."""
        with storage.translated(f"write {path.name}"):
            storage.write(self._root / path, text)

    def recall_text(self, path: PurePosixPath) -> str:
        """Give a small file of ours, "" if there is none, or none that can be read. Raises Transient."""
        with storage.translated(f"read {path.name}"):
            return self._tree.read_any(path)

    def room(self) -> str:
        """Return how much of the volume is free, for a person; "" where it is not known."""
        try:
            found = storage.room(self._root)
        except OSError:
            return ""
        if found.inodes == 0:
            return "none of its inodes are free"
        return f"{format_size(found.free)} of {format_size(found.size)} are free" if found.size else ""

    def inherit(self, source: PurePosixPath, target: PurePosixPath) -> None:
        """Have `target` begin as a copy of `source`, whole or not at all, if it is not there yet.

        Raises Invalid where a stage has left what can't be read, Transient.
        """
        place = self._root / target
        with storage.translated("copy artifacts"):
            if place.exists() or not (self._root / source).is_dir():
                return
            try:
                with storage.partial(place) as copy:
                    removal.copy_tree(self._root / source, copy)
                    storage.publish(copy, place)
            except RecursionError:
                line = f"artifacts of run {layout.run_in(source)}: folders in folders too deep to be copied"
                raise Invalid("ArtifactsUnreadable", [f"{line}: start a run of all stages"]) from None
            except PermissionError as error:
                if invalid := _unreadable(source, self._root / source, error):
                    raise invalid from error
                raise

    def attempts(self, folder: PurePosixPath) -> Sequence[Attempt]:
        """Give the attempts that left something in a stage's log folder, oldest first. Raises Transient."""
        with storage.translated("read attempts"):
            return [attempts.read(self._tree, folder, number) for number in attempts.numbers(self._tree, folder)]

    def requests(self) -> Sequence[str]:
        """Give the names of the requests that have a folder here, whether they still live or not."""
        with storage.translated("list runs"):
            folders = self._root / layout.RUNS
            return sorted({name for name, _ in _owners(folders)})

    def runs(self, name: str, uid: str) -> Sequence[int]:
        """Give the request's runs that have a folder, newest first. Raises Transient."""
        with storage.translated("list runs"):
            found = _listed(self._root / layout.request(name, uid))
            return sorted((int(folder.name) for folder in found if folder.name.isdigit()), reverse=True)

    def keep_only(self, name: str, uid: str, runs: frozenset[int]) -> None:
        """Remove the runs of a request other than `runs`.

        What earlier requests of this name left is the sweep's: their pods may be on their way out still.
        """
        with storage.translated("remove old runs"):
            for folder in _listed(self._root / layout.request(name, uid)):
                if folder.name.isdigit() and int(folder.name) not in runs:
                    storage.discard(folder, self._root / layout.RUNS)

    def forget(self, name: str, *, living: str = "") -> None:
        """Remove the folders of all requests of this name but the one whose uid is `living`."""
        with storage.translated("remove runs"):
            for found, uid in list(_owners(self._root / layout.RUNS)):
                if found == name and uid != living:
                    storage.discard(self._root / layout.request(name, uid), self._root / layout.RUNS)

    def publish_tools(self, tools: Sequence[Path]) -> str:
        """Have these files in a folder of their own, complete; give that folder's digest. Raises Transient."""
        digest = _digest(tools)
        target = self._root / layout.tools(digest)
        with storage.translated("publish the tools"):
            storage.mark_used(target)
            if (target / layout.COMPLETE).exists():
                return digest
            with storage.partial(target) as folder:
                for tool in tools:
                    shutil.copyfile(tool, folder / tool.name)
                    (folder / tool.name).chmod(0o755)
                storage.write(folder / layout.COMPLETE, digest)
                storage.publish(folder, target)
        return digest


def _owners(folder: Path) -> Iterator[tuple[str, str]]:
    for entry in _listed(folder):
        name, uid = entry.name[: -UID_LENGTH - 1], entry.name[-UID_LENGTH:]
        if name and not entry.name.startswith("."):
            yield name, uid


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return ()


def _unreadable(source: PurePosixPath, folder: Path, error: PermissionError) -> Invalid | None:
    """Give the error for a file of the artifacts that can't be read; None where it is about another place."""
    place = Path(error.filename or "")
    if not place.is_relative_to(folder):
        return None
    name = quoted(place.relative_to(folder).as_posix())
    remedy = "the stage that wrote it took the right away: let its group read it, or start a run of all stages"
    line = f"artifacts of run {layout.run_in(source)}: {name} can't be read by the controller ({remedy})"
    return Invalid("ArtifactsUnreadable", [line])


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]
