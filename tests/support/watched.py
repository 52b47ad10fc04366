"""The API server in memory with the watches that the app wants: each change tells the request that it is about."""

import threading
from collections.abc import Callable, Sequence

from controller.core import names
from controller.core.model import Object
from tests.support.memory import MemoryCluster


class WatchedMemory(MemoryCluster):
    """Tells of changes at once. `faults[NAME]` is raised by each pass over that request; `gate` holds passes up."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.synced, self.healthy, self.stopped = False, True, False
        self._on_key: Callable[[str], None] = lambda _key: None

    def start(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key

    def stop(self) -> None:
        self.stopped = True

    def wait_synced(self, timeout: float) -> bool:  # noqa: ARG002 (the port's)
        return self.synced

    def requests(self) -> Sequence[str]:
        items = self.of_kind("ConfigMap")
        return [i["metadata"]["name"] for i in items if i["metadata"]["labels"][names.ROLE] == names.ROLE_REQUEST]

    def cached_request(self, name: str) -> Object | None:
        self.entered.set()
        self.gate.wait(20)
        if name in self.faults:
            raise self.faults[name]
        return super().cached_request(name)

    def _store(self, item: Object) -> Object:
        stored = super()._store(item)
        if key := names.owner_key(item["kind"], stored):
            self._on_key(key)
        return stored
