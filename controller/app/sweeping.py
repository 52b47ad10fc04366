"""The thread that keeps the shared volume from filling up: looks how full it is, and sweeps when that is due.

It judges nothing: what is old and needed is decided in core/sweep.py. A sweep that can't see all is put off, in a line.
"""

import threading
import time
from collections.abc import Callable
from pathlib import PurePosixPath

import structlog

from controller.adapters.telemetry import Metrics
from controller.adapters.volume.sweeper import Living, Sweeper
from controller.core import errors, sweep
from controller.core.sweep import Graces

LOOK = 60.0  # seconds between two looks
LEAVE = 5.0  # seconds that a sweep under way gets at the end; the rest is in the trash, where the next one finds it

_log = structlog.get_logger()


class Sweeping:
    """Sweeps from `start` until `stop`."""

    def __init__(
        self,
        sweeper: Sweeper,
        living: Living,
        metrics: Metrics,
        tools: PurePosixPath,
        on_room: Callable[[], None],
    ) -> None:
        """Take the hands, what tells of all needs, the folder of our own tools, and who is told of room that was made.

        The tools are in use as long as this process sweeps, and for a grace after: its successor may find objects that
        we have just made.
        """
        self._sweeper, self._living, self._metrics = sweeper, living, metrics
        self._tools, self._on_room = tools, on_room
        self._swept = time.monotonic() - sweep.INTERVAL + sweep.FIRST
        self._tried = time.monotonic() - sweep.URGED
        self._urged = self._stopping = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, between two things that are removed or soon after."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(LEAVE)

    def urge(self) -> None:
        """Have the volume swept as soon as may be: a pass has met a full one."""
        with self._news:
            self._urged = True
            self._news.notify()

    def trouble(self) -> str:
        """Give what only a restart would mend, "" if nothing."""
        return "the sweeper has died" if self._thread.ident and not self._thread.is_alive() else ""

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._look()
            except (errors.NotYet, errors.Refused, errors.Transient) as error:
                _log.warning("sweep put off", error=str(error))
            except Exception:  # noqa: BLE001 (a defect here must not end the sweeping for good)
                _log.exception("defect in a sweep")
            self._wait()

    def _wait(self) -> None:
        """Wait for the next look: some time, or until a sweep that was asked for may be."""
        with self._news:
            if not self._stopping and (pause := self._pause()) > 0:
                self._news.wait(pause)

    def _pause(self) -> float:
        """Give the seconds until there is something to do; however often it is urged, it sweeps only now and then."""
        return sweep.URGED - (time.monotonic() - self._tried) if self._urged else LOOK

    def _look(self) -> None:
        """See how much room there is; sweep if that is due. Raises Refused, NotYet, Transient."""
        self._sweeper.touch(self._tools)
        room = self._sweeper.room()
        self._metrics.room(room.size, room.free)
        graces = sweep.due(time.monotonic() - self._swept, urged=self._urged, free=room.share)
        if graces and time.monotonic() - self._tried >= sweep.URGED:
            self._sweep(graces)

    def _sweep(self, graces: Graces) -> None:
        self._tried = time.monotonic()
        swept = self._sweeper.sweep(self._living, graces, time.time())
        self._swept, self._urged = self._tried, False
        self._metrics.swept(swept.things, swept.bytes)
        freed = sum(swept.bytes.values())
        if swept.things or freed or swept.resisting:
            _log.info("swept", things=dict(swept.things), freed_bytes=freed, resisting=swept.resisting)
        if freed:
            self._on_room()
