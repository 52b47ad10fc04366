"""Environments on the shared volume: which folder a key means, what a build has made, its publishing by a rename.

A published environment is never written to again, but for the mark that its Python is out of date.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from controller.adapters.volume import files
from controller.core import layout

GENERATIONS = 1000  # of one key: each is a change of Python below the same image name


class Environments:
    """The part of the shared volume that holds packages."""

    def __init__(self, root: Path) -> None:
        """Take the mount point; it exists."""
        self._root = root
        self._publishing = threading.Lock()  # two passes at once must not take each other's for what is in the way

    def environment(self, key: str) -> str:
        """Give the folder that an environment of this key is in, or is to be built in. Raises Transient.

        One that is there counts as used now, so that no sweep takes it before it is mounted.
        """
        with files.translated("look for an environment"):
            names = [key, *(f"{key}-{number}" for number in range(2, GENERATIONS))]
            name = next(name for name in names if not (self._published(name) / layout.STALE).exists())
            for folder in (self._published(name), self._root / layout.build(name)):
                with suppress(FileNotFoundError):
                    os.utime(folder)
            return name

    def has_environment(self, folder: str) -> bool:
        """Whether an environment is published. Raises Transient."""
        with files.translated("look for an environment"):
            return (self._published(folder) / layout.COMPLETE).exists()

    def made_environment(self, folder: str) -> bool:
        """Whether a build has made it, complete. Raises Transient."""
        with files.translated("look for a build"):
            return files.read_any(self._made(folder) / layout.COMPLETE).strip() == folder

    def publish_environment(self, folder: str) -> None:
        """Move what a build has made to where stages find it; nothing if it is there. Raises Transient.

        What somebody left of one that was there is taken away: it would be in the way for ever.
        """
        with self._publishing, files.translated("publish an environment"):
            target = self._published(folder)
            files.make(self._root, target.parent)
            with suppress(FileNotFoundError):  # another pass was first
                files.publish(self._made(folder), target)
                if not self.has_environment(folder):
                    files.remove(target, target.parent)
                    files.publish(self._made(folder), target)
                os.utime(target)

    def packages(self, folder: str) -> str:
        """Give what an environment holds, a line NAME==VERSION for each package; "" where it is not there."""
        with files.translated("read a lock"):
            return files.read_any(self._published(folder) / layout.LOCK)

    def retire_environment(self, folder: str) -> None:
        """Have the next run build this environment anew: its Python is no longer the image's. Raises Transient."""
        with files.translated("mark an environment"), suppress(FileNotFoundError):
            (self._published(folder) / layout.STALE).touch()

    def _published(self, folder: str) -> Path:
        return self._root / layout.environment(folder)

    def _made(self, folder: str) -> Path:
        return self._root / layout.built(folder)
