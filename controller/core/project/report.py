"""What is found wrong while a project is read: collected, bounded and printable, so that all shows at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.core import checks

KEPT = 10 * checks.PROBLEM_LIMIT  # lines kept of each kind; a hostile file could cause a line for each of its bytes


@dataclass
class Report:
    """Problems and warnings in the order in which they were found, each starting with the file's name."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def problem(self, place: str, sentence: str) -> None:
        """Note something that keeps the project from running."""
        if len(self.problems) < KEPT:
            self.problems.append(f"{place}: {sentence}")

    def warning(self, place: str, sentence: str) -> None:
        """Note something that does nothing, or not what was meant."""
        if len(self.warnings) < KEPT:
            self.warnings.append(f"{place}: {sentence}")

    def unknown(self, place: str, key: str, known: Iterable[str]) -> None:
        """Warn of an unknown key, with the nearest known one."""
        if len(self.warnings) < KEPT:
            self.warning(place, f"unknown key {checks.shown(key)}, not used: {checks.nearest(key, known)}")
