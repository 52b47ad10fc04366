"""Many requests at once: a whole controller with a real Git, on a volume of its own; its cluster is played by hand."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from structlog.testing import capture_logs

from controller.adapters.git import Git
from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume
from controller.app.controller import App
from controller.app.pod import git_settings
from controller.settings import load
from tests.support.byhand import ByHand
from tests.support.eventually import eventually

ENVIRON = {"COACHWORK_NAMESPACE": "test", "COACHWORK_IMAGE": "python:3.12-slim"}


@dataclass
class Controller:
    """A controller whose cluster is played by hand; what is asked while it is stopped comes at once when it starts."""

    root: Path
    cluster: ByHand = field(default_factory=ByHand)
    calls: list[str] = field(default_factory=list)
    data: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, name: str, **data: str) -> None:
        self.data[name] = data
        self.cluster.ask(name, **data)

    def trigger(self, text: str) -> None:
        for name, data in self.data.items():
            self.cluster.ask(name, trigger=text, **data)

    @contextmanager
    def running(self) -> Iterator[PrometheusMetrics]:
        settings, metrics = load(ENVIRON, {}), PrometheusMetrics("0")
        git = Git(self.root, git_settings(settings), lambda operation, *_: self.calls.append(operation))
        app = App(settings, self.cluster, Volume(self.root), git, metrics)
        with capture_logs():
            assert app.start(threading.Event())
            try:
                yield metrics
            finally:
                app.stop()

    def finish(self, run: int, seconds: float = 60.0) -> Counter[str]:
        """Start, and let this run of all requests begin and succeed; return the git processes that it cost."""
        with self.running():
            jobs = {("Job", f"{name}-a-{run}") for name in self.data}
            eventually(lambda: jobs <= self.cluster.stored.keys(), seconds)
            for key in jobs:
                self.cluster.end_job(self.cluster.stored[key])
            eventually(lambda: {record["phase"] for record in self.records()} == {"Ready"}, seconds)
        calls, self.calls = Counter(self.calls), []
        return calls

    def records(self) -> list[Mapping[str, str]]:
        return [self.cluster.stored["ConfigMap", f"{name}-status"]["data"] for name in self.data]
