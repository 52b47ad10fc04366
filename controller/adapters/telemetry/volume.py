"""The shared volume."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, gauge
from controller.core import layout

VOLUME_KINDS: Final = (
    *map(str, (layout.BUILDS, layout.CHECKOUTS, layout.ENVIRONMENTS, layout.MIRRORS)),
    *map(str, (layout.RUNS, layout.SCRATCH, layout.TOOLS)),
)


class VolumeMetrics:
    """Shows what is on the volume, and counts what was removed from it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._size = gauge(registry, "volume_size_bytes", "Size of the shared volume")
        self._free = gauge(registry, "volume_free_bytes", "What of the shared volume is free")
        self._used = gauge(registry, "volume_used_bytes", "What is on the shared volume", kind=VOLUME_KINDS)
        self._swept = counter(registry, "swept", "Things that were removed from the volume", kind=VOLUME_KINDS)
        self._freed = counter(registry, "swept_bytes", "Bytes that removals set free", kind=VOLUME_KINDS)

    def room(self, size: int, free: int) -> None:
        """Record the shared volume's size and what of it is free, in bytes."""
        self._size.set(size)
        self._free.set(free)

    def used(self, sizes: Mapping[str, int]) -> None:
        """Record the bytes in each top folder."""
        for kind, size in sizes.items():
            self._used.labels(kind).set(size)

    def swept(self, things: Mapping[str, int], freed: Mapping[str, int]) -> None:
        """Count what was removed, and the bytes that came free, by the top folder of the volume."""
        for kind, count in things.items():
            self._swept.labels(kind).inc(count)
        for kind, count in freed.items():
            self._freed.labels(kind).inc(count)
