"""What is deployed for monitoring, with its queries, and a real Prometheus of this machine to try them with."""

import json
import math
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.eventually import eventually
from tests.support.freeport import free_port
from tests.support.kustomize import DEPLOY

OPERATOR, GRAFANA = DEPLOY / "components" / "prometheus-operator", DEPLOY / "components" / "grafana-dashboard"
OF_A_CLUSTER = (
    "coachwork_api_",
    "coachwork_watch_age",
    "coachwork_rights_missing",
    "coachwork_wakes",
    "coachwork_notifications_total",
    "slot_timestamp",
)
"""Metrics that a controller on a laptop has nothing to say of."""
_VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*", "$request": ".*"}


def rules() -> dict[str, Any]:
    """Return the alerts as a rule file of Prometheus."""
    (document,) = yaml.safe_load_all((OPERATOR / "alerts.yaml").read_text(encoding="utf-8"))
    return dict(document["spec"])


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    return [rule for group in rules()["groups"] for rule in group["rules"]]


def boards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by file."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(GRAFANA.glob("*.json"))}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each panel that shows something, with its file and title."""
    for name, board in boards().items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield f"{name}: {panel['title']}", panel


def shown() -> list[tuple[str, str]]:
    """Return where each query of a panel stands, and the query, with Grafana's variables filled in."""
    found = [(where, target["expr"]) for where, panel in panels() for target in panel["targets"]]
    return [(where, _filled(text)) for where, text in found]


def _filled(text: str) -> str:
    for variable, value in _VARIABLES.items():
        text = text.replace(variable, value)
    return text


def compared() -> list[tuple[str, str]]:
    """Return each alert's name with what it compares: its query with differences in place of comparisons.

    That returns data, if zero, wherever the metrics are there and their labels fit together.
    """
    return [
        (
            rule["alert"],
            re.sub(r" [<>] ", " - ", rule["expr"]).replace("== 0", "- 0").replace("offset 15m", "offset 2s"),
        )
        for rule in alerts()
    ]


class Prometheus:
    """A Prometheus that scrapes a controller each second, with our alerts."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its API. Raises OSError."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - http
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        """Return the values that a query has now, without NaN: what a quantile of no observations is."""
        found = (float(one["value"][1]) for one in self.get("query", query=query)["result"])
        return [value for value in found if not math.isnan(value)]

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire or are about to, with the request that each names.

        Not those about the volume: it is this machine's, and may be full.
        """
        found = (alert["labels"] for alert in self.get("alerts")["alerts"])
        names = {(labels["alertname"], labels.get("request", "")) for labels in found}
        return {(alert, request) for alert, request in names if not alert.startswith("CoachworkVolume")}

    def unhealthy(self) -> dict[str, str]:
        """Return the alerts that can't be evaluated, with the error."""
        found = (rule for group in self.get("rules")["groups"] for rule in group["rules"])
        return {rule["name"]: rule.get("lastError", "") for rule in found if rule["health"] == "err"}


@contextmanager
def prometheus(folder: Path, namespace: str, target: str) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes the controller at `target` (HOST:PORT). Skips where there is no Prometheus."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not on PATH (Debian: apt-get install prometheus)")
    where = {"targets": [target], "labels": {"namespace": namespace}}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "coachwork", "static_configs": [where]}],
    }
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "alerts.yaml").write_text(yaml.safe_dump(rules()), encoding="utf-8")
    port = free_port()
    options = {"config.file": "prometheus.yml", "storage.tsdb.path": "data", "web.listen-address": f"127.0.0.1:{port}"}
    command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "log").open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
        try:
            it = Prometheus(port)

            def scraped() -> bool:
                assert process.poll() is None, (folder / "log").read_text()
                with suppress(OSError):
                    return it.values("up") == [1.0]
                return False

            eventually(scraped, 30, every=0.1)
            yield it
        finally:
            process.terminate()
