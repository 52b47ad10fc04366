"""Two controllers at once: at a point, one stands still in the middle of its pass while another lives on.

Then it goes on with what it had read before. Passes are greenlets, so that one can stand still anywhere. With the
Lease, the other one leads only once its time is over, and the one that stood still finds that out by itself.
"""

import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenlet import getcurrent, greenlet

from controller.adapters import storage
from controller.app.leading import Candidate
from controller.core import lease
from controller.core.model import Policy
from controller.reconciler import Reconciler
from tests.support.byhand import ByHand
from tests.support.kills import Fate, Left, Reached, Teller, Told
from tests.support.world import POLICY, Post

STILL = object()
WRITES = ("create", "apply", "replace", "delete")


class Fenced:
    """Stands before the cluster as the fence of the controller's transport does: asks before each write."""

    def __init__(self, cluster: ByHand, check: Callable[[], None]) -> None:
        self._cluster, self._check = cluster, check

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)
        if name not in WRITES:
            return method

        def call(*args: Any, **options: Any) -> Any:
            self._check()
            return method(*args, **options)

        return call


@dataclass
class Time:
    """A clock that stands still until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Two(Told):
    """A world whose controller can stand still while another takes over."""

    leased = False

    def __init__(self, root: Path, reached: Callable[[str], None], policy: Policy = POLICY) -> None:
        self.still: greenlet | None = None
        self.until = one_pass
        self.woken_up = False
        self.done_since: list[str] = []  # by the one that stood still
        self._leases, self._time, self._count = ByHand(), Time(), 0
        super().__init__(root, reached, policy)

    def restart_stale(self) -> None:
        """Let a new controller take over; with the Lease, once the old one's time is over."""
        super().restart_stale()
        self._count += 1
        candidate = Candidate(self._leases, f"pod-{self._count}", self._time)
        self.check = candidate.check if self.leased else lambda: None
        if self.leased:
            candidate.stand()
            self._time.now += lease.GRANTED + 1 if self._count > 1 else 0.0
            candidate.stand()
            candidate.check()
        cluster = Reached(Fenced(self.cluster, self.check), self.reached)
        source = Reached(self.source, self.reached)
        self.post = Post(self.post.sent, self.post.problem)
        post = Reached(self.post, self.reached)
        self.reconciler = Reconciler(
            self.view, cluster, source, self.volume, self.metrics, self.clock, self.policy, post
        )

    def reached(self, what: str) -> None:
        """Count a point; note what the one that stood still does when it goes on."""
        if self.woken_up and getcurrent() is self.still:
            self.done_since.append(what)
        super().reached(what)

    def pass_(self, name: str = "iris") -> float | None:
        """Make one pass; if it stands still, another controller goes on."""
        answer = self._in_a_greenlet(lambda: super(Two, self).pass_(name))
        return 0.0 if answer is STILL else answer

    def sweep(self) -> None:
        """Sweep; one that stands still to the end goes on before."""
        if self.still and not self.woken_up:
            self.wake_up()
            if self.settle().reason == "ServiceDegraded":  # what it has applied late was put back
                for deployment in self.cluster.of_kind("Deployment"):
                    self.cluster.roll_out(deployment)
                self.settle()
        if self._in_a_greenlet(lambda: super(Two, self).sweep()) is STILL:
            self.sweep()

    def _in_a_greenlet(self, act: Callable[[], Any]) -> Any:
        check = self.check

        def fenced() -> Any:
            with storage.fenced(check):
                return act()

        doing = greenlet(fenced)
        answer = doing.switch()
        if answer is STILL:
            self.inside = False
            self.still = doing
            self.restart()
            self.until(self)
        return answer

    def stand_still(self) -> None:
        """Leave the pass that is under way where it is."""
        parent = getcurrent().parent
        assert parent
        parent.switch(STILL)

    def wake_up(self) -> None:
        """Let the one that stood still go on with its pass, to its end."""
        assert self.still
        self.woken_up = True
        before, files = len(self.cluster.writes), self.inside
        self.still.switch()
        assert self.still.dead
        self.inside = files
        if self.leased:
            written = [what for what in self.done_since if what in ("before rename", "before replace")]
            assert (self.cluster.writes[before:], written) == ([], []), "it does nothing once another leads"


class TwoWithTheLease(Two):
    """The same, with the Lease."""

    leased = True


def one_pass(world: Two) -> None:
    """Let the other make one pass meanwhile."""
    world.pass_()
    world.wake_up()


def until_nothing_is_to_do(world: Two) -> None:
    """Let the other do all that there is to do meanwhile."""
    with suppress(KeyError):  # there is no record: the request was deleted
        world.settle()
    world.wake_up()


def to_the_end(world: Two) -> None:
    """Let the other see the story to its end meanwhile."""


OVERLAPS: tuple[Fate, ...] = (one_pass, until_nothing_is_to_do, to_the_end)  # type: ignore[assignment]


def own_files(before: Path) -> bool:
    """Let what is open of the volume in `before` be its copy in the working directory; return whether a lock is held.

    After a fork both processes would write into the same files.
    """
    locks = False
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            place = entry.readlink()
            if place.is_relative_to(before / "volume"):
                noted = dict(
                    line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{entry.name}").read_text().splitlines()
                )
                again = os.open(
                    place.relative_to(before), int(noted["flags"], 8) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
                )
                os.lseek(again, int(noted["pos"]), os.SEEK_SET)
                if "FLOCK" in noted.get("lock", ""):
                    fcntl.flock(again, fcntl.LOCK_EX)
                    locks = True
                os.dup2(again, int(entry.name), inheritable=False)
                os.close(again)
    return locks


@dataclass
class Overlapping(Teller):
    """Tells a story in which the process does not die but stands still."""

    world_class: type[Two] = Two

    def _settled(self) -> None:
        if self._pipe < 0 or not self.world.still or self.world.woken_up:  # type: ignore[attr-defined]
            super()._settled()

    def _meet(self, fate: Fate) -> None:
        if own_files(Path.cwd().parent) and fate is to_the_end:
            self._leave("")  # one that stands still with a lock keeps others from what it is about
        self.world.until = fate  # type: ignore[attr-defined]
        self.world.stand_still()  # type: ignore[attr-defined]


@dataclass
class OverlappingWithTheLease(Overlapping):
    """The same, with the Lease."""

    world_class: type[Two] = field(default=TwoWithTheLease)


@dataclass
class OverlappingWithout(Overlapping):
    """The same, without it: what only the Lease prevents may be.

    A Job has no precondition that says whose run is over: one that stood still before it made a Job makes it late, and
    the other removes it. Events are said again.
    """

    def judge(self, expected: Left, end: Left) -> Sequence[str]:
        """Compare all but how often Jobs were created, Events said, and an object that was written late put back."""
        before, after = (replace(left, objects=_uncounted(left.objects)) for left in (expected, end))
        return before.differences(replace(after, created=expected.created, events=expected.events))


def _uncounted(objects: Mapping[str, str]) -> dict[str, str]:
    return {key: re.sub(r'"observedGeneration": \d+', "", text) for key, text in objects.items()}
