"""Alerts and dashboards: each query parses, and asks for nothing that the controller does not say."""

import re
import shutil
import subprocess
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
from controller.cli.ui import PORT
from controller.core.model import Phase
from controller.core.signs import Signs
from tests.support.kustomize import DEPLOY
from tests.support.monitoring import OPERATOR, alerts, boards, panels, rules, shown

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
TABLE, RUNBOOK = (HOW_TO / name for name in ("monitor.md", "alerts.md"))
OF_SCRAPING = {"namespace", "instance", "job"}  # labels that Prometheus gives, not the controller
OF_OTHERS = {"up": {"job"}, "kube_deployment_status_replicas_ready": {"deployment"}}  # Prometheus', kube-state-metrics'
VALUES = {
    ("coachwork_runs_total", "outcome"): set(RUN_OUTCOMES),
    ("coachwork_reconciles_total", "result"): set(RECONCILE_RESULTS),
    ("coachwork_requests", "phase"): set(get_args(Phase)),
    ("coachwork_request_phase", "phase"): set(get_args(Phase)),
    ("coachwork_git_calls_total", "outcome"): set(GIT_OUTCOMES),
}
NAMES = {rule["alert"] for rule in alerts()}


def queries() -> list[tuple[str, str]]:
    """Return where each query stands, and the query."""
    return [*((rule["alert"], rule["expr"]) for rule in alerts()), *shown()]


@cache
def exposed() -> dict[str, set[str]]:
    """Return each sample that a scrape can show, with its labels."""
    metrics = PrometheusMetrics("1")
    signs = Signs("ExitCode", 1, 2, 3, 4, 5, 6, None, 7, (("train", "accuracy", 0.9),))
    metrics.requests.show(lambda: {"iris": "Ready"}, lambda names: dict.fromkeys(names, signs))
    metrics.api.expect([("get", "pods")], [("get", "pods")])
    metrics.api.show_watch("pods", lambda: 0.0)
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


def faults(query: str) -> list[str]:
    """Return what a query asks for, or groups by, that there is not. Raises ValueError where it is no PromQL."""
    found = selectors(query)
    there = {str(selector.name): exposed().get(str(selector.name)) for selector in found}
    known = OF_SCRAPING.union(*filter(None, there.values()))
    groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
    matchers = [(str(selector.name), matcher) for selector in found for matcher in selector.matchers.matchers]
    return [
        *(f"no metric {name}" for name, labels in there.items() if labels is None),
        *(f"no label {label}" for group in groups for label in re.split(r",\s*", group) if label not in known),
        *(f"no label {m.name} of {name}" for name, m in matchers if m.name not in OF_SCRAPING | (there[name] or set())),
        *(
            f"no such {m.name}: {m.value}"
            for name, m in matchers
            if not set(m.value.split("|")) <= VALUES.get((name, m.name), {*m.value.split("|")})
        ),
    ]


def test_the_queries_name_only_metrics_labels_and_values_that_exist() -> None:
    found = {where: faults(query) for where, query in queries()}
    assert {where: problems for where, problems in found.items() if problems} == {}
    assert all(selectors(query) for _, query in queries())


@pytest.mark.parametrize(
    "query",
    [
        "coachwork_nothing",
        'sum(coachwork_requests{phase="Fine"})',
        "sum by (stage) (coachwork_requests)",
        'sum(coachwork_requests{phase="Ready"',
    ],
)
def test_a_query_of_something_else_or_with_a_mistake_would_be_found(query: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        assert not faults(query)


def test_every_metric_of_ours_is_on_a_dashboard_or_in_an_alert() -> None:
    asked = {str(selector.name) for _, query in queries() for selector in selectors(query)}
    ours = {name for name in exposed() if name.startswith("coachwork_")}
    unasked = {name for name in ours - asked if not name.endswith(("_created", "_sum", "_count"))}
    assert unasked == {"coachwork_swept_total"}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    name, annotations = rule["alert"], rule["annotations"]
    assert re.search(
        rf"^\| \[`{name}`\]\(alerts\.md#{name.lower()}\) \| {rule['labels']['severity']} \|",
        TABLE.read_text(),
        re.MULTILINE,
    )
    assert annotations["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"
    assert re.search(rf"^### {name}$", RUNBOOK.read_text(), re.MULTILINE)
    about_a_request = "coachwork_request_" in rule["expr"]
    assert set(annotations) == {"summary", "description", "runbook"} | ({"page"} if about_a_request else set())
    if about_a_request:
        assert "{{ $labels.request }}" in annotations["summary"]
        assert annotations["page"] == "requests/{{ $labels.request }}"


def test_each_alert_fires_when_it_should_and_at_no_other_time(tmp_path: Path) -> None:
    trials = Path(__file__).parent / "alerts.test.yaml"
    tried = [trial for test in yaml.safe_load(trials.read_text())["tests"] for trial in test["alert_rule_test"]]
    for fires in (True, False):
        assert {trial["alertname"] for trial in tried if bool(trial["exp_alerts"]) is fires} == NAMES, fires
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus), and only it can try alerts")
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules()), encoding="utf-8")
    shutil.copy(trials, tmp_path)
    command = ["promtool", "test", "rules", trials.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_name_no_alert_that_does_not_exist() -> None:
    assert set(re.findall(r"`(Coachwork[A-Z]\w+)`", TABLE.read_text())) == NAMES
    assert set(re.findall(r"\b(Coachwork[A-Z]\w+)", RUNBOOK.read_text())) == NAMES


@pytest.mark.parametrize("board", boards().values(), ids=lambda board: str(board["uid"]))
def test_each_panel_has_its_own_id_and_place(board: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {item["name"]: item for item in board["templating"]["list"]}
    assert variables.keys() == {"datasource", "namespace", "page", *(["request"] if "requests" in board["uid"] else [])}
    assert variables["page"]["query"] == f"http://127.0.0.1:{PORT}"


def test_a_panel_says_what_it_shows_and_in_which_unit() -> None:
    for where, panel in panels():
        assert panel["description"].endswith("."), where
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        for target in panel["targets"]:
            assert target.get("legendFormat") or panel["type"] == "table", where
            assert 'namespace=~"$namespace"' in target["expr"], where


def test_what_names_a_request_leads_to_its_page() -> None:
    for where, panel in panels():
        by_request = any(re.search(r"by \([^)]*\brequest\b", target["expr"]) for target in panel["targets"])
        assert by_request == ("${page:raw}/requests/${__" in str(panel["fieldConfig"])), where


def test_what_is_scraped_is_the_controllers_service() -> None:
    (monitor,) = yaml.safe_load_all((OPERATOR / "service-monitor.yaml").read_text(encoding="utf-8"))
    (service,) = yaml.safe_load_all((DEPLOY / "base" / "service.yaml").read_text(encoding="utf-8"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
