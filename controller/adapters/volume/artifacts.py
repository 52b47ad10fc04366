"""The artifacts of a run: listed, one file, or a folder as a tar archive of exactly the length that is said first."""

import tarfile
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import PurePosixPath

from controller.adapters.volume.tree import Found, Tree, below, pieces
from controller.core import layout, times
from controller.core.kept import Content, FileEntry, Kept, Listing, NoAnswer
from controller.core.text import nearest, quoted

FILES_LIMIT = 10_000  # in a listing and in an archive
ENTRIES_LIMIT = 50_000  # that are looked at for them, folders and links included
_BLOCK = tarfile.BLOCKSIZE
_LATEST = 253402300799.0  # the last second that RFC 3339 can tell


class Files:
    """Artifacts as the volume has them. Methods raise NoAnswer and OSError, and so do the contents' chunks."""

    def __init__(self, tree: Tree) -> None:
        """Take what it stands on."""
        self._tree = tree

    def listed(self, kept: Kept, run: int) -> Listing:
        """Give the run's artifacts, FILES_LIMIT at most."""
        found, complete = self._found(layout.artifacts(kept.name, kept.uid, run))
        return Listing(run, tuple(_entry(item) for item in found), complete)

    def content(self, kept: Kept, run: int, parts: Sequence[str]) -> Content:
        """Give one file."""
        path = layout.artifacts(kept.name, kept.uid, run) / _below(parts)
        file = self._tree.find(path)
        if file is None:
            raise NoAnswer("absent", self._missing(kept, run, parts))
        size = file.seek(0, 2)
        return Content(run, size, pieces(file, 0, size), file.close)

    def archive(self, kept: Kept, run: int, parts: Sequence[str]) -> Content:
        """Give the files of a folder of the artifacts (no parts: of all) as a tar archive; names begin below it."""
        top = layout.artifacts(kept.name, kept.uid, run) / _below(parts)
        found, complete = self._found(top)
        if not complete:
            line = f"more than {FILES_LIMIT} files, or folders too deep or unreadable: fetch smaller folders, or files"
            raise NoAnswer("wrong", f"{quoted('/'.join(parts) or 'artifacts')} of run {run}: {line}")
        if parts and not found:
            raise NoAnswer("absent", self._missing(kept, run, parts))
        size = sum(len(_header(item)) + _padded(item.size) for item in found) + 2 * _BLOCK
        chunks = self._tar(top, found)
        return Content(run, size, chunks, chunks.close)

    def _found(self, folder: PurePosixPath) -> tuple[list[Found], bool]:
        """Return the files below a folder by path, and whether these are all; none where there is no folder."""
        return self._tree.walk(folder, FILES_LIMIT, ENTRIES_LIMIT)

    def _missing(self, kept: Kept, run: int, parts: Sequence[str]) -> str:
        path = "/".join(parts)
        known = [item.path for item in self._found(layout.artifacts(kept.name, kept.uid, run))[0]]
        if any(item.startswith(f"{path}/") for item in known):
            return f"{quoted(path)} of run {run} is a folder: ask for it with Accept: application/x-tar"
        return f"run {run} of {kept.name} has no artifact {quoted(path)} (plain files only); {nearest(path, known)}"

    def _tar(self, top: PurePosixPath, found: Sequence[Found]) -> Generator[bytes]:
        for item in found:
            yield _header(item)
            with closing(self._tree.open(top / below(item.path.split("/")))) as file:
                left = item.size
                for piece in pieces(file, 0, item.size):
                    left -= len(piece)
                    yield piece
            if left:
                raise OSError(0, "became shorter while it was read", item.path)
            yield bytes(_padded(item.size) - item.size)
        yield bytes(2 * _BLOCK)


def _header(item: Found) -> bytes:
    entry = tarfile.TarInfo(item.path)
    entry.size, entry.mtime = item.size, int(item.modified)
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _entry(item: Found) -> FileEntry:
    modified = datetime.fromtimestamp(min(max(item.modified, 0.0), _LATEST), UTC)
    return FileEntry(item.path, item.size, times.text(modified))


def _below(parts: Sequence[str]) -> PurePosixPath:
    try:
        return below(parts)
    except OSError:
        raise NoAnswer("wrong", f"{quoted('/'.join(parts))}: expected a path below the artifacts") from None
