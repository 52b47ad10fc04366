"""One reading of a project: its files and what is found wrong in them, collected and bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from controller.core import checks
from controller.core.model import ProjectTree
from controller.core.requirements import Look

KEPT = 3 * checks.PROBLEM_LIMIT  # lines kept of each kind; a hostile file could cause a line for each of its bytes


@dataclass
class Reading:
    """The tree, and problems and warnings in the order in which they were found, each starting with a file's name."""

    tree: ProjectTree
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    required: dict[str, Look] = field(default_factory=dict)  # by stage

    @cached_property
    def folders(self) -> Mapping[str, list[str]]:
        """The Python files directly in each folder, by folder; "." is the project's own."""
        folders: dict[str, list[str]] = {".": []}
        for path in sorted(self.tree.files):
            parents = PurePosixPath(path).parents
            for parent in parents:
                folders.setdefault(str(parent), [])
            if path.endswith(".py"):
                folders[str(parents[0])].append(path)
        return folders

    def problem(self, place: str, sentence: str) -> None:
        """Note something that keeps the project from running."""
        if len(self.problems) < KEPT:
            self.problems.append(f"{place}: {sentence}")

    def take(self, lines: Iterable[str]) -> None:
        """Note problems that have their places already."""
        self.problems.extend(list(lines)[: max(0, KEPT - len(self.problems))])

    def warning(self, place: str, sentence: str) -> None:
        """Note something that does nothing, or not what was meant."""
        if len(self.warnings) < KEPT:
            self.warnings.append(f"{place}: {sentence}")

    def unknown(self, place: str, key: str, known: Iterable[str]) -> None:
        """Warn of an unknown key, with the nearest known one."""
        if len(self.warnings) < KEPT:
            self.warning(place, f"unknown key {checks.shown(key)}, not used: {checks.nearest(key, known)}")
