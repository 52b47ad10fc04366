"""A controller in miniature that can be killed before and after all that it does, and what has to be so at the end.

What a pass does is counted at the edge: each call of a port, and each change of a file, whatever makes it. At a chosen
point the process forks: the child has a copy of the volume, and in its world the controller dies there, another one
takes over (a `Fate`), and the same story goes on to its end; the parent goes on as if nothing had happened.
"""

import errno
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
from controller.core import layout, names, sweep
from controller.core.model import Object, Policy, Record
from controller.reconciler import Reconciler, View
from tests.support.byhand import KINDS
from tests.support.world import POLICY, Post, World

CHANGES = (
    "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "utime", "fsync", "link", "symlink", "chmod",
    "copy_file_range", "pwrite",
)  # fmt: skip
"""Functions of `os` by which files change; `open` for writing is one more."""
PORTS = frozenset(
    {"get", "pods_of_job", "create", "apply", "replace", "delete", "resolve", "published", "publish", "send"}
)
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
        self.late: tuple[str, ...] = ()  # kinds of which the caches learn one pass later
        self.full = False  # the volume takes no new file and folder
        self.fuse = 0  # so many more points until the process dies
        self._due = 0
        self.timed = True  # times do not depend on when a process took over
        self.steps = 0  # how often it has come to rest
        self.on_settled: Callable[[], object] = lambda: None
        self.made: list[Object] | None = None  # Jobs, noted since the branch has moved where it does not in the story
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
        before = getattr(self, "reconciler", None)
        cluster, source = Reached(self.cluster, self.reached), Reached(self.source, self.reached)
        self.post = Post(self.post.sent, self.post.problem)
        post = Reached(self.post, self.reached)
        self.reconciler = Reconciler(
            self.view, cluster, source, self.volume, self.metrics, self.clock, self.policy, post
        )
        if before:  # what it has read of a commit does not change, and would be most of what a restart costs
            self.reconciler._gatherer._read = before._gatherer._read  # noqa: SLF001

    def reached(self, what: str) -> None:
        """Count a point, if a pass is under way."""
        if not self.inside:
            return
        self.fuse -= 1
        if self.fuse == 0:
            raise Killed
        self._reached(what)
        if self.full and what in ("before open", "before mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

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
        """Let the caches learn what there is, of late kinds what there was before the last pass."""
        self.cluster.sync(*(kind for kind in KINDS if kind not in self.late))
        self.cluster.sync(but=self.cluster.behind - self._due)
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
    """Restart with caches that show nothing of what the killed pass did, and learn of everything one pass later."""
    _lagging(world, *KINDS)


def stale_records(world: Told) -> None:
    """Restart with caches that do so where it is about ConfigMaps: each kind has a watch of its own."""
    _lagging(world, "ConfigMap")


def stale_objects(world: Told) -> None:
    """Restart with caches that do so where it is about anything else."""
    _lagging(world, *(kind for kind in KINDS if kind != "ConfigMap"))


def _lagging(world: Told, *kinds: str) -> None:
    world.late = kinds
    world.restart_stale()


def twice(world: Told) -> None:
    """Restart, and be killed once more soon."""
    world.restart()
    world.on_killed, world.fuse = cold, 1 + len(world.cluster.writes) * 7 % 23


def moved(world: Told) -> None:
    """Restart after the branch has moved: what a run has begun with it ends with, however little of it was recorded."""
    made = world.made = [*world.jobs().values()]

    def note(verb: str, moment: str) -> None:
        if (verb, moment) == ("create", "after") and (item := world.cluster.latest)["kind"] == "Job":
            made.append(item)

    world.cluster.hook = note
    world.source.commits.append({**world.source.commits[-1], "README": "moved"})
    world.restart()


def forgotten(world: Told) -> None:
    """Restart after the record in the cluster was lost as well: its copy on the volume knows as much."""
    world.cluster.remove("ConfigMap", "iris-status")
    world.restart()


def deaths(point: int, what: str) -> Sequence[Fate]:
    """Return what follows on a death at a point, in turns: what is after one thing is before the next."""
    turns = (cold, stale) if what.startswith("before") else (twice, stale_records, stale_objects, moved, forgotten)
    return (turns[point // 2 % len(turns)],)


# --- the end -------------------------------------------------------------------------------------------

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHER = re.compile(r"((?<![\w-])digest\W+?)'?(?:[0-9a-f]{16}){1,4}'?|(tools/)t\d|(\"controller\": )\"[\d.]*\"")
"""What differs each time. YAML quotes a digest that it would read as a number, which some are by chance."""
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ENDED = ("Succeeded", "Failed")
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
        if kind != "Event" and not _goes_by_itself(item)
    }
    files = {}
    for path in sorted(world.root.rglob("*")):
        text = plain(path.read_text()) if path.is_file() and not path.is_symlink() else ""
        files[_UID.sub("UID", str(path.relative_to(world.root)))] = text
    jobs = (name for verb, kind, name in world.cluster.writes if (verb, kind) == ("create", "Job"))
    events = Counter(f"{item['reason']}: {item['message']}" for item in world.cluster.of_kind("Event"))
    created = Counter(name for name in jobs if not name.startswith("env-"))
    return Left(objects, files, created, Counter(world.metrics.outcomes), events)


def _goes_by_itself(item: Object) -> bool:
    """Return whether it is of a build that has ended: the cluster removes that after a time, if nobody did before."""
    status = item.get("status") or {}
    return bool(names.environment_of(item) and (status.get("conditions") or status.get("phase") in _ENDED))


def mixed(world: Told, jobs: Sequence[Object]) -> list[str]:
    """Return which of these Jobs are of another commit than their run, or were made twice, in lines."""
    lines = []
    jobs = [job for job in jobs if not names.environment_of(job)]
    for job in jobs:
        name, labels = job["metadata"]["name"], names.labels_of(job)
        file = world.root / layout.run_spec("iris", labels[names.REQUEST_UID], int(labels[names.RUN]))
        (container,) = job["spec"]["template"]["spec"]["containers"]
        commit = json.loads("".join(container["command"][2:]))["commit"]
        if file.exists() and json.loads(file.read_text())["commit"] != commit:
            lines.append(f"{name} is of commit {commit}, its run is not")
    made = Counter((job["metadata"]["name"], names.labels_of(job)[names.REQUEST_UID]) for job in jobs)
    return lines + [f"{name} was created again" for (name, _), times in made.items() if times > 1]


def _lasting(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in metadata.items() if key not in _CHANCE}


def _plain(value: object) -> str:
    """Return a text without what is another one each time; an object's, a line for each thing that it says."""
    apart = (",\n", ": ")
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=apart).replace("\\n", "\n")
    return _OTHER.sub(r"\1\2\3", _UID.sub("UID", text))


# --- telling a story with other ends ---------------------------------------------------------------------


@dataclass
class Teller:
    """Tells a story, and at each point that `chosen` names again with another fate of the process."""

    story: Story
    fates: Sequence[Fate] = ()  # of each point; none: what `deaths` says
    chosen: Callable[[int], bool] = lambda _point: False
    points: int = 0
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    expected: Sequence[Left] = ()  # after each step, and at the end, once all was swept
    world_class: type[Told] = Told
    world: Told = field(init=False)
    _found: list[Left] = field(default_factory=list)
    _pipe: int = -1  # of a child

    def tell(self, folder: Path) -> Sequence[Left]:
        """Tell it in an empty folder, which is the working directory meanwhile; return what each step has left."""
        (folder / "volume").mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch, watched(self._at_file):
            patch.chdir(folder)
            try:
                self.world = self.world_class(Path("volume"), self._reached)
                self.world.on_settled = self._settled
                self.story(self.world)
                self.world.sweep()
                end = left_of(self.world)
            except BaseException:
                if self._pipe < 0:
                    raise
                self._leave(traceback.format_exc(limit=-8))
            if self._pipe >= 0:
                expected = self.expected[-1]
                made = self.world.made
                self._leave("\n".join(self.judge(expected, end) if made is None else mixed(self.world, made)))
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
            for fate in self.fates or deaths(self.points, what):
                if self._pipe < 0:  # else this is the child, which goes on
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
            self._meet(fate)
            return
        os.close(says)
        with os.fdopen(said, encoding="utf-8") as pipe:
            words = pipe.read()
        _, status = os.waitpid(child, 0)
        shutil.rmtree(f"{self.tried}", ignore_errors=True)
        if words or status:
            self.failures.append(f"point {self.points} ({what}), {fate.__name__}: {words or f'status {status}'}")

    def judge(self, expected: Left, end: Left) -> Sequence[str]:
        """Return how the end of a story with another fate differs where it should not."""
        return expected.differences(end)

    def _meet(self, _fate: Fate) -> None:
        """Let the process die here."""
        raise Killed

    def _leave(self, words: str) -> NoReturn:
        """End the child."""
        os.write(self._pipe, words.encode(errors="replace")[:60000])
        os._exit(0)


def tell(
    story: Story,
    folder: Path,
    sample: int = 0,
    fates: Sequence[Fate] = (),
    teller_class: type[Teller] = Teller,
) -> Teller:
    """Tell a story once as it should go, and once with its other fates; return what came of them.

    These are told of all points, or of so many that lie evenly between the first and the last.
    """
    plain = teller_class(story)
    expected = plain.tell(folder / "plain")
    apart = plain.points // sample | 1 if sample else 1  # odd: before as well as after
    teller = teller_class(story, fates, lambda point: point % apart == 0, expected=expected)
    gc.freeze()
    try:
        same = expected[-1].differences(teller.tell(folder / "killed")[-1])
    finally:
        gc.unfreeze()
    assert not same, "\n".join(("a story ends the same each time", *same))
    return teller
