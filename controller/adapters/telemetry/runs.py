"""Runs and their stages."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

RUN_OUTCOMES: Final = ("Succeeded", "Failed", "Cancelled", "Invalid", "Refused")


class RunMetrics:
    """Counts what became of runs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("coachwork_runs", "Runs that ended", ["outcome"], registry=registry)
        for outcome in RUN_OUTCOMES:
            self._runs.labels(outcome)

    def run_ended(self, outcome: str) -> None:
        """Count a run that ended (one of RUN_OUTCOMES)."""
        self._runs.labels(outcome).inc()
