"""What a run does, pass by pass: `decide` alone."""

from dataclasses import replace

import pytest

from controller.core import names
from controller.core.errors import Invalid
from controller.core.model import Record
from tests.support.desk import Desk
from tests.support.world import project


@pytest.fixture
def desk() -> Desk:
    return Desk()


def states(kept: Record) -> dict[str, str]:
    """Return the state of each stage."""
    return {name: stage.state for name, stage in kept.stages.items()}


def selectors(desk: Desk) -> dict[str, object]:
    workloads = [*desk.of_kind("Job"), *desk.of_kind("Deployment")]
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"].get("nodeSelector") for item in workloads}


def test_a_failing_stage_fails_the_run_and_stops_what_runs_next_to_it(desk: Desk) -> None:
    desk.push(project("a,b >> c"))
    desk.ask()
    desk.settle()
    desk.end_job("iris-a-1", 3, "a/run.py:7: exited with code 3: ValueError: no rows")
    kept = desk.settle()
    assert kept.phase == "Failed"
    assert kept.message == "stage a: a/run.py:7: exited with code 3: ValueError: no rows"
    assert {name: stage.state for name, stage in kept.stages.items()} == {"a": "Failed", "b": "Stopped", "c": "Skipped"}
    assert set(desk.jobs()) == {"iris-a-1"}


def test_a_run_says_from_its_first_second_which_stages_its_project_has(desk: Desk) -> None:
    desk.push(project("a,b >> web", services={"web": 5000}, on_failure="mend"))
    desk.ask()
    kept = desk.settle()
    assert kept.spec
    assert (kept.spec.steps, kept.spec.services, kept.spec.on_failure) == ((("a", "b"), ("web",)), ("web",), "mend")


def test_a_repeated_run_says_so_too_where_an_older_version_began_the_first(desk: Desk) -> None:
    desk.push(project("a >> b"))
    desk.ask()
    desk.finish_all()
    desk.specs[1] = replace(desk.specs[1], steps=())
    desk.ask(trigger="t1", at_rerun="t1 1", at_from="t1 b")
    kept = desk.settle()
    assert kept.spec
    assert (kept.run, kept.spec.part, kept.spec.steps) == (2, ("b",), (("a",), ("b",)))


def test_a_service_is_rolled_out_and_released(desk: Desk) -> None:
    desk.push(project("web", services={"web": 5000}))
    desk.ask()
    kept = desk.finish_all()
    assert (kept.phase, kept.release_run) == ("Ready", 1)
    assert {item["kind"] for item in desk.objects.values()} >= {"Deployment", "Service"}
    assert desk.objects["ConfigMap", "iris-release"]["data"]["run"] == "1"


