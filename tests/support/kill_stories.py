"""Stories for `tests/support/kills.py`: together they take every action of the planner."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from controller.core import layout, names
from controller.core.errors import Refused, Transient
from tests.support import later
from tests.support.kills import Story, Told
from tests.support.world import POLICY, REPOSITORY, project

STORIES: dict[str, Story] = {}
WEB = {"web": 5000}
ALL = project("prepare >> train,report >> web", services=WEB)


def story(told: Story) -> Story:
    """Note a story under its name."""
    STORIES[told.__name__.replace("_", " ")] = told
    return told


def _ask(world: Told, trigger: str = "", **asked: str) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger, **asked)


def _end(world: Told, stage: str, code: int = 0, run: int = 1, **said: str) -> None:
    """Let a stage of the run that is under way end, once it has begun."""
    world.settle()
    world.cluster.end_job(world.jobs()[f"iris-{stage}-{run}"], code, **said)


def _began(world: Told, files: Mapping[str, str] = ALL, **asked: str) -> None:
    world.source.commits.append(dict(files))
    _ask(world, **asked)


def _released(world: Told, files: Mapping[str, str] = ALL, **asked: str) -> None:
    _began(world, files, **asked)
    assert world.finish_all().phase == "Ready"


@story
def two_good_runs(world: Told) -> None:
    _released(world)
    _ask(world, "second")
    assert world.finish_all().run == 2


@story
def a_stage_that_is_tried_again(world: Told) -> None:
    _began(world, project("a >> b", retries=2))
    world.settle()
    world.leave(world.logs("a"), '{"exit_code": 1, "message": "once more"}')
    world.cluster.begin_pod(world.jobs()["iris-a-1"])
    world.settle()
    world.leave(world.logs("a"), attempt=2)
    _end(world, "a")
    assert world.finish_all().phase == "Ready"


@story
def a_stage_that_fails_and_its_siblings(world: Told) -> None:
    _began(world)
    _end(world, "prepare")
    _end(world, "train", 3, message="ValueError: no")
    assert world.settle().phase == "Failed"


@story
def a_stage_of_many_indexes(world: Told) -> None:
    files = project("sweep >> web", services=WEB)
    files["sweep/config.ini"] += "PARALLEL = 2\nPEERS = True\n"
    _began(world, files)
    world.settle()
    for index in range(2):
        world.leave(world.logs("sweep") / str(index), json.dumps({"exit_code": 0, "metrics": {"rows": index}}))
    assert world.finish_all().phase == "Ready"


@story
def a_failure_stage(world: Told) -> None:
    _began(world, project("a,b >> c", on_failure="tell"))
    _end(world, "a", 1)
    _end(world, "tell")
    assert world.settle().phase == "Failed"


@story
def people_who_are_notified(world: Told) -> None:
    _began(world, project("a"), notify_secret="slack")
    world.post.problem = "the receiver answered 500"
    _end(world, "a", 3, message="ValueError: no")
    assert world.settle().notify_problem
    world.post.problem = ""
    world.clock.pass_(31)
    world.settle()
    assert not world.settle().notify_problem  # a letter's end wakes nobody here
    _ask(world, "second", notify_secret="slack")
    assert not world.finish_all().notices
    said = {letter.id: letter.event for letter in world.post.sent}  # a death may make it twice, under the same id
    assert sorted(said.values()) == ["Failed", "Recovered"]


@story
def a_gate_that_is_not_met(world: Told) -> None:
    files = project("train >> web", services=WEB)
    files["train/config.ini"] += "REQUIRE = accuracy >= previous\n"
    _began(world, files)
    world.settle()
    world.leave(world.logs("train"), json.dumps({"exit_code": 0, "metrics": {"accuracy": 0.9}}))
    assert world.finish_all().phase == "Ready"
    _ask(world, "second")
    world.settle()
    world.leave(world.logs("train", 2), json.dumps({"exit_code": 121, "metrics": {"accuracy": 0.8}}))
    _end(world, "train", 121, 2, reason="RequirementNotMet", message="accuracy is 0.8")
    assert world.settle().reason == "RequirementNotMet"


@story
def a_service_that_is_rolled_back(world: Told) -> None:
    _released(world, project("web", services={"web": 5000}))
    world.source.push(project("web", services={"web": 6000}))
    _ask(world, "second")
    world.settle()
    (deployment,) = world.cluster.of_kind("Deployment")
    world.cluster.break_down(deployment, "no answer")
    assert world.settle().phase != "Running"
    world.cluster.roll_out(deployment)
    world.settle()


@story
def a_first_release_that_fails(world: Told) -> None:
    _began(world, project("web", services=WEB))
    world.settle()
    world.cluster.break_down(world.cluster.of_kind("Deployment")[0], "no answer")
    assert world.settle().phase == "Failed"
    assert not world.cluster.of_kind("Service")


@story
def a_run_that_is_replaced(world: Told) -> None:
    _released(world, project("a >> web", services=WEB), on_overlap="replace")
    world.source.push(project("a >> web", services={"web": 6000}))
    _ask(world, "second", on_overlap="replace")
    _end(world, "a", run=2)
    world.settle()
    _ask(world, "third", on_overlap="replace")
    assert world.finish_all().run == 3


@story
def triggers_that_are_skipped(world: Told) -> None:
    _began(world, on_overlap="skip")
    world.settle()
    _ask(world, "second", on_overlap="skip")
    assert world.finish_all().run == 1


@story
def triggers_that_queue(world: Told) -> None:
    _began(world)
    for trigger in ("second", "third"):
        world.settle()
        _ask(world, trigger)
    assert world.finish_all().run == 2


@story
def a_run_that_is_cancelled(world: Told) -> None:
    _released(world, project("a >> web", services=WEB))
    world.source.push(project("web >> a", services={"web": 6000}))
    _ask(world, "second")
    world.settle()
    world.cluster.roll_out(world.cluster.of_kind("Deployment")[0])
    world.settle()
    _ask(world, "second", cancel="2")
    assert world.settle().phase != "Running"
    world.finish_all()


@story
def a_deadline_that_passes(world: Told) -> None:
    _began(world, deadline="1h")
    _end(world, "prepare")
    world.settle()
    world.clock.pass_(3601)
    assert world.settle().reason == "DeadlineExceeded"


@story
def a_run_that_goes_on_from_a_stage(world: Told) -> None:
    _began(world, project("a >> b"))
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    made = world.root / layout.artifacts("iris", uid, 1)
    (made / "deep").mkdir(parents=True)
    (made / "deep/model").write_text("42")
    _end(world, "a")
    _end(world, "b", 1)
    assert world.settle().phase == "Failed"
    _ask(world, "second", resume="second b")
    assert world.finish_all().run == 2
    assert (world.root / layout.artifacts("iris", uid, 2) / "deep/model").read_text() == "42"


@story
def a_run_that_reuses_first_stages(world: Told) -> None:
    files = project("a >> b", reuse=True)
    _began(world, files)
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    (world.root / layout.artifacts("iris", uid, 1) / "model").write_text("42")
    assert world.finish_all().phase == "Ready"
    world.source.push({**files, "b/run.py": "new"})
    _ask(world, "second")
    stages = world.finish_all().stages
    assert (stages["a"].state, stages["b"].state) == ("Reused", "Done")
    assert (world.root / layout.artifacts("iris", uid, 2) / "model").read_text() == "42"


@story
def a_run_that_is_repeated(world: Told) -> None:
    _released(world, project("a >> b"))
    world.source.push(project("a"))
    _ask(world, "second", at_rerun="second 1")
    assert world.finish_all().run == 2


@story
def a_commit_that_moves(world: Told) -> None:
    world.timed = False  # a new process looks a while after its start
    _released(world, project("a"), poll="30s")
    world.source.push(project("a >> b"))
    _looked(world, 31)
    assert world.finish_all().run == 2
    world.source.fault = Transient("GitUnreachable", "git.example: no answer")
    _looked(world, 61)
    assert world.record().poll_problem
    world.source.fault = None
    _looked(world, 600)
    assert not world.record().poll_problem


def _looked(world: Told, seconds: float) -> None:
    """Let the time for a look at the branch come, also for a process that has just begun."""
    for _ in range(3):
        world.clock.pass_(seconds)
        world.settle()


@story
def slots_of_a_schedule(world: Told) -> None:
    _released(world, project("a"), schedule="@daily")
    _ask(world, "slot 1", schedule="@hourly")
    assert world.finish_all().run == 2
    world.cluster.edit("CronJob", "iris", lambda item: item["spec"].update(suspend=True))
    world.settle()
    world.cluster.remove("CronJob", "iris")
    world.cluster.refuse["create", "iris"] = Refused("a webhook says no", forbidden=True)
    assert world.settle().schedule_problem
    world.cluster.refuse.clear()
    world.settle()
    _ask(world, "slot 1")
    world.settle()
    assert not world.cluster.of_kind("CronJob")


@story
def a_stage_that_is_removed(world: Told) -> None:
    files = project("a >> web,old", services={"web": 5000, "old": 6000})
    for stage in ("web", "old"):
        files[f"{stage}/config.ini"] += "INGRESS = True\n"
    _released(world, files)
    files = project("a >> web", services={"web": 7000})
    files["web/config.ini"] += "INGRESS = True\n"
    world.source.push(files)
    _ask(world, "second", keep_runs="1")
    assert world.finish_all().run == 2
    assert len(world.cluster.of_kind("Deployment")) == 1


@story
def an_environment_that_is_built(world: Told) -> None:
    _began(world, project("a >> b", packages={"a": "flask==3.0.0\n", "b": "flask==3.0.0\n"}))
    world.settle()
    (job,) = world.jobs().values()
    world.build(job, ends=False)
    world.settle()
    world.compile(job)
    assert world.finish_all().phase == "Ready"
    _ask(world, "second")
    assert world.finish_all().stages["environment"].state == "Reused"


@story
def an_environment_that_is_left_uncompiled(world: Told) -> None:
    _began(world, project("a", packages={"a": "flask==3.0.0\n"}))
    world.settle()
    (job,) = world.jobs().values()
    world.build(job, ends=False)
    world.settle()
    world.cluster.remove("Job", job["metadata"]["name"])
    _end(world, "a")
    world.settle()
    for run, trigger in ((2, "second"), (3, "third")):  # the second's Job may be lost with a process: it is a courtesy
        _ask(world, trigger)
        _end(world, "a", run=run)
        world.settle()
    (again,) = (job for job in world.jobs().values() if names.environment_of(job))
    world.compile(again)
    assert world.finish_all().phase == "Ready"


@story
def an_environment_that_can_not_be_built(world: Told) -> None:
    _began(world, project("first >> a", packages={"a": "flask==3.0.0\n"}))
    world.settle()
    (job,) = (job for job in world.jobs().values() if names.environment_of(job))
    world.cluster.end_job(job, 121, "a/requirements.txt:1: no version of flask is 3.0.0")
    assert world.settle().phase == "Failed"
    _ask(world, "second")
    assert world.finish_all().phase == "Ready"


@story
def services_that_somebody_changes(world: Told) -> None:
    files = project("web", services=WEB)
    files["web/config.ini"] += "INGRESS = True\n"
    _released(world, files)
    changes: Mapping[str, Callable[[Any], object]] = {
        "Deployment": lambda item: item["spec"].update(replicas=0),
        "Service": lambda item: item["spec"]["ports"][0].update(port=1),
        "Ingress": lambda item: item["spec"]["rules"][0]["http"]["paths"][0].update(path="/elsewhere"),
    }
    for kind, change in changes.items():
        world.cluster.edit(kind, "iris--web", change)
        world.settle()
    world.cluster.remove("Service", "iris--web")
    world.settle()
    for deployment in world.cluster.of_kind("Deployment"):
        world.cluster.roll_out(deployment)
    assert world.settle().phase == "Ready"


@story
def a_volume_that_is_full(world: Told) -> None:
    _began(world, project("a >> b"))
    _end(world, "a")
    world.full = True
    assert world.settle().reason == "VolumeFull"
    world.full = False
    assert world.finish_all().phase == "Ready"


@story
def a_request_that_is_deleted_and_made_again(world: Told) -> None:
    _began(world, project("a >> web", services=WEB))
    _end(world, "a")
    world.settle()
    world.cluster.remove("ConfigMap", "iris")
    world.cluster.sync()
    world.pass_()
    _ask(world)
    assert world.finish_all().phase == "Ready"


@story
def an_upgrade_in_mid_run(world: Told) -> None:
    world.successor = replace(POLICY, tools="t1", version="99.0.0")
    _released(world, project("a,b >> web", services=WEB))
    _ask(world, "second")
    assert world.finish_all().run == 2


@story
def requests_and_triggers_that_are_wrong(world: Told) -> None:
    _released(world, project("a"))
    _ask(world, "second", resume="second nothing")
    world.settle()
    _ask(world, "second", keep_runs="x")
    assert world.settle().phase == "Invalid"
    world.source.push({"bodywork.ini": "nonsense"})
    _ask(world, "third")
    assert world.settle().phase == "Invalid"
    world.source.push(project("a"))
    _ask(world, "fourth", suspend="true")
    world.settle()
    _ask(world, "fifth")
    assert world.finish_all().run == 2


@story
def a_release_that_somebody_deletes(world: Told) -> None:
    files = project("web", services=WEB)
    files["web/config.ini"] += "INGRESS = True\n"
    _released(world, files)
    world.cluster.remove("ConfigMap", "iris-release")
    assert world.settle().reason == "ReleaseMissing"
    _ask(world, "second")
    assert world.finish_all().run == 2


@story
def a_record_that_somebody_damages(world: Told) -> None:
    _released(world, project("a"), run_on_create="false", trigger="first")
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    (world.root / layout.record("iris", uid)).write_text("{")
    world.cluster.write_over("iris-status", {"run": "7", "history": "["})
    assert world.settle().run == 7
    _ask(world, "second", run_on_create="false")
    assert world.finish_all().run == 8


@story
def a_record_of_a_newer_version(world: Told) -> None:
    _released(world, project("a"))
    before = world.data()
    data = later.sealed({**before, "version": "2"})
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": data})
    _ask(world, "second")
    for _ in range(3):
        world.cluster.sync()
        world.pass_()
    assert world.data()["reason"] == "RecordTooNew"
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": before})
    assert world.finish_all().run == 2
