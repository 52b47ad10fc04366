"""A project on this machine: the same app, planner, launcher and Git on a LocalCluster.

State is kept in one folder with the shared volume's layout. A run that was interrupted is cancelled by the next.
"""

import contextlib
import os
import platform
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path, PurePosixPath

from controller.adapters import removal
from controller.adapters.git import Git, GitSettings
from controller.adapters.local import LocalCluster, Machine, base_environment
from controller.adapters.pythons import Pythons
from controller.adapters.telemetry import PrometheusMetrics, configure_logging
from controller.adapters.volume import Volume
from controller.adapters.volume.archive import builds
from controller.adapters.volume.tree import Tree
from controller.app.controller import App
from controller.app.lock import lock, tidy
from controller.app.output import Output
from controller.app.place import Place
from controller.app.state import state_folder
from controller.core import layout, names, parts
from controller.core.documents import codec
from controller.core.documents import run as runs
from controller.core.documents import status as statuses
from controller.core.documents.progress import Progress
from controller.core.documents.run import RunFile
from controller.core.errors import Invalid
from controller.core.facts.indexes import unfinished
from controller.core.images import wish
from controller.core.model import Object, Pipeline, Record, Request, Service
from controller.settings import Settings

NAMESPACE = "local"
START_GRACE = 5  # seconds for the server of a Git requirement to answer again: a person waits
BACK_OFF = 1.0  # seconds until a first retry: this machine is not shared, so there is no load to spare
TAIL = 64 * 1024  # bytes that are read of the end of a log, or of its beginning
WARNING = "coachwork: warning: "  # how the launcher's warnings begin


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is given beyond its project. `secrets` are values by the name of their variable."""

    variables: tuple[tuple[str, str], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    pythons: Pythons = field(default_factory=Pythons)
    only: str = ""
    resume: str = ""
    whole: bool = False


@contextlib.contextmanager
def running(place: Place, options: Options) -> Iterator["LaptopRun"]:
    """Run a project; whatever happens, nothing of it runs on in the end. Raises as LaptopRun."""
    with (state_folder() / "controller.log").open("a", encoding="utf-8") as log:
        configure_logging("INFO", log)
        run = LaptopRun(place, options)
        try:
            run.start()
            yield run
        finally:
            run.stop()


class LaptopRun:
    """One run of one project, from `start` to `stop`.

    Raises Invalid for a missing secret, or while another run of the project is under way; Transient.
    """

    def __init__(self, place: Place, options: Options) -> None:
        self.place = place
        self._root = state_folder()
        self.name = names.request(place.pipeline.name)
        self._uid = place.uid
        self._trigger = uuid.uuid4().hex
        self._warned: set[str] = set()  # stages whose warnings are complete, and the warnings
        self._volume = Volume(self._root, has_pythons=True)
        self.output = Output(self._root, self.name, self._uid)
        own = self._root / layout.request(self.name, self._uid)
        self._lock = lock(own)
        if self._lock is None:
            problem = f"{place.pipeline.name}: another `coachwork run` of it is under way: end that one first"
            raise Invalid("AlreadyRunning", [problem])
        tidy(self._root, own)
        self._scratch = self._root / layout.SCRATCH / self._uid
        removal.remove(self._scratch)  # of a run that was killed
        options = replace(options, pythons=options.pythons.bare(self._root))
        image, images = _images(place.pipeline, options.pythons)
        before = codec.honoured(statuses.read_copy(self._read(layout.record(self.name, self._uid)), self._uid))
        self._refused: Invalid | None = None
        stages = self._part(options, before)
        machine = self._machine(options, images, _secrets(place.pipeline, stages, options.secrets))
        self._cluster = LocalCluster(NAMESPACE, machine)
        self._asked = self._request(options, before)
        self._cluster.restore(self._asked)
        settings = Settings(
            namespace=NAMESPACE,
            image=image,
            images=tuple(images.items()),
            volume=PurePosixPath(self._root),
            start_grace=START_GRACE,
            ingress_path="",  # a browser calls services here at their own ports
        )
        source = Git(self._root, GitSettings(allow_file=True))
        metrics = PrometheusMetrics(metadata.version("coachwork"))
        self._app = App(settings, self._cluster, self._volume, source, metrics, _platform(options.pythons))

    def _machine(
        self, options: Options, images: Mapping[str, str], secrets: Mapping[str, Mapping[str, str]]
    ) -> Machine:
        return Machine(
            volume=self._root,
            scratch=self._scratch,
            folder=self.place.folder,
            python=options.pythons.default.path,
            pythons={images[version]: other.path for version, other in options.pythons.others.items()},
            secrets=secrets,
            environment=base_environment(),
            packages=_package_settings(),
            back_off=BACK_OFF,
        )

    def _read(self, place: PurePosixPath) -> str:
        return self._volume.read_document(place)

    def _part(self, options: Options, before: Record | None) -> tuple[str, ...]:
        """Return the stages that may have to be started; none, and note why, where the chosen part can't be run."""
        request = Request(self.name, self._uid, self.place.repository, resume=options.resume, only=options.only)
        record = before or Record(self._uid)

        def recall(run: int) -> RunFile:
            return codec.view(runs.read(self._read(layout.run_record(self.name, self._uid, run)))) or RunFile()

        try:
            states = parts.states_before(request, record, recall)
            chosen = parts.select(request, self.place.pipeline, parts.going_on_from(request, record), states)
        except Invalid as refused:  # by the controller, too, which would then run all that has changed
            self._refused = refused
            return ()
        return parts.to_run(self.place.pipeline, chosen)

    def _request(self, options: Options, before: Record | None) -> Object:
        """Return the request for this run; a run that was interrupted is cancelled."""
        part = {names.ONLY: options.only, names.FROM: options.resume}
        annotations = {name: f"{self._trigger} {stage}" for name, stage in part.items() if stage}
        annotations |= {names.ALL: f"{self._trigger} true"} if options.whole else {}
        annotations[names.TRIGGER] = self._trigger
        if before and before.active:
            annotations[names.CANCEL] = str(before.run)
        data = {"repository": self.place.repository, "ref": self.place.commit, "path": self.place.path}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "uid": self._uid,
                "labels": {names.ROLE: names.ROLE_REQUEST},
                "annotations": annotations,
            },
            "data": data | {f"env.{name}": value for name, value in options.variables},
        }

    def start(self) -> None:
        """Start the run, unless it was refused."""
        if self._refused is None:
            self._app.start(threading.Event())

    def foresee(self) -> Mapping[str, str]:
        """Return why each batch stage would be reused, or would not (REUSE); start nothing. Raises Transient."""
        spec = self._app.foresee(self._asked).spec
        return dict(spec.reuse) if spec and spec.trigger == self._trigger else {}

    def stop(self) -> None:
        """End everything that runs, wait for it, and leave nothing behind."""
        self._app.stop()
        with contextlib.suppress(OSError):
            self._scratch.rmdir()
        if self._lock:
            self._lock.close()

    def record(self) -> Record:
        """Return the current record, without what an earlier run left in it."""
        if self._refused:
            return self._not_begun(self._refused.reason, self._refused.problems)
        status = self._app.view.status(self.name) or {}
        record = codec.good(statuses.read(status.get("data") or {}, self._uid)) or Record(request_uid=self._uid)
        past = next((past for past in record.history if past.trigger == self._trigger), None)
        if past and past.outcome == "Refused":
            return self._not_begun(past.reason, (past.message,))
        ours = record.spec is not None and record.spec.trigger == self._trigger
        return record if ours else replace(record, run=0, step=0, stages={})

    def _not_begun(self, reason: str, problems: tuple[str, ...]) -> Record:
        return Record(self._uid, "Invalid", reason, problems[0], problems, finished_trigger=self._trigger)

    def over(self, record: Record) -> bool:
        """Return whether `record` says that this run is over."""
        return record.finished_trigger == self._trigger and not record.active

    def folder(self, record: Record) -> Path:
        """Return the folder of all that a run leaves."""
        return self._root / layout.run(self.name, self._uid, record.run)

    def progress(self, record: Record) -> Mapping[str, Progress]:
        """Return how far the builds of environments are."""
        with contextlib.suppress(OSError):  # of the disk: the run says what it makes of it
            return builds(Tree(self._root), record) if record.active else {}
        return {}

    def addresses(self) -> Mapping[str, str]:
        """Return the addresses of the service stages that are up, by stage."""
        found = self._cluster.addresses()
        services = {
            stage.name: names.service(self.place.pipeline.name, stage.name)
            for stage in self.place.pipeline.stages.values()
            if isinstance(stage.work, Service)
        }
        return {stage: found[name] for stage, name in services.items() if name in found}

    def warnings(self, record: Record) -> Iterator[str]:
        """Yield each warning of stages and builds once, as it comes."""
        for name, stage in record.stages.items():
            # Of many indexes, once they have ended: which one of their logs is read, all outcomes decide.
            if name in self._warned or not (stage.finished or (stage.state == "Running" and not stage.indexes)):
                continue
            if stage.finished:
                self._warned.add(name)
            for line in self._lines(record.run, name, both_ends=True):
                warning = f"stage {record.title(name)}: {line.removeprefix(WARNING)}"
                if line.startswith(WARNING) and warning not in self._warned:
                    self._warned.add(warning)
                    yield warning

    def tail(self, run: int, stage: str, lines: int) -> list[str]:
        """Return the last lines that a stage has printed in its newest attempt of this run."""
        return [self.place.own(line) for line in self._lines(run, stage)[-lines:]]

    def _lines(self, run: int, stage: str, *, both_ends: bool = False) -> list[str]:
        """Return the last lines of a stage's newest log (`both_ends`: the first too), none where nothing has begun."""
        spec = self.record().spec
        builds = {item.name: item.folder for item in spec.environments} if spec else {}
        place = layout.build_logs(builds[stage]) if stage in builds else layout.logs(self.name, self._uid, run, stage)
        if (entry := self.record().stages.get(stage)) and entry.indexes:
            left = self._volume.last_attempts(place, entry.indexes)
            place /= str(unfinished(left, entry.indexes) or 0)
        logs = [path for path in (self._root / place).glob("*.log") if path.stem.isdigit()]
        if not logs:
            return []
        with max(logs, key=lambda path: int(path.stem)).open("rb") as file:
            first = file.read(TAIL) if both_ends else b""
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
            return [line for part in (first, file.read(TAIL)) for line in part.decode(errors="replace").splitlines()]


