"""Whether this controller leads: it holds the Lease `coachwork`, or it does nothing.

Every write asks: those to the cluster as they are sent (adapters/kube/transport.py), those to the volume where they
begin and where they take effect (adapters/storage.py). What a pass knows is of the term in which it began: another
may have led between two terms. Refuses to end the process: a leader that can't renew pauses, and goes on once it can;
one whose Lease another holds stands by.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import structlog

from controller.core import lease
from controller.core.errors import AlreadyExists, Conflict, NotYet, Refused, Transient
from controller.core.model import Object
from controller.core.text import clean

REMEDY = ": apply deploy/base/role.yaml of this version"

_log = structlog.get_logger()


class Leases(Protocol):
    """The calls of the Cluster port that it takes. They must not wait for those of anybody else."""

    def get(self, kind: str, name: str) -> Object | None:
        """Read one object from the API server itself; None if there is none."""

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists."""

    def replace(self, manifest: Object) -> Object:
        """Update with metadata.resourceVersion as the precondition. Raises Conflict."""


class Leadership(Protocol):
    """What the app asks."""

    def start(self, on_lead: Callable[[], None]) -> None:
        """Begin to stand; `on_lead` is called when this controller has begun to lead, or to lead again.

        It is never called twice at once: a call that takes long stands for all terms that begin meanwhile but the last.
        """

    def stop(self) -> None:
        """Do nothing from now on, and let others lead."""

    def term(self) -> Callable[[], None]:
        """Return what raises NotYet unless this controller leads, and has not begun to lead again since."""

    def standing(self) -> str:
        """Return why this controller does not lead, "" if it does."""

    def trouble(self) -> str:
        """Return what only a restart can mend, "" if nothing."""


class Alone:
    """The leadership of a laptop: nobody else is there."""

    def start(self, on_lead: Callable[[], None]) -> None:
        """Lead at once."""
        on_lead()

    def stop(self) -> None:
        """Do nothing."""

    def term(self) -> Callable[[], None]:
        """Return what raises nothing."""
        return lambda: None

    def standing(self) -> str:
        """Return ""."""
        return ""

    def trouble(self) -> str:
        """Return ""."""
        return ""


class Candidate:
    """One who stands for the Lease under a name of its own: implements Leadership in a thread.

    A new process of the same name leads at once: the old one must be dead by then. `clock` returns seconds that only
    grow.
    """

    def __init__(self, leases: Leases, own: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._leases, self._own, self._clock = leases, own, clock
        self._live: Object | None = None
        self._sight: lease.Sight | None = None
        self._grant = float("-inf"), 0  # until when it acts, and in which of its terms
        self._failure = "it has not been read yet"
        self._on_lead: Callable[[], None] = lambda: None
        self._stopping = threading.Event()
        self._began = threading.Event()  # to lead, and `on_lead` was not called since
        self._threads = (
            threading.Thread(target=self._run, name="lease", daemon=True),
            threading.Thread(target=self._follow, name="leading", daemon=True),
        )

    def start(self, on_lead: Callable[[], None]) -> None:
        """Start the threads; `on_lead` gets one of its own, so that renewals do not wait for it."""
        self._on_lead = on_lead
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Do nothing from now on, and set the Lease free."""
        self._stopping.set()
        self._began.set()
        if self._threads[0].ident:
            self._threads[0].join()
        leads = not self.standing()
        self._give_up()
        if leads and self._live:
            with suppress(Conflict, NotYet, Refused, Transient):  # others wait for its time then
                self._leases.replace(lease.released(self._live))

    def check(self) -> None:
        """Raise NotYet unless this controller leads now."""
        if line := self.standing():
            raise NotYet(lease.RETRY, line)

    def term(self) -> Callable[[], None]:
        """Return what raises NotYet unless this controller leads, and has not begun to lead again since."""
        _, of_caller = self._grant

        def check() -> None:
            self.check()
            if self._grant[1] != of_caller:
                raise NotYet(lease.RETRY, f"the Lease {lease.NAME} was lost meanwhile, and is held again")

        return check

    def standing(self) -> str:
        """Return why this controller does not lead, "" if it does."""
        if self._clock() < self._grant[0]:
            return ""
        if self._failure:
            return f"the Lease {lease.NAME} can't be held: {self._failure}"
        if self._sight and self._sight.holder not in ("", self._own):
            return f"another controller leads: {clean(self._sight.holder)} holds the Lease {lease.NAME}"
        return f"the Lease {lease.NAME} has not been renewed in time"

    def trouble(self) -> str:
        """Return what only a restart can mend, "" if nothing."""
        dead = any(thread.ident and not thread.is_alive() for thread in self._threads)
        return "a thread of the Lease has died" if dead else ""

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self.stand()
            except Exception:  # noqa: BLE001 (a defect here must not end the renewals for good)
                _log.exception("defect of the lease")
            line = self.standing()
            if line and line != said:
                _log.warning("not leading", because=line)
            said = line
            self._stopping.wait(lease.RETRY if line or self._failure else lease.RENEWAL)

    def _follow(self) -> None:
        while self._began.wait() and not self._stopping.is_set():
            self._began.clear()
            self._on_lead()

    def stand(self) -> bool:
        """Renew the Lease, or look whether it is free and take it; return whether this controller did not lead before.

        A leader whose time was over for a moment did not: passes may have ended by that, and `on_lead` is called then.
        """
        before, _ = self._grant
        try:
            if self.standing() or self._live is None or not self._hold():
                self._live = self._leases.get("Lease", lease.NAME)
                self._hold()
        except (NotYet, Transient) as error:
            self._failure = str(error)
        except Refused as refused:
            self._failure = f"{refused}{REMEDY if refused.forbidden else ''}"
        else:
            self._failure = ""
        began = not self.standing() and self._clock() >= before
        if began:
            _log.info("leading", holder=self._own)
            self._began.set()
        return began

    def _hold(self) -> bool:
        """Write the Lease, if it is free for us, or ours; return False where it has changed since it was read."""
        began = self._clock()
        self._sight = lease.look(self._sight, self._live, began)
        if not lease.is_free(self._sight, self._own, began):
            self._give_up()
            return True
        manifest = lease.held(self._live, self._own, datetime.now(UTC))
        try:
            self._live = self._leases.replace(manifest) if self._live else self._leases.create(manifest)
        except (AlreadyExists, Conflict):
            return False
        self._sight = lease.look(self._sight, self._live, began)
        until, term = self._grant
        self._grant = began + lease.HELD, term + (self._clock() >= until)
        return True

    def _give_up(self) -> None:
        self._grant = float("-inf"), self._grant[1]
