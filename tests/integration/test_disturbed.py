"""What users, the cluster and hostile stages do behind the controller's back: told, survived, and never a hot loop."""

import os
from pathlib import Path

import pytest

from controller.core import names
from controller.core.errors import Refused, Transient
from controller.core.snapshot import Snapshot
from controller.reconciler.act import REJECTIONS
from tests.support.world import REPOSITORY, World, project

WEB = project("web", services={"web": 5000})


def released(world: World, files: dict[str, str] = WEB, **data: str) -> World:
    """Return the world after a good run."""
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY, **data)
    assert world.finish_all().phase == "Ready"
    return world


# --- the release -----------------------------------------------------------------------------------


def test_a_release_written_over_in_any_place_is_reported_and_changes_nothing(world: World) -> None:
    released(world)
    objects = world.cluster.stored["ConfigMap", "iris-release"]["data"]["objects"]
    world.cluster.write_over("iris-release", {"objects": objects.replace("name: iris--web", "name: iris--other")})
    assert world.settle().reason == "ReleaseUnreadable"
    assert {name for kind, name in world.cluster.stored if kind == "Deployment"} == {"iris--web"}


def test_an_invalid_request_next_to_an_unreadable_release_makes_no_hot_loop(world: World) -> None:
    released(world)
    world.cluster.write_over("iris-release", {"objects": "]["})
    world.cluster.ask("iris", repository="ext::sh")
    world.settle()
    world.cluster.remove("ConfigMap", "iris-release")
    assert world.settle().phase == "Invalid"


def test_a_release_that_the_server_refuses_fails_the_run_with_the_cause(world: World) -> None:
    world.source.push(WEB)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.cluster.refuse["create", "iris-release"] = Refused("too long: at most 1048576 bytes", forbidden=False)
    kept = world.finish_all()
    assert (kept.phase, kept.reason) == ("Failed", "RejectedByCluster")
    assert "1048576" in kept.message


@pytest.mark.parametrize(("kind", "name"), [("ConfigMap", "iris-release"), ("Service", "iris--web")])
def test_a_name_that_another_holds_makes_the_request_invalid(world: World, kind: str, name: str) -> None:
    world.source.push(WEB)
    world.cluster.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Invalid", "NameTaken")
    assert f"{kind} {name}" in kept.message


# --- the record --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit", [{"stages": ""}, {"stages": "{a: {state: Dnoe}}"}, {"run": "-7"}, {"run-step": "9"}, {"started": "]["}]
)
def test_a_record_edited_by_hand_during_a_run_is_put_right_and_the_run_ends(world: World, edit: dict[str, str]) -> None:
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.write_over("iris-status", edit)
    kept = world.finish_all()
    assert (kept.phase, kept.run) == ("Ready", 1)
    assert set(world.jobs()) == {"iris-a-1", "iris-b-1"}


# --- labels that someone took off -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ConfigMap", "iris-status"),
        ("ConfigMap", "iris-release"),
        ("Deployment", "iris--web"),
        ("Service", "iris--web"),
    ],
)
def test_an_object_whose_labels_were_removed_is_found_and_labelled_again(world: World, kind: str, name: str) -> None:
    released(world)
    before = world.cluster.stored[kind, name]["metadata"]
    world.cluster.unlabel(kind, name)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.finish_all().phase == "Ready"
    after = world.cluster.stored[kind, name]["metadata"]
    assert (after["labels"][names.REQUEST], after["uid"]) == ("iris", before["uid"])


def test_a_full_volume_is_reported_in_the_status(world: World) -> None:
    released(world, project("a"))
    aside = (world.root / "runs").rename(world.root / "aside")
    (world.root / "runs").write_text("in the way")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.settle().reason == "VolumeUnavailable"
    (world.root / "runs").unlink()
    aside.rename(world.root / "runs")
    assert world.finish_all().run == 2


def test_a_write_on_a_stale_view_leaves_no_stale_copy_on_the_volume(memory: Path) -> None:
    world = World(memory, lagging=True)
    released(world, project("a"))
    stale = world.view.status("iris")
    assert stale
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="third", suspend="true")
    world.cluster.sync()
    world.view.changed("ConfigMap", None, Snapshot.of("ConfigMap", stale))  # a watch that lags
    world.pass_()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again", suspend="true")
    world.cluster.remove("ConfigMap", "iris-status")
    assert (world.settle().run, kept.run) == (2, 2)


# --- a run that can't go on --------------------------------------------------------------------------


def test_a_look_up_that_the_server_refuses_is_recorded_and_the_run_starts_once_it_is_allowed(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.secret("key", username="ann", password="x")
    world.cluster.ask("iris", repository=REPOSITORY, index_secret="key")
    world.cluster.refuse["get", "key"] = Refused("secrets is forbidden", forbidden=True)
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.message) == ("Pending", "RejectedByCluster", "secrets is forbidden")
    world.cluster.refuse.clear()
    world.cluster.secret("key", UV_INDEX="https://index.example/simple")
    assert world.finish_all().phase == "Ready"


