"""What users, the cluster and its nodes do every day; together these stories take every action of the planner."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from controller.core import layout, names
from controller.core.errors import Refused, Transient
from tests.support import later
from tests.support.kill_stories.telling import WEB, ask, began, daily, end, looked, released
from tests.support.kills import Told
from tests.support.world import POLICY, project

CHANGES: Mapping[str, Callable[[Any], object]] = {
    "Deployment": lambda item: item["spec"].update(replicas=0),
    "Service": lambda item: item["spec"]["ports"][0].update(port=1),
    "Ingress": lambda item: item["spec"]["rules"][0]["http"]["paths"][0].update(path="/elsewhere"),
}


@daily
def two_good_runs(world: Told) -> None:
    released(world)
    ask(world, "second")
    assert world.finish_all().run == 2


@daily
def a_stage_that_is_tried_again(world: Told) -> None:
    began(world, project("a >> b", retries=2))
    world.settle()
    world.leave(world.logs("a"), '{"exit_code": 1, "message": "once more"}')
    world.cluster.begin_pod(world.jobs()["iris-a-1"])
    world.settle()
    world.leave(world.logs("a"), attempt=2)
    end(world, "a")
    assert world.finish_all().phase == "Ready"


@daily
def a_stage_that_fails_and_its_siblings(world: Told) -> None:
    began(world)
    end(world, "prepare")
    end(world, "train", 3, message="ValueError: no")
    assert world.settle().phase == "Failed"


@daily
def a_stage_of_many_indexes(world: Told) -> None:
    files = project("sweep >> web", services=WEB)
    files["sweep/config.ini"] += "PARALLEL = 2\nPEERS = True\n"
    began(world, files)
    world.settle()
    for index in range(2):
        world.leave(world.logs("sweep") / str(index), json.dumps({"exit_code": 0, "metrics": {"rows": index}}))
    assert world.finish_all().phase == "Ready"


@daily
def a_failure_stage(world: Told) -> None:
    began(world, project("a,b >> c", on_failure="tell"))
    end(world, "a", 1)
    end(world, "tell")
    assert world.settle().phase == "Failed"


@daily
def people_who_are_notified(world: Told) -> None:
    began(world, project("a"), notify_secret="slack")
    world.post.problem = "the receiver answered 500"
    end(world, "a", 3, message="ValueError: no")
    assert world.settle().notify_problem
    world.post.problem = ""
    world.clock.pass_(31)
    world.settle()
    assert not world.settle().notify_problem  # a letter's end wakes nobody here
    ask(world, "second", notify_secret="slack")
    assert not world.finish_all().notices
    said = {letter.id: letter.event for letter in world.post.sent}  # a death may make it twice, under the same id
    assert len(world.post.sent) <= len(said) + 1
    assert sorted(said.values()) == ["Failed", "Recovered"]


@daily
def a_gate_that_is_not_met(world: Told) -> None:
    files = project("train >> web", services=WEB)
    files["train/config.ini"] += "REQUIRE = accuracy >= previous\n"
    began(world, files)
    world.settle()
    world.leave(world.logs("train"), json.dumps({"exit_code": 0, "metrics": {"accuracy": 0.9}}))
    assert world.finish_all().phase == "Ready"
    ask(world, "second")
    world.settle()
    world.leave(world.logs("train", 2), json.dumps({"exit_code": 121, "metrics": {"accuracy": 0.8}}))
    end(world, "train", 121, 2, reason="RequirementNotMet", message="accuracy is 0.8")
    assert world.settle().reason == "RequirementNotMet"


@daily
def a_service_that_is_rolled_back(world: Told) -> None:
    released(world, project("web", services={"web": 5000}))
    world.source.push(project("web", services={"web": 6000}))
    ask(world, "second")
    world.settle()
    (deployment,) = world.cluster.of_kind("Deployment")
    world.cluster.break_down(deployment, "no answer")
    assert world.settle().phase != "Running"
    world.cluster.roll_out(deployment)
    world.settle()


@daily
def a_first_release_that_fails(world: Told) -> None:
    began(world, project("web", services=WEB))
    world.settle()
    world.cluster.break_down(world.cluster.of_kind("Deployment")[0], "no answer")
    assert world.settle().phase == "Failed"
    assert not world.cluster.of_kind("Service")


@daily
def a_run_that_is_replaced(world: Told) -> None:
    released(world, project("a >> web", services=WEB), on_overlap="replace")
    world.source.push(project("a >> web", services={"web": 6000}))
    ask(world, "second", on_overlap="replace")
    end(world, "a", run=2)
    world.settle()
    ask(world, "third", on_overlap="replace")
    assert world.finish_all().run == 3


@daily
def triggers_that_are_skipped(world: Told) -> None:
    began(world, on_overlap="skip")
    world.settle()
    ask(world, "second", on_overlap="skip")
    assert world.finish_all().run == 1


@daily
def triggers_that_queue(world: Told) -> None:
    began(world)
    for trigger in ("second", "third"):
        world.settle()
        ask(world, trigger)
    assert world.finish_all().run == 2


@daily
def a_run_that_is_cancelled(world: Told) -> None:
    released(world, project("a >> web", services=WEB))
    world.source.push(project("web >> a", services={"web": 6000}))
    ask(world, "second")
    world.settle()
    world.cluster.roll_out(world.cluster.of_kind("Deployment")[0])
    world.settle()
    ask(world, "second", cancel="2")
    assert world.settle().phase != "Running"
    world.finish_all()


@daily
def a_deadline_that_passes(world: Told) -> None:
    began(world, deadline="1h")
    end(world, "prepare")
    world.settle()
    world.clock.pass_(3601)
    assert world.settle().reason == "DeadlineExceeded"


@daily
def a_run_that_goes_on_from_a_stage(world: Told) -> None:
    began(world, project("a >> b"))
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    made = world.root / layout.artifacts("iris", uid, 1)
    (made / "deep").mkdir(parents=True)
    (made / "deep/model").write_text("42")
    end(world, "a")
    end(world, "b", 1)
    assert world.settle().phase == "Failed"
    ask(world, "second", resume="second b")
    assert world.finish_all().run == 2
    assert (world.root / layout.artifacts("iris", uid, 2) / "deep/model").read_text() == "42"


@daily
def a_run_that_reuses_first_stages(world: Told) -> None:
    files = project("a >> b", reuse=True)
    began(world, files)
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    (world.root / layout.artifacts("iris", uid, 1) / "model").write_text("42")
    assert world.finish_all().phase == "Ready"
    world.source.push({**files, "b/run.py": "new"})
    ask(world, "second")
    stages = world.finish_all().stages
    assert (stages["a"].state, stages["b"].state) == ("Reused", "Done")
    assert (world.root / layout.artifacts("iris", uid, 2) / "model").read_text() == "42"


@daily
def a_run_that_is_repeated(world: Told) -> None:
    released(world, project("a >> b"))
    world.source.push(project("a"))
    ask(world, "second", at_rerun="second 1")
    assert world.finish_all().run == 2


@daily
def a_commit_that_moves(world: Told) -> None:
    world.timed = False  # a new process looks a while after its start
    released(world, project("a"), poll="30s")
    world.source.push(project("a >> b"))
    looked(world, 31)
    assert world.finish_all().run == 2
    world.source.fault = Transient("GitUnreachable", "git.example: no answer")
    looked(world, 61)
    assert world.record().poll_problem
    world.source.fault = None
    looked(world, 600)
    assert not world.record().poll_problem


@daily
def slots_of_a_schedule(world: Told) -> None:
    released(world, project("a"), schedule="@daily")
    ask(world, "slot 1", schedule="@hourly")
    assert world.finish_all().run == 2
    world.cluster.edit("CronJob", "iris", lambda item: item["spec"].update(suspend=True))
    world.settle()
    world.cluster.remove("CronJob", "iris")
    world.cluster.refuse["create", "iris"] = Refused("a webhook says no", forbidden=True)
    assert world.settle().schedule_problem
    world.cluster.refuse.clear()
    world.settle()
    ask(world, "slot 1")
    world.settle()
    assert not world.cluster.of_kind("CronJob")


@daily
def a_stage_that_is_removed(world: Told) -> None:
    files = project("a >> web,old", services={"web": 5000, "old": 6000})
    for stage in ("web", "old"):
        files[f"{stage}/config.ini"] += "INGRESS = True\n"
    released(world, files)
    files = project("a >> web", services={"web": 7000})
    files["web/config.ini"] += "INGRESS = True\n"
    world.source.push(files)
    ask(world, "second", keep_runs="1")
    assert world.finish_all().run == 2
    assert len(world.cluster.of_kind("Deployment")) == 1


@daily
def an_environment_that_is_built(world: Told) -> None:
    began(world, project("a >> b", packages={"a": "flask==3.0.0\n", "b": "flask==3.0.0\n"}))
    world.settle()
    (job,) = world.jobs().values()
    world.build(job, ends=False)
    world.settle()
    world.compile(job)
    assert world.finish_all().phase == "Ready"
    ask(world, "second")
    assert world.finish_all().stages["environment"].state == "Reused"


@daily
def an_environment_that_is_left_uncompiled(world: Told) -> None:
    began(world, project("a", packages={"a": "flask==3.0.0\n"}))
    world.settle()
    (job,) = world.jobs().values()
    world.build(job, ends=False)
    world.settle()
    world.cluster.remove("Job", job["metadata"]["name"])
    end(world, "a")
    world.settle()
    for run, trigger in ((2, "second"), (3, "third")):  # the second's Job may be lost with a process: it is a courtesy
        ask(world, trigger)
        end(world, "a", run=run)
        world.settle()
    (again,) = (job for job in world.jobs().values() if names.environment_of(job))
    world.compile(again)
    assert world.finish_all().phase == "Ready"


@daily
def an_environment_that_can_not_be_built(world: Told) -> None:
    began(world, project("first >> a", packages={"a": "flask==3.0.0\n"}))
    world.settle()
    (job,) = (job for job in world.jobs().values() if names.environment_of(job))
    world.cluster.end_job(job, 121, "a/requirements.txt:1: no version of flask is 3.0.0")
    assert world.settle().phase == "Failed"
    ask(world, "second")
    assert world.finish_all().phase == "Ready"


@daily
def services_that_somebody_changes(world: Told) -> None:
    files = project("web", services=WEB)
    files["web/config.ini"] += "INGRESS = True\n"
    released(world, files)
    for kind, change in CHANGES.items():
        world.cluster.edit(kind, "iris--web", change)
        world.settle()
    world.cluster.remove("Service", "iris--web")
    world.settle()
    for deployment in world.cluster.of_kind("Deployment"):
        world.cluster.roll_out(deployment)
    assert world.settle().phase == "Ready"


@daily
def a_service_that_scales_and_no_longer(world: Told) -> None:
    def files(script: str, more: str) -> dict[str, str]:
        made = project("web", services=WEB)
        config = made["web/config.ini"].replace("[default]\n", "[default]\nCPU_REQUEST = 1\n")
        return {**made, "web/config.ini": config + more, "web/run.py": script}

    released(world, files("print(1)", "MAX_REPLICAS = 3\n"))
    world.cluster.scale("iris--web", 3)
    for trigger, more in (("second", "MAX_REPLICAS = 4\n"), ("third", "")):
        released(world, files(f"print({trigger!r})", more), trigger=trigger)
    assert not world.cluster.of_kind("HorizontalPodAutoscaler")
    assert [item["spec"]["replicas"] for item in world.cluster.of_kind("Deployment")] == [1]


@daily
def a_volume_that_is_full(world: Told) -> None:
    began(world, project("a >> b"))
    end(world, "a")
    world.full = True
    assert world.settle().reason == "VolumeFull"
    world.full = False
    assert world.finish_all().phase == "Ready"


@daily
def a_request_that_is_deleted_and_made_again(world: Told) -> None:
    began(world, project("a >> web", services=WEB))
    end(world, "a")
    world.settle()
    world.cluster.remove("ConfigMap", "iris")
    world.cluster.sync()
    world.pass_()
    ask(world)
    assert world.finish_all().phase == "Ready"


@daily
def an_upgrade_in_mid_run(world: Told) -> None:
    world.successor = replace(POLICY, tools="t1", version="99.0.0")
    released(world, project("a,b >> web", services=WEB))
    ask(world, "second")
    assert world.finish_all().run == 2


@daily
def requests_and_triggers_that_are_wrong(world: Told) -> None:
    released(world, project("a"))
    ask(world, "second", resume="second nothing")
    world.settle()
    ask(world, "second", keep_runs="x")
    assert world.settle().phase == "Invalid"
    world.source.push({"bodywork.ini": "nonsense"})
    ask(world, "third")
    assert world.settle().phase == "Invalid"
    world.source.push(project("a"))
    ask(world, "fourth", suspend="true")
    world.settle()
    ask(world, "fifth")
    assert world.finish_all().run == 2


@daily
def a_release_that_somebody_deletes(world: Told) -> None:
    files = project("web", services=WEB)
    files["web/config.ini"] += "INGRESS = True\n"
    released(world, files)
    world.cluster.remove("ConfigMap", "iris-release")
    assert world.settle().reason == "ReleaseMissing"
    ask(world, "second")
    assert world.finish_all().run == 2


@daily
def a_record_that_somebody_damages(world: Told) -> None:
    released(world, project("a"), run_on_create="false", trigger="first")
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    (world.root / layout.record("iris", uid)).write_text("{")
    world.cluster.write_over("iris-status", {"run": "7", "history": "["})
    assert world.settle().run == 7
    ask(world, "second", run_on_create="false")
    assert world.finish_all().run == 8


@daily
def a_record_of_a_newer_version(world: Told) -> None:
    released(world, project("a"))
    before = world.data()
    data = later.sealed({**before, "version": "2"})
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": data})
    ask(world, "second")
    for _ in range(3):
        world.cluster.sync()
        world.pass_()
    assert world.data()["reason"] == "RecordTooNew"
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": before})
    assert world.finish_all().run == 2
