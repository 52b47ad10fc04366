"""What a run does, pass by pass: the real reconciler and volume on an API server in memory."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest

from controller.core import names
from controller.core.errors import Invalid
from controller.core.model import Record
from tests.support.world import REPOSITORY, World, project


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


def test_a_released_service_that_someone_deletes_comes_back(world: World) -> None:
    world.source.push(project("web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.remove("Deployment", "iris--web")
    assert world.settle().phase == "Degraded"
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    assert world.settle().phase == "Ready"


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
    world.leave(world.logs("a"))
    world.cluster.remove("Job", "iris-a-1")
    assert world.settle().stages["a"].state == "Done"
    assert set(world.jobs()) == {"iris-b-1"}


@pytest.mark.parametrize("restored", [True, False])
def test_no_run_takes_the_logs_of_a_run_that_the_cluster_forgot_for_its_own(world: World, restored: bool) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="one")
    world.finish_all()
    known = deepcopy(world.cluster.stored["ConfigMap", "iris-status"])
    world.cluster.ask("iris", repository=REPOSITORY, trigger="two")
    world.settle()
    world.leave(world.logs("a", run=2))
    assert world.finish_all().run == 2
    for job in [*world.jobs()]:
        world.cluster.remove("Job", job)
    world.cluster.remove("ConfigMap", "iris-status")
    if restored:  # from a backup; the volume has gone on
        world.cluster.restore(known)
    else:
        (world.logs("a").parents[2] / "record.yaml").unlink()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="three")
    kept = world.settle()
    assert kept.run == 3
    world.cluster.begin_pod(world.jobs()["iris-a-3"], "Pending")
    assert world.settle().stages["a"].state == "Running"


def test_a_deleted_job_that_had_begun_fails_and_is_not_run_twice(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.leave(world.logs("a"), "")
    world.cluster.remove("Job", "iris-a-1")
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "JobDeleted")
    assert not world.jobs()


def test_a_request_made_again_waits_for_the_old_ones_objects_to_be_collected(world: World) -> None:
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


def test_an_active_run_whose_commit_can_not_be_had_any_more_fails(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.source.fault = Invalid("RepositoryNotFound", ["git.example has no such repository"])
    world.restart()
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "RepositoryNotFound")
    assert not world.jobs()


def run_folder(world: World, run: int) -> Path:
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    return world.root / "runs" / f"iris-{uid}" / str(run)


def states(kept: Record) -> dict[str, str]:
    """Return the state of each stage."""
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


def test_reused_stages_need_the_artifacts_of_the_last_good_run(world: World) -> None:
    world.source.push(project("a >> b", reuse=True))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    (run_folder(world, 1) / "artifacts" / "model").write_text("42")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x")
    assert states(world.finish_all()) == {"a": "Reused", "b": "Reused"}
    assert (run_folder(world, 2) / "artifacts" / "model").read_text() == "42"
    shutil.rmtree(run_folder(world, 2) / "artifacts")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="y")
    kept = world.finish_all()
    assert states(kept) == {"a": "Done", "b": "Done"}
    assert kept.problems == ("nothing is reused: artifacts of run 2 are not there any more",)


def test_a_stage_whose_environment_went_out_of_date_is_not_reused(world: World) -> None:
    world.source.push(project("a", reuse=True, packages={"a": "flask==3.0.0"}))
    for trigger in ("", "x", "y"):
        world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger)
        world.settle()
        for build in world.cluster.of_kind("Job"):
            if trigger != "x" and names.environment_of(build):
                world.build(build)
        kept = world.finish_all()
        assert kept.spec
        assert states(kept)["a"] == ("Reused" if trigger == "x" else "Done")
        if trigger == "x":
            world.volume.retire_environment(kept.spec.environments[0].folder)
    assert kept.why("a") == "not reused: the stage's environment has changed since run 2"


def test_what_runs_next_to_the_stage_that_is_begun_with_gets_its_packages_too(world: World) -> None:
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
