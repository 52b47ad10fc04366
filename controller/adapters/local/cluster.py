"""`LocalCluster`: an API with the controllers of a cluster and a node, all on this machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from controller.adapters.local.admission import admit
from controller.adapters.local.api import Api
from controller.adapters.local.deployments import Deployments
from controller.adapters.local.jobs import Jobs
from controller.adapters.local.machine import Machine
from controller.adapters.local.node import Node
from controller.adapters.local.schedule import Scheduler
from controller.adapters.local.services import Services
from controller.adapters.local.store import LOCAL_ADDRESS, Change, Store, annotations
from controller.adapters.local.workloads import collect
from controller.core.model import Object
from controller.core.snapshot import OnChange


class LocalCluster(Api):
    """One namespace on this machine, whose pods are processes. Safe to use from many threads."""

    def __init__(self, namespace: str, machine: Machine) -> None:
        store, self._scheduler = Store(namespace), Scheduler()
        super().__init__(store, partial(admit, namespace=namespace))
        self._secrets, self._salt = machine.secrets, str(machine.volume).encode()
        places = replace(machine, volume=machine.volume.absolute(), scratch=machine.scratch.absolute())
        self._node = Node(store, self._scheduler, places)
        jobs = Jobs(store, self._scheduler, machine.back_off)
        deployments = Deployments(store, self._scheduler, machine.steady)
        services = Services(store)
        self._controllers = {
            "Pod": (self._node.changed, jobs.changed, deployments.changed, services.changed),
            "Job": (jobs.changed,),
            "Deployment": (deployments.changed,),
            "Service": (services.changed,),
        }
        store.subscribe(lambda change: self._scheduler.soon(partial(self._follow, change)))
        self._stopped = False

    def start(self, on_change: OnChange) -> None:
        """Report as `Api` does, and let things happen."""
        super().start(on_change)
        self._scheduler.start()

    def stop(self) -> None:
        """End every process (SIGTERM, SIGKILL), wait for them, and remove all private folders."""
        if not self._stopped:
            self._stopped = True
            self._scheduler.stop()
            self._node.stop()

    @property
    def healthy(self) -> bool:
        """Return whether the thread in which all happens lives."""
        return self._scheduler.alive

    def _follow(self, change: Change) -> None:
        """Let the controllers and the node do what follows from a change."""
        collect(self._store, change)
        for controller in self._controllers.get(change.item["kind"], ()):
            controller(change)

    def get(self, kind: str, name: str) -> Object | None:
        """Return one object as it is stored, None if it is not there; a secret without its values."""
        if kind != "Secret":
            return super().get(kind, name)
        if (keys := self._secrets.get(name)) is None:
            return None
        metadata = {"name": name, "resourceVersion": self._version(json.dumps(keys, sort_keys=True))}
        return {"kind": kind, "metadata": metadata, "data": dict.fromkeys(keys, "")}

    def _version(self, values: str) -> str:
        """Return what is another for other values: it is recorded, so it has to be dear to guess them from."""
        return hashlib.scrypt(values.encode(), salt=self._salt, n=2**14, r=8, p=1, dklen=12).hex()

    def log(self, pod: str) -> Path | None:
        """Return the file with a pod's output, None if it is not there. It goes with the pod."""
        return self._node.log(pod)

    def addresses(self) -> Mapping[str, str]:
        """Return where the services answer on this machine now, by their names."""
        found = {item["metadata"]["name"]: annotations(item).get(LOCAL_ADDRESS) for item in self.objects("Service")}
        return {name: address for name, address in found.items() if address}
