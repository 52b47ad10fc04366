"""Log lines and metrics, as their readers see them."""

import ast
import io
import json
import logging
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from controller.adapters import git
from controller.adapters.kube.kinds import CALLS
from controller.adapters.telemetry import PrometheusMetrics, configure_logging
from controller.adapters.telemetry.git import GIT_OPERATIONS, GIT_OUTCOMES
from controller.adapters.telemetry.redaction import VALUE_LIMIT, redact
from controller.adapters.telemetry.requests import NAMED_REQUESTS, NUMBERS, OF_REQUESTS, PHASES
from controller.adapters.telemetry.runs import RUN_OUTCOMES
from controller.adapters.telemetry.work import RECONCILE_RESULTS
from controller.adapters.volume.sweeper import TOPS
from controller.core.signs import Signs


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics("0")


@pytest.fixture
def log(metrics: PrometheusMetrics) -> Iterator[io.StringIO]:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    configure_logging("INFO", stream, metrics.runs.hid, metrics.work.defect)
    yield stream
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_an_event_is_one_json_line_that_begins_with_time_level_and_event(log: io.StringIO) -> None:
    structlog.get_logger().info("run recorded", request="iris", run=7, message="two\nlines")
    (line,) = lines(log)
    assert list(line)[:3] == ["time", "level", "event"]
    assert line["time"].endswith("Z")
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "run recorded",
        "request": "iris",
        "run": 7,
        "message": "two\nlines",
    }


def test_events_below_the_level_are_not_written(log: io.StringIO) -> None:
    structlog.get_logger().debug("http request")
    assert not log.getvalue()


def test_a_traceback_counts_as_a_defect_and_what_a_line_hides_as_a_redaction(
    log: io.StringIO, metrics: PrometheusMetrics
) -> None:
    structlog.get_logger().warning("sweep put off", url="https://me:hunter2@git.example.com/x")
    assert (metrics.value("coachwork_defects_total"), metrics.value("coachwork_redactions_total", place="log")) == (
        0,
        1,
    )
    structlog.get_logger().error("defect in a sweep", exc_info=ValueError("no"))
    assert (metrics.value("coachwork_defects_total"), len(lines(log))) == (1, 2)


def test_what_a_library_warns_of_is_a_constant_event_with_its_text_redacted(log: io.StringIO) -> None:
    logging.getLogger("urllib3").warning("retrying %s", "https://me:hunter2@git.example.com/x")
    logging.getLogger("urllib3").info("not written")
    (line,) = lines(log)
    assert (line["event"], line["library"], line["level"]) == ("library message", "urllib3", "warning")
    assert line["message"] == "retrying https://***@git.example.com/x"


def test_a_traceback_stays_on_the_line_and_holds_no_secret(log: io.StringIO) -> None:
    try:
        int("https://me:hunter2@git.example.com/x")
    except ValueError:
        structlog.get_logger().exception("pass failed")
    (line,) = lines(log)
    assert "ValueError" in line["exception"]
    assert "Traceback" in line["exception"]
    assert "hunter2" not in log.getvalue()


def redacted(**event: object) -> dict[str, Any]:
    return dict(redact(None, "info", {"event": "x", **event}))


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2@git.example.com/a.git",
        "https://hunter2@git.example.com",
        "https://me:p@ss:hunter2@git.example.com/",
        "fatal: unable to access 'https://me:hunter2@git.example.com/': timed out",
        "ssh://hunter2@h",
        "Authorization: Basic aHVudGVyMjpodW50ZXIy",
        "GET /x?access_token=hunter2&y=1",
        "password=hunter2",
    ],
)
def test_secrets_in_text_are_hidden(text: str) -> None:
    shown = redacted(url=text)["url"]
    assert "hunter2" not in shown
    assert "aHVudGVy" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "key", ["password", "git_token", "client_secret", "Authorization", "api_key", "ssh-privatekey"]
)
def test_values_of_keys_that_name_a_secret_are_hidden_at_any_depth(key: str) -> None:
    assert redacted(**{key: "hunter2"})[key] == "***"
    assert redacted(data=[{"inner": {key: "hunter2"}}])["data"] == [{"inner": {key: "***"}}]
    assert "hunter2" not in str(redacted(a={"b": {"c": {"d": {"e": {key: "hunter2"}}}}}))


@pytest.mark.parametrize("text", ["https://git.example.com/a@b", "mail me@example.com", "git@host:a/b.git", "run 7"])
def test_what_is_not_secret_stays_readable(text: str) -> None:
    assert redacted(text=text)["text"] == text


def test_a_long_value_is_cut_in_the_middle() -> None:
    shown = redacted(output="a" * 10**6 + " the end")["output"]
    assert len(shown) < VALUE_LIMIT + 10
    assert shown.endswith("the end")


@given(st.dictionaries(st.text(max_size=20), st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=5))
def test_any_event_becomes_bounded_json(event: dict[str, Any]) -> None:
    assert json.dumps(redact(None, "info", event))


@pytest.mark.parametrize("before", [0, 20_000, 40_000])
def test_a_huge_url_never_shows_a_part_of_its_userinfo(before: int) -> None:
    shown = redacted(url="x" * before + " https://me:" + "hunter2" * 7_000 + "@git.example.com/ end")["url"]
    assert "hunter2" not in shown


def samples(metrics: PrometheusMetrics) -> dict[str, float]:
    _, body = metrics.exposition("")
    families = text_string_to_metric_families(body.decode())
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("coachwork_") and not sample.name.endswith("_created")
    }


