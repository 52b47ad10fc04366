"""What a platform engineer looks at: health, metrics, log lines."""

import json
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from controller.adapters.kube.kinds import WATCHED
from controller.adapters.kube.transport import Timeouts
from tests.support.e2e import NAMESPACE, Coachwork, eventually
from tests.support.e2e_projects import batch, project
from tests.support.metricsdoc import documented, exported, series
from tests.support.monitoring import OF_A_CLUSTER, compared, prometheus, shown


def answers(coachwork: Coachwork, page: str, status: int) -> None:
    """Wait until the page answers so: another test may just have killed the controller."""
    eventually(lambda: coachwork.http("coachwork", page).status == status, f"{status} of {page}")


def test_health_and_readiness_are_served_over_http(coachwork: Coachwork) -> None:
    for page, status in (("/healthz", 200), ("/readyz", 200), ("/nothing", 401)):
        answers(coachwork, page, status)


def test_metrics_tell_runs_passes_calls_and_the_build(coachwork: Coachwork) -> None:
    name = coachwork.name("measured")
    assert coachwork.start(name, project(name, "one", batch("one", "")))["phase"] == "Ready"

    def counted() -> dict[str, float]:
        """Return the metrics if they tell of a run: another test may kill the controller, which forgets its counts."""
        coachwork.trigger(name, uuid.uuid4().hex)
        metrics = coachwork.metrics()
        return metrics if metrics['coachwork_runs_total{outcome="Succeeded"}'] else {}

    metrics = eventually(counted, "run in the metrics")
    assert metrics['coachwork_reconciles_total{result="done"}'] >= 1
    assert metrics['coachwork_reconciles_total{result="defect"}'] == 0
    for start in ('coachwork_api_calls_total{code="201"', "coachwork_build_info{version=", "coachwork_git_calls_total"):
        assert [key for key in metrics if key.startswith(start)], start


def test_what_dashboards_and_alerts_ask_about_a_cluster_is_there(coachwork: Coachwork, tmp_path: Path) -> None:
    name = coachwork.name("watched")
    queries = [(where, query) for where, query in [*shown(), *compared()] if any(one in query for one in OF_A_CLUSTER)]
    target = urlsplit(coachwork.address("coachwork")).netloc
    with prometheus(tmp_path / "prometheus", NAMESPACE, target) as it:
        coachwork.start(name, project(name, "one", batch("one", "")), schedule="0 0 1 1 *")
        eventually(lambda: all(it.values(query) for _, query in queries), "data for each query")
        assert it.unhealthy() == {}


def test_metrics_are_as_documented(coachwork: Coachwork) -> None:
    name = coachwork.name("described")
    assert coachwork.start(name, project(name, "one", batch("one", "")))["phase"] == "Ready"
    text = eventually(lambda: coachwork.http("coachwork", "/metrics").body, "metrics")
    found, promised = exported(text), documented()
    assert {key: each.type for key, each in found.items()} == {key: each.type for key, each in promised.items()}
    shown = {key: each.labels for key, each in found.items() if series(text).get(key)}
    assert shown == {key: promised[key].labels for key in shown}
    samples = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert {sample.value for sample in samples["coachwork_rights_missing"]} == {0}
    ages = {sample.labels["resource"]: sample.value for sample in samples["coachwork_watch_age_seconds"]}
    assert set(ages) == {kind.resource for kind in WATCHED}
    assert max(ages.values()) < Timeouts().silence
    assert [
        sample
        for sample in samples["coachwork_request_last_success_timestamp_seconds"]
        if name in sample.labels.values()
    ]


def test_log_lines_are_json_and_tell_of_each_pass(coachwork: Coachwork) -> None:
    name = coachwork.name("logged")
    assert coachwork.start(name, project(name, "one", batch("one", "")))["phase"] == "Ready"
    eventually(lambda: "reconciled" in {line["event"] for line in coachwork.passes(name)}, "line about a pass")
    for line in coachwork.log().splitlines():
        assert {"time", "level", "event"} <= json.loads(line).keys()
