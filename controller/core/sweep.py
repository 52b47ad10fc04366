"""What of the shared volume may go: what nothing living, kept or serving needs, and nobody has used for a while.

A need is a path: it covers itself, what is below it and what it is in. What goes is older than its grace when it is
found, and still when it is removed: docs/adr/0012 has the argument. Refuses to guess: a request whose record can't be
read needs all that it has.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from controller.core import layout, manifests, names
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.errors import Invalid
from controller.core.facts.owners import owner_uid
from controller.core.inputs import request as requests
from controller.core.model import Object, PastRun, Record, RunSpec

MINUTE = 60.0
INTERVAL = 15 * MINUTE  # between sweeps: with the grace of what was used, well within the hour
FIRST = 5 * MINUTE  # from the start to the first: a predecessor's last pass has ended by then
PRESSED = 5 * MINUTE  # between sweeps while the volume is nearly full
URGED = MINUTE  # from one sweep to the next where a pass has met a full volume
NEARLY_FULL = 0.05  # of the volume is free

KINDS = ("ConfigMap", "Deployment", "Job", "Pod")  # that need something: each hands its need on to later ones only

Kind: TypeAlias = Literal["kept", "built", "half", "cache", "left"]
"""kept: published or written for good; built: a build's own folder; half: an environment in it that is being made, or
was when its build was killed, and uv's cache of that build: a build under way needs it, a note does not; cache: the one
of all builds on a laptop; left: half of something else, of a process that was killed, which nothing can need."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something on the volume that can be swept, and when it was last used (POSIX seconds)."""

    path: PurePosixPath
    kind: Kind
    used: float


@dataclass(frozen=True, slots=True)
class Graces:
    """How long, in seconds after its last use, a thing stays that nothing needs."""

    kept: float
    built: float
    cache: float
    left: float

    def of(self, kind: Kind) -> float:
        """Return the grace of one kind."""
        return self.built if kind == "half" else float(getattr(self, kind))


CALM = Graces(kept=30 * MINUTE, built=30 * MINUTE, cache=24 * 60 * MINUTE, left=30 * MINUTE)
FULL = Graces(kept=30 * MINUTE, built=5 * MINUTE, cache=5 * MINUTE, left=5 * MINUTE)
LAPTOP = Graces(kept=7 * 24 * 60 * MINUTE, built=24 * 60 * MINUTE, cache=30 * 24 * 60 * MINUTE, left=24 * 60 * MINUTE)


def due(since: float, *, urged: bool, free: float) -> Graces | None:
    """Return the graces of the sweep that is due `since` seconds after the last one; None where none is.

    `urged`: a pass has met a full volume; `free`: the share of the volume that is.
    """
    pressed = free < NEARLY_FULL
    if (urged and since >= URGED) or (pressed and since >= PRESSED):
        return FULL
    return (FULL if pressed else CALM) if since >= INTERVAL else None


def is_old(found: Found, graces: Graces, now: float) -> bool:
    """Return whether the grace is over at the time `now`."""
    return now - found.used > graces.of(found.kind)


class Needed:
    """What is needed, as a set of paths."""

    def __init__(self, paths: Iterable[PurePosixPath]) -> None:
        self._paths = frozenset(paths)
        self._above = frozenset(above for path in self._paths for above in path.parents)

    def covers(self, path: PurePosixPath) -> bool:
        """Return whether the path, something in it or something around it is needed."""
        return path in self._paths or path in self._above or not self._paths.isdisjoint(path.parents)


# --- what the objects of a namespace say --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of what it needs; `mirror` is None where it can't be read."""

    name: str
    mirror: PurePosixPath | None = None
    keep: int = 0


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What a record says, or nothing readable (None): the run's own needs, and the rest without its texts."""

    request: str  # label
    run: frozenset[PurePosixPath] = frozenset()
    base: frozenset[int] = frozenset()  # the run that an active one goes on from
    record: Record | None = None


def references(objects: Iterable[Object]) -> frozenset[PurePosixPath]:
    """Return what requests, records, releases, Deployments, Jobs and Pods need: all of a namespace, as they are now.

    An object is let go of once it is read: there may be more of them than memory holds.
    """
    needed, living, recorded = set[PurePosixPath](), dict[str, _Claim](), dict[str, _Recorded]()
    for item in objects:
        needed |= mounted(item)
        role = _label(item, names.ROLE) if item["kind"] == "ConfigMap" else ""
        if role == names.ROLE_REQUEST:
            living[item["metadata"]["uid"]] = _claim(item)
        elif role == names.ROLE_STATUS:
            recorded[owner_uid(item)] = _read(item)
        elif item["kind"] == "ConfigMap":
            recorded.setdefault(owner_uid(item), _Recorded(_label(item, names.REQUEST)))
    for uid, claim in living.items():
        needed.update(_of_request(claim, uid, recorded.get(uid)))
    for uid in recorded.keys() - living:  # its request may have lost its label, and lives
        needed |= {layout.request(recorded[uid].request, uid), *recorded[uid].run}
    return frozenset(needed)