def test_an_unchanged_service_is_left_alone_by_the_next_run(desk: Desk) -> None:
    desk.push(project("web >> a", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    before = desk.objects["Deployment", "iris--web"]
    desk.ask(trigger="again")
    kept = desk.finish_all()
    assert (kept.run, kept.stages["web"].state) == (2, "Unchanged")
    assert desk.objects["Deployment", "iris--web"] == before


def test_a_service_behind_a_batch_stage_is_rolled_out_by_every_run(desk: Desk) -> None:
    desk.push(project("train >> web", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    desk.ask(trigger="again")
    assert desk.finish_all().stages["web"].state == "Done"
    assert desk.objects["Deployment", "iris--web"]["metadata"]["labels"][names.RUN] == "2"


IN_YAML = """\
version: "1.0"
project: {name: iris, docker_image: "x:1", DAG: a}
stages: {a: {executable_module_path: a.py, batch: {retries: 0}}}
"""


IN_INI = project("a")
IN_INI["bodywork.ini"] = IN_INI["bodywork.ini"].replace("[default]", "[default]\nDOCKER_IMAGE = x:1")


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        (project("a"), "(named by COACHWORK_IMAGE of the controller); waits up to 2 min, then fails"),
        (IN_INI, "(named by DOCKER_IMAGE in the project); waits up to 2 min, then fails"),
        ({"bodywork.yaml": IN_YAML, "a.py": ""}, "(named by docker_image in the project); waits"),
    ],
    ids=["the controller's", "ini", "yaml"],
)
def test_a_cause_names_what_named_the_image(desk: Desk, files: dict[str, str], remedy: str) -> None:
    desk.push(files)
    desk.ask()
    desk.settle()
    desk.pod(desk.jobs()["iris-a-1"], "Pending", {"waiting": {"reason": "ErrImagePull"}})
    assert remedy in desk.settle().message


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("", "(raise memory_request_mb, or use less)"),
        ('{"reason": "ExitCode", "message": "a.py:1: KeyError: \'DOCKER_IMAGE\'"}', "KeyError: 'DOCKER_IMAGE'"),
    ],
    ids=["ours", "the stage's"],
)
def test_keys_are_written_as_in_the_project_but_in_words_of_the_stage(desk: Desk, left: str, words: str) -> None:
    desk.push({"bodywork.yaml": IN_YAML, "a.py": ""})
    desk.ask()
    desk.settle()
    job = desk.jobs()["iris-a-1"]
    desk.pod(
        job,
        "Failed",
        {"terminated": {"exitCode": 1 if left else 137, "reason": "Error" if left else "OOMKilled", "message": left}},
    )
    job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    assert words in desk.settle().message


def test_a_first_release_that_fails_is_removed(desk: Desk) -> None:
    desk.push(project("web", services={"web": 5000}))
    desk.ask()
    desk.settle()
    desk.break_down("iris--web", "nothing listens")
    assert desk.settle().phase == "Failed"
    assert not desk.of_kind("Deployment")
    assert not desk.of_kind("Service")


def test_services_of_stages_that_are_gone_are_removed_after_a_good_run(desk: Desk) -> None:
    desk.push(project("old,a", services={"old": 5000}))
    desk.ask()
    desk.finish_all()
    desk.push(project("new,a", services={"new": 5000}))
    desk.ask(trigger="new")
    desk.settle()
    assert ("Deployment", "iris--old") in desk.objects
    desk.finish_all()
    assert ("Deployment", "iris--old") not in desk.objects
    assert ("Service", "iris--new") in desk.objects


