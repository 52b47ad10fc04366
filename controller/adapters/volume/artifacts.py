"""The artifacts of a run: listed, one file, or a folder as a tar archive of exactly the length that is said first."""

import tarfile
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import PurePosixPath

from controller.adapters.volume.tree import PlainFile, Tree, below, pieces, size
from controller.core import layout, times
from controller.core.archive import Archived, Content, FileEntry, Listing, NoAnswer
from controller.core.text import nearest, quoted

FILES_LIMIT = 10_000  # in a listing and in an archive
ENTRIES_LIMIT = 50_000  # that are read for them, folders and links included
_BLOCK = tarfile.BLOCKSIZE
_LATEST = 253402300799.0  # the last second that RFC 3339 can express


class Artifacts:
    """Artifacts as the volume has them. Methods raise NoAnswer and OSError, and so do the contents' chunks."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def listed(self, archived: Archived, run: int) -> Listing:
        """Return the run's artifacts, FILES_LIMIT at most."""
        top = layout.artifacts(archived.name, archived.uid, run)
        found, complete = self._tree.walk(top, FILES_LIMIT, ENTRIES_LIMIT)
        moments = (datetime.fromtimestamp(min(max(item.modified, 0.0), _LATEST), UTC) for item in found)
        files = (FileEntry(item.path, item.size, times.text(at)) for item, at in zip(found, moments, strict=True))
        return Listing(run, tuple(files), complete)

    def content(self, archived: Archived, run: int, parts: Sequence[str]) -> Content:
        """Return one file."""
        file = self._tree.find(layout.artifacts(archived.name, archived.uid, run) / _below(parts))
        if file is None:
            raise self._missing(archived, run, parts)
        return Content(run, size(file), pieces(file, 0, size(file)), file.close)

    def archive(self, archived: Archived, run: int, parts: Sequence[str]) -> Content:
        """Return the files of a folder of the artifacts (no parts: of all) as a tar archive; names begin below it."""
        top = layout.artifacts(archived.name, archived.uid, run) / _below(parts)
        found, complete = self._tree.walk(top, FILES_LIMIT, ENTRIES_LIMIT)
        if not complete:
            line = f"more than {FILES_LIMIT} files, or folders too deep or unreadable: fetch smaller folders, or files"
            raise NoAnswer("wrong", f"{quoted('/'.join(parts) or 'artifacts')} of run {run}: {line}")
        if parts and not found:
            raise self._missing(archived, run, parts)
        length = sum(len(_header(item)) + _padded(item.size) for item in found) + 2 * _BLOCK
        chunks = self._tar(top, found)
        return Content(run, length, chunks, chunks.close)

    def _missing(self, archived: Archived, run: int, parts: Sequence[str]) -> NoAnswer:
        path = "/".join(parts)
        found, _ = self._tree.walk(layout.artifacts(archived.name, archived.uid, run) / _below(parts), 1, ENTRIES_LIMIT)
        if found:
            line = f"{quoted(path)} of run {run} is a folder: ask for it with Accept: application/x-tar"
        else:
            line = f"run {run} of {archived.name} has no artifact {quoted(path)} (plain files only)"
            line += f"; {nearest(path, [item.path for item in self.listed(archived, run).files])}"
        return NoAnswer("absent", line)

    def _tar(self, top: PurePosixPath, found: Sequence[PlainFile]) -> Generator[bytes]:
        for item in found:
            yield _header(item)
            with closing(self._tree.open(top / below(item.path.split("/")))) as file:
                left = item.size
                for piece in pieces(file, 0, item.size):
                    left -= len(piece)
                    yield piece
            if left:
                raise OSError(0, "became shorter while it was read", item.path)
            if padding := _padded(item.size) - item.size:  # no bytes would mean that they are still to come
                yield bytes(padding)
        yield bytes(2 * _BLOCK)


def _header(item: PlainFile) -> bytes:
    entry = tarfile.TarInfo(item.path)
    entry.size, entry.mtime = item.size, int(item.modified)
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _below(parts: Sequence[str]) -> PurePosixPath:
    try:
        return below(parts)
    except OSError:
        raise NoAnswer("wrong", f"{quoted('/'.join(parts))}: expected a path below the artifacts") from None
