"""Signs of life: JSON log lines, and metrics in a registry of their own. No secret leaves here."""

from controller.adapters.telemetry.exposition import PrometheusMetrics
from controller.adapters.telemetry.loglines import configure_logging

__all__ = ["PrometheusMetrics", "configure_logging"]