def test_a_port_changes_in_the_service_only_after_the_rollout(desk: Desk) -> None:
    desk.push(project("web", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    desk.push(project("web", services={"web": 6000}))
    desk.ask(trigger="new")
    desk.settle()
    assert desk.objects["Service", "iris--web"]["spec"]["ports"][0]["port"] == 5000
    desk.finish_all()
    assert desk.objects["Service", "iris--web"]["spec"]["ports"][0]["port"] == 6000


def test_a_deleted_job_that_never_began_is_made_again(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask()
    desk.settle()
    del desk.objects["Job", "iris-a-1"]
    desk.settle()
    assert set(desk.jobs()) == {"iris-a-1"}
    assert desk.finish_all().phase == "Ready"


def test_triggers_during_a_run_make_one_more_run_and_the_older_is_superseded(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask()
    desk.settle()
    for trigger in ("one", "two"):
        desk.ask(trigger=trigger)
        desk.settle()
    kept = desk.finish_all()
    kept = desk.finish_all()
    assert (kept.run, kept.finished_trigger) == (2, "two")
    assert [past.outcome for past in kept.history] == ["Succeeded", "Succeeded", "Superseded"]


def test_a_trigger_that_was_handled_starts_nothing_when_it_comes_again(desk: Desk) -> None:
    desk.push(project("a"))
    for trigger in ("one", "two", "one"):
        desk.ask(trigger=trigger)
        desk.finish_all()
    assert desk.record.run == 2


def test_suspend_handles_triggers_without_a_run(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(suspend="true", trigger="x")
    kept = desk.settle()
    assert (kept.phase, kept.run, kept.finished_trigger) == ("Suspended", 0, "x")
    desk.ask(trigger="x")
    assert (desk.settle().phase, desk.record.run) == ("Pending", 0)


def test_run_on_create_false_waits_for_a_trigger(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(run_on_create="false")
    assert (desk.settle().phase, desk.record.reason) == ("Pending", "WaitingForTrigger")
    desk.ask(run_on_create="false", trigger="go")
    assert desk.finish_all().run == 1


def test_a_change_of_what_runs_starts_a_run_and_another_change_does_not(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask()
    desk.finish_all()
    desk.ask(keep_runs="7")
    assert desk.finish_all().run == 1
    desk.ask(ref="dev")
    assert desk.finish_all().run == 2


def test_a_near_miss_is_in_the_record_of_an_invalid_project_and_of_a_run(desk: Desk) -> None:
    near = project("a")
    near["a/config.ini"] = near["a/config.ini"].replace("RETRIES", "RETRYS")
    wrong = near | {"a/config.ini": near["a/config.ini"].replace("STAGE_TYPE", "STAGE_TYP")}
    desk.push(wrong)
    desk.ask()
    kept = desk.settle()
    problem = "a/config.ini: [default] STAGE_TYPE: missing: write batch or service"
    assert (kept.phase, kept.message, kept.problems[0]) == ("Invalid", problem, problem)
    warnings = tuple(line.removeprefix("warning: ") for line in kept.problems[1:])
    assert warnings == (
        "a/config.ini: [default] STAGE_TYP: unknown key, not used: did you mean STAGE_TYPE?",
        "a/config.ini: [batch] RETRYS: unknown key, not used: did you mean RETRIES?",
    )
    desk.push(near)
    desk.ask(trigger="again")
    kept = desk.settle()
    assert (kept.phase, kept.problems) == ("Running", warnings[1:])


def test_an_invalid_request_lists_all_its_problems_and_runs_once_it_is_mended(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(repository="ext::sh -c id", deadline="soon")
    kept = desk.settle()
    assert (kept.phase, kept.reason, len(kept.problems)) == ("Invalid", "InvalidRequest", 2)
    desk.ask()
    assert desk.finish_all().phase == "Ready"
    assert desk.record.problems == ()


def test_an_invalid_project_is_recorded_once_and_not_tried_again(desk: Desk) -> None:
    desk.push({"bodywork.ini": "[default]\n"})
    desk.ask()
    kept = desk.settle()
    assert (kept.phase, kept.reason, kept.run) == ("Invalid", "InvalidProject", 0)
    calls = len(desk.source.calls)
    desk.settle()
    assert len(desk.source.calls) == calls
    assert len(kept.problems) >= 2


def test_a_ref_that_does_not_exist_makes_the_request_invalid(desk: Desk) -> None:
    desk.push(project("a"))
    desk.source.fault = Invalid("RefNotFound", ["ref: no branch dev"])
    desk.ask(trigger="x")
    kept = desk.settle()
    assert (kept.phase, kept.reason, kept.finished_trigger) == ("Invalid", "RefNotFound", "x")


def test_cancel_stops_that_run_only(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(cancel="1")
    kept = desk.settle()
    assert (kept.phase, kept.run) == ("Cancelled", 1)
    assert not desk.jobs()
    desk.ask(cancel="1", trigger="again")
    assert desk.finish_all().phase == "Ready"


def test_a_run_past_its_deadline_fails(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(deadline="1h")
    desk.settle()
    assert desk.pass_().requeue_after == 3600
    desk.clock.pass_(3601)
    assert desk.settle().reason == "DeadlineExceeded"


def test_an_active_run_keeps_the_request_it_was_started_with(desk: Desk) -> None:
    desk.push(project("a >> b"))
    desk.ask(env="1")
    desk.settle()
    desk.ask(env="2")
    desk.end_job("iris-a-1")
    desk.settle()
    env = desk.jobs()["iris-b-1"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ALPHA", "value": "1"} in env
    desk.finish_all()
    assert desk.finish_all().run == 2


def test_deleting_the_release_takes_no_service_down_and_the_next_run_writes_it_again(desk: Desk) -> None:
    desk.push(project("web", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    before = desk.objects["Deployment", "iris--web"]
    del desk.objects["ConfigMap", "iris-release"]
    assert (desk.settle().phase, desk.record.reason) == ("Degraded", "ReleaseMissing")
    assert desk.objects["Deployment", "iris--web"] == before
    desk.ask(trigger="again")
    assert desk.finish_all().phase == "Ready"
    assert desk.objects["ConfigMap", "iris-release"]["data"]["run"] == "2"
    assert desk.objects["Deployment", "iris--web"]["metadata"]["labels"][names.RUN] == "2"


def test_a_run_that_fails_without_a_release_takes_no_service_down_that_may_have_been_released(desk: Desk) -> None:
    desk.push(project("web >> a", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    del desk.objects["ConfigMap", "iris-release"]
    desk.ask(trigger="again", env="2")  # the run makes the service its own, and fails after that
    desk.settle()
    desk.roll_out()
    desk.settle()
    desk.end_job("iris-a-2", 1, "no rows")
    kept = desk.settle()
    assert (kept.phase, kept.message.startswith("stage a: no rows (ConfigMap iris-release is gone")) == ("Failed", True)
    assert desk.objects["Deployment", "iris--web"]["metadata"]["labels"][names.RUN] == "2"
    assert ("Service", "iris--web") in desk.objects
    desk.ask(trigger="mended", env="2")
    assert desk.finish_all().phase == "Ready"
    assert desk.objects["ConfigMap", "iris-release"]["data"]["run"] == "3"


def test_a_service_that_no_good_run_had_is_removed_though_there_is_no_release(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask()
    desk.finish_all()
    desk.push(project("web >> a", services={"web": 5000}))
    desk.ask(trigger="again")
    desk.settle()
    desk.roll_out()
    desk.settle()
    desk.end_job("iris-a-2", 1, "no rows")
    assert desk.settle().message == "stage a: no rows"
    assert ("Deployment", "iris--web") not in desk.objects


def test_a_run_of_one_stage_only_runs_that_one_and_leaves_services_alone(desk: Desk) -> None:
    desk.push(project("a >> b >> web", services={"web": 5000}))
    desk.ask()
    desk.finish_all()
    before = desk.objects["Deployment", "iris--web"]
    desk.ask(trigger="x", only="x b")
    kept = desk.finish_all()
    assert (kept.phase, set(desk.jobs())) == ("Ready", {"iris-b-2"})
    assert desk.objects["Deployment", "iris--web"] == before


def test_a_part_that_was_asked_for_with_another_trigger_means_nothing(desk: Desk) -> None:
    desk.push(project("a >> b"))
    desk.ask()
    desk.finish_all()
    desk.ask(trigger="y", only="x b")
    desk.finish_all()
    assert set(desk.jobs()) == {"iris-a-2", "iris-b-2"}


def test_a_run_does_not_go_on_from_a_stage_that_failed(desk: Desk) -> None:
    desk.push(project("a >> b"))
    desk.ask()
    desk.settle()
    desk.end_job("iris-a-1", 1, "boom")
    desk.settle()
    desk.ask(trigger="x", resume="x b")
    kept = desk.settle()
    assert (kept.phase, kept.run, kept.history[0].reason) == ("Failed", 1, "NothingToReuse")
    assert kept.history[0].message.startswith(
        "stage a of run 1 is Failed, so nothing of it can be reused: begin with a"
    )


def test_after_a_run_of_one_stage_what_came_before_it_is_there_and_what_comes_after_it_is_not(desk: Desk) -> None:
    desk.push(project("a >> b,s >> c >> d"))
    desk.ask()
    desk.finish_all()
    desk.ask(trigger="x", only="x b")
    kept = desk.finish_all()
    assert states(kept) == {"a": "Reused", "b": "Done", "s": "Reused", "c": "Skipped", "d": "Skipped"}
    desk.ask(trigger="y", resume="y d")
    assert desk.settle().history[0].message.startswith("stage c of run 2 is Skipped, so nothing of it can be reused")
    desk.ask(trigger="z", resume="z c")
    kept = desk.finish_all()
    assert states(kept) == {"a": "Reused", "b": "Reused", "s": "Reused", "c": "Done", "d": "Done"}


def test_a_run_of_one_stage_makes_nothing_of_what_failed_before_it(desk: Desk) -> None:
    desk.push(project("a >> b >> c"))
    desk.ask()
    desk.settle()
    desk.end_job("iris-a-1", 1, "boom")
    desk.settle()
    desk.ask(trigger="x", only="x b")
    assert states(desk.finish_all()) == {"a": "Skipped", "b": "Done", "c": "Skipped"}
    desk.ask(trigger="y", resume="y c")
    kept = desk.settle()
    assert (kept.run, kept.phase, kept.history[0].reason) == (2, "Ready", "NothingToReuse")
    assert kept.history[0].message.startswith("stage a of run 2 is Skipped")


def test_a_stage_that_the_earlier_run_did_not_have_is_not_reused(desk: Desk) -> None:
    desk.push(project("a >> c"))
    desk.ask()
    desk.finish_all()
    desk.push(project("a >> b >> c"))
    desk.ask(trigger="x", resume="x c")
    assert desk.settle().history[0].message.startswith("run 1 had no stage b")


@pytest.mark.parametrize(("part", "reason"), [("x nope", "UnknownStage"), ("x b", "NothingToReuse")])
def test_a_part_that_can_not_run_is_reported(desk: Desk, part: str, reason: str) -> None:
    desk.push(project("a >> b"))
    desk.ask(trigger="x", resume=part)
    kept = desk.settle()
    assert (kept.phase, kept.reason) == ("Invalid", reason)  # nothing has run yet that would go on


def test_a_pod_template_that_is_not_there_or_wrong_starts_nothing(desk: Desk) -> None:
    desk.push(project("a"))
    desk.ask(pod_template="gpu")
    assert (desk.settle().phase, desk.settle().reason) == ("Invalid", "PodTemplateMissing")
    bad = {"pod.yaml": "spec: {hostNetwork: true, nodeName: n1}"}
    desk.live["ConfigMap", "gpu"] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpu"}, "data": bad}
    desk.ask(pod_template="gpu", trigger="again")
    kept = desk.settle()
    assert (kept.phase, kept.reason, len(kept.problems)) == ("Invalid", "InvalidPodTemplate", 2)
    assert desk.jobs() == {}


def test_a_stage_that_takes_long_to_start_says_what_it_waits_for_until_it_runs(desk: Desk) -> None:
    desk.push(project("train"))
    desk.ask()
    desk.settle()
    train = desk.objects["Job", "iris-train-1"]
    desk.pod(train, "Pending", {"waiting": {"reason": "ContainerCreating"}})
    assert desk.pass_().requeue_after == 5
    early = desk.settle().stages["train"]
    assert (early.reason, early.message) == ("Starting", ""), "most are quicker than that"
    desk.clock.pass_(5)
    assert desk.settle().stages["train"].message == "starting: no node is chosen yet"
    spec = {"nodeName": "n1", "containers": [{"name": "stage", "image": "train:1"}]}
    desk.pods[train["metadata"]["uid"]]["spec"] = spec
    assert desk.pass_().requeue_after == 10
    assert desk.settle().stages["train"].message == "starting on node n1"
    desk.clock.pass_(10)
    assert desk.settle().stages["train"].message == 'starting on node n1; it may have to pull image "train:1"'
    desk.pod(train, "Running", {"running": {}})
    kept = desk.settle()
    assert (kept.reason, kept.stages["train"].message) == ("StepRunning", "")
