"""What a scrape costs, and how many series it has, at a growing number of scheduled requests with whole histories."""

import time
from datetime import UTC, datetime, timedelta

from bench.machine import machine
from controller.adapters.kube.kinds import CALLS, RIGHTS, WATCHED
from controller.adapters.telemetry import PrometheusMetrics
from controller.app.live import Watched
from controller.app.signs import LiveSigns
from controller.core import names, times
from controller.core.documents import status as statuses
from controller.core.model import PastRun, Record, RunSpec, StageRecord
from controller.core.snapshot import Snapshot
from controller.reconciler import View

REQUESTS = (1, 100, 1000, 5000)
NOW = datetime.now(UTC)


def record(number: int) -> Record:
    """Return a record whose history is full; of each ten requests one has failed."""
    began = [NOW - timedelta(hours=hour + 1) for hour in range(statuses.HISTORY_LIMIT)]
    history = tuple(
        PastRun(
            run, "Succeeded", "c" * 40, f"r{number}-1", "Succeeded", "run succeeded", times.text(at), times.text(at)
        )
        for run, at in enumerate(began, 1)
    )
    stage = StageRecord("Done", started=history[0].started, metrics={"accuracy": 0.9, "rmse": 1.5})
    spec = RunSpec("https://git.example/iris", "c" * 40, ".", "t" * 40, "python:3.12")
    phase, reason = ("Failed", "ExitCode") if number % 10 == 0 else ("Ready", "Succeeded")
    stages = {f"stage-{n}": stage for n in range(3)}
    return Record("u", phase, reason, run=60, spec=spec, stages=stages, history=history)  # type: ignore[arg-type]


def put(view: View, number: int) -> None:
    """Let the caches hold a request and its record, as they are after a run."""
    name = f"r{number}"
    metadata = {"name": name, "uid": "u", "labels": {names.ROLE: names.ROLE_REQUEST}}
    request = {"metadata": metadata, "data": {"repository": "https://git.example/iris", "schedule": "0 6 * * *"}}
    for item in (request, statuses.manifest(name, "u", "bench", record(number))):
        view.changed("ConfigMap", None, Snapshot.of("ConfigMap", item))


def measure(requests: int) -> tuple[int, int, int, list[float]]:
    """Return series, those of requests, bytes, and CPU seconds of the first scrape, the 20th, and one after runs."""
    view, metrics = View(lambda _key: None), PrometheusMetrics("0")
    metrics.api.expect(CALLS, [(verb, resource) for (_, resource), verbs in RIGHTS.items() for verb in verbs])
    for kind in WATCHED:
        metrics.api.show_watch(kind.resource, lambda: 1.0)
    phases = lambda: {name: statuses.phase(view.status(name)) for name in view.requests()}  # noqa: E731
    metrics.requests.show(phases, LiveSigns(Watched(view)).of)
    for number in range(requests):
        put(view, number)
    seconds = []
    for scrapes, changed in ((1, 0), (20, 0), (1, min(requests, 20))):
        for number in range(changed):
            put(view, number)
        for _ in range(scrapes):
            began = time.process_time()
            _, text = metrics.exposition("")
            lasted = time.process_time() - began
        seconds.append(lasted)
    series = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return len(series), sum('request="' in line for line in series), len(text), seconds


def main() -> None:
    """Print a table."""
    print(machine())
    print("requests   series  of requests     KiB   first scrape   20th   with 20 changed")
    for requests in REQUESTS:
        series, own, size, (first, later, changed) = measure(requests)
        print(
            f"{requests:8} {series:8} {own:12} {size / 1024:7.0f}"
            f" {first * 1000:11.0f} ms {later * 1000:3.0f} ms {changed * 1000:14.0f} ms"
        )


if __name__ == "__main__":
    main()
