"""The shared volume."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.core import layout

VOLUME_KINDS: Final = (
    *map(str, (layout.BUILDS, layout.CHECKOUTS, layout.ENVIRONMENTS, layout.MIRRORS)),
    *map(str, (layout.RUNS, layout.SCRATCH, layout.TOOLS)),
)


class VolumeMetrics:
    """Shows what is on the volume, and counts what was removed from it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._size = Gauge("coachwork_volume_size_bytes", "Size of the shared volume", registry=registry)
        self._free = Gauge("coachwork_volume_free_bytes", "What of the shared volume is free", registry=registry)
        self._swept = Counter(
            "coachwork_swept", "Things that were removed from the volume", ["kind"], registry=registry
        )
        self._freed = Counter("coachwork_swept_bytes", "Bytes that removals set free", ["kind"], registry=registry)
        for kind in VOLUME_KINDS:
            self._swept.labels(kind)
            self._freed.labels(kind)

    def room(self, size: int, free: int) -> None:
        """Record the shared volume's size and what of it is free, in bytes."""
        self._size.set(size)
        self._free.set(free)

    def swept(self, things: Mapping[str, int], freed: Mapping[str, int]) -> None:
        """Count what was removed, and the bytes that came free, by the top folder of the volume."""
        for kind, count in things.items():
            self._swept.labels(kind).inc(count)
        for kind, count in freed.items():
            self._freed.labels(kind).inc(count)
