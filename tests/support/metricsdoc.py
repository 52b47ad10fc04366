"""What docs/reference/metrics.md promises of each metric, to be held to what a controller exports."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(coachwork_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Described:
    """A metric as the page or a scrape describes it; no labels are known of one that has no series now."""

    type: str
    labels: frozenset[str]


def documented() -> Mapping[str, Described]:
    """Return the metrics that the page lists."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert all(unit.strip() and bound.strip() and meaning.strip() for *_, unit, bound, meaning in rows)
    return {name: Described(type_, frozenset(re.findall(r"`(\w+)`", labels))) for name, type_, labels, *_ in rows}


def exported(text: str) -> Mapping[str, Described]:
    """Return our metrics that a scrape has, with the labels that its series have."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: Described(family.type, _labels([family]))
        for family in text_string_to_metric_families(text)
        if family.name.startswith("coachwork_") and not family.name.endswith("_created")
    }


def _labels(families: Iterable[Metric]) -> frozenset[str]:
    return frozenset(label for family in families for sample in family.samples for label in sample.labels) - {"le"}


def bounds(requests: int) -> Mapping[str, int]:
    """Return how many series each metric may have, where the page gives a number or one for each request."""
    found = {}
    for name, _, _, _, bound, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        if match := re.fullmatch(r"([\d,]+)( a request)?", bound.strip()):
            found[name] = int(match[1].replace(",", "")) * (requests if match[2] else 1)
    return found


def series(text: str) -> Mapping[str, int]:
    """Return how many values of its labels each of our metrics has in a scrape."""
    found = defaultdict[str, set[frozenset[tuple[str, str]]]](set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset((key, value) for key, value in sample.labels.items() if key != "le")
            found[f"{family.name}_total" if family.type == "counter" else family.name].add(labels)
    return {name: len(values) for name, values in found.items()}
