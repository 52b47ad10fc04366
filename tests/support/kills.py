"""A controller in miniature that can be killed before and after all that it does, and what has to be so at the end.

What a pass does is counted at the edge: each call of a port, and each change of a file, whatever makes it. At a chosen
point the process forks: the child has a copy of the volume, and in its world the controller dies there, another one
takes over (a `Fate`), and the same story goes on to its end; the parent goes on as if nothing had happened.
"""

import gc
import io
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.core import sweep
from controller.core.model import Policy, Record
from controller.reconciler import Reconciler, View
from tests.support.world import POLICY, World

CHANGES = (
    "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "utime", "fsync", "link", "symlink", "chmod",
    "copy_file_range", "pwrite",
)  # fmt: skip
"""Functions of `os` by which files change; `open` for writing is one more."""
PORTS = frozenset({"get", "pods_of_job", "create", "apply", "replace", "delete", "resolve", "published", "publish"})
YEARS = 400 * 24 * 3600.0  # until a sweep takes all that nobody needs
LIMIT = 60  # seconds of a child, which takes less than one
PASSES = 80

Story = Callable[["Told"], object]
"""What users, the cluster and its nodes do; each step waits until the controller has nothing to do."""
Fate = Callable[["Told"], object]
"""What becomes of the world where the process dies, instead of what comes next."""


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


# --- points ------------------------------------------------------------------------------------------


@contextmanager
def watched(reached: Callable[[str], None]) -> Iterator[None]:
    """Call `reached` before and after each change of a file in the block, with what it is."""

    def around(name: str, original: Callable[..., Any], *args: Any, **options: Any) -> Any:
        reached(f"before {name}")
        answer = original(*args, **options)
        reached(f"after {name}")
        return answer

    def opened(original: Callable[..., Any], file: Any, mode: Any = "r", *args: Any, **options: Any) -> Any:
        writes = mode & (os.O_WRONLY | os.O_RDWR) if isinstance(mode, int) else set(str(mode)) & set("wax+")
        return (
            partial(around, "open")(original, file, mode, *args, **options)
            if writes
            else original(file, mode, *args, **options)
        )

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, partial(around, name, getattr(os, name)))
        for module, name in ((os, "open"), (io, "open"), (sys.modules["builtins"], "open")):
            patch.setattr(module, name, partial(opened, getattr(module, name)))
        yield


class Reached:
    """Stands before a port: calls `reached` before and after each call of it."""

    def __init__(self, port: object, reached: Callable[[str], None]) -> None:
        self._port, self._reached = port, reached

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in PORTS:
            return method

        def call(*args: Any, **options: Any) -> Any:
            what = f"{name} {args[0]['kind'] if isinstance(args[0], Mapping) else args[0]}"
            self._reached(f"before {what}")
            answer = method(*args, **options)
            self._reached(f"after {what}")
            return answer

        return call


# --- the world -----------------------------------------------------------------------------------------


