"""Each implementation of the Cluster port, in a namespace of its own for each test."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.kube.cluster import Kube, connect
from controller.adapters.kube.kinds import KINDS
from controller.adapters.kube.login import login
from controller.adapters.kube.transport import Call, Timeouts, Transport
from controller.adapters.local import LocalCluster, Machine
from controller.adapters.local.api import Api
from controller.core.errors import Conflict
from controller.core.model import Object
from controller.core.snapshot import Snapshot
from controller.reconciler import View
from tests.support.byhand import ByHand
from tests.support.eventually import eventually


@dataclass
class World:
    """A cluster behind the port, and the hands of a person with kubectl."""

    kube: Kube | Api
    remove: Callable[[str, str], None]
    """(kind, name): delete an object."""
    evict: Callable[[str], None]
    """(name): ask the eviction API to delete a pod."""
    edit: Callable[[str, str, Object], None]
    """(kind, name, patch): change fields of an object, as `kubectl edit` does; a list as a whole."""
    admin: Callable[..., Object] = lambda *_: pytest.fail("only a real cluster has an administrator")
    """(method, path, body) -> answer."""
    view: View = field(init=False)
    keys: list[str] = field(default_factory=list)
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Called after each change, also of what wakes nobody."""

    def __post_init__(self) -> None:
        self.view = View(self.keys.append)

    def changed(self, kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
        self.view.changed(kind, old, new)
        for watch in self.watchers:
            watch()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test in the worlds that its nearest mark names."""
    if "world" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("worlds")
        assert mark
        worlds = [pytest.param(name, marks=[pytest.mark.cluster] if name == "real" else []) for name in mark.args]
        metafunc.parametrize("world", worlds, indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Yield a cluster in which nothing is yet, watched and synced."""
    match request.param:
        case "by hand":
            cluster = ByHand()
            world = World(cluster, cluster.remove, cluster.evict, partial(_edit, cluster))
            cluster.start(world.changed)
            yield world
        case "local":
            yield from _local(tmp_path)
        case _ if kubeconfig := os.environ.get("KUBECONFIG"):
            yield from _real(kubeconfig)
        case _:
            pytest.skip("KUBECONFIG names no cluster")


def _local(root: Path) -> Iterator[World]:
    """Make a cluster of this machine, whose Jobs are tried again at once."""
    cluster = LocalCluster("contract", Machine(volume=root / "volume", scratch=root / "scratch", back_off=0.05))
    world = World(cluster, cluster.remove, cluster.evict, partial(_edit, cluster))
    cluster.start(world.changed)
    try:
        assert cluster.wait_synced(5)
        yield world
        assert cluster.healthy
    finally:
        cluster.stop()
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("local-")])
    assert not list((root / "scratch").glob("*"))


def _real(kubeconfig: str) -> Iterator[World]:
    """Make a namespace on a real cluster, and delete it afterwards."""
    namespace = f"contract-{uuid.uuid4().hex[:12]}"
    root = Transport(login(kubeconfig, "")[0], lambda *_: None, Timeouts())

    def admin(method: str, path: str, body: Object | None = None) -> Object:
        return root.call(Call("admin", "any", method, path.format(namespace=namespace), body=body))

    def edit(kind: str, name: str, patch: Object) -> None:
        path, query = KINDS[kind].path(namespace, name), (("fieldManager", "kubectl-edit"),)
        root.call(Call("admin", "any", "PATCH", path, query, patch, "application/merge-patch+json"))

    def remove(kind: str, name: str) -> None:
        assert kind == "ConfigMap", "the controller deletes the others"
        admin("DELETE", f"/api/v1/namespaces/{{namespace}}/configmaps/{name}")

    def evict(name: str) -> None:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        admin("POST", f"/api/v1/namespaces/{{namespace}}/pods/{name}/eviction", eviction)

    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    admin("POST", "/api/v1/namespaces", manifest)
    world = World(connect(namespace, kubeconfig=kubeconfig), remove, evict, edit, admin)
    try:
        eventually(lambda: _there(admin, "/api/v1/namespaces/{namespace}/serviceaccounts/default"))
        world.kube.start(world.changed)
        assert world.kube.wait_synced(30)
        yield world
    finally:
        world.kube.stop()
        admin("DELETE", "/api/v1/namespaces/{namespace}")
        root.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


def _edit(cluster: Api, kind: str, name: str, patch: Object) -> None:
    cluster.edit(kind, name, lambda live: _merged(live, patch))


def _merged(value: Any, patch: Any) -> Any:
    """Return what a JSON merge patch (RFC 7386) makes of a value."""
    if not isinstance(patch, dict):
        return patch
    old = value if isinstance(value, dict) else {}
    new = {**old, **{key: _merged(old.get(key), item) for key, item in patch.items()}}
    return {key: item for key, item in new.items() if item is not None}


def _there(admin: Callable[..., Object], path: str) -> bool:
    """Return whether an object exists."""
    try:
        return bool(admin("GET", path))
    except Conflict:
        return False
