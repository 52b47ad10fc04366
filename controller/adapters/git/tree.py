"""What the core reads of a checkout: the names of all files below the project, and those texts that it asks for.

Refuses to follow a symbolic link out of the checkout, and to load what is too large or too much. What nobody asks for
may be anything.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from controller.adapters.git.faults import clean
from controller.core import layout
from controller.core.errors import Invalid
from controller.core.text import format_size

MAX_TEXTS = 1000  # of one project
MAX_BYTES = 32 * 1024**2  # of all these
MAX_MODULE = 256 * 1024  # bytes of a Python file that is compiled to see whether it can be
MAX_SOURCES = 8 * 1024**2  # of all that are compiled at once
MAX_LINES = 20  # warnings of one kind
CHUNK = 1 << 20  # bytes read at a time

LFS_START = b"version https://git-lfs.github.com/spec/"
LFS_SIZE = 1024  # bytes; a pointer is smaller (Git LFS specification)


@dataclass(slots=True)
class ProjectFiles:
    """What was found so far below `project`, a folder of the checkout `root`; both are resolved."""

    root: Path
    project: Path
    max_files: int
    max_text: int
    entries: int = 0
    files: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # that are not UTF-8

    def warnings(self) -> tuple[str, ...]:
        """Return the lines about what is not an error yet."""
        return (*_some(self.links), *_some(self.pointers), *_some(self.names))


def read(reading: ProjectFiles) -> ProjectFiles:
    """Fill `reading`. Raises Invalid(RepositoryTooLarge) above its number of files."""
    for name, path in _walk(reading, reading.project, "", (reading.project,)):
        reading.files.add(name)
        with suppress(PermissionError):  # an error when somebody asks for its text
            if path.stat().st_size <= LFS_SIZE and path.read_bytes().startswith(LFS_START):
                line = f"{clean(name)}: is a Git LFS pointer, not the file: LFS is not supported yet"
                reading.pointers.append(line)
    return reading


def texts(reading: ProjectFiles, names: Iterable[str], known: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the content of these files by their names below the project; `reading.faults` says why one is not there.

    `known` are the texts of the project that were read before.
    """
    found: dict[str, bytes] = {}
    size = sum(map(len, known.values()))
    for name in names:
        content = _content(reading, name, reading.max_text)
        if content is None:
            continue
        size += len(content)
        if size > MAX_BYTES or len(known) + len(found) >= MAX_TEXTS:
            limit = f"{MAX_TEXTS} files, or {format_size(MAX_BYTES)},"
            reading.faults[name] = f"is beyond the {limit} that are read of one project: make them fewer"
        else:
            found[name] = content
    return found


def sources(reading: ProjectFiles, names: Iterable[str]) -> dict[str, bytes | None]:
    """Return the content of Python files, None for one that is too large to look at, or beyond what all may have."""
    found: dict[str, bytes | None] = {}
    left = MAX_SOURCES
    for name in names:
        content = _content(reading, name, min(MAX_MODULE, left))
        left -= len(content or b"")
        found[name] = content
    return found


def fingerprint(reading: ProjectFiles, names: Iterable[str], max_bytes: int) -> str:
    """Return a SHA-256 over name, mode (executable or not) and content of these files and of all files below folders.

    A link stands for what it leads to. Raises Invalid(RepositoryTooLarge) above the number of files or `max_bytes`.
    """
    whole = hashlib.sha256()
    left = max_bytes
    named = ((name, _inner(reading, name)) for name in sorted(set(names)))
    files = (
        _walk(reading, path, "" if name == "." else f"{name}/", (path,)) if path.is_dir() else [(name, path)]
        for name, path in named
        if path
    )
    for name, path in chain.from_iterable(files):
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            mode = "x" if os.fstat(stream.fileno()).st_mode & 0o100 else "-"
            while chunk := stream.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    most = format_size(max_bytes)
                    line = f"{clean(name)}: what requirements name is larger than {most}: keep data out of it"
                    raise Invalid("RepositoryTooLarge", [line])
                digest.update(chunk)
        whole.update(f"{len(name.encode())} {name} {mode} {digest.hexdigest()}\n".encode())
    return whole.hexdigest()


def _inner(reading: ProjectFiles, name: str) -> Path | None:
    """Return the real path of this name below the project; None for nothing, and for what is not the checkout's."""
    if not _is_utf8(name) or "\0" in name:
        return None
    try:
        path = (reading.project / name).resolve(strict=True)
    except (OSError, RuntimeError):  # not there, a file on the way, a name too long, or a loop of links
        return None
    hidden = path in {reading.root / ".git", reading.root / layout.COMPLETE}
    return path if inside(reading.root, path) and not hidden else None


def _walk(reading: ProjectFiles, folder: Path, below: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Yield name and real path of each file; `above` are the real folders on the way, so that no link makes a loop."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if folder == reading.root and entry.name in {".git", layout.COMPLETE}:
            continue
        reading.entries += 1
        if reading.entries > reading.max_files:
            line = f"the project has more than {reading.max_files} files, links followed: keep data out of Git"
            raise Invalid("RepositoryTooLarge", [line])
        name = below + entry.name
        if not _is_utf8(name):
            reading.names.append(f"{clean(_shown(name))}: the file's name is not UTF-8: it is left out")
            continue
        path = _target(reading, name, entry) if entry.is_symlink() else Path(entry.path)
        if path is None:
            continue
        if not path.is_dir():
            yield name, path
        elif path not in above:
            yield from _walk(reading, path, f"{name}/", (*above, path))


def _target(reading: ProjectFiles, name: str, entry: os.DirEntry[str]) -> Path | None:
    """Return where a link inside the checkout leads; None, and note a line, for one that leaves it or leads nowhere."""
    target = str(Path(entry.path).readlink())
    try:
        path = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):  # dangling, or a loop (RuntimeError until Python 3.13)
        why = "which does not exist"
    else:
        if not target.startswith("/") and inside(reading.root, path):
            return path
        why = "which is outside the repository"
    fault = f"is a symbolic link to {clean(_shown(target), 100)}, {why}: commit the file itself"
    reading.faults[name] = fault
    reading.links.append(f"{clean(name)}: {fault}")
    return None


def inside(root: Path, path: Path) -> bool:
    """Return whether a resolved path is the checkout or one of its own files."""
    return path == root or (path.is_relative_to(root) and path.relative_to(root).parts[0] != ".git")


def _content(reading: ProjectFiles, name: str, limit: int) -> bytes | None:
    """Return what is in a file; None, with its fault noted, where it can't be read."""
    path = _inner(reading, name)
    if path is None or not path.is_file():
        reading.faults.setdefault(name, "is not a file that can be read")
        return None
    try:
        if (size := path.stat().st_size) <= limit:
            return path.read_bytes()
    except PermissionError as error:
        reading.faults[name] = f"can't be read ({os.strerror(error.errno or 0)})"
        return None
    reading.faults[name] = f"is {format_size(size)} large: {format_size(limit)} at most: make it smaller"
    return None


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _shown(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _some(lines: list[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    more = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], f"{more} more lines of this kind: {lines[MAX_LINES]} and so on"] if more > 0 else lines
