"""What starts a run and what it is started with, pass by pass: overlaps, polls, parameters, repetition."""

import json
from pathlib import Path

import pytest

from controller.core.errors import Busy, Invalid, Transient
from controller.core.model import Object, Record
from tests.support.world import REPOSITORY, World, project

DOWN = Transient("GitUnreachable", "git.example: no answer")


@pytest.fixture
def world(memory: Path) -> World:
    world = World(memory)
    world.source.push(project("a"))
    return world


def variables(job: Object) -> dict[str, str]:
    """Return the plain variables of a Job's container."""
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


# --- on-overlap ------------------------------------------------------------------------------------


def test_services_of_a_run_that_is_replaced_go_back_to_the_release(world: World) -> None:
    world.source.push(project("serve", services={"serve": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace")
    world.finish_all()
    world.source.push(project("serve >> b", services={"serve": 6000}))
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", trigger="t1")
    world.settle()
    world.source.push(project("b"))
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", trigger="t2")
    world.cluster.sync()
    world.pass_()
    (deployment,) = world.cluster.of_kind("Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 5000
    assert world.settle().run == 3


# --- poll ------------------------------------------------------------------------------------------


def polled(world: World, **data: str) -> Record:
    """Make a request that looks every 30 s, and its first run over."""
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s", **data)
    return world.finish_all()


def test_a_look_costs_one_question_and_no_write(world: World) -> None:
    polled(world)
    world.passes(1, 31)
    world.source.calls.clear()
    world.cluster.writes.clear()
    for _ in range(30):
        world.clock.pass_(2)
        world.pass_()
    assert world.source.calls == ["resolve", "resolve"]
    assert world.cluster.writes == []


def test_a_restarted_controller_misses_no_commit(world: World) -> None:
    polled(world)
    world.source.push(project("a >> b"))
    world.restart()
    assert world.passes(2, 31).run == 2


@pytest.mark.parametrize("fault", [DOWN, Invalid("RefNotFound", ["ref: no branch main"])])
def test_a_look_that_fails_is_reported_next_to_what_serves_and_disturbs_nothing(world: World, fault: Exception) -> None:
    polled(world)
    world.source.fault = fault
    kept = world.passes(2, 31)
    reason = getattr(fault, "reason", "")
    assert (kept.phase, kept.reason, kept.poll_problem) == ("Ready", "Succeeded", f"{reason}: {fault}")
    assert world.data()["poll-problem"].startswith(reason)
    told = [item["message"] for item in world.cluster.of_kind("Event") if item["reason"] == "PollFailed"]
    assert told == [kept.poll_problem]
    world.source.fault = None
    assert world.passes(4, 61).poll_problem == ""


def test_a_look_that_finds_git_busy_comes_soon_and_holds_up_nothing(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    polled(world)
    world.settle()
    (service,) = world.cluster.of_kind("Service")
    world.cluster.delete("Service", service["metadata"]["name"], service["metadata"]["uid"])
    world.source.push(project("a"))
    world.source.fault = Busy(5.0, "all places for Git are taken by other repositories", lambda _call: None)
    kept = world.passes(1, 31)
    assert world.cluster.of_kind("Service")
    assert (kept.phase, kept.run, kept.poll_problem) == ("Ready", 1, "")
    world.source.fault = None
    assert world.passes(2, 8).run == 2


# --- rerun -----------------------------------------------------------------------------------------


def test_a_run_is_repeated_with_all_that_it_was_started_with(world: World) -> None:
    first = {"image": "python:3.10", "env": "1", "project_name": "old"}
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1", at_set='t1 {"BETA": "b"}', **first)
    before = world.finish_all()
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1", image="python:3.12", env="2")
    assert world.finish_all().run == 2
    world.cluster.ask("iris", repository=REPOSITORY, image="python:3.12", env="2", trigger="t3", at_rerun="t3 1")
    kept = world.settle()
    assert kept.spec
    assert before.spec
    assert kept.run == 3
    for field in ("commit", "tree", "image", "project_name", "env", "parameters", "environments", "repository"):
        assert getattr(kept.spec, field) == getattr(before.spec, field)
    assert (kept.spec.rerun, kept.spec.cause, kept.spec.trigger) == (1, "Triggered", "t3")
    job = world.jobs()["iris-a-3"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "python:3.10"
    assert variables(job).items() >= {("ALPHA", "1"), ("BETA", "b")}
    assert world.finish_all().phase == "Ready"


def test_a_run_that_is_not_kept_can_not_be_repeated_and_the_kept_ones_are_named(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1")
    for number in range(3):
        world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1", trigger=f"t{number}")
        world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1", trigger="x", at_rerun="x 1")
    kept = world.settle()
    assert (kept.phase, kept.run, kept.finished_trigger, kept.history[0].reason) == ("Ready", 3, "x", "RunNotKept")
    assert kept.history[0].message == "run 1 is not kept, or damaged, so it can't be repeated: kept are 3"


def test_a_failed_run_goes_on_from_a_stage_with_its_artifacts(world: World) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    artifacts = world.root / f"runs/iris-{world.record().request_uid}/1/artifacts"
    (artifacts / "model").write_text("of run 1")
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    world.cluster.end_job(world.jobs()["iris-b-1"], 3)
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t2", at_rerun="t2 1", at_from="t2 b")
    kept = world.settle()
    assert kept.spec
    assert kept.spec.base == 1
    assert (kept.stages["a"].state, set(world.jobs())) == ("Reused", {"iris-b-3"})
    assert (artifacts.parents[1] / "3/artifacts/model").read_text() == "of run 1"


def test_what_a_kept_run_reused_is_judged_by_the_run_that_made_it(world: World) -> None:
    world.source.push(project("a >> b >> c"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 3)
    assert world.settle().phase == "Failed"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    world.finish_all()
    told = world.root / f"runs/iris-{world.record().request_uid}/2/run.json"
    written = json.loads(told.read_text())
    written["base"], written["stages"]["a"]["state"] = 1, "Reused"  # as an older version wrote it
    told.write_text(json.dumps(written))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t2")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t3", at_rerun="t3 2", at_from="t3 b")
    kept = world.settle()
    assert (kept.run, kept.phase) == (3, "Ready")
    assert kept.history[0].message.startswith("stage a of run 2 is Failed")


def test_a_run_of_a_part_is_repeated_as_that_part_with_its_packages(world: World) -> None:
    packages = {"a": "flask==3.0.0", "b": "requests==2.32.0", "c": "flask==3.0.0"}
    world.source.push(project("a >> b >> c,web", packages=packages, services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1", at_from="t1 c")
    parts = [world.finish_all()]
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t2", at_rerun="t2 2")
    parts.append(world.finish_all())
    for kept in parts:
        assert kept.spec
        assert [item.stages for item in kept.spec.environments] == [("c",)]
        assert {name: kept.stages[name].state for name in ("a", "b", "c")} == {
            "a": "Reused",
            "b": "Reused",
            "c": "Done",
        }
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t3", at_only="t3 b")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t4", at_rerun="t4 4")
    kept = world.finish_all()
    assert {name: kept.stages[name].state for name in ("a", "b", "c", "web")} == {
        "a": "Reused",
        "b": "Done",
        "c": "Skipped",
        "web": "Skipped",
    }
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t5", at_rerun="t5 2", at_from="t5 b")
    kept = world.settle()
    assert (kept.run, kept.phase, kept.history[0].reason) == (5, "Ready", "NothingToReuse")
    assert kept.history[0].message.startswith("run 2 was a run of c, web alone, and stage b was not part of it")
