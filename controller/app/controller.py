"""The running controller: reconciler, queue and threads, put together and taken down again.

Nothing is reconciled before all watch lists have synced, nor while this controller does not lead, and a pass under way
gets the time to end.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata, resources
from pathlib import Path, PurePosixPath
from typing import Protocol

import structlog
import uv

from controller.adapters import storage
from controller.adapters.messenger import Messenger
from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.adapters.volume.sweeping import Sweeping
from controller.app.clock import SteadyClock
from controller.app.leading import Alone, Leadership
from controller.app.live import Watched
from controller.app.pulse import Pulse
from controller.app.signs import LiveSigns
from controller.core import errors, layout
from controller.core.documents import status as statuses
from controller.core.model import Object, Record
from controller.core.snapshot import OnChange
from controller.reconciler import SILENT, Cluster, Reconciler, Source, View
from controller.settings import Settings, policy
from controller.workqueue import BACKOFF_LIMIT, WorkQueue

SYNC_SECONDS = 10.0  # between two lines that say that the lists have not come yet
API_PATIENCE = 30.0  # seconds: nothing else wakes a request when the API server is back, and all requests wait
ROOM_PATIENCE = 60.0  # seconds: nor when room was made on the volume
PATIENCE = {
    **dict.fromkeys(("ApiUnavailable", "ApiOverloaded", "Unauthorized"), API_PATIENCE),
    errors.VOLUME_FULL: ROOM_PATIENCE,
}
BUSY_PATIENCE = 30.0  # seconds: a pass that waits for another one is called when that is over
FIRST, LAST = {"Running": 0, "": 1, "Pending": 1, "Queued": 1}, 2  # by phase, when a request gets its first pass
DRAIN_SECONDS = 25.0  # for passes under way; the pod's grace period is 30

_log = structlog.get_logger()


class WatchedCluster(Cluster, Protocol):
    """A cluster with its watches: what the app needs in addition to the reconciler."""

    def start(self, on_change: OnChange) -> None:
        """Start watching; `on_change` is called for each change."""

    def stop(self) -> None:
        """Stop watching."""

    def wait_synced(self, timeout: float) -> bool:
        """Wait at most so many seconds for the first lists; return whether all have come."""

    def hurry(self) -> None:
        """Let watches that pause try again now: the API server answers."""

    def references(self) -> frozenset[PurePosixPath]:
        """Return what living objects and records need of the shared volume. Raises Refused, NotYet, Transient."""

    @property
    def synced(self) -> bool:
        """Return whether all kinds have been listed once."""

    @property
    def healthy(self) -> bool:
        """Return whether the watches are running."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What a controller needs whose cluster and volume others could work with, too."""

    sweeper: Sweeper
    leadership: Leadership = field(default_factory=Alone)


