"""One reading of a project: its files and what is found wrong in them, collected and bounded.

Refuses files that are too large, hold NUL bytes or are not UTF-8, before any parsing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, TypeAlias, TypeVar

from controller.core.inputs import engine, kinds
from controller.core.inputs.engine import Location
from controller.core.inputs.project.forms import Section
from controller.core.inputs.requirements import Findings
from controller.core.inputs.requirements.text import utf8
from controller.core.model import NOTEBOOK, Module, ProjectTree, Unread
from controller.core.text import clean, format_size, nearest

F = TypeVar("F", bound=Section)
Place: TypeAlias = Callable[[Location], str]
"""Returns the place of a value as the user wrote it, from its location in the document."""

LIMIT = 256 * 1024  # bytes of a project's file
MOST = 3 * kinds.PROBLEM_LIMIT  # lines kept of each kind; a hostile file could cause a line for each of its bytes


@dataclass
class Reading:
    """The tree, and problems and warnings in the order in which they were found, each starting with a file's name."""

    tree: ProjectTree
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    required: dict[str, Findings] = field(default_factory=dict)  # by stage
    scripts: list[tuple[str, str]] = field(default_factory=list)  # each stage and its script, below the project
    _unread: dict[str, None] = field(default_factory=dict)
    _modules: dict[str, None] = field(default_factory=dict)

    @cached_property
    def folders(self) -> Mapping[str, list[str]]:
        """The Python files and notebooks directly in each folder, by folder; "." is the project's own."""
        folders: dict[str, list[str]] = {".": []}
        for path in sorted(self.tree.files):
            parents = PurePosixPath(path).parents
            for parent in parents:
                folders.setdefault(str(parent), [])
            if path.endswith((".py", NOTEBOOK)):
                folders[str(parents[0])].append(path)
        return folders

    @cached_property
    def _spelled(self) -> Mapping[str, str]:
        return {path.lower(): path for path in sorted(self.tree.files)}

    def misspelled(self, *paths: str) -> str:
        """Return a file that has one of these names except for its capitals, "" if none has."""
        return next((self._spelled[path.lower()] for path in paths if path.lower() in self._spelled), "")

    @property
    def unread(self) -> Unread:
        """What has to be known before this reading says all."""
        return Unread(tuple(self._unread), tuple(self._modules))

    def content(self, path: str) -> bytes | None:
        """Return a file's content; None, with a problem or a wish noted, where it is not known."""
        content = self.tree.texts.get(path)
        if content is None and not self.fault(path):
            self._unread[path] = None
        return content

    def text(self, path: str, limit: int = LIMIT, decode: Callable[[bytes], str] = utf8) -> str | None:
        """Return a file's text; None, with a problem or a wish noted, where there is none."""
        content = self.content(path)
        if content is not None and len(content) > limit:
            self.problem(path, f"is {format_size(len(content))} large: {format_size(limit)} at most: make it smaller")
            return None
        try:
            return None if content is None else decode(content)
        except ValueError as error:
            self.problem(path, str(error))
            return None

    def check(self, form: type[F], document: Any, place: Place) -> F | None:
        """Return the document as a form, None with the problems noted. Unknown keys are warnings."""
        found, faults = engine.check(form, document)
        for fault in faults:
            if fault.known:
                self.unknown(place(fault.location), str(fault.location[-1]), fault.known)
            else:
                self.problem(place(fault.location), fault.sentence)
        return found

    def module(self, path: str) -> Module:
        """Return what a Python file is, with a wish noted where it is not known yet."""
        if path not in self.tree.modules:
            self._modules[path] = None
        return self.tree.modules.get(path, Module())

    def fault(self, path: str) -> bool:
        """Note why a file, or a folder that it is in, can't be read; return whether there is such a reason."""
        for name in (path, *(str(parent) for parent in PurePosixPath(path).parents)):
            if name in self.tree.faults:
                line = f"{clean(name, 200)}: {self.tree.faults[name]}"
                self.take([line] if line not in self.problems else [])
                self.warnings = [warning for warning in self.warnings if warning != line]
                return True
        return False

    def problem(self, place: str, sentence: str) -> None:
        """Note something that keeps the project from running."""
        if len(self.problems) < MOST:
            self.problems.append(f"{place}: {sentence}")

    def take(self, lines: Iterable[str]) -> None:
        """Note problems that have their places already."""
        self.problems.extend(list(lines)[: max(0, MOST - len(self.problems))])

    def warning(self, place: str, sentence: str) -> None:
        """Note something that does nothing, or not what was meant."""
        if len(self.warnings) < MOST:
            self.warnings.append(f"{place}: {sentence}")

    def unknown(self, place: str, key: str, known: Iterable[str]) -> None:
        """Warn of an unknown key, with the nearest known one."""
        if len(self.warnings) < MOST:
            self.warning(place, f"unknown key, not used: {nearest(key, known)}")
