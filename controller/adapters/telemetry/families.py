"""Counters and histograms whose labels have closed sets of values: every series is there from the first scrape on.

A counter that appears with its first value shows no increase, and the first failure would go unnoticed.
"""

from collections.abc import Collection
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Family = TypeVar("Family", Counter, Gauge, Histogram)


def counter(registry: CollectorRegistry, name: str, meaning: str, **labels: Collection[str]) -> Counter:
    """Return a counter of a series for each combination of these values."""
    return _complete(Counter(f"coachwork_{name}", meaning, [*labels], registry=registry), labels)


def gauge(registry: CollectorRegistry, name: str, meaning: str, **labels: Collection[str]) -> Gauge:
    """Return a gauge of a series for each combination of these values."""
    return _complete(Gauge(f"coachwork_{name}", meaning, [*labels], registry=registry), labels)


def seconds(
    registry: CollectorRegistry, name: str, meaning: str, buckets: tuple[float, ...], **labels: Collection[str]
) -> Histogram:
    """Return a histogram of durations, of a set of series for each combination of these values."""
    made = Histogram(f"coachwork_{name}_seconds", meaning, [*labels], registry=registry, buckets=buckets)
    return _complete(made, labels)


def _complete(made: Family, labels: dict[str, Collection[str]]) -> Family:
    for values in product(*labels.values()) if labels else ():
        made.labels(*values)
    return made