class App:
    """The running controller.

    Without `shared` it is alone, and the volume is swept elsewhere. `platform` is what decides on the stages' Python
    in addition to their image; on a laptop, the interpreter. Publishes the stages' tools on the volume. Raises
    Transient.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: WatchedCluster,
        volume: Volume,
        source: Source,
        metrics: PrometheusMetrics,
        platform: str = "",
        shared: Shared | None = None,
    ) -> None:
        self._leadership: Leadership = shared.leadership if shared else Alone()
        self._left_over = volume.requests if shared else tuple
        self._pulse = Pulse(volume.probe)
        self._cluster, self._metrics = cluster, metrics.work
        self._queue = WorkQueue()
        self._listed = False
        self.view = View(self._changed, self._queue.add_after, partial(self._changed, first=True))
        self.live = Watched(self.view)
        tools = volume.publish_tools(tool_files())
        self._passes: dict[str, float] = {}  # requests under way, with when that began (monotonic)
        self._pass_limit = pass_limit(settings)
        self._short_of_room: set[str] = set()
        clock = SteadyClock()
        self._sweeping = shared and Sweeping(
            shared.sweeper, cluster.references, metrics.volume, layout.tools(tools), self._wake,
            shared.leadership.term, clock.time,
        )  # fmt: skip
        ours = replace(policy(settings, tools), platform=platform, version=metadata.version("coachwork"))
        messenger = (
            Messenger(partial(cluster.get, "Secret"), self._queue.add, self._leadership.term, metrics.work.notified)
            if shared
            else SILENT
        )
        self._reconciler = Reconciler(self.view, cluster, source, volume, metrics.runs, clock, ours, messenger)
        self._workers = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(settings.workers)
        ]
        self._show(metrics)

    def _show(self, metrics: PrometheusMetrics) -> None:
        """Have the metrics show how this app stands."""
        metrics.requests.show(self._phases, LiveSigns(self.live).of)
        metrics.work.show_queue(self._queue.__len__, self._queue.oldest, len(self._workers), lambda: len(self._passes))
        metrics.work.show_ready(self.unready, self._leadership.standing)

    def foresee(self, configmap: Object) -> Record:
        """Return the record that a pass over a request would write first, and begin nothing. Raises Transient."""
        return self._reconciler.foresee(configmap)

    def start(self, stopping: threading.Event) -> bool:
        """Start watching, wait for all lists, then work while this controller leads. Return False if stopped first."""
        self._cluster.start(self.view.changed)
        self._pulse.start()
        while not self._cluster.wait_synced(SYNC_SECONDS):
            if stopping.is_set():
                return False
            _log.warning("waiting for the api server")
        if self._sweeping:
            self._sweeping.start()
        self._leadership.start(self._lead)
        return True

    def _lead(self) -> None:
        """Begin to work, or begin again: whatever there is to do was another's until now, or has waited.

        Active runs get the first passes: where thousands are over, somebody waits for these. Names that only the volume
        knows are of requests that may be gone; their folders are then removed. They come last: a volume that hangs
        hangs here.
        """
        self._cluster.hurry()
        self._listed = True
        phases = self._phases()
        ranks = {name: FIRST.get(phase, LAST) for name, phase in phases.items()}
        for name in sorted(ranks, key=ranks.__getitem__):
            self._queue.add(name)
        for worker in self._workers:
            if not worker.ident:
                worker.start()
        _log.info("controller ready", requests=len(phases))
        try:
            gone = {*self._left_over()} - phases.keys()
        except errors.Transient as error:  # the sweep finds what they left
            _log.warning("requests that are gone can't be looked for", error=str(error))
            return
        for name in sorted(gone):
            self._queue.add(name)

    def stop(self) -> None:
        """Stop taking work, let active passes end, let another lead, then stop watching."""
        self._queue.close()
        self._pulse.stop()
        if self._sweeping:
            self._sweeping.stop()
        end = time.monotonic() + DRAIN_SECONDS
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(end - time.monotonic(), 0.0))
        self._leadership.stop()
        self._cluster.stop()

    def trouble(self) -> str:
        """Return what only a restart can mend, "" if nothing.

        A pass that hangs is reported too. A restart costs little (running stages do not notice it) and ends a deadlock
        or a call that lost its answer. It does not mend a volume that hangs, but then nothing is lost by it either,
        and the restarts show in the pod's state; a thread that waits forever would not.
        """
        if not self._cluster.healthy:
            return "a watch has died"
        dead = [worker.name for worker in self._workers if worker.ident and not worker.is_alive()]
        if dead:
            return f"{dead[0]} has died"
        trouble = self._leadership.trouble() or (self._sweeping.trouble() if self._sweeping else "")
        return trouble or stuck(self._passes.copy(), time.monotonic(), self._pass_limit)

    def unready(self) -> str:
        """Return why no work is done, "" if it is. Waits for nothing."""
        if not self._cluster.synced:
            return "the watch lists have not synced"
        trouble = self._leadership.standing() or self._pulse.trouble()
        return trouble or ("" if self._workers[-1].is_alive() else "the first passes begin")

    def wake(self, name: str) -> bool:
        """Let a pass look at what waits for a request's stage or an environment of this name; False: nothing does."""
        woken = self.view.wake(name)
        if woken:
            _log.info("woken", by=name)
        return woken

    def _phases(self) -> Mapping[str, str]:
        """Return the phase of each request, as its record says."""
        return {name: statuses.phase(self.view.status(name)) for name in self.view.requests()}

    def _changed(self, name: str, *, first: bool = False) -> None:
        """Queue a request that a change is about; those of the first lists are queued in an order of their own."""
        if self._listed:
            self._queue.add(name, first=first)

    def _wake(self) -> None:
        """Wake the requests that a full volume has held up: there may be room now."""
        while self._short_of_room:
            self._queue.add(self._short_of_room.pop())

    def _work(self) -> None:
        """Reconcile one key after the other: the only place where errors end.

        While this controller does not lead it drops them: all come again when it does.
        """
        while (key := self._queue.get()) is not None:
            if self._leadership.standing():
                self._queue.done(key)
                continue
            started = self._passes[key] = time.monotonic()
            try:
                with storage.fenced(self._leadership.term()):
                    result, details = self._reconcile(key)
            finally:
                del self._passes[key]
                self._queue.done(key)
            seconds = time.monotonic() - started
            self._metrics.reconciled(result, seconds)
            _log.info("reconciled", request=key, result=result, seconds=round(seconds, 4), **details)

    def _reconcile(self, key: str) -> tuple[str, dict[str, object]]:
        try:
            after = self._reconciler.reconcile(key, partial(self._queue.added, key))
        except errors.Busy as busy:
            self._queue.park(key, BUSY_PATIENCE)
            busy.then(partial(self._queue.call, key))
            return "not-yet", {"waits_for": str(busy)}
        except errors.NotYet as error:
            return "not-yet", {"waits_for": str(error), "again_in": round(self._queue.wait(key, error.delay), 2)}
        except errors.Transient as error:
            patience = PATIENCE.get(error.reason, BACKOFF_LIMIT)
            if error.reason == errors.VOLUME_FULL and self._sweeping:
                self._short_of_room.add(key)
                self._sweeping.urge()
            delay = self._queue.retry(key, at_least=error.retry_after or 0.0, at_most=patience)
            return "transient", {"reason": error.reason, "error": str(error), "again_in": round(delay, 2)}
        except Exception:  # noqa: BLE001 (the worker boundary: a defect in one request must not stop the others)
            _log.exception("defect in a pass", request=key)
            return "defect", {"again_in": round(self._queue.retry(key), 2)}
        self._queue.forget(key)
        if after == 0.0:
            self._queue.add(key, first=True)
        elif after is not None:
            self._queue.add_after(key, after)
        return "done", {} if after is None else {"again_in": round(after, 2)}


def pass_limit(settings: Settings) -> float:
    """Return how long a pass may take (seconds): what its Git may take, to resolve, fetch and check out, and more."""
    return settings.pass_limit + settings.git_resolve_timeout + 2 * settings.git_fetch_timeout


def stuck(passes: Mapping[str, float], now: float, limit: float) -> str:
    """Return a line about the longest pass under way (by when each began) if it exceeds `limit` seconds, else ""."""
    key = min(passes, key=passes.__getitem__, default="")
    if not key or now - passes[key] <= limit:
        return ""
    return f"a pass over request {key} has lasted {now - passes[key]:.0f} s: does the shared volume hang?"


def tool_files() -> list[Path]:
    """Return what stage containers run: the launcher with its parts, the installer, uv, and bytecode in an image."""
    runtime = Path(str(resources.files("controller.runtime")))
    scripts = sorted(path for path in runtime.glob("*.py") if path.name != "__init__.py")
    return [*scripts, Path(uv.find_uv_bin()), *runtime.glob("bytecode")]