class Told(World):
    """A world whose controller calls `reached` at each point, and whose caches learn of changes between passes."""

    def __init__(self, root: Path, reached: Callable[[str], None], policy: Policy = POLICY) -> None:
        self._reached = reached
        self.inside = False  # a pass is under way
        self.successor = policy  # with which the next controller starts
        self.on_killed: Fate = cold
        self.late = self._due = 0
        self.timed = True  # times do not depend on when a process took over
        self.steps = 0  # how often it has come to rest
        self.on_settled: Callable[[], object] = lambda: None
        super().__init__(root, lagging=True, policy=policy)

    def restart(self) -> None:
        """Let a new controller take over, which has read all that is there."""
        self.cluster.sync()
        self.view = View(self.woken.append)
        self.cluster.start(self.view.changed)
        self.cluster.sync()
        self.restart_stale()

    def restart_stale(self) -> None:
        """Let a new controller take over whose caches do not show what the old one did last."""
        self.policy, self.volume = self.successor, Volume(self.root)
        cluster, source = Reached(self.cluster, self.reached), Reached(self.source, self.reached)
        self.reconciler = Reconciler(self.view, cluster, source, self.volume, self.metrics, self.clock, self.policy)

    def reached(self, what: str) -> None:
        """Count a point, if a pass is under way."""
        if self.inside:
            self._reached(what)

    def pass_(self, name: str = "iris") -> float | None:
        """Make one pass, however it ends."""
        self.inside = True
        try:
            return super().pass_(name)
        except Killed:
            self.inside = False
            self.on_killed(self)
            return 0.0
        finally:
            self.inside = False

    def settle(self, name: str = "iris") -> Record:
        """Make passes until nothing is to be done; once more where a new process has taken over."""
        quiet, process = 0, self.reconciler
        for _ in range(PASSES):
            self._learn()
            before = len(self.cluster.writes)
            again = self.pass_(name)
            calm = again != 0 and len(self.cluster.writes) == before and not self.cluster.behind
            quiet = quiet + 1 if calm else 0
            if quiet > (process is not self.reconciler):
                self.steps += 1
                self.on_settled()
                return self.record(name)
        raise AssertionError(f"never settles: {self.cluster.writes[-10:]}")

    def _learn(self) -> None:
        """Let the caches learn what there is, or what there was before the last pass."""
        now = self.cluster.behind
        self.cluster.sync(but=now - self._due if self.late else 0)
        self._due = self.cluster.behind

    def sweep(self) -> None:
        """Sweep all that nobody needs."""
        self.inside = True
        try:
            Sweeper(self.root).sweep(self.cluster.references, sweep.CALM, time.time() + YEARS)
        except Killed:
            self.inside = False
            self.on_killed(self)
            self.sweep()
        finally:
            self.inside = False


def cold(world: Told) -> None:
    """Restart with caches that show all that there is."""
    world.restart()


def stale(world: Told) -> None:
    """Restart with caches that show nothing of what the killed pass did; they learn of it after one pass."""
    world.late = 1
    world.restart_stale()


RESTARTS = (cold, stale)


# --- the end -------------------------------------------------------------------------------------------

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHER = re.compile(r"((?<![\w-])digest\W+)(?:[0-9a-f]{16}){1,4}|(tools/)t\d|(\"controller\": )\"[\d.]*\"")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CHANCE = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


@dataclass
class Left:
    """What a story has left in the cluster and on the volume, and what has happened so far."""

    objects: dict[str, str]
    files: dict[str, str]
    created: Counter[str]  # Jobs of stages
    outcomes: Counter[str]
    events: Counter[str]

    def differences(self, other: "Left") -> list[str]:
        """Return how another differs that should be the same, in lines."""
        lines = []
        for title, mine, its in (("object", self.objects, other.objects), ("file", self.files, other.files)):
            for key in sorted({*mine, *its}):
                old, new = (side.get(key, "not there").splitlines() for side in (mine, its))
                if old != new:
                    lines += [f"{title} {key}:", *unified_diff(old, new, "expected", "found", n=0, lineterm="")]
        if self.created != other.created:
            lines.append(f"Jobs were created otherwise: {self.created} {other.created}")
        # What was not said or counted yet when the process died is a courtesy.
        lines += (f"once more: {what}" for what in other.outcomes - self.outcomes)
        lines += (f"once more: {what}" for what in other.events - self.events)
        return lines


def left_of(world: Told) -> Left:
    """Return what a story has left by now."""
    plain = _plain if world.timed else lambda value: _TIME.sub("TIME", _plain(value))
    objects = {
        f"{kind}/{name}": plain({**item, "metadata": _lasting(item["metadata"])})
        for (kind, name), item in world.cluster.stored.items()
        if kind != "Event"
    }
    files = {}
    for path in sorted(world.root.rglob("*")):
        text = plain(path.read_text()) if path.is_file() and not path.is_symlink() else ""
        files[_UID.sub("UID", str(path.relative_to(world.root)))] = text
    jobs = (name for verb, kind, name in world.cluster.writes if (verb, kind) == ("create", "Job"))
    events = Counter(f"{item['reason']}: {item['message']}" for item in world.cluster.of_kind("Event"))
    created = Counter(name for name in jobs if not name.startswith("env-"))
    return Left(objects, files, created, Counter(world.metrics.outcomes), events)