def _claim(item: Object) -> _Claim:
    name = item["metadata"]["name"]
    try:
        request = requests.read(item)
    except Invalid:
        return _Claim(name)
    return _Claim(name, layout.mirror(request.repository), request.keep_runs)


def _read(item: Object) -> _Recorded:
    record = codec.good(statuses.read(item.get("data") or {}, owner_uid(item)))
    if record is None:
        return _Recorded(_label(item, names.REQUEST))
    history = tuple(PastRun(past.run, past.outcome) for past in record.history)
    thin = Record(record.request_uid, run=record.run, release_run=record.release_run, history=history)
    base = {record.spec.base} if record.active and record.spec else set[int]()
    return _Recorded(_label(item, names.REQUEST), frozenset(_of_run(record)), frozenset(base), thin)


def mounted(item: Object) -> frozenset[PurePosixPath]:
    """Return the paths that an object's pods mount, now or when they are made; nothing for one that has ended."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    match item["kind"]:
        case "Pod" if status.get("phase") not in ("Succeeded", "Failed"):
            return frozenset(_mounts(spec, names.environment_of(item)))
        case "Job" if not any(
            item["type"] in ("Complete", "Failed") and item["status"] == "True"
            for item in status.get("conditions") or ()
        ):
            return frozenset(_mounts(spec["template"]["spec"], names.environment_of(item)))
        case "Deployment":
            return frozenset(_mounts(spec["template"]["spec"], ""))
        case "ConfigMap" if _label(item, names.ROLE) == names.ROLE_RELEASE:
            try:
                released = manifests.release_objects(item)
            except Invalid:  # written over: it can't be applied again, so nothing of it is needed
                released = ()
            return frozenset[PurePosixPath]().union(*map(mounted, released))
        case _:
            return frozenset()


def _label(item: Object, label: str) -> str:
    return str(names.labels_of(item).get(label, ""))


def _mounts(spec: Object, build: str) -> Iterator[PurePosixPath]:
    """Yield the parts of volumes that a pod mounts. A build of 0.1.0 mounts all; it needs its own and the cache."""
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        ours = (item for item in container.get("volumeMounts") or () if item.get("name") == names.SHARED_VOLUME)
        for mount in ours:
            path = PurePosixPath(mount.get("subPath") or "")
            if path == layout.BUILDS and build:
                yield from (layout.build(build), layout.BUILD_CACHE)
            elif path.parts:
                yield path


def _of_request(claim: _Claim, uid: str, recorded: _Recorded | None) -> Iterator[PurePosixPath]:
    """Yield what a request needs: of its own folder what its record keeps, or all where nobody says what that is."""
    if recorded:
        yield from recorded.run
    if claim.mirror:
        yield claim.mirror
    if claim.mirror is None or recorded is None or recorded.record is None:
        yield layout.request(claim.name, uid)
        return
    yield from (layout.cache(claim.name, uid), layout.record(claim.name, uid))
    runs = retained(recorded.record, claim.keep) | recorded.base  # what serves is mounted, and so needed anyway
    yield from (layout.run(claim.name, uid, run) for run in runs)


def retained(record: Record, keep: int) -> frozenset[int]:
    """Return the runs whose folders stay: the newest `keep` good and failed ones each, the released and the last."""
    good = [past.run for past in record.history if past.run and past.outcome == "Succeeded"]
    bad = [past.run for past in record.history if past.run and past.outcome != "Succeeded"]
    return frozenset({*good[:keep], *bad[:keep], record.release_run, record.run, 0})


def _of_run(record: Record | None) -> Iterator[PurePosixPath]:
    """Yield what the run of a record needs while it is under way, and where its code is from."""
    if record and record.spec:
        yield layout.mirror(record.spec.repository)
        yield from uses(record.spec) if record.active else ()


def uses(spec: RunSpec) -> Iterator[PurePosixPath]:
    """Yield what a run needs of the volume beyond its own folder."""
    yield from (layout.checkout(spec.repository, spec.commit), layout.mirror(spec.repository))
    for item in spec.environments:
        yield from (layout.environment(item.folder), layout.build(item.folder))
        for source in item.sources:
            yield from (layout.mirror(source.repository), layout.checkout(source.repository, source.commit))


def without(
    uses: Mapping[PurePosixPath, frozenset[PurePosixPath]], gone: Iterable[PurePosixPath]
) -> set[PurePosixPath]:
    """Return what the runs use whose folders are not gone, from what each run (by its folder) uses."""
    lost = frozenset(gone)
    left = (paths for run, paths in uses.items() if run not in lost and lost.isdisjoint(run.parents))
    return {path for paths in left for path in paths}