def _package_settings() -> Mapping[str, str]:
    """Return what the shell says about where packages come from."""
    return {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}


def _images(pipeline: Pipeline, pythons: Pythons) -> tuple[str, Mapping[str, str]]:
    """Return what stands in for images here: the default, and one for each Python; nothing is pulled."""
    found = pythons.default in pythons.others.values()
    default = pipeline.image or f"python:{pythons.default.version if found else platform.python_version()}"
    versions = [item.python for stage in pipeline.stages.values() if (item := wish(pipeline, stage))]
    others = {
        version: f"python:{other.version} at {other.path}"
        for version, other in pythons.others.items()
        if other != pythons.default
    }
    return default, dict.fromkeys(versions, default) | others


def _platform(pythons: Pythons) -> str:
    """Return what decides on packages in addition to the stand-ins for images: a Python and the shell's settings."""
    settings = names.digest(repr(sorted(_package_settings().items())), 20)
    python = pythons.default
    return " ".join([python.path, python.version, *platform.uname()[:1], platform.machine(), settings])


def _secrets(pipeline: Pipeline, names: Iterable[str], given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the Secrets of these stages, by name and key. Raises Invalid with a line for each that can't be used."""
    secrets: dict[str, dict[str, str]] = {}
    faults: dict[tuple[str, str], list[str]] = {}
    for stage in (pipeline.stages[name] for name in names):
        for secret in stage.secrets:
            variable, value = secret.variable, given.get(secret.variable)
            if value is not None and not any("\ud800" <= letter <= "\udfff" for letter in value):
                secrets.setdefault(secret.secret, {})[secret.key] = value
            elif value is not None:
                faults.setdefault((variable, "its value is not text in UTF-8: export it as such"), []).append(
                    stage.name
                )
            elif not secret.optional:
                remedy = f"export it, or give --secrets FILE with {variable}=VALUE"
                faults.setdefault((variable, remedy), []).append(stage.name)
    if faults:
        lines = (
            f"secret {variable} (stage {', '.join(stages)}): {what}" for (variable, what), stages in faults.items()
        )
        raise Invalid("MissingSecrets", sorted(lines))
    return secrets
