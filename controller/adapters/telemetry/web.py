"""Those who call the controller."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, gauge

WAKE_ANSWERS: Final = (202, 404, 429)  # web/wake.py's
REFUSALS: Final = (401, 403, 429, 503)  # web/readers.py's


class WebMetrics:
    """Counts calls of pods that are done, and shows who reads pages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        answers = tuple(map(str, WAKE_ANSWERS))
        self._wakes = counter(registry, "wakes", "Calls of pods that are done", answer=answers)
        codes = tuple(map(str, REFUSALS))
        self._refused = counter(registry, "pages_refused", "Pages that were not shown for want of a right", code=codes)
        self._readers = gauge(registry, "pages_readers", "Answers of pages that are under way")

    def woken(self, answer: int) -> None:
        """Count a call of a pod that is done, by the answer that it gets (one of WAKE_ANSWERS)."""
        self._wakes.labels(answer).inc()

    def refused(self, code: int) -> None:
        """Count a page that was not shown to somebody who may not read, or of whom it is unknown (one of REFUSALS)."""
        self._refused.labels(code).inc()

    def show_readers(self, count: Callable[[], float]) -> None:
        """Show, at every scrape, how many answers of pages are under way."""
        self._readers.set_function(count)
