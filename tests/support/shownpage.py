"""A place with requests in many states, as its page shows them: records and files of my own making, no controller."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.adapters.web.changes import Changes
from controller.adapters.web.listener import Listener
from controller.adapters.web.ports import LiveRequest, Site
from controller.adapters.web.protect import ReadOnly
from controller.adapters.web.server import Pages
from controller.core import names
from controller.core.documents import codec
from controller.core.documents import release as releases
from controller.core.documents import status as statuses
from controller.core.documents.run import of_record
from controller.core.model import Attempt, Environment, Object, PastRun, Phase, Record, RunSpec, StageRecord
from tests.support.keptruns import KeptRuns

NAME, UID = "iris", "1b2c3d4e-0000-4000-8000-000000000001"
BUILT = Environment("environment", "0a", ("train", "serve"))
SPEC = RunSpec(
    repository="https://git.example/iris",
    commit="0123456789abcdef0123456789abcdef01234567",
    path=".",
    tree="t",
    image="python:3.12-slim",
    cause="Polled",
    environments=(BUILT,),
    steps=(("prepare",), ("train", "report"), ("serve",)),
    services=("serve",),
    on_failure="tell",
    parameters=(("ALPHA", "0.1"),),
    env=(("COLOUR", "red"),),
)


def ago(seconds: float, now: datetime | None = None) -> str:
    return ((now or datetime.now(UTC)) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def past(run: int, outcome: str, took: float, **more: Any) -> PastRun:
    start, now = 3600.0 * (30 - run), datetime.now(UTC)
    return PastRun(run, outcome, SPEC.commit, started=ago(start, now), finished=ago(start - took, now), **more)


@dataclass
class Place(Changes):
    """The requests of a place; `kept` is what the runs of `iris` left."""

    kept: KeptRuns
    found: dict[str, Sequence[Object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def put(self, name: str, record: Record, **data: str) -> None:
        request = {"metadata": {"name": name, "uid": record.request_uid}, "data": data}
        status = statuses.manifest(name, record.request_uid, "ml", record)
        service = {"metadata": {"name": f"{name}--serve", "labels": {names.STAGE: "serve"}}}
        objects = [{"kind": "Service", **service, "spec": {"ports": [{"port": 5000}]}}] if record.release_run else []
        self.found[name] = request, status, {"data": releases.write(record.release_run, "c", objects)}
        self.note(name)

    def requests(self) -> Sequence[LiveRequest]:
        return [self.request(name) for name in sorted(self.found)]  # type: ignore[misc]

    def request(self, name: str) -> LiveRequest | None:
        if name not in self.found:
            return None
        return LiveRequest(name, self.version(name), lambda: self.found[name])

    def leave(self, record: Record, attempts: dict[str, Sequence[Attempt]], lock: str = "") -> None:
        """Keep what a run that is over leaves on the volume."""
        file = of_record(NAME, record, attempts, {"0a": lock}, "1")
        self.kept.run(record.run, **{key: value for key, value in codec.plain(file).items() if key != "run"})
        self.kept.record(record.run, {}, active=False)


def idle(phase: Phase, message: str = "", runs: int = 12) -> Record:
    history = tuple(
        past(
            run,
            "Failed" if run % 5 == 0 or (run == runs and phase == "Failed") else "Succeeded",
            20 + 7 * run % 40,
            metrics={"train": {"accuracy": 0.9 + run % 7 / 100}},
        )
        for run in range(runs, 0, -1)
    )
    last = history[0]
    return Record(
        UID, phase, phase, message, run=runs, spec=SPEC, started=last.started, finished=last.finished, history=history
    )


@contextmanager
def served(place: Place) -> Iterator[str]:
    """Serve the page of a place; return its address."""
    site = Site(place, place.kept.archive, "ml", "pod", "1.2.3")
    server = Listener("page", ("127.0.0.1", 0), ReadOnly(Pages(site)))
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.stop()


def retried(run: int = 7) -> tuple[Record, dict[str, Sequence[Attempt]]]:
    """Return a run that is over, with a build and a retry, and its attempts."""
    now = datetime.now(UTC)

    def at(second: float) -> str:
        return ago(600.0 - second, now)

    def tried(number: int, started: float, script: float, finished: float, code: int = 0) -> Attempt:
        reason, message = ("ExitCode", "train/train.py:7: ValueError: no rows") if code else ("", "")
        return Attempt(number, code is not None, code, reason, message, at(started), at(finished), at(script))

    stages = {
        "environment": StageRecord("Done", started=at(0), finished=at(31), attempts=1),
        "prepare": StageRecord("Done", started=at(0), finished=at(12), attempts=1, objects=("Job/iris-prepare-7",)),
        "train": StageRecord(
            "Done", started=at(31), finished=at(84), attempts=2, objects=("Job/iris-train-7",),
            metrics={"accuracy": 0.934 + run / 1000, "rows": 15000},
        ),
        "report": StageRecord("Done", started=at(31), finished=at(44), attempts=1, objects=("Job/iris-report-7",)),
        "serve": StageRecord("Done", started=at(84), finished=at(93), attempts=1, objects=("Deployment/iris--serve",)),
    }  # fmt: skip
    attempts: dict[str, Sequence[Attempt]] = {
        "environment": [tried(1, 1, 2, 31)],
        "prepare": [tried(1, 1.5, 2, 12)],
        "train": [tried(1, 33, 34, 46, code=1), tried(2, 56, 57, 84)],
        "report": [tried(1, 33, 35, 44)],
        "serve": [tried(1, 85, 87, 93)],
    }
    numbers = {"train": {"accuracy": 0.934 + run / 1000}}
    line = PastRun(run, "Succeeded", SPEC.commit, "", "", "", at(0), at(93), numbers)
    record = idle("Ready", f"run {run} succeeded", run - 1)
    ended = Record(
        UID, "Ready", "Succeeded", f"run {run} succeeded", run=run, step=3, spec=SPEC, ref="main", started=at(0),
        finished=at(93), stages=stages, release_run=run, release_commit=SPEC.commit, history=(line, *record.history),
    )  # fmt: skip
    return ended, attempts
