"""What has become of runs, as the metrics count it: once, when it is recorded."""

from functools import partial
from typing import Any

import pytest

from controller.core import names
from controller.core.errors import Invalid
from tests.support.world import REPOSITORY, World, project

LIE = '{"exit_code": 0, "script_started": "9999-01-01T00:00:00Z", "redacted": 1' + 400 * "0" + "}"
FAILED = '{"exit_code": 1, "reason": "ExitCode", "script_started": "2026-01-01T00:00:03.5Z", "redacted": 2}'


def counted(world: World, name: str = "") -> dict[str, float]:
    """Return what has been counted or observed, by the metric's name and the values of its labels."""
    return {
        " ".join((sample.name.removeprefix("coachwork_"), *sample.labels.values())): sample.value
        for family in world.metrics.registry.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_bucket", "_created")) and name in sample.name
    }


def test_the_attempts_of_all_indexes_are_counted_when_they_are_over(world: World) -> None:
    files = project("a", retries=1)
    files["a/config.ini"] += "PARALLEL = 3\n"
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    for index, codes in enumerate(((0,), (1, 0), (1, 1))):
        for number, code in enumerate(codes, 1):
            world.leave(world.logs("a") / str(index), FAILED.replace('"exit_code": 1', f'"exit_code": {code}'), number)
    world.cluster.end_job(world.jobs()["iris-a-1"], 1)
    world.settle()
    found = counted(world)
    assert {
        name: found[name] for name in found if name.startswith(("attempts", "retries", "stages", "redactions"))
    } == {
        "attempts_total batch succeeded": 2,
        "attempts_total batch failed": 3,
        "retries_total ExitCode": 2,
        "stages_total batch Failed": 1,
        "redactions_total stage": 10,
    }


def start(world: World, dag: str = "a >> b", **more: Any) -> None:
    world.source.push(project(dag, **more))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()


def trigger(world: World, text: str) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, trigger=text)


def test_a_good_run_is_counted_with_what_each_part_of_it_took(world: World) -> None:
    start(world, "a >> api", services={"api": 5000}, packages={"a": "flask==3.0.0\n"})
    world.passes(1, 7)
    (build,) = (job for job in world.jobs().values() if names.environment_of(job))
    world.build(build)
    world.passes(1)
    world.cluster.begin_pod(world.jobs()["iris-a-1"])
    world.leave(world.logs("a"), FAILED.replace('"exit_code": 1', '"exit_code": 0').replace("00:00:03.5", "00:00:09.5"))
    world.passes(1, 20)
    assert world.finish_all().phase == "Ready"
    assert counted(world) == {
        "runs_total Succeeded": 1,
        "run_duration_seconds_count Succeeded": 1,
        "run_duration_seconds_sum Succeeded": 27,
        "run_queue_seconds_count": 1,
        "run_queue_seconds_sum": pytest.approx(0, abs=1),
        "stages_total environment Done": 1,
        "stages_total batch Done": 1,
        "stages_total service Done": 1,
        "stage_duration_seconds_count environment": 1,
        "stage_duration_seconds_sum environment": 7,
        "stage_duration_seconds_count batch": 1,
        "stage_duration_seconds_sum batch": 20,
        "stage_duration_seconds_count service": 1,
        "stage_start_seconds_count batch": 1,
        "stage_start_seconds_sum batch": 2.5,
        "environments_total built": 1,
        "environment_build_seconds_count": 1,
        "environment_build_seconds_sum": 7,
        "attempts_total environment succeeded": 1,
        "attempts_total batch succeeded": 1,
        "redactions_total stage": 2,
    }


def test_what_a_stage_says_of_its_attempt_breaks_no_pass_and_no_sum(world: World) -> None:
    start(world, "a")
    world.leave(world.logs("a"), LIE)
    assert world.finish_all().phase == "Ready"
    assert counted(world, "attempts") == {"attempts_total batch succeeded": 1}
    assert counted(world, "redactions") == counted(world, "stage_start") == {}


