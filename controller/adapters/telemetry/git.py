"""Calls of git, and what came of questions to Git servers."""

from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

GIT_OPERATIONS: Final = (
    *("cat-file", "checkout-index", "config", "fetch", "init", "log", "ls-remote", "ls-tree", "read-tree", "rev-parse"),
    "other",
)
GIT_OUTCOMES: Final = ("ok", "error", "timeout", "too-large")
GIT_REASONS: Final = (
    *("GitAuthorityMalformed", "GitCertificate", "GitFailed", "GitHostKeyChanged", "GitHostKeyUnknown"),
    *("GitInterrupted", "GitKeyUnusable", "GitKnownHostsMalformed", "GitNegotiation", "GitProxy", "GitRefused"),
    *("GitSecretMalformed", "GitSecretRequired", "GitSecretUnfit", "GitServerError", "GitTimeout", "GitUnreachable"),
    *("NotPublished", "PathNotFound", "RefAmbiguous", "RefNotFound", "RepositoryEmpty", "RepositoryNotFound"),
    *("RepositoryRefused", "RepositoryTooLarge", "VolumeFailed", "VolumeFull", "Other"),
)
SECONDS: Final = (0.01, 0.05, 0.25, 1, 5, 20, 60, 300)


class GitMetrics:
    """Counts git processes, and questions to Git that ended with an error."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("coachwork_git_calls", "Calls of git", ["operation", "outcome"], registry=registry)
        self._seconds = Histogram(
            "coachwork_git_seconds", "Duration of a call of git", ["operation"], registry=registry, buckets=SECONDS
        )
        self._failures = Counter(
            "coachwork_git_failures", "Questions to Git that ended with an error", ["reason"], registry=registry
        )
        self._shared = Counter("coachwork_git_shared", "Answers of Git servers that served again", registry=registry)
        for operation, outcome in product(GIT_OPERATIONS, GIT_OUTCOMES):
            self._calls.labels(operation, outcome)
            self._seconds.labels(operation)
        for reason in GIT_REASONS:
            self._failures.labels(reason)

    def called(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call: its subcommand (one of GIT_OPERATIONS, else other), one of GIT_OUTCOMES, and its time."""
        operation = operation if operation in GIT_OPERATIONS else "other"
        self._calls.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)

    def failed(self, reason: str) -> None:
        """Count a question that ended with an error of this reason."""
        self._failures.labels(reason if reason in GIT_REASONS else "Other").inc()

    def shared(self) -> None:
        """Count an answer of a Git server that served again, without a call."""
        self._shared.inc()
