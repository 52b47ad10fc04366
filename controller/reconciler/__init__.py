"""One request, top to bottom: observe, plan, record, act. Owns the Protocols of what it needs from the edge."""

from controller.reconciler.loop import Reconciler
from controller.reconciler.ports import SILENT, Clock, Cluster, Metrics, Source, Volume
from controller.reconciler.view import View

__all__ = ["SILENT", "Clock", "Cluster", "Metrics", "Reconciler", "Source", "View", "Volume"]
