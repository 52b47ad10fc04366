"""Environments on the shared volume: which folder a key means, what a build has made, its publishing by a rename.

A published environment is never written to again, but for the mark that its Python is out of date. One that is damaged
counts as none.
"""

import os
from contextlib import suppress
from pathlib import Path

from controller.adapters import storage
from controller.adapters.locks import Locks
from controller.adapters.volume import files
from controller.core import layout

GENERATIONS = 1000  # of one key: each is a change of Python below the same image name
WAIT = 5.0  # seconds for another that publishes


class Environments:
    """The part of the shared volume that holds packages."""

    def __init__(self, root: Path, *, has_pythons: bool = False) -> None:
        """Take the mount point; it exists.

        `has_pythons`: environments are used on this very machine, where their interpreters are. In a cluster they are
        links into the stages' images.
        """
        self._root = root
        self._has_pythons = has_pythons
        self._locks = Locks(WAIT)

    def environment(self, key: str) -> str:
        """Give the folder that an environment of this key is in, or is to be built in. Raises Transient.

        One that is there counts as used now, so that no sweep takes it before it is mounted.
        """
        with storage.translated("look for an environment"):
            names = [key, *(f"{key}-{number}" for number in range(2, GENERATIONS))]
            name = next(name for name in names if not (self._published(name) / layout.STALE).exists())
            for folder in (self._published(name), self._root / layout.build(name)):
                storage.mark_used(folder)
            return name

    def has_environment(self, folder: str) -> bool:
        """Return whether an environment is published, and whole. Raises Transient."""
        with storage.translated("look for an environment"):
            return self._is_whole(self._published(folder), folder)

    def made_environment(self, folder: str) -> bool:
        """Return whether a build has made it, whole. Raises Transient."""
        with storage.translated("look for a build"):
            return self._is_whole(self._made(folder), folder)

    def publish_environment(self, folder: str) -> None:
        """Move what a build has made to where stages find it. Raises Transient, NotYet.

        One that is there stays, and what was made besides goes; a damaged one makes room.
        """
        with storage.translated("publish an environment"):
            made, target = self._made(folder), self._published(folder)
            storage.make(target.parent)
            # Two at once would take each other's for what is in the way.
            with self._locks.hold(target.parent / ".lock", f"environment {folder}"):
                if not self._is_whole(target, folder) and made.exists():  # else another pass was first
                    storage.replace(made, target, target.parent)
                storage.mark_used(target)
                storage.discard(made, self._root / layout.BUILDS)

    def _is_whole(self, place: Path, folder: str) -> bool:
        """Return whether a folder is this environment, with a Python and all packages of its lock (stage_whole.py)."""
        if files.read_any(place / layout.COMPLETE).strip() != folder:
            return False
        python = place / "bin" / "python"
        if not (python.exists() if self._has_pythons else os.path.lexists(python)):
            return False
        if not (place / layout.LOCK).is_file():
            return False
        lock = files.read_any(place / layout.LOCK).splitlines()
        locked = [line for line in lock if line and not line.startswith("#")]
        return len(list(place.glob("lib/*/site-packages/*-info"))) >= len(locked)

    def packages(self, folder: str) -> str:
        """Give what an environment holds, a line NAME==VERSION for each package; "" where it is not there."""
        with storage.translated("read a lock"):
            return files.read_any(self._published(folder) / layout.LOCK)

    def retire_environment(self, folder: str) -> None:
        """Have the next run build this environment anew: its Python is no longer the image's. Raises Transient."""
        with storage.translated("mark an environment"), suppress(FileNotFoundError):
            (self._published(folder) / layout.STALE).touch()

    def _published(self, folder: str) -> Path:
        return self._root / layout.environment(folder)

    def _made(self, folder: str) -> Path:
        return self._root / layout.built(folder)
