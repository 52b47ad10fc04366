"""Environments on the shared volume: which folder a key means, what a build has made, its publishing by a rename.

A published environment is never written to again, but for its compiled modules, which its build adds, and the mark that
its Python is out of date. A damaged one is treated as absent; what is compiled of it does not count.
"""

import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from controller.adapters import storage
from controller.adapters.locks import Locks
from controller.adapters.volume.tree import Tree
from controller.core import layout
from controller.core.documents.seal import is_sound_lock

GENERATIONS = 1000  # of one key: each is a change of Python below the same image name
WAIT = 5.0  # seconds for another that publishes
_SHOWN, _INSTALLED = re.compile(r"[^.].*"), re.compile(r".*-info")  # names in lib, and in a site-packages


class EnvironmentFolders:
    """The part of the shared volume that holds packages."""

    def __init__(self, root: Path, *, has_pythons: bool = False) -> None:
        """Use the volume that is mounted at `root`.

        `has_pythons`: environments are used on this very machine, where their interpreters are. In a cluster they are
        links into the stages' images.
        """
        self._root = root
        self._tree = Tree(root)
        self._has_pythons = has_pythons
        self._locks = Locks(WAIT)

    def environment(self, key: str) -> str:
        """Return the folder that an environment of this key is in, or is to be built in. Raises Transient.

        One that is there is in use now, so that no sweep removes it before it is mounted.
        """
        with storage.translated("look for an environment"):
            names = [key, *(f"{key}-{number}" for number in range(2, GENERATIONS))]
            name = next(name for name in names if not (self._root / layout.environment(name) / layout.STALE).exists())
            for folder in (layout.environment(name), layout.build(name)):
                storage.mark_used(self._root / folder)
            return name

    def has_environment(self, folder: str) -> bool:
        """Return whether an environment is published, and whole. Raises Transient."""
        return self._is_whole(layout.environment(folder), folder)

    def is_uncompiled(self, folder: str) -> bool:
        """Return whether modules of a published environment are not compiled. Raises Transient."""
        with storage.translated("look for an environment"):
            return (self._root / layout.environment(folder) / layout.UNCOMPILED).exists()

    def made_environment(self, folder: str) -> bool:
        """Return whether a build has made it, whole. Raises Transient."""
        return self._is_whole(layout.built(folder), folder)

    def publish_environment(self, folder: str) -> None:
        """Move what a build has made to where stages find it. Raises Transient, NotYet.

        One that is there stays, and what was made goes; a damaged one makes room.
        """
        made, target = self._root / layout.built(folder), self._root / layout.environment(folder)
        with storage.translated("publish an environment"):
            storage.make(target.parent)
            # Two at once would take each other's for what is in the way.
            with self._locks.hold(target.parent / ".lock", f"environment {folder}"):
                if not self.has_environment(folder) and made.exists():  # else another pass was first
                    storage.replace(made, target, target.parent)
                storage.mark_used(target)
                storage.discard(made, self._root / layout.BUILDS)

    def _is_whole(self, place: PurePosixPath, folder: str) -> bool:
        """Return whether a folder is this environment, with a Python and all packages of its lock."""
        with storage.translated("look for an environment"):
            if self._tree.read_any(place / layout.COMPLETE).strip() != folder:
                return False
            python = self._root / place / "bin" / "python"
            lock = self._tree.read_any(place / layout.LOCK)
            if not is_sound_lock(lock):
                return False
            if not (python.exists() if self._has_pythons else os.path.lexists(python)):
                return False
            locked = [line for line in lock.splitlines() if line and not line.startswith("#")]
            libraries = place / "lib"
            sites = (libraries / name / "site-packages" for name in self._tree.names(libraries, _SHOWN))
            return sum(len(self._tree.names(site, _INSTALLED)) for site in sites) >= len(locked)

    def packages(self, folder: str) -> str:
        """Return what an environment holds, a line NAME==VERSION for each package; "" where it is not there."""
        with storage.translated("read a lock"):
            return self._tree.read_any(layout.environment(folder) / layout.LOCK)

    def retire_environment(self, folder: str) -> None:
        """Mark an environment whose Python is no longer the image's: the next run builds another. Raises Transient."""
        storage.ask()
        with storage.translated("mark an environment"), suppress(FileNotFoundError):
            (self._root / layout.environment(folder) / layout.STALE).touch()
