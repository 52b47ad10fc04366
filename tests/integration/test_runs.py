"""What a run does, pass by pass: the real reconciler and volume on an API server in memory."""

from pathlib import Path

import pytest

from controller.core import names
from controller.core.errors import Invalid, Refused, Transient
from controller.core.model import Record
from tests.support.world import REPOSITORY, World, project


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_request_becomes_ready_step_by_step(world: World) -> None:
    world.source.push(project("a >> b,c >> d"))
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.settle().phase == "Running"
    assert set(world.jobs()) == {"iris-a-1"}
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    assert set(world.jobs()) == {"iris-a-1", "iris-b-1", "iris-c-1"}
    world.cluster.end_job(world.jobs()["iris-b-1"])
    world.settle()
    assert "iris-d-1" not in world.jobs()
    assert world.finish_all().phase == "Ready"
    assert world.data()["stage.d"] == "Done"
    assert world.metrics.outcomes == ["Succeeded"]


def test_a_run_of_one_stage_costs_four_writes_and_two_events(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.writes.clear()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    world.finish_all()
    kinds = [(verb, kind) for verb, kind, _ in world.cluster.writes]
    assert sorted(kind for kind in kinds if kind[1] != "Event") == [
        ("create", "Job"),
        ("delete", "Job"),
        ("replace", "ConfigMap"),
        ("replace", "ConfigMap"),
    ]
    assert kinds.count(("create", "Event")) == 2


def test_a_failing_stage_fails_the_run_and_stops_what_runs_beside_it(world: World) -> None:
    world.source.push(project("a,b >> c"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 3, "a/run.py:7: exited with code 3: ValueError: no rows")
    kept = world.settle()
    assert kept.phase == "Failed"
    assert kept.message == "stage a: a/run.py:7: exited with code 3: ValueError: no rows"
    assert {name: stage.state for name, stage in kept.stages.items()} == {"a": "Failed", "b": "Stopped", "c": "Skipped"}
    assert set(world.jobs()) == {"iris-a-1"}


def test_a_service_is_rolled_out_and_released(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.finish_all()
    assert (kept.phase, kept.release_run) == ("Ready", 1)
    assert {item["kind"] for item in world.cluster.stored.values()} >= {"Deployment", "Service"}
    assert world.cluster.stored["ConfigMap", "iris-release"]["data"]["run"] == "1"


def test_an_unchanged_service_is_left_alone_by_the_next_run(world: World) -> None:
    world.source.push(project("web >> a", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    before = world.cluster.stored["Deployment", "iris--web"]
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.finish_all()
    assert (kept.run, kept.stages["web"].state) == (2, "Unchanged")
    assert world.cluster.stored["Deployment", "iris--web"] == before


def test_a_service_behind_a_batch_stage_is_rolled_out_by_every_run(world: World) -> None:
    world.source.push(project("train >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.finish_all().stages["web"].state == "Done"
    assert world.cluster.stored["Deployment", "iris--web"]["metadata"]["labels"][names.RUN] == "2"


def test_a_failed_run_puts_its_services_back_to_the_release(world: World) -> None:
    files = project("web", services={"web": 5000})
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    good = world.cluster.stored["Deployment", "iris--web"]["spec"]
    world.source.push(files | {"web/run.py": "raise SystemExit(1)\n"})
    world.cluster.ask("iris", repository=REPOSITORY, trigger="new")
    world.settle()
    assert world.cluster.stored["Deployment", "iris--web"]["spec"] != good
    world.cluster.break_down(
        world.cluster.stored["Deployment", "iris--web"], "web/run.py: nothing listens on port 5000"
    )
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.release_run) == ("Failed", "StartupTimeout", 1)
    assert world.cluster.stored["Deployment", "iris--web"]["spec"] == good


def test_a_first_release_that_fails_is_removed(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.break_down(world.cluster.stored["Deployment", "iris--web"], "nothing listens")
    assert world.settle().phase == "Failed"
    assert not world.cluster.of_kind("Deployment")
    assert not world.cluster.of_kind("Service")


def test_services_of_stages_that_are_gone_are_removed_after_a_good_run(world: World) -> None:
    world.source.push(project("old,a", services={"old": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.push(project("new,a", services={"new": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="new")
    world.settle()
    assert ("Deployment", "iris--old") in world.cluster.stored
    world.finish_all()
    assert ("Deployment", "iris--old") not in world.cluster.stored
    assert ("Service", "iris--new") in world.cluster.stored


def test_a_released_service_that_someone_deletes_comes_back(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.remove("Deployment", "iris--web")
    assert world.settle().phase == "Degraded"
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    assert world.settle().phase == "Ready"


def test_a_port_changes_in_the_service_only_after_the_rollout(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.push(project("web", services={"web": 6000}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="new")
    world.settle()
    assert world.cluster.stored["Service", "iris--web"]["spec"]["ports"][0]["port"] == 5000
    world.finish_all()
    assert world.cluster.stored["Service", "iris--web"]["spec"]["ports"][0]["port"] == 6000


def test_deleting_the_record_starts_nothing_again(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.finish_all()
    world.cluster.remove("ConfigMap", "iris-status")
    assert world.settle() == kept
    assert set(world.jobs()) == {"iris-a-1"}


def test_a_deleted_job_whose_log_says_that_it_ended_well_is_done(world: World) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    logs = world.root / "runs" / f"iris-{uid}" / "1" / "logs" / "a"
    (logs / "1.log").write_text("hello")
    (logs / "1.json").write_text('{"exit_code": 0}')
    world.cluster.remove("Job", "iris-a-1")
    assert world.settle().stages["a"].state == "Done"
    assert set(world.jobs()) == {"iris-b-1"}


def test_a_deleted_job_that_had_begun_fails_and_is_not_run_twice(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    (world.root / "runs" / f"iris-{uid}" / "1" / "logs" / "a" / "1.log").write_text("hello")
    world.cluster.remove("Job", "iris-a-1")
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "JobDeleted")
    assert not world.jobs()


def test_a_deleted_job_that_never_began_is_made_again(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.remove("Job", "iris-a-1")
    world.settle()
    assert set(world.jobs()) == {"iris-a-1"}
    assert world.finish_all().phase == "Ready"


def test_triggers_during_a_run_make_one_more_run_and_the_older_is_superseded(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    for trigger in ("one", "two"):
        world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger)
        world.settle()
    kept = world.finish_all()
    kept = world.finish_all()
    assert (kept.run, kept.finished_trigger) == (2, "two")
    assert [past.outcome for past in kept.history] == ["Succeeded", "Succeeded", "Superseded"]


def test_a_trigger_that_was_handled_starts_nothing_when_it_comes_again(world: World) -> None:
    world.source.push(project("a"))
    for trigger in ("one", "two", "one"):
        world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger)
        world.finish_all()
    assert world.record().run == 2


def test_suspend_handles_triggers_without_a_run(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, suspend="true", trigger="x")
    kept = world.settle()
    assert (kept.phase, kept.run, kept.finished_trigger) == ("Suspended", 0, "x")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x")
    assert (world.settle().phase, world.record().run) == ("Pending", 0)


def test_run_on_create_false_waits_for_a_trigger(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, run_on_create="false")
    assert (world.settle().phase, world.record().reason) == ("Pending", "WaitingForTrigger")
    world.cluster.ask("iris", repository=REPOSITORY, run_on_create="false", trigger="go")
    assert world.finish_all().run == 1


def test_a_change_of_what_runs_starts_a_run_and_another_change_does_not(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="7")
    assert world.finish_all().run == 1
    world.cluster.ask("iris", repository=REPOSITORY, ref="dev")
    assert world.finish_all().run == 2


def test_a_near_miss_is_in_the_record_of_an_invalid_project_and_of_a_run(world: World) -> None:
    near = project("a")
    near["a/config.ini"] = near["a/config.ini"].replace("RETRIES", "RETRYS")
    wrong = near | {"a/config.ini": near["a/config.ini"].replace("STAGE_TYPE", "STAGE_TYP")}
    world.source.push(wrong)
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.settle()
    problem = "a/config.ini: [default] STAGE_TYPE: missing: write batch or service"
    assert (kept.phase, kept.message, kept.problems[0]) == ("Invalid", problem, problem)
    told = [line.removeprefix("warning: ") for line in kept.problems[1:]]
    assert [line.split('"')[1] for line in told] == ["STAGE_TYP", "RETRYS"]
    world.source.push(near)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.settle()
    assert (kept.phase, kept.problems) == ("Running", (told[1],))


def test_an_invalid_request_tells_all_its_problems_and_runs_once_it_is_mended(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository="ext::sh -c id", deadline="soon")
    kept = world.settle()
    assert (kept.phase, kept.reason, len(kept.problems)) == ("Invalid", "InvalidRequest", 2)
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.finish_all().phase == "Ready"
    assert world.record().problems == ()


def test_an_invalid_project_is_recorded_once_and_not_tried_again(world: World) -> None:
    world.source.push({"bodywork.ini": "[default]\n"})
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.run) == ("Invalid", "InvalidProject", 0)
    calls = len(world.source.calls)
    world.settle()
    assert len(world.source.calls) == calls
    assert len(kept.problems) >= 2


def test_git_out_of_reach_is_told_and_the_run_starts_once_it_answers(world: World) -> None:
    world.source.push(project("a"))
    world.source.fault = Transient("GitUnreachable", "git.example: no answer")
    world.cluster.ask("iris", repository=REPOSITORY)
    assert (world.settle().phase, world.record().reason) == ("Pending", "GitUnreachable")
    world.source.fault = None
    assert world.finish_all().phase == "Ready"


def test_a_ref_that_does_not_exist_makes_the_request_invalid(world: World) -> None:
    world.source.push(project("a"))
    world.source.fault = Invalid("RefNotFound", ["ref: no branch dev"])
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x")
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.finished_trigger) == ("Invalid", "RefNotFound", "x")


def test_a_name_that_another_holds_makes_the_request_invalid(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris--web"}})
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Invalid", "NameTaken")
    assert "Service iris--web" in kept.message


def test_a_request_made_anew_waits_for_the_old_ones_objects_to_be_collected(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    leftover = world.jobs()["iris-a-1"]
    world.cluster.remove("ConfigMap", "iris")
    world.cluster.restore(leftover)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    assert {item["metadata"]["uid"] for item in world.jobs().values()} == {leftover["metadata"]["uid"]}
    world.cluster.collect()
    assert world.finish_all().phase == "Ready"


def test_cancel_stops_that_run_only(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, cancel="1")
    kept = world.settle()
    assert (kept.phase, kept.run) == ("Cancelled", 1)
    assert not world.jobs()
    world.cluster.ask("iris", repository=REPOSITORY, cancel="1", trigger="again")
    assert world.finish_all().phase == "Ready"


def test_a_run_past_its_deadline_fails(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, deadline="1h")
    world.settle()
    world.cluster.sync()
    assert world.pass_() == 3600
    world.clock.pass_(3601)
    assert world.settle().reason == "DeadlineExceeded"


def test_an_active_run_keeps_the_request_it_was_started_with(world: World) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY, env="1")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, env="2")
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    env = world.jobs()["iris-b-1"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ALPHA", "value": "1"} in env
    world.finish_all()
    assert world.finish_all().run == 2


def test_run_folders_beyond_keep_runs_are_removed(world: World) -> None:
    world.source.push(project("a"))
    for number in range(4):
        world.cluster.ask("iris", repository=REPOSITORY, keep_runs="2", trigger=str(number))
        world.finish_all()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    folders = {path.name for path in (world.root / "runs" / f"iris-{uid}").iterdir() if path.is_dir()}
    assert folders == {"0", "3", "4", "cache"}


def test_a_deleted_request_leaves_nothing_on_the_volume(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.remove("ConfigMap", "iris")
    world.pass_()
    assert list((world.root / "runs").iterdir()) == []


def test_a_release_that_someone_wrote_over_is_told_and_nothing_is_removed(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.write_over("iris-release", {"objects": "]["})
    assert world.settle().reason == "ReleaseUnreadable"
    assert world.cluster.of_kind("Deployment")


def test_deleting_the_release_takes_no_service_down_and_the_next_run_writes_it_anew(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    before = world.cluster.stored["Deployment", "iris--web"]
    world.cluster.remove("ConfigMap", "iris-release")
    assert (world.settle().phase, world.record().reason) == ("Degraded", "ReleaseMissing")
    assert world.cluster.stored["Deployment", "iris--web"] == before
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.finish_all().phase == "Ready"
    assert world.cluster.stored["ConfigMap", "iris-release"]["data"]["run"] == "2"
    assert world.cluster.stored["Deployment", "iris--web"]["metadata"]["labels"][names.RUN] == "2"


def test_an_active_run_whose_commit_can_not_be_had_any_more_fails(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.source.fault = Invalid("RepositoryNotFound", ["git.example has no such repository"])
    world.restart()
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "RepositoryNotFound")
    assert not world.jobs()


def test_a_release_that_the_cluster_can_not_take_fails_the_run(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    world.cluster.hook = _too_large
    for _ in range(5):
        world.pass_()
    kept = world.record()
    assert (kept.phase, kept.reason) == ("Failed", "RejectedByCluster")
    assert "iris-release" in kept.message
    assert not world.cluster.of_kind("Deployment")


def _too_large(verb: str, moment: str) -> None:
    """Refuse what is created from here on: in this story, the release (and Events, which are a courtesy)."""
    if (verb, moment) == ("create", "before"):
        raise Refused("Request entity too large: limit is 3145728", forbidden=False)


def run_folder(world: World, run: int) -> Path:
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    return world.root / "runs" / f"iris-{uid}" / str(run)


def states(kept: Record) -> dict[str, str]:
    """Give the state of each stage."""
    return {name: stage.state for name, stage in kept.stages.items()}


def test_a_run_from_a_stage_on_reuses_what_came_before_with_its_artifacts(world: World) -> None:
    world.source.push(project("a >> b,c >> d"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    (run_folder(world, 1) / "artifacts" / "model").write_text("42")
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    world.cluster.end_job(world.jobs()["iris-c-1"], 1)
    assert world.settle().phase == "Failed"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume="x c")
    world.settle()
    assert (run_folder(world, 2) / "artifacts" / "model").read_text() == "42"
    kept = world.finish_all()
    assert states(kept) == {"a": "Reused", "b": "Done", "c": "Done", "d": "Done"}  # b was stopped with run 1
    assert set(world.jobs()) == {"iris-b-2", "iris-c-2", "iris-d-2"}
    world.cluster.ask("iris", repository=REPOSITORY, trigger="y", resume="y c")
    assert states(world.finish_all()) == {"a": "Reused", "b": "Reused", "c": "Done", "d": "Done"}


def test_a_run_of_one_stage_only_runs_that_one_and_leaves_services_alone(world: World) -> None:
    world.source.push(project("a >> b >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    before = world.cluster.stored["Deployment", "iris--web"]
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", only="x b")
    kept = world.finish_all()
    assert (kept.phase, set(world.jobs())) == ("Ready", {"iris-b-2"})
    assert world.cluster.stored["Deployment", "iris--web"] == before


def test_a_part_that_was_asked_for_with_another_trigger_means_nothing(world: World) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="y", only="x b")
    world.finish_all()
    assert set(world.jobs()) == {"iris-a-2", "iris-b-2"}


def test_a_run_does_not_go_on_from_a_stage_that_failed(world: World) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "boom")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume="x b")
    kept = world.settle()
    assert (kept.phase, kept.run, kept.history[0].reason) == ("Failed", 1, "NothingToReuse")
    assert kept.history[0].message.startswith(
        "stage a of run 1 is Failed, so nothing of it can be reused: begin with a"
    )


def test_after_a_run_of_one_stage_what_came_before_it_is_there_and_what_comes_after_it_is_not(world: World) -> None:
    world.source.push(project("a >> b,s >> c >> d"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", only="x b")
    kept = world.finish_all()
    assert states(kept) == {"a": "Reused", "b": "Done", "s": "Reused", "c": "Skipped", "d": "Skipped"}
    world.cluster.ask("iris", repository=REPOSITORY, trigger="y", resume="y d")
    assert world.settle().history[0].message.startswith("stage c of run 2 is Skipped, so nothing of it can be reused")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="z", resume="z c")
    kept = world.finish_all()
    assert states(kept) == {"a": "Reused", "b": "Reused", "s": "Reused", "c": "Done", "d": "Done"}


def test_a_run_of_one_stage_makes_nothing_of_what_failed_before_it(world: World) -> None:
    world.source.push(project("a >> b >> c"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "boom")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", only="x b")
    assert states(world.finish_all()) == {"a": "Skipped", "b": "Done", "c": "Skipped"}
    world.cluster.ask("iris", repository=REPOSITORY, trigger="y", resume="y c")
    kept = world.settle()
    assert (kept.run, kept.phase, kept.history[0].reason) == (2, "Ready", "NothingToReuse")
    assert kept.history[0].message.startswith("stage a of run 2 is Skipped")


def test_a_stage_that_the_earlier_run_did_not_have_is_not_reused(world: World) -> None:
    world.source.push(project("a >> c"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.push(project("a >> b >> c"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume="x c")
    assert world.settle().history[0].message.startswith("run 1 had no stage b")


def test_what_runs_beside_the_stage_that_is_begun_with_gets_its_packages_too(world: World) -> None:
    world.source.push(project("a >> b,c", packages={"b": "flask==3.0.0", "c": "flask==3.0.0"}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    (build,) = (job for job in world.cluster.of_kind("Job") if names.environment_of(job))
    world.build(build)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-b-1"], 1)
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume="x c")
    kept = world.settle()
    assert kept.spec
    assert [item.stages for item in kept.spec.environments] == [("b", "c")]
    assert states(world.finish_all())["b"] == "Done"


@pytest.mark.parametrize(("part", "reason"), [("x nope", "UnknownStage"), ("x b", "NothingToReuse")])
def test_a_part_that_can_not_run_is_told(world: World, part: str, reason: str) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume=part)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Invalid", reason)  # nothing has run yet that would go on


def test_a_run_keeps_the_pod_template_that_it_began_with(world: World) -> None:
    world.source.push(project("a >> web", services={"web": 5000}))
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpu"}}
    world.cluster.create({**template, "data": {"pod.yaml": "spec: {nodeSelector: {pool: one}}"}})
    world.cluster.ask("iris", repository=REPOSITORY, pod_template="gpu")
    world.settle()
    world.cluster.write_over("gpu", {"pod.yaml": "spec: {nodeSelector: {pool: two}}"})
    assert world.finish_all().phase == "Ready"
    assert selectors(world) == {"iris-a-1": {"pool": "one"}, "iris--web": {"pool": "one"}}
    assert world.settle().run == 1
    world.cluster.ask("iris", repository=REPOSITORY, pod_template="gpu", trigger="again")
    assert world.finish_all().phase == "Ready"
    assert selectors(world)["iris--web"] == {"pool": "two"}


def selectors(world: World) -> dict[str, object]:
    workloads = [*world.cluster.of_kind("Job"), *world.cluster.of_kind("Deployment")]
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"].get("nodeSelector") for item in workloads}


def test_a_pod_template_that_is_not_there_or_wrong_starts_nothing(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, pod_template="gpu")
    assert (world.settle().phase, world.settle().reason) == ("Invalid", "PodTemplateMissing")
    bad = {"pod.yaml": "spec: {hostNetwork: true, nodeName: n1}"}
    world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpu"}, "data": bad})
    world.cluster.ask("iris", repository=REPOSITORY, pod_template="gpu", trigger="again")
    kept = world.settle()
    assert (kept.phase, kept.reason, len(kept.problems)) == ("Invalid", "InvalidPodTemplate", 2)
    assert world.jobs() == {}
