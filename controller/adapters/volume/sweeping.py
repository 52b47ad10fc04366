"""The thread that keeps the shared volume from filling up: measures how full it is, and sweeps when that is due.

When that is, what is old and what is needed is decided in core/sweep.py. A sweep that can't learn all needs is put off.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Protocol

import structlog

from controller.adapters import storage
from controller.adapters.volume.sweeper import Living, Sweeper
from controller.core import errors, sweep

INTERVAL = 60.0  # seconds between two measurements
LEAVE = 5.0  # seconds that a sweep under way gets at the end; the rest is in the trash, where the next one finds it

_log = structlog.get_logger()


class VolumeMetrics(Protocol):
    """The counters of its results."""

    def room(self, size: int, free: int) -> None:
        """Record the volume's size and what of it is free, in bytes."""

    def used(self, sizes: Mapping[str, int]) -> None:
        """Record the bytes in each top folder of the volume."""

    def swept(self, things: Mapping[str, int], freed: Mapping[str, int]) -> None:
        """Count what a sweep removed, and the bytes that it freed, by the top folder of the volume."""


class Sweeping:
    """Sweeps from `start` until `stop`, while what `term` returns before a sweep raises nothing.

    `living` returns all needs; `on_room` is called when room was made; `clock` returns POSIX seconds. Our own `tools`
    are in use as long as this process sweeps, and for a grace after: its successor may find objects that we have just
    made.
    """

    def __init__(
        self,
        sweeper: Sweeper,
        living: Living,
        metrics: VolumeMetrics,
        tools: PurePosixPath,
        on_room: Callable[[], None],
        term: Callable[[], Callable[[], None]],
        clock: Callable[[], float],
    ) -> None:
        self._sweeper, self._living, self._metrics = sweeper, living, metrics
        self._tools, self._on_room, self._term, self._clock = tools, on_room, term, clock
        self._swept = time.monotonic() - sweep.INTERVAL + sweep.FIRST
        self._tried = time.monotonic() - sweep.URGED
        self._urged = self._stopping = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop between two removals, or soon after."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(LEAVE)

    def urge(self) -> None:
        """Ask for a sweep as soon as possible: a pass has met a full volume."""
        with self._news:
            self._urged = True
            self._news.notify()

    def trouble(self) -> str:
        """Return what only a restart can mend, "" if nothing."""
        return "the sweeper has died" if self._thread.ident and not self._thread.is_alive() else ""

    def _run(self) -> None:
        while not self._stopping:
            try:
                with storage.fenced(self._term()):
                    self._measure()
                self._metrics.used(self._sweeper.used())  # may take long: after what makes room
            except errors.NotYet as early:  # another leads, as a rule, and that was said when it began
                _log.debug("sweep put off", because=str(early))
            except (errors.Refused, errors.Transient) as error:
                _log.warning("sweep put off", error=str(error))
            except Exception:  # noqa: BLE001 (a defect here must not end the sweeping for good)
                _log.exception("defect in a sweep")
            with self._news:
                # However often it is urged, it sweeps only now and then.
                pause = sweep.URGED - (time.monotonic() - self._tried) if self._urged else INTERVAL
                if not self._stopping and pause > 0:
                    self._news.wait(pause)

    def _measure(self) -> None:
        """Measure the room on the volume; sweep if that is due. Raises Refused, NotYet, Transient."""
        self._sweeper.touch(self._tools)
        room = self._sweeper.room()
        self._metrics.room(room.size, room.free)
        now = time.monotonic()
        graces = sweep.due(now - self._swept, urged=self._urged, free=room.share)
        if graces is None or now - self._tried < sweep.URGED:
            return
        self._tried = now
        swept = self._sweeper.sweep(self._living, graces, self._clock())
        self._swept, self._urged = now, False
        self._metrics.swept(swept.things, swept.bytes)
        freed = sum(swept.bytes.values())
        if swept.things or freed or swept.resisting:
            _log.info("swept", things=dict(swept.things), freed_bytes=freed, resisting=swept.resisting)
        if freed:
            self._on_room()