def test_each_sign_of_life_is_a_metric() -> None:
    metrics = PrometheusMetrics("1.2.3")
    metrics.runs.run_ended("Succeeded", 4.5)
    metrics.requests.show(lambda: {"iris": "Ready", "wine": "Ready"}, lambda _names: {})
    metrics.work.reconciled("done", 0.02)
    metrics.api.called("create", "jobs", 201, 0.1)
    metrics.api.called("list", "pods", 0, 0.1)
    metrics.git.called("fetch", "timeout", 20)
    metrics.work.show_queue(lambda: 3, lambda: 7.5, 8, lambda: 2)
    expected = {
        "coachwork_runs_totalSucceeded": 1,
        "coachwork_requestsReady": 2,
        "coachwork_reconciles_totaldone": 1,
        "coachwork_reconcile_duration_seconds_count": 1,
        "coachwork_api_calls_total201jobscreate": 1,
        "coachwork_api_calls_totalerrorpodslist": 1,
        "coachwork_git_calls_totalfetchtimeout": 1,
        "coachwork_queue_depth": 3,
        "coachwork_queue_oldest_seconds": 7.5,
        "coachwork_workers": 8,
        "coachwork_workers_busy": 2,
        "coachwork_build_info1.2.3": 1,
    }
    found = samples(metrics)
    assert {name: found.get(name) for name in expected} == expected
    assert metrics.value("coachwork_runs_total", outcome="Succeeded") == 1


def test_every_outcome_of_a_run_is_there_from_the_first_scrape_on() -> None:
    found = samples(PrometheusMetrics("0"))
    assert [found[f"coachwork_runs_total{outcome}"] for outcome in RUN_OUTCOMES] == [0] * len(RUN_OUTCOMES)


def series(metrics: PrometheusMetrics) -> set[tuple[str, ...]]:
    """Return the values of the labels of all samples, behind their metric."""
    _, body = metrics.exposition("")
    return {
        (family.name, *sample.labels.values())
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if family.name.startswith("coachwork_") and family.name != "coachwork_build_info"
    }


def test_every_series_is_there_from_the_first_scrape_on_and_none_is_born_later() -> None:
    metrics = PrometheusMetrics("0")
    metrics.requests.show(lambda: {"iris": "Ready", "wine": "written by somebody", "new": ""}, lambda _names: {})
    metrics.api.expect(CALLS, CALLS)
    before = series(metrics)
    for outcome in RUN_OUTCOMES:
        metrics.runs.run_ended(outcome, 4.5)
    for result in RECONCILE_RESULTS:
        metrics.work.reconciled(result, 0.1)
    for (verb, resource), code in product(CALLS, (*range(200, 600), 0)):
        metrics.api.called(verb, resource, code, 0.1)
    for operation, outcome in product((*operations(), "gc"), GIT_OUTCOMES):
        metrics.git.called(operation, outcome, 0.1)
    for top in TOPS:
        metrics.volume.swept({str(top): 1}, {str(top): 1})
    assert series(metrics) == before
    assert {phase for name, *labels in before if name == "coachwork_requests" for phase in labels} == set(PHASES)


def test_a_request_has_a_series_as_long_as_it_is_there_and_those_in_need_come_first() -> None:
    phases = {f"r{number:04}": "Ready" for number in range(NAMED_REQUESTS + 5)} | {"sick": "Failed", "odd": "x"}
    numbers = tuple(("a", f"n{key}", float(key)) for key in range(50))
    signs = Signs("ExitCode", 1, 2, 3, 4, 5, 6, None, 7, numbers)
    metrics = PrometheusMetrics("0")
    metrics.requests.show(lambda: phases, lambda names: dict.fromkeys(names, signs))
    named = [labels for name, *labels in series(metrics) if name == "coachwork_request_phase"]
    assert len(named) == NAMED_REQUESTS
    assert ["Failed", "sick"] in named
    assert metrics.value("coachwork_requests", phase="Ready") == NAMED_REQUESTS + 5, "all are counted"
    each = Counter(
        name for name, *labels in series(metrics) if name.startswith(("coachwork_request_", "coachwork_stage_m"))
    )
    assert each.pop("coachwork_stage_metric") == NUMBERS
    assert len(each) == len(OF_REQUESTS) + 2
    assert set(each.values()) == {NAMED_REQUESTS}
    phases.clear()
    assert not [labels for name, *labels in series(metrics) if name == "coachwork_request_phase"]


def operations() -> set[str]:
    """Return every subcommand of git that the controller runs: the first words of its lists."""
    listed = subprocess.run(["git", "--list-cmds=main"], capture_output=True, text=True, check=True).stdout.split()
    folder = Path(git.__file__).parent
    trees = [
        ast.parse(path.read_text("utf-8")) for path in folder.glob("*.py") if path.name != "snapshot.py"
    ]  # a laptop's
    lists = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple) and node.elts)
    firsts = {node.elts[0].value for node in lists if isinstance(node.elts[0], ast.Constant)}
    return {word for word in firsts if word in listed}


def test_every_subcommand_of_git_has_counters_of_its_own() -> None:
    assert operations() == {*GIT_OPERATIONS} - {"other"}


def test_two_sets_of_metrics_share_nothing() -> None:
    one, other = PrometheusMetrics("0"), PrometheusMetrics("0")
    one.runs.run_ended("Failed", 4.5)
    assert other.value("coachwork_runs_total", outcome="Failed") == 0


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    content_type, body = PrometheusMetrics("0").exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
