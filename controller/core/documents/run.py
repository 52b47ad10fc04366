"""What a kept run's folder says of it: run.json, spec.json and uses.json. No secret's value.

run.json, for people: all that the run ran with, and how it went. spec.json: what it was started with, so that it can be
run once more. uses.json: what it needs of the volume beyond its own folder, so that no sweep takes it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import Any

from controller.core.documents import codec
from controller.core.documents.codec import Absent, Answer, Corrupt, Good, TooNew
from controller.core.model import LATER, Attempt, GitSource, PastRun, Record, RunSpec, StageRecord, Unknown

EMPTY: Sequence[object] = ("", None, [], {})  # what is not written of a stage
_ORIGIN = re.compile(r"# (\S+) is from (.+)")  # as install_build.py writes it


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """A Secret that stages had, by its version when the run began."""

    name: str
    resource_version: str = "?"
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment of the run with the version of each package."""

    name: str
    folder: str = ""
    stages: tuple[str, ...] = ()
    sources: tuple[GitSource, ...] = ()
    stale: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class StageEntry:
    """How a stage went; of a run that is under way, `attempts` is their number."""

    state: str = ""
    reason: str = ""
    message: str = ""
    started: str = ""
    finished: str = ""
    attempts: tuple[Attempt, ...] | int = ()
    image: str = ""
    waiting_since: str = ""
    waiting_for: str = ""
    objects: tuple[str, ...] = ()
    indexes: int = field(default=0, metadata=LATER)
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    unknown: Unknown = field(default_factory=dict, hash=False)

    @property
    def tries(self) -> int:
        """How many attempts there were; of a parallel stage, of the index that needed most."""
        if isinstance(self.attempts, int):
            return self.attempts
        return max((attempt.number for attempt in self.attempts), default=0) if self.indexes else len(self.attempts)


@dataclass(frozen=True, slots=True)
class RunFile:
    """run.json. The outcome is "" while the run is under way."""

    request: str = ""
    run: int = 0
    outcome: str = ""
    reason: str = ""
    message: str = ""
    ref: str = ""
    started: str = ""
    finished: str = ""
    controller: str = ""  # its version
    repository: str = ""
    commit: str = ""
    path: str = ""
    tree: str = ""
    image: str = ""
    project_name: str = ""
    deadline: int | None = None
    trigger: str = ""
    cause: str = ""
    base: int = 0
    index_secret: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    rerun: int = 0
    pod_template: str = ""
    part: tuple[str, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    services: tuple[str, ...] = ()
    on_failure: str = ""
    reuse: tuple[tuple[str, str], ...] = field(default=(), metadata=LATER)
    env: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretVersion, ...] = ()
    environments: tuple[Installed, ...] = ()
    image_digests: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, StageEntry] = field(default_factory=dict)
    unknown: Unknown = field(default_factory=dict, hash=False)


def of_record(
    request: str,
    record: Record,
    attempts: Mapping[str, Sequence[Attempt]],
    locks: Mapping[str, str],
    version: str,
) -> RunFile:
    """Return what is said of a record's run. `attempts` by stage, `locks` by environment folder."""
    past = next((past for past in record.history if past.run == record.run), PastRun())
    run = RunFile(
        request=request,
        run=record.run,
        outcome=past.outcome,
        reason=record.reason,
        message=record.message,
        ref=record.ref,
        started=record.started,
        finished=record.finished,
        controller=version,
        image_digests={name: stage.image for name, stage in record.stages.items() if stage.image},
        stages={name: _stage(stage, tuple(attempts.get(name, ()))) for name, stage in record.stages.items()},
    )
    if (spec := record.spec) is None:
        return run
    same = {item.name for item in fields(spec)} & {item.name for item in fields(run)}
    values: dict[str, Any] = {name: getattr(spec, name) for name in same}
    values |= {"env": dict(spec.env), "images": dict(spec.images)}
    values["secrets"] = tuple(SecretVersion(name, version) for name, version in spec.secrets)
    values["environments"] = tuple(
        Installed(
            **{item.name: getattr(each, item.name) for item in fields(each)},
            packages=packages(locks.get(each.folder, "")),
        )
        for each in spec.environments
    )
    return replace(run, **values)


def of_active(request: str, record: Record) -> RunFile:
    """Return what a record says of the run that is under way: no more than it holds."""
    run = of_record(request, record, {}, {}, "")
    stages = {name: _stage(stage, stage.attempts) for name, stage in record.stages.items()}
    return replace(run, stages=stages, unknown={**run.unknown, "phase": record.phase})


def _stage(stage: StageRecord, attempts: tuple[Attempt, ...] | int) -> StageEntry:
    values = {item.name: getattr(stage, item.name) for item in fields(stage)}
    return StageEntry(**{**values, "attempts": attempts})


def packages(lock: str) -> Mapping[str, str]:
    """Return the version of each package by its name; with where it is from, if from no index."""
    lines = [line.strip() for line in lock.splitlines()]
    found = dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    for origin in filter(None, map(_ORIGIN.fullmatch, lines)):
        found[origin[1]] = f"{found.get(origin[1], '')} from {origin[2]}".strip()
    return found


def page(run: RunFile) -> dict[str, Any]:
    """Return what is written, and shown, of a run: of a stage that is over, only what there is to say."""
    words = codec.plain(run)
    for name, stage in run.stages.items():
        if not isinstance(stage.attempts, int):
            attempts = [codec.sparse(attempt, EMPTY) for attempt in stage.attempts]
            words["stages"][name] = {**codec.sparse(stage, EMPTY), "attempts": attempts}
    return dict(words)


def write(run: RunFile) -> str:
    """Return the text of a run.json."""
    return codec.to_json(page(run))


def read(text: str) -> Answer[RunFile]:
    """Return what a run.json says."""
    return codec.from_json(RunFile, text, "what the run left")


def write_spec(spec: RunSpec) -> str:
    """Return the text of a run's spec.json."""
    return codec.to_json(spec)


def read_spec(text: str) -> Answer[RunSpec]:
    """Return what a run was started with, from its spec.json."""
    return codec.from_json(RunSpec, text, "what the run was started with")


@dataclass(frozen=True, slots=True)
class _Uses:
    paths: tuple[str, ...]


def write_uses(paths: Iterable[PurePosixPath]) -> str:
    """Return the text of a run's uses.json."""
    return json.dumps({"paths": sorted({str(path) for path in paths})}, indent=1) + "\n"


def read_uses(text: str) -> Answer[frozenset[PurePosixPath]]:
    """Return the paths that a uses.json names."""
    match codec.from_json(_Uses, text, "what the run uses"):
        case Good(uses) if all(uses.paths):
            return Good(frozenset(map(PurePosixPath, uses.paths)))
        case TooNew(_, problem):
            return TooNew(frozenset(), problem)
        case Absent():
            return Absent()
        case Good() | Corrupt():
            return Corrupt(frozenset())