def test_an_environment_that_is_there_is_a_hit(world: World) -> None:
    start(world, "a", packages={"a": "flask==3.0.0\n"})
    world.finish_all()
    trigger(world, "again")
    world.finish_all()
    assert counted(world, "environments") == {"environments_total built": 1, "environments_total reused": 1}


def test_attempts_that_fail_are_counted_by_their_reason_as_they_do(world: World) -> None:
    start(world, "a", retries=2)
    job = world.jobs()["iris-a-1"]
    world.leave(world.logs("a"), FAILED, 1)
    world.cluster.begin_pod(job)
    world.cluster.edit("Job", "iris-a-1", lambda item: item.update(status={"failed": 1}))
    world.settle()
    assert counted(world, "retries") == {"retries_total ExitCode": 1}
    world.leave(world.logs("a"), FAILED.replace("ExitCode", "Odd"), 2)
    world.cluster.edit("Job", "iris-a-1", lambda item: item.update(status={"failed": 2}))
    world.settle()
    world.leave(world.logs("a"), attempt=3)
    assert world.finish_all().phase == "Ready"
    assert counted(world, "retries") == {"retries_total ExitCode": 1, "retries_total Other": 1}
    assert counted(world, "attempts") == {"attempts_total batch failed": 2, "attempts_total batch succeeded": 1}
    assert counted(world, "redactions") == {"redactions_total stage": 4}


def test_a_bad_run_is_counted_by_its_reason_with_the_stages_that_it_left(world: World) -> None:
    start(world, "a,b >> c")
    world.cluster.begin_pod(world.jobs()["iris-b-1"])
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 1)
    assert world.settle().phase == "Failed"
    stages = {f"stages_total batch {state}": 1 for state in ("Failed", "Stopped", "Skipped")}
    attempts = {f"attempts_total batch {outcome}": 1 for outcome in ("failed", "stopped")}
    failed = {"failures_total ExitCode": 1, "runs_total Failed": 1}
    found = counted(world, "_total")
    assert found == {**stages, **attempts, **failed}
    world.passes(5, 60)
    assert counted(world, "_total") == found, "once"


def test_what_no_run_comes_of_is_counted_by_its_reason(world: World) -> None:
    world.source.fault = Invalid("RefNotFound", ["no such branch"])
    world.cluster.ask("iris", repository=REPOSITORY)
    world.passes(3, 60)
    assert counted(world) == {"runs_total Invalid": 1, "failures_total RefNotFound": 1}


def test_a_run_that_waits_for_another_one_has_waited_since_it_was_asked_for(world: World) -> None:
    start(world, "a")
    trigger(world, "second")
    world.settle()
    world.passes(2, 100)
    assert counted(world, "run_queue")["run_queue_seconds_count"] == 1
    world.finish_all()
    waited = {"run_queue_seconds_count": 2, "run_queue_seconds_sum": pytest.approx(200, abs=1)}
    assert counted(world, "run_queue") == waited


def test_a_controller_that_takes_over_counts_on_from_what_is_recorded(world: World) -> None:
    start(world, "a >> b")
    world.passes(1, 30)
    world.restart()
    world.finish_all()
    assert counted(world, "stages") == {"stages_total batch Done": 2}
    assert counted(world, "run_duration")["run_duration_seconds_sum Succeeded"] == 30


def test_no_retry_is_counted_before_another_attempt_follows(world: World) -> None:
    start(world, "a", retries=1)
    job = world.jobs()["iris-a-1"]
    world.leave(world.logs("a"), FAILED)
    for status in ({}, {"failed": 1}):  # the Job controller counts it later than the kubelet says so
        world.cluster.begin_pod(job, "Failed")
        world.cluster.edit("Job", "iris-a-1", partial(dict.update, status=status))
        assert world.settle().stages["a"].attempts == 1
    assert counted(world, "retries") == {}
    world.cluster.end_job(job, 1)
    assert world.settle().phase == "Failed"
    assert counted(world, "retries") == {}
    assert counted(world, "attempts") == {"attempts_total batch failed": 1}
