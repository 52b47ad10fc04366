"""The node: every pod of the store lives here, and the end of all of them."""

import threading
import time
from pathlib import Path

from controller.adapters.local.machine import Machine
from controller.adapters.local.pods import Pod
from controller.adapters.local.ports import Ports
from controller.adapters.local.schedule import Scheduler
from controller.adapters.local.store import Change, Store

KILLED = 10.0  # seconds for killed processes to be gone


class Node:
    """Runs pods as process groups of this machine."""

    def __init__(self, store: Store, scheduler: Scheduler, machine: Machine) -> None:
        self._store, self._scheduler, self._machine, self._ports = store, scheduler, machine, Ports()
        self._pods: dict[str, Pod] = {}
        self._removers: list[threading.Thread] = []

    def changed(self, change: Change) -> None:
        """Start a new pod, let a deleted one end, forget one that is gone."""
        uid = change.item["metadata"]["uid"]
        if change.new is None:
            if pod := self._pods.pop(uid, None):
                remover = threading.Thread(target=pod.tidy, name="local-remove", daemon=True)
                remover.start()
                self._removers = [*filter(threading.Thread.is_alive, self._removers), remover]
            return
        if change.old is None:
            self._pods[uid] = Pod(self._store, self._scheduler, self._machine, self._ports, change.new)
            self._pods[uid].begin()
        if "deletionTimestamp" in change.new["metadata"]:
            self._pods[uid].leave()

    def log(self, name: str) -> Path | None:
        """Return the file with the output of the pod of this name, None if it is not there."""
        pod = self._store.get("Pod", name)
        known = self._pods.get(pod["metadata"]["uid"]) if pod else None
        return known.private / "log" if known else None

    def stop(self) -> None:
        """End all processes (SIGTERM, then SIGKILL), wait for them, remove private folders. The scheduler is still."""
        processes = [pod.process for pod in self._pods.values() if pod.process]
        for process in processes:
            process.terminate()
        end = time.monotonic() + self._machine.stop_grace
        for process in [process for process in processes if not process.join(end - time.monotonic())]:
            process.kill()
            process.join(KILLED)
        for pod in self._pods.values():
            pod.tidy()
        for remover in self._removers:
            remover.join()
        self._pods.clear()
        self._ports.close()
