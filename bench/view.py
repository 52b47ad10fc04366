"""CPU of a look-up in the indexed caches, against walking and sorting them, at a growing number of requests."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from bench.machine import machine
from controller.core import names
from controller.core.model import Children, Object
from controller.core.snapshot import Snapshot
from controller.reconciler.view import View, owner_key

REQUESTS = (100, 1000, 5000)
TIMES = 200  # look-ups of the view, each of another request; the walk is done so much less often
WALKS = 5
Caches: TypeAlias = Mapping[str, dict[str, Object]]
KINDS = ("ConfigMap", "Job", "Pod", "Deployment", "Service", "Ingress", "CronJob", "Event")


def objects(request: str) -> Iterable[tuple[str, Object]]:
    """Yield a request's objects: itself, record and release, three Jobs with pods and a warning each, a service."""
    own = {names.REQUEST: request, names.MANAGED_BY: names.MANAGER}
    spec = f"environments:\n- name: environment\n  folder: e-{request}\n"
    running = {**own, names.ROLE: names.ROLE_STATUS, names.PHASE: "Running"}
    yield "ConfigMap", {"metadata": {"name": request, "labels": {names.ROLE: names.ROLE_REQUEST}}}
    yield "ConfigMap", {"metadata": {"name": f"{request}-status", "labels": running}, "data": {"run-spec": spec}}
    yield "ConfigMap", {"metadata": {"name": f"{request}-release", "labels": {**own, names.ROLE: names.ROLE_RELEASE}}}
    for number in range(3):
        uid = f"{request}-{number}"
        yield "Job", {"metadata": {"name": uid, "uid": uid, "labels": own}}
        yield "Pod", {"metadata": {"name": f"{uid}-p", "uid": f"{uid}-p", "labels": own}}
        about = {"kind": "Job", "name": uid, "uid": uid}
        yield "Event", {"metadata": {"name": f"{uid}.1"}, "involvedObject": about, "reason": "FailedCreate"}
    for kind in ("Deployment", "Service"):
        yield kind, {"metadata": {"name": f"{request}--web", "uid": request, "labels": own}}


def walk(caches: Caches, request: str) -> Children:
    """Return what `View.children` does, as it was done before there was an index."""
    every = {kind: [items[name] for name in sorted(items)] for kind, items in caches.items()}
    mine = {kind: [item for item in items if owner_key(kind, item) == request] for kind, items in every.items()}
    uids = {item["metadata"]["uid"] for kind in ("Job", "Pod") for item in mine[kind]}
    events = [item for item in every["Event"] if item["involvedObject"]["uid"] in uids]
    return Children(
        mine["Job"], mine["Pod"], mine["Deployment"], mine["Service"], mine["Ingress"], events, mine["CronJob"]
    )


def cpu(call: Callable[[int], object], times: int) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    for number in range(times):
        call(number)
    return (time.process_time() - started) / times


def measure(requests: int) -> tuple[float, float, float]:
    """Return the CPU seconds of a walk, of a look-up, and of a change, with so many requests in the caches."""
    view, caches = View(lambda _key: None), {kind: dict[str, Object]() for kind in KINDS}
    for kind, item in (pair for number in range(requests) for pair in objects(f"r{number}")):
        if held := Snapshot.of(kind, item):
            view.changed(kind, None, held)
            caches[kind][held.name] = held.opened()
    assert walk(caches, "r7") == view.children("r7")

    def change(number: int) -> None:
        pod = caches["Pod"][f"r{number % requests}-0-p"]
        view.changed("Pod", None, Snapshot.of("Pod", pod))

    found = cpu(lambda number: view.children(f"r{number % requests}"), TIMES)
    changed = cpu(change, TIMES)
    return cpu(lambda number: walk(caches, f"r{number}"), WALKS), found, changed


def main() -> None:
    """Measure at each number of requests, one after the other."""
    print(f"machine: {machine()}")
    print(f"method:  CPU of the process for children(REQUEST), mean of {TIMES} (walks: {WALKS}); 14 objects a request;")
    print("         without the passes of Python's garbage collector, which are the same for both")
    gc.disable()
    first = 0.0
    for requests in REQUESTS:
        walked, found, changed = measure(requests)
        first = first or found
        print(
            f"{requests:5} requests  walk {walked * 1000:7.3f} ms  look-up {found * 1000:6.4f} ms  change "
            f"{changed * 1000:6.4f} ms  look-up is {walked / found:5.0f} times faster, {found / first:3.1f} x the first"
        )


if __name__ == "__main__":
    main()
