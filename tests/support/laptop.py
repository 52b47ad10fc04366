"""The whole app on this machine: real Git repositories, a real volume, real launcher processes."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.adapters.git import Git, GitSettings
from controller.adapters.local import LocalCluster, Machine
from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume
from controller.adapters.web.wake import WakeServer
from controller.app.controller import App
from controller.core import names
from controller.core.model import Object
from controller.core.snapshot import OnChange, Snapshot
from controller.settings import load
from tests.support.eventually import eventually
from tests.support.gitserver import Repository

NAMESPACE = "laptop"
BATCH = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n[batch]\nRETRIES = 0\n"


def batch(script: str, *, more: str = "") -> dict[str, str]:
    """Return the files of a batch stage, below its folder."""
    return {"config.ini": BATCH + more, "run.py": script}


def service(script: str, port: int, *, start: int = 20) -> dict[str, str]:
    """Return the files of a service stage, below its folder."""
    config = "[default]\nSTAGE_TYPE = service\nEXECUTABLE_SCRIPT = run.py\n"
    return {"config.ini": f"{config}[service]\nPORT = {port}\nMAX_STARTUP_TIME_SECONDS = {start}\n", "run.py": script}


def project(dag: str, **stages: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a project."""
    files = {"bodywork.ini": f"[default]\nPROJECT_NAME = demo\n[workflow]\nDAG = {dag}\n"}
    return files | {f"{stage}/{name}": text for stage, texts in stages.items() for name, text in texts.items()}


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


class Connection:
    """What an app holds of the cluster. Once severed, each call ends its thread: the app has been killed."""

    def __init__(self, cluster: LocalCluster, *, deaf: bool) -> None:
        self._cluster, self._deaf, self._severed = cluster, deaf, threading.Event()

    def sever(self) -> None:
        self._severed.set()

    def stop(self) -> None:
        """Leave the cluster to the next app."""

    def start(self, on_change: OnChange) -> None:
        """Report what changes; where the cluster is deaf, not that a pod has ended."""

        def heard(kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
            status = (new.opened() if new else {}).get("status") or {}
            ended = {"Pod": status.get("phase") == "Succeeded", "Job": status.get("conditions")}
            if not ended.get(kind):
                on_change(kind, old, new)

        self._cluster.start(heard if self._deaf else on_change)

    def __getattr__(self, name: str) -> Any:
        if self._severed.is_set():
            raise Killed
        return getattr(self._cluster, name)


@dataclass
class Laptop:
    """One machine, one repository, one request `demo`; apps come and go."""

    root: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    steady: float = 0.1  # seconds; for a person 2, as in a cluster
    deaf: bool = False  # it never says that a pod has ended: pods do, by calling

    def __post_init__(self) -> None:
        self.volume = self.root / "volume"
        self.volume.mkdir()
        self.repository = Repository(self.root / "repository")
        self.repository.folder.mkdir()
        self.repository.git("init", "--quiet", "--initial-branch=main")
        machine = Machine(
            volume=self.volume, scratch=self.root / "scratch", secrets=self.secrets, back_off=0.1, steady=self.steady
        )
        self.cluster = LocalCluster(NAMESPACE, machine)
        self.begin()

    def begin(self) -> None:
        """Start an app."""
        self.metrics = PrometheusMetrics("0")
        flags = {"namespace": NAMESPACE, "image": "python:3.12", "volume": self.volume, "workers": 2}
        if self.deaf:
            self.port = WakeServer(0, self._woken, lambda _status: None)
            self.port.start()
            flags["wake"] = f"127.0.0.1:{self.port.port}"
        settings = load({}, {**flags, "allow_file_repositories": True})
        self.connection = Connection(self.cluster, deaf=self.deaf)
        counted = self.metrics.git
        git = Git(self.volume, GitSettings(allow_file=True), counted.called, counted.shared, counted.failed)
        self.app = App(settings, self.connection, Volume(self.volume), git, self.metrics)
        assert self.app.start(threading.Event())

    def _woken(self, name: str) -> bool:
        return self.app.wake(name)

    def kill(self) -> None:
        """Let the app die where it stands; what it started lives on."""
        self.connection.sever()
        self.app.stop()

    def ask(self, name: str = "demo", **data: str) -> Object:
        """Create a request."""
        metadata = {"name": name, "labels": {names.ROLE: names.ROLE_REQUEST}}
        keys = {"repository": f"file://{self.repository.folder}", **data}
        return self.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": keys})

    def trigger(self, text: str, name: str = "demo") -> None:
        """Trigger another run of a request."""
        item = self.cluster.get("ConfigMap", name)
        assert item
        annotations = {names.TRIGGER: text}
        self.cluster.replace({**item, "metadata": {**item["metadata"], "annotations": annotations}})

    def status(self, name: str = "demo") -> Mapping[str, str]:
        """Return the record as `kubectl` would show it; {} if there is none."""
        item = self.cluster.get("ConfigMap", names.status_of(name))
        return item["data"] if item else {}

    def wait(self, phase: str, run: int = 1) -> Mapping[str, str]:
        """Wait until that run has ended in that phase; return the record."""

        def there() -> bool:
            status = self.status()
            over = status.get("run") == str(run) and "finished" in status
            assert not over or status["phase"] in (phase, "Degraded"), status
            return over and status["phase"] == phase

        eventually(there, 30)
        return self.status()

    def artifact(self, name: str) -> str:
        """Return the text of the newest artifact of this name, "" if there is none."""
        found = sorted(self.volume.glob(f"runs/demo-*/*/artifacts/{name}"))
        return found[-1].read_text() if found else ""


@contextmanager
def laptop(
    root: Path, secrets: Mapping[str, Mapping[str, str]] | None = None, steady: float = 0.1, *, deaf: bool = False
) -> Iterator[Laptop]:
    """Return a machine with an app; in the end nothing of it runs on."""
    machine = Laptop(root, secrets or {}, steady, deaf)
    try:
        yield machine
        assert not machine.app.trouble()
    finally:
        machine.app.stop()
        if deaf:
            machine.port.stop()
        machine.cluster.stop()
    assert not list((root / "scratch").glob("*"))
    eventually(lambda: not [one for one in threading.enumerate() if one.name.startswith(("local-", "worker-"))])


__all__ = ["Laptop", "batch", "laptop", "project", "service"]
