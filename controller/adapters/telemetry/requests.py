"""The requests, read at each scrape: one that is gone has no series any more."""

from collections import Counter as Counts
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.core.model import IN_NEED, Phase
from controller.core.signs import Signs

PHASES: Final = get_args(Phase)
NAMED_REQUESTS: Final = 1000  # that have series of their own; those that need somebody come first
NUMBERS: Final = 10_000  # of their stages, in all
OF_REQUESTS: Final[Mapping[str, tuple[str, Callable[[Signs], float | None]]]] = {
    "last_success_timestamp_seconds": ("When the last good run ended", lambda signs: signs.last_success),
    "run_started_timestamp_seconds": ("When the active run started", lambda signs: signs.run_started),
    "pending_since_timestamp_seconds": ("Since when a run can't begin", lambda signs: signs.pending_since),
    "last_duration_seconds": ("Duration of the last run that ended", lambda signs: signs.last_duration),
    "usual_duration_seconds": ("Median duration of the good runs in the history", lambda signs: signs.usual_duration),
    "last_slot_timestamp_seconds": ("The newest slot that has triggered", lambda signs: signs.last_slot),
    "next_slot_timestamp_seconds": ("The next slot of the schedule", lambda signs: signs.next_slot),
}


class RequestMetrics:
    """Shows the requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def show(
        self, phases: Callable[[], Mapping[str, str]], signs: Callable[[Collection[str]], Mapping[str, Signs]]
    ) -> None:
        """Show the requests at every scrape; once for a process.

        `phases` returns the phase of each by its name, `signs` the signs of some.
        """
        self._registry.register(_Requests(phases, signs))


class _Requests(Collector):
    def __init__(
        self, phases: Callable[[], Mapping[str, str]], signs: Callable[[Collection[str]], Mapping[str, Signs]]
    ) -> None:
        self._phases, self._signs = phases, signs

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests are in each phase, and what there is to say of each."""
        # No other phase than ours: a record is text that somebody may have edited.
        found = {name: phase for name, phase in self._phases().items() if phase in PHASES}
        counts = Counts(found.values())
        family = GaugeMetricFamily("coachwork_requests", "Requests by the phase of their record", labels=["phase"])
        for phase in PHASES:
            family.add_metric([phase], counts[phase])
        yield family
        named = sorted(found, key=lambda name: (found[name] not in IN_NEED, name))[:NAMED_REQUESTS]
        yield _family("phase", "1, with a request's phase", ["phase"], ([name, found[name]] for name in named))
        yield from _described(self._signs(named))


def _described(signs: Mapping[str, Signs]) -> Iterator[Metric]:
    failed = ([name, each.failure] for name, each in signs.items() if each.failure)
    yield _family("failure", "1, with the reason that the last run failed for", ["reason"], failed)
    for gauge, (meaning, value) in OF_REQUESTS.items():
        family = GaugeMetricFamily(f"coachwork_request_{gauge}", meaning, labels=["request"])
        for name, each in signs.items():
            if (shown := value(each)) is not None:
                family.add_metric([name], shown)
        yield family
    numbers = GaugeMetricFamily(
        "coachwork_stage_metric", "A number that a stage has left", labels=["request", "stage", "name"]
    )
    every = (([name, stage, key], number) for name, each in signs.items() for stage, key, number in each.numbers)
    for labels, number in islice(every, NUMBERS):
        numbers.add_metric(labels, number)
    yield numbers


def _family(name: str, meaning: str, labels: list[str], values: Iterable[list[str]]) -> Metric:
    family = GaugeMetricFamily(f"coachwork_request_{name}", meaning, labels=["request", *labels])
    for each in values:
        family.add_metric(each, 1)
    return family
