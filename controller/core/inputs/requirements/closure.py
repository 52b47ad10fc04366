"""All that a stage's requirements come to: `-r` and `-c` followed, paths brought to the project. Pure.

Relative paths mean what they mean to pip: `-r`, `-c` and folders of links start from the file that names them, packages
from the working folder, which is the requirement file's folder, or the project's root where all of them exist only
there. A file that includes itself is read once. Refuses what points outside the project, is not there, or is too much.
"""

import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.core.inputs.requirements.line import ARCHIVES, Directive, Include, parse
from controller.core.inputs.requirements.text import decoded, numbered
from controller.core.text import format_size, quoted

DEPTH = 20  # files within files
FILES = 100
LINES = 20_000
SIZE = 2 * 1024 * 1024  # characters of all lines with their places: the normal form is a file that is read as a whole
PACKAGE_FILES = ("pyproject.toml", "setup.py")  # one of them makes a folder a package that can be installed

Lines = Iterable[tuple[str, str]]  # place and text


@dataclass(frozen=True, slots=True)
class Files:
    """What is known of a project: the names of its files and folders, and the texts of some."""

    files: Collection[str]
    folders: Collection[str]
    texts: Mapping[str, bytes]

    def is_package(self, path: str) -> bool:
        """Return whether a path is an archive, or a folder that can be installed."""
        return path in self.files or any(posixpath.normpath(f"{path}/{name}") in self.files for name in PACKAGE_FILES)


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """One part of a line, and where it stands."""

    place: str  # as it is shown
    file: str
    item: Directive
    constraint: bool

    @property
    def text(self) -> str:
        """The normal form."""
        return self.item.text


@dataclass
class Closure:
    """What was found so far: entries in order, files whose text is needed, problems as finished lines."""

    project: Files
    entries: list[RequirementLine] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: set[tuple[str, bool]] = field(default_factory=set)
    lines: int = 0
    size: int = 0

    def file(self, path: str, *, constraint: bool = False, depth: int = 0) -> None:
        """Follow a file that the project has, once."""
        if (path, constraint) in self.seen:
            return
        self.seen.add((path, constraint))
        content = self.project.texts.get(path)
        if content is None:
            self.missing.append(path)
            return
        try:
            lines = numbered(decoded(content))
        except ValueError as error:
            self.problems.append(f"{path}: {error}")
            return
        places = ((f"{path}:{number}", line) for number, line in lines)
        self.follow(places, path, constraint=constraint, depth=depth)

    def follow(self, lines: Lines, file: str, *, constraint: bool = False, depth: int = 0) -> None:
        """Follow the lines of a file."""
        for place, text in lines:
            if self._is_too_much(place, text):
                return
            try:
                for part in parse(text):
                    if isinstance(part, Include):
                        self._include(part, file, constraint=constraint, depth=depth)
                    else:
                        self.entries.append(RequirementLine(place, file, part, constraint))
            except ValueError as error:
                self.problems.append(f"{place}: {error}")

    def _is_too_much(self, place: str, text: str) -> bool:
        """Count a line; return whether it is beyond what is read, which is a problem once."""
        before = self.lines > LINES or self.size > SIZE
        self.lines += 1
        self.size += len(place) + len(text)
        if not before and self.lines > LINES:
            self.problems.append(f"{place}: more than {LINES} lines of requirements: make them fewer")
        elif not before and self.size > SIZE:
            self.problems.append(f"{place}: more than {format_size(SIZE)} of requirements: make them fewer")
        return self.lines > LINES or self.size > SIZE

    def _include(self, part: Include, file: str, *, constraint: bool, depth: int) -> None:
        """Follow `-r` or `-c`; within a file of constraints everything is one. Raises ValueError."""
        path = _below(posixpath.dirname(file), part.path)
        if path not in self.project.files:
            raise ValueError(f"file {quoted(path)} not found")
        if depth >= DEPTH or len(self.seen) >= FILES:
            raise ValueError(f"more than {DEPTH} files deep, or {FILES} in all: put the requirements together")
        self.file(path, constraint=constraint or part.constraint, depth=depth + 1)


def settle(closure: Closure, folders: tuple[str, ...]) -> tuple[RequirementLine, ...]:
    """Return the entries, with paths below the project; what can't be is a problem of the closure.

    `folders` are those that packages may start from, the first one where they exist in none.
    """
    local = [entry.item.path for entry in closure.entries if entry.item.path and not entry.item.option]
    folder = next((folder for folder in folders if _all_there(closure.project, folder, local)), folders[0])
    settled = []
    for entry in closure.entries:
        try:
            path = _found(closure.project, folder, entry) if entry.item.path else ""
        except ValueError as error:
            closure.problems.append(f"{entry.place}: {error}")
        else:
            settled.append(replace(entry, item=replace(entry.item, path=path)) if path else entry)
    return tuple(settled)


def _all_there(project: Files, folder: str, paths: Iterable[str]) -> bool:
    try:
        return all(project.is_package(_below(folder, path)) for path in paths)
    except ValueError:
        return False


def _found(project: Files, folder: str, entry: RequirementLine) -> str:
    """Return an entry's path below the project. Raises ValueError where there is no such thing."""
    path = _below(posixpath.dirname(entry.file) if entry.item.option else folder, entry.item.path)
    is_folder = path == "." or path in project.folders
    if path not in project.files and not is_folder:
        remedy = ": write / instead of \\" if "\\" in path else ""
        raise ValueError(f"file {quoted(path)} not found{remedy}")
    if is_folder and not entry.item.option and not project.is_package(path):
        expected = " nor ".join(PACKAGE_FILES)
        raise ValueError(f"the folder {quoted(path)} has neither {expected}: it can't be installed")
    if path in project.files and not entry.item.option and not path.lower().endswith(ARCHIVES):
        raise ValueError(f"{quoted(path)} is not a package: expected a folder or one of {', '.join(ARCHIVES)}")
    return path


def _below(folder: str, path: str) -> str:
    """Return a path below the project. Raises ValueError for one that leaves it."""
    full = posixpath.normpath(posixpath.join(folder, path))
    if full.startswith(("/", "../")) or full == "..":
        raise ValueError(f"{quoted(path)} is outside the project: copy it into the project")
    return full
