"""The controller's own work: passes, queue, workers and defects."""

from collections.abc import Callable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, gauge, seconds

RECONCILE_RESULTS: Final = ("done", "not-yet", "transient", "defect")
SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600)


class WorkMetrics:
    """Counts passes, and shows who waits for one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        show = partial(gauge, registry)
        self._reconciles = counter(registry, "reconciles", "Passes over a request", result=RECONCILE_RESULTS)
        self._duration = seconds(registry, "reconcile_duration", "Duration of a pass over a request", SECONDS)
        self._depth = show("queue_depth", "Requests that wait for a pass")
        self._oldest = show("queue_oldest_seconds", "How long the request waits that has waited longest")
        self._workers = show("workers", "Threads that make passes")
        self._busy = show("workers_busy", "Threads that are making a pass")
        self._notifications = counter(
            registry, "notifications", "Notifications that were sent, each try", result=("arrived", "failed")
        )
        self._defects = counter(registry, "defects", "Errors of Coachwork itself")
        self._ready = show("ready", "1 while the controller works, as /readyz says")
        self._leader = show("leader", "1 while the controller holds the Lease, and so may act")

    def reconciled(self, result: str, lasted: float) -> None:
        """Count a pass (result: one of RECONCILE_RESULTS) and its duration."""
        self._reconciles.labels(result).inc()
        self._duration.observe(lasted)

    def notified(self, arrived: bool) -> None:
        """Count a notification that was sent, or could not be."""
        self._notifications.labels("arrived" if arrived else "failed").inc()

    def defect(self) -> None:
        """Count an error of Coachwork itself."""
        self._defects.inc()

    def show_queue(
        self, depth: Callable[[], float], oldest: Callable[[], float], workers: int, busy: Callable[[], float]
    ) -> None:
        """Show, at every scrape, how many requests wait, for how long, and how many threads there are and at work."""
        self._depth.set_function(depth)
        self._oldest.set_function(oldest)
        self._workers.set(workers)
        self._busy.set_function(busy)

    def show_ready(self, unready: Callable[[], str], standing: Callable[[], str]) -> None:
        """Show, at every scrape, whether the controller is ready, and leads: both return why not."""
        self._ready.set_function(lambda: not unready())
        self._leader.set_function(lambda: not standing())
