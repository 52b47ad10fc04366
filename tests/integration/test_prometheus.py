"""What a real Prometheus makes of a real controller's metrics: no panel and no alert asks for what is not there."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from controller.adapters.volume.sweeper import Sweeper
from controller.adapters.volume.sweeping import Sweeping
from controller.core import layout
from tests.support.eventually import eventually
from tests.support.front import front
from tests.support.laptop import NAMESPACE, Laptop, batch, laptop, project, service
from tests.support.monitoring import OF_A_CLUSTER, alerts, compared, prometheus, shown

QUIET = (
    *("CoachworkDefect", "CoachworkQueueStuck", "CoachworkTwoLeaders", "CoachworkUnready"),
    *(
        f"operators.json: {title}"
        for title in ("Longest wait for a worker", "Queue and workers", "Readers of the page")
    ),
)
"""What is zero where all is well."""

SECRETS = {"demo": {"TOKEN": "t0p-s3cr3t"}}
SERVE = """
import http.server, os, pathlib
broken = pathlib.Path(os.environ["COACHWORK_CACHE"], "broken")
if not broken.exists():
    server = http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.BaseHTTPRequestHandler)
    server.timeout = 0.1
while not broken.exists():
    server.handle_request()
"""
SCORE = """
import json, os, pathlib
pathlib.Path(os.environ["COACHWORK_METRICS"]).write_text(json.dumps({"accuracy": 0.7}))
"""
SCORED = batch(SCORE) | {"requirements.txt": "iniconfig==2.1.0\n"}
FAIL = "import os\nprint(os.environ['TOKEN'])\nraise ValueError('no data')\n"
AGAIN = "import os, sys, time\ntime.sleep(1.5)\nsys.exit(os.environ['COACHWORK_ATTEMPT'] == '1')\n"
LAST = "import os, time\ntime.sleep(600 * (os.environ['COACHWORK_RUN'] == '{last}'))\n"
PROJECTS = {
    "serve": project("train >> serve", train=SCORED, serve=service(SERVE, 8731)),
    "gate": project("train", train=batch(SCORE, more="REQUIRE = accuracy >= 0.9\n")),
    "fail": project("train", train=batch(FAIL, more="[secrets]\nTOKEN = demo\n")),
    "again": project("train", train=batch(AGAIN) | {"config.ini": batch("")["config.ini"].replace("= 0", "= 1")}),
    "late": project("train", train=batch(LAST.format(last=2))),
    "first": project("train", train=batch(LAST.format(last=1))),
}


def ended(machine: Laptop, name: str, run: int = 1) -> bool:
    status = machine.status(name)
    return status.get("run") == str(run) and "finished" in status


def live(machine: Laptop) -> None:
    """Let the machine live through all that the dashboards show."""
    machine.repository.commit(
        {f"{name}/{path}": text for name, files in PROJECTS.items() for path, text in files.items()}
    )
    for name in PROJECTS:
        machine.ask(name, path=name)
    machine.ask("gone", repository=f"file://{machine.root}/none")
    machine.ask("waits", repository="https://127.0.0.1:9/none")
    eventually(lambda: all(ended(machine, name) for name in PROJECTS if name != "first"), 60)
    for name in ("late", "serve"):
        machine.trigger("again", name)
    eventually(lambda: ended(machine, "serve", 2) and machine.status("late").get("run") == "2", 60)
    (cache,) = machine.volume.glob("runs/serve-*/cache")
    (cache / "broken").touch()
    eventually(lambda: machine.status("serve")["phase"] == "Degraded")
    sweep(machine)


def sweep(machine: Laptop) -> None:
    """Let a sweep find something that nobody has used for a day."""
    old = machine.volume / layout.BUILDS / "left-over"
    old.mkdir(parents=True)
    (old / "wheel").write_bytes(b"0" * 65536)
    os.utime(old / "wheel", (1, 1))
    os.utime(old, (1, 1))
    (tools,) = machine.volume.glob(f"{layout.TOOLS}/*")
    sweeping = Sweeping(
        Sweeper(machine.volume),
        machine.cluster.references,
        machine.metrics.volume,
        PurePosixPath(tools.relative_to(machine.volume)),
        on_room=lambda: None,
        term=lambda: lambda: None,
        clock=time.time,
    )
    sweeping.start()
    sweeping.urge()
    eventually(lambda: not old.exists())
    sweeping.stop()


def soon(look: Callable[[], Any], wanted: Any) -> None:
    """Wait until a look shows what is wanted; fail with what it shows instead."""
    with suppress(AssertionError):
        eventually(lambda: look() == wanted)
    assert look() == wanted


def test_every_query_has_data_of_real_runs_and_alerts_name_what_went_wrong(tmp_path: Path) -> None:
    with (
        laptop(tmp_path, SECRETS) as machine,
        front(machine, tmp_path) as pages,
        prometheus(tmp_path / "prometheus", NAMESPACE, f"127.0.0.1:{pages.pages.port}") as it,
    ):
        live(machine)
        asked = [*shown(), *compared()]
        local = [(where, query) for where, query in asked if not any(name in query for name in OF_A_CLUSTER)]

        def silent() -> list[str]:
            values = [(where, query, it.values(query)) for where, query in local if where != "CoachworkDown"]
            return [
                f"{where}: {query}"
                for where, query, found in values
                if not any(found) and (where not in QUIET or not found)
            ]

        soon(silent, [])
        expected = {
            ("CoachworkGateFailed", "gate"),
            ("CoachworkGitFailing", ""),
            ("CoachworkServiceDegraded", "serve"),
            *(("CoachworkRunFailed", name) for name in ("fail", "gone")),
            *(("CoachworkRequestBroken", name) for name in ("fail", "gate", "gone")),
        }
        soon(it.firing, expected)
        assert it.unhealthy() == {}
        pages.pages.stop()
        down = next(rule["expr"] for rule in alerts() if rule["alert"] == "CoachworkDown")
        eventually(lambda: it.values(down))