def test_a_refused_record_is_kept_apart_from_a_defect(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.cluster.refuse["create", "iris-status"] = Refused("exceeded quota", forbidden=True)
    with pytest.raises(Transient, match="quota"):
        world.reconciler.reconcile("iris")
    world.cluster.refuse.clear()
    assert world.finish_all().phase == "Ready"


def test_a_server_that_can_read_nothing_either_fails_no_run_with_its_500s(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.cluster.refuse["create", "iris-a-1"] = Transient("ServerError", "API server: HTTP 500: client: no etcd")
    world.cluster.refuse["get", "iris-a-1"] = Transient("ServerError", "API server: HTTP 500: client: no etcd")
    for _ in range(2 * REJECTIONS):
        with pytest.raises(Transient):
            world.reconciler.reconcile("iris")
    world.cluster.refuse.clear()
    assert world.finish_all().phase == "Ready"


def test_an_object_that_the_server_answers_with_a_500_each_time_fails_its_run(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.cluster.refuse["create", "iris-a-1"] = Transient("ServerError", "API server: HTTP 500: duplicate entries")
    for _ in range(REJECTIONS - 1):
        with pytest.raises(Transient):
            world.reconciler.reconcile("iris")
    assert world.settle().reason == "RejectedByCluster"


def test_a_refused_deletion_is_not_a_defect_and_holds_up_no_run(world: World) -> None:
    released(world, project("a"))
    world.cluster.refuse["delete", "iris-a-1"] = Refused("a webhook says no", forbidden=True)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.finish_all().run == 2


def test_a_job_deleted_without_its_pod_is_not_run_next_to_it(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    pod = world.cluster.begin_pod(world.jobs()["iris-a-1"])
    world.cluster.orphan("Job", "iris-a-1")
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Running", "JobDeleted")
    assert not world.jobs()
    (logs_of(world, "a") / "1.log").write_text("hello")
    (logs_of(world, "a") / "1.json").write_text('{"exit_code": 0}')
    world.cluster.remove("Pod", pod)
    assert world.settle().phase == "Ready"


# --- hostile stages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"exit_code": Infinity}',
        "[" * 9000,
        '{"exit_code": 1, "message": "%s"}' % ("x" * 3_000_000),
        '{"exit_code": 1, "message": "\\ud800"}',
    ],
)
def test_what_a_hostile_stage_writes_for_its_end_fails_its_run_only(world: World, text: str) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    logs = logs_of(world, "a")
    (logs / "1.log").write_text("hello")
    (logs / "²2.log").write_text("hello")
    (logs / "²").with_suffix(".log").write_text("hello")
    (logs / "1.json").write_text(text)
    world.cluster.remove("Job", "iris-a-1")
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "JobDeleted")
    assert sum(map(len, world.data().values())) < 100_000


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/proc/self/environ"), Path.mkdir])
def test_a_pipe_or_link_in_place_of_an_ending_neither_blocks_nor_leads_away(world: World, make: object) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    (logs_of(world, "a") / "1.log").write_text("hello")
    make(logs_of(world, "a") / "1.json")  # type: ignore[operator]
    world.cluster.remove("Job", "iris-a-1")
    assert world.settle().reason == "JobDeleted"


def logs_of(world: World, stage: str) -> Path:
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    return world.root / "runs" / f"iris-{uid}" / "1" / "logs" / stage


# --- what is kept --------------------------------------------------------------------------------------


def test_the_folders_that_a_released_service_mounts_stay(world: World) -> None:
    files = project("train >> web", services={"web": 5000})
    released(world, files, keep_runs="1")
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1", trigger="again")
    world.finish_all()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    assert (world.root / "runs" / f"iris-{uid}" / "1" / "artifacts").is_dir()


def test_many_superseded_triggers_push_no_run_out_of_the_history(world: World) -> None:
    released(world, project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="begin")
    world.settle()
    for number in range(80):
        world.cluster.ask("iris", repository=REPOSITORY, trigger=f"t{number}")
        world.pass_()
    kept = world.finish_all()
    assert {past.run for past in kept.history} >= {1, 2}


def test_an_invalid_request_keeps_the_runs_that_it_asked_to_keep(world: World) -> None:
    world.source.push(project("a"))
    for number in range(8):
        world.cluster.ask("iris", repository=REPOSITORY, keep_runs="9", trigger=str(number))
        world.settle()
        if number < 7:
            world.finish_all()
    world.cluster.ask("iris", repository="ext::sh", keep_runs="9")
    world.finish_all()
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    assert (world.root / "runs" / f"iris-{uid}" / "1").is_dir()


def test_a_request_without_its_label_keeps_its_folders(world: World) -> None:
    world.source.push({"bodywork.ini": "[default]\n"})
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.unlabel("ConfigMap", "iris")
    world.pass_()
    assert list((world.root / "runs").iterdir())


def test_a_failed_job_whose_pod_is_gone_is_explained_by_what_the_launcher_wrote(world: World) -> None:
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 143)
    world.cluster.remove("Pod", "iris-a-1-p")
    logs = logs_of(world, "a")
    (logs / "1.log").write_text("hello")
    (logs / "1.json").write_text('{"exit_code": 143, "reason": "Terminated", "message": "a/run.py: told to end"}')
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.message) == ("Failed", "Terminated", "stage a: a/run.py: told to end")


def test_a_record_that_is_edited_while_the_view_lags_does_not_spoil_its_copy(memory: Path) -> None:
    world = World(memory, lagging=True)
    world.source.push(project("a"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    assert world.finish_all().phase == "Ready"
    world.cluster.edit("ConfigMap", "iris-status", lambda item: item["data"].update(message="mine"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1", suspend="true")
    world.cluster.sync(name="iris")
    world.pass_()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    kept = world.settle()
    assert (kept.phase, kept.run, len(kept.history)) == ("Ready", 1, 1)
