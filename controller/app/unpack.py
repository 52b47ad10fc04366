"""Artifacts that arrive as a tar archive: plain files below one folder, and nothing else.

By hand, because `extractall(filter="data")` is not in each Python 3.11 (Debian 12 has 3.11.2), and because a
controller sends plain files only: what else arrives was not sent by one.
"""

import os
import shutil
import tarfile
from pathlib import Path
from typing import Protocol

from controller.core.inputs.checks import printable

LATEST = 253402300799.0  # the last second of the year 9999


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


def unpack(stream: Readable, folder: Path) -> None:
    """Write the archive's files below `folder`. Raises TarError for anything else in it, or where it breaks off."""
    root = folder.resolve()
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # it only reads
        for item in archive:
            target = _place(item, root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(archive.extractfile(item), file)
            modified = min(max(0.0, item.mtime), LATEST)
            os.utime(target, (modified, modified))


def _place(item: tarfile.TarInfo, root: Path) -> Path:
    """Return where a file goes; links that were there before are followed, and may not lead out."""
    parts = item.name.split("/")
    plain = item.isreg() and not item.issparse() and "\0" not in item.name and not {"", ".", ".."} & {*parts}
    target = root.joinpath(*parts) if plain else root
    if not (plain and target.resolve().is_relative_to(root)):
        raise tarfile.ReadError(f"{printable(item.name)} is no plain file below the folder")
    return target
