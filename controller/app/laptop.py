"""A project on this machine: the same app, planner, launcher and Git on a LocalCluster.

State is kept in one folder with the shared volume's layout. One run of a project at a time; a run that was interrupted
is cancelled by the next.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import structlog

from controller.adapters.git import Git, GitSettings
from controller.adapters.local import LocalCluster, Machine, base_environment
from controller.adapters.pythons import Pythons
from controller.adapters.telemetry import Metrics, configure_logging
from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.app.controller import App
from controller.app.place import Place
from controller.app.state import state_folder
from controller.core import layout, names, parts, sweep
from controller.core.documents import codec
from controller.core.documents import run as runs
from controller.core.documents import status as statuses
from controller.core.documents.run import RunFile
from controller.core.errors import Invalid, Transient
from controller.core.images import wish
from controller.core.model import Object, Pipeline, Record, Request, Service
from controller.settings import Settings

NAMESPACE = "local"
START_GRACE = 5  # seconds for the server of a Git requirement to answer again: somebody sits and waits
BACK_OFF = 1.0  # seconds until a first retry: nobody shares this machine, so none need to be spared
LOCK = ".lock"  # in a request's folder: held while a run of it is under way
TAIL = 64 * 1024  # bytes that are read of the end of a log, or of its beginning
WARNING = "coachwork: warning: "  # so begins a line of the launcher's

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run is asked for beyond its project. `secrets` are values by the name of their variable."""

    env: tuple[tuple[str, str], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    pythons: Pythons = field(default_factory=Pythons)
    only: str = ""
    resume: str = ""


class LaptopRun:
    """One run of one project, from `start` to `stop`."""

    def __init__(self, place: Place, wishes: Wishes) -> None:
        """Make ready. Raises Invalid (a missing secret, a run of this project under way), Transient."""
        self.place = place
        self._root = state_folder()
        self._name = names.request(place.pipeline.name)
        self._uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{place.repository}#{place.path}"))
        self._trigger = uuid.uuid4().hex
        self._looked_at: set[str] = set()  # stages whose warnings have been read
        self._warned: set[str] = set()
        self._volume = Volume(self._root, has_pythons=True)
        self._lock = self._locked()
        self._tidy()
        self._scratch = self._root / layout.SCRATCH / self._uid
        shutil.rmtree(self._scratch, ignore_errors=True)  # of a run that was killed
        image, images = _images(place.pipeline, wishes.pythons)
        machine = Machine(
            volume=self._root,
            scratch=self._scratch,
            folder=_folder(place),
            python=wishes.pythons.default.path,
            pythons={images[version]: other.path for version, other in wishes.pythons.others.items()},
            secrets=_secrets(place.pipeline, wishes.secrets),
            environment=base_environment(),
            packages=_package_settings(),
            back_off=BACK_OFF,
        )
        self._refused = self._refusal(wishes)
        self._cluster = LocalCluster(NAMESPACE, machine)
        self._cluster.restore(self._request(wishes))
        settings = Settings(
            namespace=NAMESPACE,
            image=image,
            images=tuple(images.items()),
            volume=PurePosixPath(self._root),
            start_grace=START_GRACE,
            ingress_path="",  # a browser calls services here at their own ports
        )
        source = Git(self._root, GitSettings(allow_file=True))
        metrics = Metrics(metadata.version("coachwork"))
        self._app = App(settings, self._cluster, self._volume, source, metrics, _platform(wishes))

    def start(self) -> None:
        """Begin the run, unless there is to be none."""
        if self._refused is None:
            self._app.start(threading.Event())

    def stop(self) -> None:
        """End everything that runs, wait for it, and leave nothing behind."""
        self._app.stop()
        with contextlib.suppress(OSError):
            self._scratch.rmdir()
        self._lock.close()

    def record(self) -> Record:
        """Return the record as it is now, without what an earlier run left in it."""
        if self._refused:
            return self._not_begun(self._refused.reason, self._refused.problems)
        status = self._app.view.status(self._name) or {}
        kept = codec.good(statuses.read(status.get("data") or {}, self._uid)) or Record(request_uid=self._uid)
        past = next((past for past in kept.history if past.trigger == self._trigger), None)
        if past and past.outcome == "Refused":
            return self._not_begun(past.reason, (past.message,))
        ours = kept.spec is not None and kept.spec.trigger == self._trigger
        return kept if ours else replace(kept, run=0, step=0, stages={})

    def _not_begun(self, reason: str, problems: tuple[str, ...]) -> Record:
        return Record(self._uid, "Invalid", reason, problems[0], problems, finished_trigger=self._trigger)

    def over(self, record: Record) -> bool:
        """Whether this run is the one that `record` says is over."""
        return record.finished_trigger == self._trigger and not record.active

    def addresses(self) -> Mapping[str, str]:
        """Give the addresses of the service stages that are up, by stage."""
        found = self._cluster.addresses()
        services = {
            stage.name: names.service(self.place.pipeline.name, stage.name)
            for stage in self.place.pipeline.stages.values()
            if isinstance(stage.work, Service)
        }
        return {stage: found[name] for stage, name in services.items() if name in found}

    def warnings(self, record: Record) -> Iterator[str]:
        """Yield, once, what stages that are over have been warned of in their newest attempt, and builds at once."""
        builds = {item.name for item in record.spec.environments} if record.spec else set()
        for name, stage in record.stages.items():
            if name in self._looked_at or not (stage.finished or (name in builds and stage.state == "Running")):
                continue
            if stage.finished:
                self._looked_at.add(name)
            log = self._newest_log(record.run, name)
            lines = [*_first_lines(log), *_last_lines(log, TAIL)] if log else []
            for line in (line for line in lines if line.startswith(WARNING)):
                warning = f"stage {name}: {line.partition(WARNING)[2]}"
                if warning not in self._warned:
                    self._warned.add(warning)
                    yield warning

    def tail(self, run: int, stage: str, lines: int) -> list[str]:
        """Give the last lines that a stage has printed in its newest attempt of this run."""
        newest = self._newest_log(run, stage)
        return _last_lines(newest, lines) if newest else []

    def _newest_log(self, run: int, stage: str) -> Path | None:
        spec = self.record().spec
        builds = {item.name: item.folder for item in spec.environments} if spec else {}
        place = layout.logs(self._name, self._uid, run, stage)
        folder = self._root / (layout.build_logs(builds[stage]) if stage in builds else place)
        logs = [path for path in folder.glob("*.log") if path.stem.isdigit()] if folder.is_dir() else []
        return max(logs, key=lambda path: int(path.stem), default=None)

    def _refusal(self, wishes: Wishes) -> Invalid | None:
        """Return why the part of the project that is asked for can't be run, None where nothing speaks against it.

        The controller would refuse the trigger, too, and then run all that has changed.
        """
        request = Request(self._name, self._uid, self.place.repository, resume=wishes.resume, only=wishes.only)
        record = self._recorded() or Record(self._uid)
        try:
            before = parts.states_before(request, record, self._recall)
            parts.select(request, self.place.pipeline, parts.going_on_from(request, record), before)
        except Invalid as invalid:
            return invalid
        return None

    def _recall(self, run: int) -> RunFile:
        text = self._volume.read_document(layout.run_record(self._name, self._uid, run))
        return codec.view(runs.read(text)) or RunFile()

    def _recorded(self) -> Record | None:
        """Return the record that the last run left, None where there is none."""
        copy = self._volume.read_document(layout.record(self._name, self._uid))
        return codec.honoured(statuses.read_copy(copy, self._uid))

    def _request(self, wishes: Wishes) -> Object:
        """Give the request that asks for this run; a run that was interrupted is cancelled."""
        parts = {names.ONLY: wishes.only, names.FROM: wishes.resume}
        annotations = {name: f"{self._trigger} {stage}" for name, stage in parts.items() if stage}
        annotations[names.TRIGGER] = self._trigger
        before = self._recorded()
        if before and before.active:
            annotations[names.CANCEL] = str(before.run)
        data = {"repository": self.place.repository, "ref": self.place.commit, "path": self.place.path}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._name,
                "namespace": NAMESPACE,
                "uid": self._uid,
                "labels": {names.ROLE: names.ROLE_REQUEST},
                "annotations": annotations,
            },
            "data": data | {f"env.{name}": value for name, value in wishes.env},
        }

    def _tidy(self) -> None:
        """Remove what no run here needs any more, unless another project's run is under way, whose needs nobody tells.

        The runs themselves are their owner's, and stay.
        """
        own = self._root / layout.request(self._name, self._uid) / LOCK
        if any(_is_held(lock) for lock in (self._root / layout.RUNS).glob(f"*/{LOCK}") if lock != own):
            return
        try:
            swept = Sweeper(self._root).sweep(lambda: {layout.RUNS}, sweep.LAPTOP, time.time())
        except Transient as error:
            _log.warning("sweep put off", error=str(error))
        else:
            if swept.things:
                _log.info("swept", things=dict(swept.things), freed_bytes=sum(swept.bytes.values()))

    def _locked(self) -> contextlib.ExitStack:
        """Hold the project's lock until the stack is closed; the end of the process lets it go too."""
        folder = self._root / layout.request(self._name, self._uid)
        folder.mkdir(parents=True, exist_ok=True)
        stack = contextlib.ExitStack()
        file = stack.enter_context((folder / LOCK).open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stack.close()
            problem = f"{self.place.pipeline.name}: another `coachwork run` of it is under way: end that one first"
            raise Invalid("AlreadyRunning", [problem]) from None
        return stack


def _folder(place: Place) -> Path | None:
    """Return the folder of this machine that the run's commit was made of, None for a repository elsewhere."""
    parts = urlsplit(place.repository)
    folder = Path(unquote(parts.path))
    return folder if parts.scheme == "file" and folder.is_dir() else None


def _package_settings() -> Mapping[str, str]:
    """Give what the shell says about where packages come from."""
    return {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}


def _images(pipeline: Pipeline, pythons: Pythons) -> tuple[str, Mapping[str, str]]:
    """Return what stands in for images here: the default, and one for each Python; nothing is pulled."""
    found = pythons.default in pythons.others.values()
    default = pipeline.image or f"python:{pythons.default.version if found else platform.python_version()}"
    wanted = [item.python for stage in pipeline.stages.values() if (item := wish(pipeline, stage))]
    others = {
        version: f"python:{other.version} at {other.path}"
        for version, other in pythons.others.items()
        if other != pythons.default
    }
    return default, dict.fromkeys(wanted, default) | others


def _platform(wishes: Wishes) -> str:
    """Return what decides on packages here beside the stand-ins for images: a Python and the settings of the shell."""
    settings = names.digest(repr(sorted(_package_settings().items())), 20)
    python = wishes.pythons.default
    return " ".join([python.path, python.version, *platform.uname()[:1], platform.machine(), settings])


@contextlib.contextmanager
def running(place: Place, wishes: Wishes) -> Iterator[LaptopRun]:
    """Run a project; whatever happens, nothing of it is left at the end. Raises as LaptopRun."""
    with (state_folder() / "controller.log").open("a", encoding="utf-8") as log:
        configure_logging("INFO", log)
        run = LaptopRun(place, wishes)
        try:
            run.start()
            yield run
        finally:
            run.stop()


def missing_secrets(pipeline: Pipeline, given: Mapping[str, str]) -> list[str]:
    """Give a line for each secret that a stage wants and nobody gave: its variable and the stages."""
    wanted: dict[str, list[str]] = {}
    for stage in pipeline.stages.values():
        for secret in stage.secrets:
            if secret.variable not in given and not secret.optional:
                wanted.setdefault(secret.variable, []).append(stage.name)
    return [
        f"secret {variable} (stage {', '.join(stages)}): export it, or give --secrets FILE with {variable}=…"
        for variable, stages in sorted(wanted.items())
    ]


def _is_held(lock: Path) -> bool:
    """Whether a living process holds this lock."""
    with lock.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _secrets(pipeline: Pipeline, given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    if missing := missing_secrets(pipeline, given):
        raise Invalid("MissingSecrets", missing)
    secrets: dict[str, dict[str, str]] = {}
    for stage in pipeline.stages.values():
        for secret in stage.secrets:
            if secret.variable in given:
                secrets.setdefault(secret.secret, {})[secret.key] = given[secret.variable]
    return secrets


def _first_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        return file.read(TAIL).decode(errors="replace").splitlines()


def _last_lines(path: Path, lines: int) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
        return file.read(TAIL).decode(errors="replace").splitlines()[-lines:]
