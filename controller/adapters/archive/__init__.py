"""Reads what runs left on the shared volume: run records, logs, artifacts. Writes nothing.

Stages can write into most of these folders, and may be hostile: each component of a path is opened below the one
before it and no link is followed, only plain files are read, and every listing is bounded.
"""

from controller.adapters.archive.archive import Archive

__all__ = ["Archive"]
