"""The requests, read at each scrape: one that is gone has no series any more."""

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.core.model import Phase

PHASES: Final = get_args(Phase)
NAMED_REQUESTS: Final = 1000  # that have series of their own; those that need somebody come first
IN_NEED: Final = ("Failed", "Invalid", "Blocked", "Degraded")


class RequestMetrics:
    """Shows the requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def show(self, phases: Callable[[], Mapping[str, str]]) -> None:
        """Show, at every scrape, the requests whose phases `phases` returns by name; once for a process."""
        self._registry.register(_Requests(phases))


class _Requests(Collector):
    def __init__(self, phases: Callable[[], Mapping[str, str]]) -> None:
        self._phases = phases

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests are in each phase, and the phase of each request."""
        # No other phase than ours: a record is text that somebody may have edited.
        found = {name: phase for name, phase in self._phases().items() if phase in PHASES}
        counts = Counts(found.values())
        family = GaugeMetricFamily("coachwork_requests", "Requests by the phase of their record", labels=["phase"])
        for phase in PHASES:
            family.add_metric([phase], counts[phase])
        yield family
        named = GaugeMetricFamily("coachwork_request_phase", "1, with a request's phase", labels=["request", "phase"])
        for name in sorted(found, key=lambda name: (found[name] not in IN_NEED, name))[:NAMED_REQUESTS]:
            named.add_metric([name, found[name]], 1)
        yield named
