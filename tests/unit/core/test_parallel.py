"""A parallel stage: the Job that is made of it, and what that Job and its pods say of its indexes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.core import manifests, names, numbers
from controller.core.facts import JobFact, ended_well, news
from controller.core.facts.indexes import Indexes, rounded, spans, unfinished
from controller.core.manifests import RunContext
from controller.core.model import Attempt, Batch, Cause, Object, Parallel, Pipeline, Policy, RunSpec, Stage, StageRecord
from controller.core.plan.decision import Observed
from controller.core.plan.stage import explained, view_of
from tests.support.held import read_job
from tests.support.statuses import condition, event, job, pod, said, terminated, waiting

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRID = Parallel(4, (("ALPHA", ("0.1", "0.3")), ("DEPTH", ("3", "5"))), 2)
SPEC = RunSpec("https://git.example/iris", "c" * 40, ".", "t" * 40, "python:3.12-slim")
POLICY = Policy(namespace="ns", image="python:3.12-slim", claim="coachwork", tools="t0", wake="coachwork:8081")


def context(parallel: Parallel, request: str = "iris", **work: Any) -> tuple[RunContext, Stage]:
    stage = Stage("sweep", "sweep", "run.py", Batch(parallel=parallel, **work))
    return RunContext(request, "request-uid", 7, SPEC, Pipeline("iris", (("sweep",),), {"sweep": stage}), POLICY), stage


def indexed(count: int = 4, *conditions: Object, subdomain: str = "", **status: Any) -> Object:
    item = job(*conditions, **status)
    item["spec"] |= {"completionMode": "Indexed", "completions": count, "parallelism": count}
    item["spec"]["template"]["spec"] |= {"subdomain": subdomain} if subdomain else {}
    return item


def one(index: int, state: Object | None, phase: str, **more: Any) -> Object:
    item = pod(state, phase=phase, name=f"p{index}{more.get('created', '')}", **more)
    item["metadata"]["annotations"][names.COMPLETION_INDEX] = str(index)
    return item


def bad(index: int, words: str, code: int = 1, attempt: int = 1, **more: Any) -> Object:
    return one(index, terminated(code, message=said("ValueError", words, attempt=attempt)), "Failed", **more)


# --- the Job ---------------------------------------------------------------------------------------


def test_each_index_has_retries_and_failures_of_its_own() -> None:
    made = manifests.job(*context(GRID, retries=3))["spec"]
    counts = {key: made.get(key) for key in ("completionMode", "completions", "parallelism", "backoffLimitPerIndex")}
    assert counts == {"completionMode": "Indexed", "completions": 4, "parallelism": 2, "backoffLimitPerIndex": 3}
    assert not {"backoffLimit", "maxFailedIndexes"} & made.keys()
    assert [rule["action"] for rule in made["podFailurePolicy"]["rules"]] == ["Ignore", "FailIndex"]
    (container,) = made["template"]["spec"]["containers"]
    variables = {item["name"]: item for item in container["env"]}
    source = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
    assert variables["COACHWORK_INDEX"]["valueFrom"] == source
    assert variables["COACHWORK_COUNT"]["value"] == "4"
    order = json.loads("".join(container["command"][2:]))
    assert (order["indexes"], order["each"]) == (4, [["ALPHA", ["0.1", "0.3"]], ["DEPTH", ["3", "5"]]])
    assert "wake" not in order, "one index of many is no news"


def test_a_pod_s_host_name_is_a_label_whatever_the_index() -> None:
    for request in ("iris", "a" * 52, "7" * 52):
        made = manifests.job(*context(Parallel(256, (), 256), request))["metadata"]["name"]
        assert len(f"{made}-255") <= names.LABEL_LIMIT
        assert len(names.peers(made)) <= names.LABEL_LIMIT


def test_peers_have_names_and_end_with_the_first_that_fails_for_good() -> None:
    of, stage = context(Parallel(3, (), 3, peers=True), "7iris")
    service, made = manifests.stage_objects(of, stage)
    assert (service["metadata"]["name"], made["metadata"]["name"]) == ("s-7iris-sweep-7", "7iris-sweep-7")
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    template = made["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert (template["spec"]["subdomain"], made["spec"]["maxFailedIndexes"]) == ("s-7iris-sweep-7", 0)
    order = json.loads("".join(template["spec"]["containers"][0]["command"][2:]))
    assert order["peers"] == [f"7iris-sweep-7-{index}.s-7iris-sweep-7" for index in range(3)]
    assert order["peers_port"] == 29500


# --- what it says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", set()), (None, set()), ("0", {0}), ("0-3,7", {0, 1, 2, 3, 7}), ("2,4-5", {2, 4, 5}), ("x", set())],
)
def test_a_job_s_spans_are_numbers(text: Any, numbers: set[int]) -> None:
    assert spans(text) == numbers


def test_of_many_indexes_only_each_tenth_is_news() -> None:
    assert [rounded(done, 6) for done in range(7)] == [0, 1, 2, 3, 4, 5, 6]
    assert len({rounded(done, 200) for done in range(201)}) == 11
    assert (rounded(199, 200), rounded(200, 200), rounded(25, 25)) == (180, 200, 25)


RUNNING, PENDING = one(0, {"running": {}}, "Running"), one(1, waiting("ContainerCreating"), "Pending")
NO_IMAGE = one(2, waiting("ErrImagePull", "no such host"), "Pending")


@pytest.mark.parametrize(
    ("status", "pods", "expected"),
    [
        ({}, [PENDING], {"state": "Running", "running": False, "blocked": "", "attempts": 0}),
        ({}, [RUNNING, PENDING], {"state": "Running", "running": True, "blocked": "", "attempts": 1}),
        ({}, [NO_IMAGE], {"running": False, "blocked": "start"}),
        ({}, [RUNNING, NO_IMAGE], {"running": True, "blocked": ""}),  # the others wait for room, or for an image
        ({"subdomain": "peers"}, [RUNNING, NO_IMAGE], {"blocked": "start"}),  # a peer waits for all others
        (
            {"completedIndexes": "0,2"},
            [one(0, terminated(0), "Succeeded"), bad(1, "no"), bad(1, "no again", attempt=2, created="2026-12-01")],
            {"state": "Running", "attempts": 2, "indexes": Indexes(4, 2, 0, 1), "cause": "no again"},
        ),
        (
            {"completedIndexes": "0", "failedIndexes": "3"},
            [bad(1, "a passing one"), bad(3, "for good"), bad(0, "mended since")],
            {"indexes": Indexes(4, 1, 1, 3), "cause": "for good"},
        ),
        ({"completedIndexes": "0-3"}, [], {"state": "Running", "running": True, "indexes": Indexes(4, 4, 0)}),
    ],
)
def test_a_job_s_indexes_are_one_fact(status: Object, pods: list[Object], expected: dict[str, Any]) -> None:
    fact = read_job(indexed(**status), pods)
    found = {key: getattr(fact, key) for key in expected}
    assert found | ({"cause": fact.cause.message} if fact.cause and "cause" in found else {}) == expected


def test_a_quota_that_stops_the_rest_is_said_though_some_have_run() -> None:
    denied = event("FailedCreate", 'pods "x" is forbidden: exceeded quota: small', "job-uid", "Job")
    ended = [one(0, terminated(0), "Succeeded")]
    fact = read_job(indexed(completedIndexes="0"), ended, [denied])
    assert (fact.blocked, fact.cause and fact.cause.reason, fact.refused) == ("schedule", "QuotaExceeded", None)
    assert read_job(indexed(completedIndexes="0"), [*ended, RUNNING], [denied]).blocked == ""
    assert read_job(indexed(completedIndexes="0"), ended).blocked == ""


def test_no_pod_that_succeeded_ends_the_job_of_many() -> None:
    fact = read_job(indexed(), [one(0, terminated(0), "Succeeded")])
    assert fact.state == "Running"
    assert ended_well(fact, Attempt(1, ended=True, exit_code=0)).state == "Running"
    assert read_job(indexed(4, condition("Complete"), completedIndexes="0-3"), []).state == "Succeeded"


def test_a_pod_of_many_can_wait_for_the_others_news() -> None:
    assert news("Pod", None, bad(1, "no"), ()) == news("Pod", RUNNING, one(0, terminated(0), "Succeeded"), ()) == 1
    assert news("Pod", None, pod(terminated(1), phase="Failed"), ()) == 0


# --- what is said of it ----------------------------------------------------------------------------


def view(fact: JobFact, parallel: Parallel = GRID) -> StageRecord:
    of, stage = context(parallel)
    fact = replace(fact, name=of.job_name("sweep"), owner="request-uid", run=7)
    return view_of(of, stage, StageRecord("Running"), Observed(jobs={fact.name: fact}), NOW).record


@pytest.mark.parametrize(
    ("status", "pods", "state", "message"),
    [
        ({"completedIndexes": "0"}, [RUNNING], "Running", "1 of 4 indexes are done"),
        ({"completedIndexes": "0"}, [RUNNING, bad(2, "no")], "Running",
         "1 of 4 indexes are done; index 2 (ALPHA=0.3, DEPTH=3): no"),
        ({"completedIndexes": "0", "failedIndexes": "1,3"}, [RUNNING, bad(1, "no"), bad(3, "nor")], "Running",
         "1 of 4 indexes are done, 2 failed; index 1 (ALPHA=0.1, DEPTH=5): no"),
        ({"failed": 2, "failedIndexes": "1,3"}, [bad(1, "no"), bad(3, "nor")], "Failed",
         "2 of 4 indexes failed; index 1 (ALPHA=0.1, DEPTH=5): no"),
        ({"failed": 2, "failedIndexes": "3"}, [bad(3, "nor")], "Failed", "index 3 (ALPHA=0.3, DEPTH=5): nor"),
    ],
)  # fmt: skip
def test_one_line_says_how_far_they_are_and_which_one_failed(
    status: Object, pods: list[Object], state: str, message: str
) -> None:
    ending = [condition("Failed", "FailedIndexes")] if state == "Failed" else []
    record = view(read_job(indexed(4, *ending, **status), pods))
    assert (record.state, record.message, record.indexes) == (state, message, 4)
    assert record.reason == ("ValueError" if state == "Failed" else "IndexesRunning")


def test_a_cause_is_said_whatever_number_of_values_its_index_has() -> None:
    many = Parallel(4, (*GRID.each, *((f"PATH_{at}", (f"data/{'part' * 9}/{at}",)) for at in range(99))), 4)
    record = view(read_job(indexed(completedIndexes="0"), [RUNNING, bad(2, "no such file")]), many)
    assert record.message.startswith("1 of 4 indexes are done; index 2 (ALPHA=0.3, DEPTH=3, PATH_0=data/partpart")
    assert record.message.endswith(": no such file")


@pytest.mark.parametrize(
    ("spec", "width"), [({"suspend": True, "parallelism": 2}, 2), ({"parallelism": 0}, 4), ({"suspend": True}, 4)]
)
def test_a_job_that_somebody_suspends_is_resumed_as_wide_as_it_was(spec: Object, width: int) -> None:
    item = indexed()
    item["spec"] |= spec
    held = read_job(item, []).held
    assert held
    assert f'"parallelism": {width}' in held.message


def test_many_are_said_to_be_as_many_at_least() -> None:
    fact = read_job(indexed(200, completedIndexes="0-86"), [RUNNING])
    assert view(fact, Parallel(200, (), 200)).message == "at least 80 of 200 indexes are done"


@pytest.mark.parametrize(("failed", "counted"), [("", ""), ("1,3", "2 of 4 indexes failed; ")])
def test_a_deadline_that_somebody_gave_the_job_is_said_of_no_index(failed: str, counted: str) -> None:
    late = condition("Failed", "DeadlineExceeded", message="Job was active longer than specified deadline")
    record = view(read_job(indexed(4, late, failedIndexes=failed), []))
    assert (record.state, record.reason) == ("Failed", "TimedOut")
    assert record.message == f"{counted}Job was active longer than specified deadline"


def test_a_failed_job_without_a_cause_says_where_to_look() -> None:
    record = view(read_job(indexed(4, condition("Failed", "FailedIndexes"), failedIndexes="1"), []))
    assert (record.state, record.reason) == ("Failed", "Unknown")


@pytest.mark.parametrize(
    ("left", "at"),
    [({}, 0), ({0: 0, 1: 0, 2: 0}, None), ({0: 0, 1: None, 2: 3}, 2), ({0: 0, 2: 0}, 1), ({0: 0, 1: 0}, 2)],
)
def test_the_first_that_did_not_end_well_is_one_that_failed(left: dict[int, int | None], at: int | None) -> None:
    last = {index: Attempt(1, ended=code is not None, exit_code=code) for index, code in left.items()}
    assert unfinished(last, 3) == at


def test_the_numbers_of_many_are_their_bounds_and_their_mean() -> None:
    found = numbers.summary([{"rmse": 1, "rows": 10}, {"rmse": 4}, {}])
    assert found == {"rmse.min": 1, "rmse.mean": 2.5, "rmse.max": 4, "rows.min": 10, "rows.mean": 10, "rows.max": 10}
    assert len(numbers.summary([{f"n{at}": at for at in range(50)}])) == numbers.MOST


@pytest.mark.parametrize(("foreign", "key"), [(False, "memory_limit_mb"), (True, "MEMORY_LIMIT_MB")])
def test_a_key_is_named_as_the_project_writes_it_but_a_scripts_words_stay(foreign: bool, key: str) -> None:
    of, stage = context(GRID)
    in_yaml = replace(of, pipeline=replace(of.pipeline, is_yaml=True))
    fact = replace(read_job(indexed(), [RUNNING]), cause=Cause("OutOfMemory", "raise MEMORY_LIMIT_MB", foreign=foreign))
    assert explained(in_yaml, stage.name, fact).cause == Cause("OutOfMemory", f"raise {key}")
