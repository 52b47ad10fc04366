"""Many one-stage requests at once: the real reconciler, view, queue and volume, a scripted kubelet, virtual time.

The API server is `adapters/local/api.py`, Git is `Projects`. Passes take no virtual time, so that none is saved by
luck: each request makes the same work, however many there are. Job controller, scheduler and kubelet report each of
their steps as a change of its own, as on a cluster.
"""

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from controller.adapters.local.api import Api
from controller.adapters.local.store import Change, Store
from controller.adapters.volume import Volume
from controller.core import names
from controller.core.documents import status as statuses
from controller.core.model import Object
from controller.core.snapshot import Snapshot
from controller.reconciler import Reconciler, View
from controller.workqueue import WorkQueue
from tests.support.byhand import request_of
from tests.support.world import POLICY, REPOSITORY, Projects, project
from tests.support.world import Counter as Outcomes

TICK = ""  # a key that is no request: the queue has come to its end
LATER = 120.0  # seconds after the last change, for passes that were put off
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NODE = {"nodeName": "n1"}
ENDED = {"exitCode": 0, "reason": "Completed", "message": '{"reason": "Completed", "message": "ended"}'}
TRUE = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]


class Counted:
    """Stands before `target`; counts and times the calls of its methods."""

    def __init__(self, target: object, section: str, fleet: "Fleet") -> None:
        self._target, self._section, self._fleet = target, section, fleet

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._target, name)

        def call(*args: Any, **options: Any) -> Any:
            kind = ""
            if self._section == "api":
                kind = f" {args[0]['kind'] if isinstance(args[0], dict) else args[0]}"
            self._fleet.calls[f"{self._section} {name}{kind}"] += 1
            with self._fleet.timed(self._section):
                return method(*args, **options)

        return call


class Fleet:
    """So many requests, each of one batch stage whose script takes `seconds`, and one worker."""

    def __init__(self, root: Path, requests: int, *, seconds: float = 0.0) -> None:
        self.requests, self._script_seconds = requests, seconds
        self.calls = Counter[str]()
        self.passes = 0
        self.cpu = defaultdict[str, float](float)  # seconds, by section
        self._inner = list[float]()  # CPU of the sections in each section under way
        self._now, self._order = 0.0, count()
        self._script = list[tuple[float, int, Callable[[], object]]]()  # when, in which order, what happens
        self._store = Store("test")
        self._api, self._queue, self._metrics = (
            Api(self._store, lambda _manifest: None),
            WorkQueue(self._time),
            Outcomes(),
        )
        self._store.subscribe(self._follow)
        self._view = View(self._queue.add, self._queue.add_after, partial(self._queue.add, first=True))
        cluster, source, volume = (
            Counted(target, section, self)
            for target, section in ((self._api, "api"), (Projects([project("a")]), "source"), (Volume(root), "volume"))
        )
        self._reconciler = Reconciler(
            self._view, cluster, source, volume, self._metrics, lambda: BEGAN + timedelta(seconds=self._now), POLICY
        )
        self._api.start(self._changed)

    def run(self) -> None:
        """Create all requests, and let everything happen until nothing does any more."""
        for number in range(self.requests):
            self._at(0.0, partial(self._api.create, request_of(f"r{number}", repository=REPOSITORY)))
        while self._script:
            self._now, _, happens = heapq.heappop(self._script)
            with self.timed("cluster"):
                happens()
            self._work()
        self._now += LATER
        self._work()
        phases = Counter(statuses.phase(self._view.status(name)) for name in self._view.requests())
        assert (phases, len(self._metrics.outcomes)) == ({"Ready": self.requests}, self.requests)

    @contextmanager
    def timed(self, section: str) -> Iterator[None]:
        """Count the CPU of the block for this section, but for that of the sections in it."""
        began = time.thread_time()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.thread_time() - began
            self.cpu[section] += whole - self._inner.pop()
            if self._inner:
                self._inner[-1] += whole

    def _time(self) -> float:
        return self._now

    def _work(self) -> None:
        """Make all passes that are due."""
        while True:
            self._queue.add(TICK)
            key = self._queue.get() or TICK
            if key:
                self._pass(key)
            self._queue.done(key)
            if not key and not len(self._queue):
                return

    def _pass(self, key: str) -> None:
        self.passes += 1
        with self.timed("passes"):
            after = self._reconciler.reconcile(key)
        if after is not None:
            self._queue.add_after(key, after)

    def _changed(self, kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
        with self.timed("view"):
            self._view.changed(kind, old, new)

    # --- the cluster -------------------------------------------------------------------------------

    def _at(self, seconds: float, happens: Callable[[], object]) -> None:
        heapq.heappush(self._script, (self._now + seconds, next(self._order), happens))

    def _follow(self, change: Change) -> None:
        if change.item["kind"] == "Job" and change.old is None:
            for seconds, kind, status, more in _life(self._script_seconds):
                self._at(seconds, partial(self._step, change.item, kind, status, more))

    def _step(self, job: Object, kind: str, status: Object, spec: Object) -> None:
        """Report one step in the life of a Job or its pod."""
        name = job["metadata"]["name"]
        if kind == "Job":
            self._store.note(job, status)
            return
        pod = self._store.get("Pod", f"{name}-p")
        if pod is None:
            owner = {"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": True}
            template = job["spec"]["template"]
            labels = {**template["metadata"]["labels"], names.CONTROLLER_UID: owner["uid"]}
            metadata = {**template["metadata"], "name": f"{name}-p", "labels": labels, "ownerReferences": [owner]}
            manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            pod = self._store.create(manifest)
        if spec:
            self._store.edit(pod, lambda live: {**live, "spec": {**live["spec"], **spec}})
        self._store.note(pod, status)


def _life(script: float) -> Iterator[tuple[float, str, Object, Object]]:
    """Yield when which object changes how, as seen on a cluster: seconds, kind, status, spec."""
    container = {"name": names.STAGE_CONTAINER, "imageID": "sha256:1"}
    running = {"phase": "Running", "conditions": TRUE, "containerStatuses": [{**container, "state": {"running": {}}}]}
    ended = {"phase": "Succeeded", "containerStatuses": [{**container, "state": {"terminated": ENDED}}]}
    waits = {**container, "state": {"waiting": {"reason": "ContainerCreating"}}}
    over = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
    end = 0.6 + script + 0.5
    yield 0.01, "Job", {"active": 1, "ready": 0, "terminating": 0, "startTime": "now"}, {}
    yield 0.01, "Pod", {"phase": "Pending"}, {}
    yield 0.02, "Pod", {"phase": "Pending", "conditions": TRUE[:1]}, NODE
    yield 0.05, "Pod", {"phase": "Pending", "conditions": TRUE[:2], "containerStatuses": [waits]}, {}
    yield 0.6, "Pod", running, {}
    yield 0.62, "Job", {"ready": 1}, {}
    yield end, "Pod", ended, {}
    yield end + 0.02, "Job", {"active": None, "ready": 0, "uncountedTerminatedPods": {"succeeded": ["1"]}}, {}
    yield end + 1, "Job", {"succeeded": 1, "uncountedTerminatedPods": {}, "conditions": over[:1]}, {}
    yield end + 1.02, "Job", {"conditions": over, "completionTime": "now"}, {}
