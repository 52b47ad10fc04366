"""Calls of git, and what came of questions to Git servers."""

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, seconds
from controller.core import reasons

GIT_OPERATIONS: Final = (
    *("cat-file", "checkout-index", "config", "fetch", "init", "log", "ls-remote", "ls-tree", "read-tree", "rev-parse"),
    "other",
)
GIT_OUTCOMES: Final = ("ok", "error", "timeout", "too-large")
SECONDS: Final = (0.01, 0.05, 0.25, 1, 5, 20, 60, 300)


class GitMetrics:
    """Counts git processes, and questions to Git that ended with an error."""

    def __init__(self, registry: CollectorRegistry) -> None:
        count, operations = partial(counter, registry), GIT_OPERATIONS
        self._calls = count("git_calls", "Calls of git", operation=operations, outcome=GIT_OUTCOMES)
        self._seconds = seconds(registry, "git", "Duration of a call of git", SECONDS, operation=operations)
        self._failures = count("git_failures", "Questions to Git that ended with an error", reason=reasons.OF_GIT)
        self._shared = count("git_shared", "Answers of Git servers that served again")

    def called(self, operation: str, outcome: str, lasted: float) -> None:
        """Count a call: its subcommand (one of GIT_OPERATIONS, else other), one of GIT_OUTCOMES, and its time."""
        operation = operation if operation in GIT_OPERATIONS else "other"
        self._calls.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(lasted)

    def failed(self, reason: str) -> None:
        """Count a question that ended with an error of this reason."""
        self._failures.labels(reasons.closed(reason, reasons.OF_GIT)).inc()

    def shared(self) -> None:
        """Count an answer of a Git server that served again, without a call."""
        self._shared.inc()
