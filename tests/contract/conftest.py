"""Each implementation of the Cluster port, in a namespace of its own for each test."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from controller.adapters.kube import Kube, connect
from controller.adapters.kube.transport import Call, Timeouts, Transport, login
from controller.core.errors import Conflict
from controller.core.model import Object
from tests.support.eventually import eventually


@dataclass
class World:
    """A cluster to look at through the port, and what only its administrator may do."""

    kube: Kube
    admin: Callable[..., Object]
    """(method, path below the namespace, body) -> answer."""
    keys: list[str] = field(default_factory=list)
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    def note(self, key: str) -> None:
        """Take a key from the watches."""
        self.keys.append(key)
        for listen in self.listeners:
            listen(key)


@pytest.fixture(params=["real"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a cluster in which nothing is yet, watched and synced."""
    assert request.param == "real"
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.skip("KUBECONFIG names no cluster")
    yield from _real(kubeconfig)


def _real(kubeconfig: str) -> Iterator[World]:
    """Make a namespace on a real cluster, and delete it afterwards."""
    namespace = f"contract-{uuid.uuid4().hex[:12]}"
    root = Transport(login(kubeconfig, "")[0], lambda _verb, _resource, _code: None, Timeouts())

    def admin(method: str, path: str, body: Object | None = None) -> Object:
        return root.call(Call("admin", "any", method, path.format(namespace=namespace), body=body))

    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    admin("POST", "/api/v1/namespaces", manifest)
    world = World(connect(namespace, kubeconfig=kubeconfig), admin)
    try:
        eventually(lambda: _there(admin, "/api/v1/namespaces/{namespace}/serviceaccounts/default"))
        world.kube.start(world.note)
        assert world.kube.wait_synced(30)
        yield world
    finally:
        world.kube.stop()
        admin("DELETE", "/api/v1/namespaces/{namespace}")
        root.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


def _there(admin: Callable[..., Object], path: str) -> bool:
    """Tell whether an object exists."""
    try:
        return bool(admin("GET", path))
    except Conflict:
        return False
