"""The controller's own work: passes, queue, workers, and secrets that it hid."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RECONCILE_RESULTS: Final = ("done", "not-yet", "transient", "defect")
SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600)


class WorkMetrics:
    """Counts passes, and shows who waits for one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reconciles = Counter("coachwork_reconciles", "Passes over a request", ["result"], registry=registry)
        self._duration = Histogram(
            "coachwork_reconcile_duration_seconds",
            "Duration of a pass over a request",
            registry=registry,
            buckets=SECONDS,
        )
        self._depth = Gauge("coachwork_queue_depth", "Requests that wait for a pass", registry=registry)
        self._oldest = Gauge(
            "coachwork_queue_oldest_seconds", "How long the request waits that has waited longest", registry=registry
        )
        self._workers = Gauge("coachwork_workers", "Threads that make passes", registry=registry)
        self._busy = Gauge("coachwork_workers_busy", "Threads that are making a pass", registry=registry)
        self._ready = Gauge("coachwork_ready", "1 while the controller works, as /readyz says", registry=registry)
        self._hidden = Counter("coachwork_redactions", "Secrets that were hidden in log lines", registry=registry)
        for result in RECONCILE_RESULTS:
            self._reconciles.labels(result)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count a pass (result: one of RECONCILE_RESULTS) and its duration."""
        self._reconciles.labels(result).inc()
        self._duration.observe(seconds)

    def show_queue(
        self, depth: Callable[[], float], oldest: Callable[[], float], workers: int, busy: Callable[[], float]
    ) -> None:
        """Show, at every scrape, how many requests wait, for how long, and how many threads there are and at work."""
        self._depth.set_function(depth)
        self._oldest.set_function(oldest)
        self._workers.set(workers)
        self._busy.set_function(busy)

    def show_ready(self, unready: Callable[[], str]) -> None:
        """Show, at every scrape, whether the controller is ready: `unready` returns why not."""
        self._ready.set_function(lambda: not unready())

    def hid(self, count: int) -> None:
        """Count secrets that were hidden in a log line."""
        self._hidden.inc(count)
