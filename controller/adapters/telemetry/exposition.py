"""All metrics, and how they are scraped."""

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from controller.adapters.telemetry.api import ApiMetrics
from controller.adapters.telemetry.git import GitMetrics
from controller.adapters.telemetry.requests import RequestMetrics
from controller.adapters.telemetry.runs import RunMetrics
from controller.adapters.telemetry.volume import VolumeMetrics
from controller.adapters.telemetry.web import WebMetrics
from controller.adapters.telemetry.work import WorkMetrics


class PrometheusMetrics:
    """The controller's metrics, by what they are about; two of these share nothing."""

    def __init__(self, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.api, self.git, self.requests = ApiMetrics(registry), GitMetrics(registry), RequestMetrics(registry)
        self.runs, self.volume = RunMetrics(registry), VolumeMetrics(registry)
        self.web, self.work = WebMetrics(registry), WorkMetrics(registry)
        build = Gauge("coachwork_build_info", "1, with the version as a label", ["version"], registry=registry)
        build.labels(version).set(1)

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """Return the content type and the text for a scraper whose Accept header is `accept`."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def value(self, metric: str, /, **labels: str) -> float | None:
        """Return one sample as a scrape would show it, None if there is none yet."""
        return self._registry.get_sample_value(metric, dict(labels))
