"""Alerts and dashboard: each query parses, and asks for nothing that the controller does not say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.telemetry.git import GIT_OUTCOMES
from controller.adapters.telemetry.runs import RUN_OUTCOMES
from controller.adapters.telemetry.work import RECONCILE_RESULTS
from controller.core.model import Phase
from controller.core.signs import Signs
from tests.support.kustomize import DEPLOY

OPERATOR, GRAFANA = DEPLOY / "components" / "prometheus-operator", DEPLOY / "components" / "grafana-dashboard"
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "monitor.md"
OF_SCRAPING = {"namespace", "instance"}  # labels that Prometheus gives, not the controller
OF_OTHERS = {"up": {"job"}, "kube_deployment_status_replicas_ready": {"deployment"}}  # Prometheus', kube-state-metrics'
VALUES = {
    ("coachwork_runs_total", "outcome"): set(RUN_OUTCOMES),
    ("coachwork_reconciles_total", "result"): set(RECONCILE_RESULTS),
    ("coachwork_requests", "phase"): set(get_args(Phase)),
    ("coachwork_request_phase", "phase"): set(get_args(Phase)),
    ("coachwork_git_calls_total", "outcome"): set(GIT_OUTCOMES),
}
MATCHES = {"MatchOp.Equal", "MatchOp.Re"}


def alerts() -> list[dict[str, Any]]:
    (document,) = yaml.safe_load_all((OPERATOR / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return dict(json.loads((GRAFANA / "dashboard.json").read_text(encoding="utf-8")))


def queries() -> Iterator[tuple[str, str]]:
    """Yield where each query stands, and the query, with Grafana's variables filled in."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$namespace", ".*")


@cache
def exposed() -> dict[str, set[str]]:
    """Return each sample that a scrape can show, with its labels."""
    metrics = PrometheusMetrics("1")
    signs = Signs("ExitCode", 1, 2, 3, 4, 5, 6, None, 7, (("train", "accuracy", 0.9),))
    metrics.requests.show(lambda: {"iris": "Ready"}, lambda names: dict.fromkeys(names, signs))
    metrics.api.called("get", "configmaps", 200, 0.1)
    metrics.git.called("fetch", "ok", 0.1)
    metrics.work.reconciled("done", 0.1)
    metrics.volume.swept({"runs": 1}, {"runs": 1})
    families = text_string_to_metric_families(metrics.exposition("")[1].decode())
    samples = [sample for family in families for sample in family.samples]
    ours = {
        sample.name: {label for one in samples if one.name == sample.name for label in one.labels} for sample in samples
    }
    return ours | OF_OTHERS


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """Return what a query selects. Raises ValueError where it is no PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def visit(item: promql_parser.Expr) -> None:
        if isinstance(item, promql_parser.MatrixSelector):
            found.append(item.vector_selector)
        if isinstance(item, promql_parser.VectorSelector):
            found.append(item)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_names_only_metrics_labels_and_values_that_exist(where: str, query: str) -> None:
    found = selectors(query)
    assert found, where
    for selector in found:
        assert selector.name in exposed(), f"{where}: the controller has no metric {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in exposed()[selector.name] | OF_SCRAPING, f"{where}: no label {matcher.name}"
            values = VALUES.get((selector.name, matcher.name))
            if values is not None:
                assert set(matcher.value.split("|")) <= values, f"{where}: no such {matcher.name}: {matcher.value}"


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_groups_only_by_labels_that_its_metrics_have(where: str, query: str) -> None:
    labels = {label for selector in selectors(query) for label in exposed()[str(selector.name)]} | OF_SCRAPING
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert set(re.split(r",\s*", group)) <= labels, where


@pytest.mark.parametrize("query", ["coachwork_nothing", 'sum(coachwork_requests{phase="Ready"'])
def test_a_query_of_something_else_or_with_a_mistake_would_be_found(query: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        test_a_query_names_only_metrics_labels_and_values_that_exist("here", query)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.search(rf"^\| `{rule['alert']}` \| {rule['labels']['severity']} \|", GUIDE.read_text(), re.MULTILINE)


def test_each_alert_that_is_about_a_request_or_a_controller_fires_when_it_should(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus), and only it can try alerts")
    rules = yaml.safe_load((OPERATOR / "alerts.yaml").read_text(encoding="utf-8"))["spec"]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    shutil.copy(Path(__file__).parent / "alerts.test.yaml", tmp_path)
    command = ["promtool", "test", "rules", "alerts.test.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_names_no_alert_that_does_not_exist() -> None:
    assert set(re.findall(r"`(Coachwork\w+)`", GUIDE.read_text())) == {rule["alert"] for rule in alerts()}


def test_each_panel_has_its_own_id_and_place_and_asks_the_chosen_data_source() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert {item["name"] for item in board["templating"]["list"]} == {"datasource", "namespace"}


def test_what_is_scraped_is_the_controllers_service() -> None:
    (monitor,) = yaml.safe_load_all((OPERATOR / "service-monitor.yaml").read_text(encoding="utf-8"))
    (service,) = yaml.safe_load_all((DEPLOY / "base" / "service.yaml").read_text(encoding="utf-8"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