def _lasting(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in metadata.items() if key not in _CHANCE}


def _plain(value: object) -> str:
    """Return a text without what is another one each time; an object's, a line for each thing that it says."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, indent=1).replace("\\n", "\n")
    return _OTHER.sub(r"\1\2\3", _UID.sub("UID", text))


# --- telling a story with other ends ---------------------------------------------------------------------


@dataclass
class Teller:
    """Tells a story, and at each point that `chosen` names again with another fate of the process."""

    story: Story
    fates: Sequence[Fate] = ()
    chosen: Callable[[int], bool] = lambda _point: False
    points: int = 0
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    expected: Sequence[Left] = ()  # after each step, and at the end, once all was swept
    world: Told = field(init=False)
    _found: list[Left] = field(default_factory=list)
    _pipe: int = -1  # of a child

    def tell(self, folder: Path) -> Sequence[Left]:
        """Tell it in an empty folder, which is the working directory meanwhile; return what each step has left."""
        (folder / "volume").mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch, watched(self._at_file):
            patch.chdir(folder)
            try:
                self.world = Told(Path("volume"), self._reached)
                self.world.on_settled = self._settled
                self.story(self.world)
                self.world.sweep()
                end = left_of(self.world)
            except BaseException:
                if self._pipe < 0:
                    raise
                self._leave(traceback.format_exc(limit=-8))
            if self._pipe >= 0:
                self._leave("\n".join(self.expected[-1].differences(end)))
        return (*self._found, end)

    def _settled(self) -> None:
        """Note what is left; end a child where nothing of its fate can be seen any more.

        What it would come to from there is what another comes to that died before the next step.
        """
        if self._pipe < 0:
            self._found.append(left_of(self.world))
        elif len(self.expected) > self.world.steps and self.expected[self.world.steps - 1] == left_of(self.world):
            self._leave("")

    def _at_file(self, what: str) -> None:
        if hasattr(self, "world"):
            self.world.reached(what)

    def _reached(self, what: str) -> None:
        if self._pipe >= 0:
            return
        self.points += 1
        if self.chosen(self.points):
            self.world.inside = False  # what we do here is no point
            for fate in self.fates:
                self._try(fate, what)
            self.world.inside = True

    def _try(self, fate: Fate, what: str) -> None:
        """Let a child go on from here with this fate; note what it says at its end."""
        self.tried += 1
        said, says = os.pipe()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # other threads take no part
            child = os.fork()
        if child == 0:
            os.close(said)
            signal.alarm(LIMIT)
            gc.disable()
            self._pipe, self.world.on_killed = says, fate
            shutil.copytree("volume", f"{self.tried}/volume", symlinks=True)
            os.chdir(f"{self.tried}")
            raise Killed
        os.close(says)
        with os.fdopen(said, encoding="utf-8") as pipe:
            words = pipe.read()
        _, status = os.waitpid(child, 0)
        shutil.rmtree(f"{self.tried}", ignore_errors=True)
        if words or status:
            self.failures.append(f"point {self.points} ({what}), {fate.__name__}: {words or f'status {status}'}")

    def _leave(self, words: str) -> NoReturn:
        """End the child."""
        os.write(self._pipe, words.encode(errors="replace")[:60000])
        os._exit(0)


def tell(story: Story, folder: Path, sample: int = 0, fates: Sequence[Fate] = RESTARTS) -> Teller:
    """Tell a story once as it should go, and once with its other fates; return what came of them.

    These are told of all points, or of so many that lie evenly between the first and the last.
    """
    plain = Teller(story)
    expected = plain.tell(folder / "plain")
    apart = max(plain.points // sample, 1) if sample else 1
    teller = Teller(story, fates, lambda point: point % apart == 0, expected=expected)
    gc.freeze()
    try:
        same = expected[-1].differences(teller.tell(folder / "killed")[-1])
    finally:
        gc.unfreeze()
    assert not same, "\n".join(("a story ends the same each time", *same))
    return teller
