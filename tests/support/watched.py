"""The API server in memory with the watches that the app wants: each change is reported at once."""

import threading
from collections.abc import Callable

from controller.core.model import Object
from tests.support.memory import MemoryCluster


class WatchedMemory(MemoryCluster):
    """Tells of changes at once. `gate` holds the first write of each pass up."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.synced, self.healthy, self.stopped = False, True, False

    def start(self, on_change: Callable[[str, Object | None, Object | None], None]) -> None:
        self.listener = on_change
        self._heard.clear()
        self.sync()

    def stop(self) -> None:
        self.stopped = True

    def wait_synced(self, timeout: float) -> bool:  # noqa: ARG002 (the port's)
        return self.synced

    def create(self, manifest: Object) -> Object:
        self.entered.set()
        self.gate.wait(20)
        return super().create(manifest)

    def _store(self, item: Object) -> Object:
        stored = super()._store(item)
        self.sync()
        return stored
