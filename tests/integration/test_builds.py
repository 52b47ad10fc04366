"""Environments: each is built once, by a Job of its own, for all stages that ask for the same packages."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread

import pytest

from controller.adapters.volume import Archive
from controller.app.waiting import Waiting
from controller.core import layout, names, times
from controller.core.documents import codec
from controller.core.documents.progress import Download, Progress, Report
from controller.core.documents.seal import opened
from controller.core.errors import Invalid, Refused, Transient
from controller.core.model import Object, Record
from tests.support.statuses import event
from tests.support.world import POLICY, REPOSITORY, World, project

FLASK = {"a": "flask==3.0.0\n", "b": "Flask == 3.0.0  # the same\n"}


def begin(world: World, files: dict[str, str], **data: str) -> Record:
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY, **data)
    return world.settle()


def builds(world: World) -> list[Object]:
    return [job for job in world.jobs().values() if names.environment_of(job)]


def states(kept: Record) -> dict[str, str]:
    return {name: stage.state for name, stage in kept.stages.items()}


def folder_of(world: World) -> str:
    (job,) = builds(world)
    return names.environment_of(job)


def test_stages_that_ask_for_the_same_packages_share_one_build(world: World) -> None:
    kept = begin(world, project("a,b,c", packages={**FLASK, "c": "flask==2.3.0"}))
    assert len(builds(world)) == 2
    assert states(kept) == {
        "environment": "Running", "environment-2": "Running", "a": "Waiting", "b": "Waiting", "c": "Waiting",
    }  # fmt: skip


def test_builds_start_next_to_the_first_step(world: World) -> None:
    kept = begin(world, project("first >> a", packages=FLASK))
    assert states(kept) == {"environment": "Running", "first": "Running", "a": "Waiting"}
    assert set(world.jobs()) == {"iris-first-1", f"env-{folder_of(world)}"}


def test_a_stage_starts_when_its_environment_is_published(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    world.build(builds(world)[0])
    kept = world.settle()
    assert states(kept) == {"environment": "Done", "a": "Running"}
    assert set(world.jobs()) == {"iris-a-1"}  # nobody needs the build's Job any more
    assert (world.root / layout.environment(folder) / layout.COMPLETE).exists()
    container = world.jobs()["iris-a-1"]["spec"]["template"]["spec"]["containers"][0]
    mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounted["/coachwork/environment"]["subPath"] == f"environments/{folder}"
    assert mounted["/coachwork/environment"]["readOnly"]


def test_a_stage_starts_while_its_environment_is_compiled(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    (job,) = builds(world)
    world.build(job, ends=False)
    assert states(world.settle()) == {"environment": "Done", "a": "Running"}
    assert builds(world) == [job]
    world.compile(job)
    assert world.finish_all().phase == "Ready"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert states(world.settle())["environment"] == "Reused"
    assert builds(world) == []  # nobody needs it any more


def test_all_that_wait_for_an_environment_learn_that_it_can_be_used(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.cluster.ask("other", repository=REPOSITORY, project_name="other")
    world.settle("other")
    world.build(builds(world)[0], ends=False)
    world.woken.clear()
    world.pass_()
    assert sorted(set(world.woken)) == ["iris", "other"]


@pytest.mark.parametrize("lost", ["its Job was deleted", "its Job ended early"])
def test_what_was_left_uncompiled_is_compiled_with_the_next_run(world: World, lost: str) -> None:
    begin(world, project("a", packages=FLASK))
    (job,) = builds(world)
    world.build(job, ends=False)
    world.settle()
    if lost == "its Job was deleted":
        world.cluster.remove("Job", job["metadata"]["name"])
    else:
        world.cluster.end_job(job)
    world.cluster.end_job(world.jobs()["iris-a-1"])
    assert world.settle().phase == "Ready"
    for trigger in ("again", "and again"):
        world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger)
        kept = world.settle()
        assert states(kept) == {"environment": "Reused", "a": "Running"}
        world.cluster.end_job(world.jobs()[f"iris-a-{kept.run}"])
        world.settle()
    (again,) = builds(world)
    assert again["metadata"]["uid"] != job["metadata"]["uid"]


def test_a_job_that_can_not_be_made_to_compile_fails_no_run(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    (job,) = builds(world)
    world.build(job, ends=False)
    world.settle()
    world.cluster.remove("Job", job["metadata"]["name"])
    world.finish_all()
    world.cluster.refuse["create", job["metadata"]["name"]] = Refused("exceeded quota", forbidden=True)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert states(world.settle()) == {"environment": "Reused", "a": "Running"}


def test_an_environment_that_is_there_is_taken_as_it_is(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.settle()
    assert states(kept) == {"environment": "Reused", "a": "Running"}


def test_two_requests_share_one_build(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.cluster.ask("other", repository=REPOSITORY, project_name="other")
    world.settle("other")
    assert len(builds(world)) == 1
    world.build(builds(world)[0])
    world.settle("other")
    world.settle()
    assert set(world.jobs()) == {"iris-a-1", "other-a-1"}


def test_who_waits_for_a_build_that_another_has_begun_reads_how_far_it_is(world: World) -> None:
    begin(world, project("first >> a", packages=FLASK))
    world.cluster.ask("other", repository=REPOSITORY, project_name="other")
    world.settle("other")
    (job,) = builds(world)
    pages = Archive(world.root, lambda _name: "", Waiting(world.view, lambda _uid: "2026-01-01T00:00:09Z"))
    node = {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:05Z"}
    pod = world.cluster.begin_pod(job, "Pending", conditions=[node])
    world.cluster.begin_pod(world.jobs()["iris-first-1"], "Running")
    step = "waiting for a node"
    assert pages.progress("iris") == Report(1, {"environment": Progress(step, step, "2026-01-01T00:00:05Z")})
    node |= {"status": "True"}
    world.cluster.edit("Pod", pod, lambda item: item.update(spec={"nodeName": "n1"}, status={"conditions": [node]}))
    step = 'pulling image "" on node n1'
    assert pages.progress("iris").stages == {"environment": Progress(step, step, "2026-01-01T00:00:09Z")}
    world.cluster.edit("Pod", pod, lambda item: item["status"].update(phase="Running"))
    how_far = Progress("downloading 2 packages", "1 of 2", "", 1, 2, (Download("flask", 1, 3),))
    file = world.root / layout.build_progress(folder_of(world))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**codec.plain(how_far), "written": times.text(datetime.now(UTC))}))
    assert pages.progress("other") == Report(1, {"environment": how_far})
    world.build(job)
    file.unlink()
    world.settle("other")
    assert pages.progress("other") == Report(1)


def test_a_build_that_fails_fails_the_run_before_any_stage_that_needs_it(world: World) -> None:
    begin(world, project("first >> a", packages=FLASK))
    world.cluster.end_job(builds(world)[0], 121, "a/requirements.txt:1: no version of flask is 3.0.0")
    kept = world.settle()
    assert kept.phase == "Failed"
    assert kept.message == "stage environment: a/requirements.txt:1: no version of flask is 3.0.0"
    assert states(kept) == {"environment": "Failed", "first": "Stopped", "a": "Skipped"}


def test_a_build_that_failed_is_tried_again_by_the_next_run(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.cluster.end_job(builds(world)[0], 121, "no such package")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.settle()
    assert states(kept) == {"environment": "Running", "a": "Waiting"}
    assert "status" not in builds(world)[0]
    assert world.finish_all().phase == "Ready"


def test_a_build_whose_job_is_deleted_is_begun_again(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.cluster.remove("Job", f"env-{folder_of(world)}")
    world.settle()
    assert len(builds(world)) == 1
    assert world.finish_all().phase == "Ready"


def test_a_build_that_finds_the_volume_full_is_tried_again_when_there_is_room(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    _end_full(world, builds(world)[0])
    with pytest.raises(Transient, match="no room"):
        world.reconciler.reconcile("iris")
    assert (world.record().phase, world.record().reason) == ("Running", "VolumeFull")
    full = builds(world)[0]["metadata"]["uid"]
    world.clock.pass_(61)
    _look_at_full_volume(world)  # removes the Job
    _look_at_full_volume(world)  # and makes it anew
    (again,) = builds(world)
    assert again["metadata"]["uid"] != full
    world.cluster.begin_pod(again)
    assert world.settle().reason != "VolumeFull"
    world.build(again)
    assert states(world.settle()) == {"environment": "Done", "a": "Running"}


def test_a_run_that_a_full_volume_has_failed_asks_for_no_more_room(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    _end_full(world, builds(world)[0])
    _look_at_full_volume(world)
    world.clock.pass_(1801)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "VolumeFull")


def _look_at_full_volume(world: World) -> None:
    world.cluster.sync()
    with pytest.raises(Transient, match="no room"):
        world.reconciler.reconcile("iris")


def _end_full(world: World, job: Object) -> None:
    said = "no room on the shared volume"
    world.cluster.end_job(job, 121, said, reason="VolumeFull", at=times.text(world.clock()))


def test_a_swept_environment_is_built_as_it_was(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    world.build(builds(world)[0], "flask==3.0.0\nwerkzeug==3.0.1\n")
    world.settle()
    world.finish_all()
    (world.root / layout.environment(folder)).rename(world.root / "swept")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    world.settle()
    assert (world.root / layout.build_lock(folder)).read_text() == "flask==3.0.0\nwerkzeug==3.0.1\n"


def told(world: World, folder: str) -> dict[str, object]:
    """Return what the builder is told."""
    return dict(json.loads(opened((world.root / layout.build_requirements(folder)).read_text()) or ""))


def test_the_builder_learns_what_the_key_is_made_of(world: World) -> None:
    files = project("a", packages={"a": "-r ../common.txt\nFlask == 3.0.0  # why\n-c limits.txt\n--pre"})
    begin(world, files | {"common.txt": "\nsix\n", "a/limits.txt": "six<2\n"})
    assert told(world, folder_of(world)) == {
        "file": "a/requirements.txt",
        "lines": ["six", "flask==3.0.0", "--pre"],
        "constraints": ["six<2"],
        "places": ["common.txt:2", "a/requirements.txt:2", "a/requirements.txt:4", "a/limits.txt:1"],
        "paths": [],
        "addresses": [],
        "as_of": "",
        "version": 2,
        "items": [
            {"text": "six", "place": "common.txt:2", "name": "six", "by_version": True},
            {
                "text": "flask==3.0.0",
                "place": "a/requirements.txt:2",
                "name": "flask",
                "by_version": True,
                "pinned": True,
            },
            {"text": "--pre", "place": "a/requirements.txt:4", "option": "--pre"},
            {"text": "six<2", "place": "a/limits.txt:1", "constraint": True, "name": "six", "by_version": True},
        ],
    }


def test_requirements_of_any_length_are_in_no_command_line(world: World) -> None:
    hashes = "".join(f" \\\n    --hash=sha256:{number:064x}" for number in range(40))
    text = "".join(f"package-{number}==1.0{hashes}\n" for number in range(60))
    assert len(text) > 128 * 1024
    begin(world, project("a", packages={"a": text}))
    (job,) = builds(world)
    assert len(json.dumps(job)) < 8192
    lines = told(world, folder_of(world))["lines"]
    assert isinstance(lines, list)
    assert len(lines) == 60
    world.build(job)
    assert world.settle().stages["a"].state == "Running"
    assert len(json.dumps(world.jobs()["iris-a-1"])) < 8192


def test_nothing_is_said_of_an_environment_that_is_there(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    world.finish_all()
    (world.root / layout.build_requirements(folder)).unlink()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert states(world.settle())["environment"] == "Reused"
    assert not (world.root / layout.build_requirements(folder)).exists()


def test_messages_name_the_file_of_the_run_that_began_the_build(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    world.cluster.end_job(builds(world)[0], 121, "no such package")
    world.settle()
    begin(world, project("b", packages=FLASK), trigger="again")
    assert told(world, folder)["file"] == "b/requirements.txt"


def test_a_run_that_is_repeated_builds_what_it_was_built_of(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    wanted = told(world, folder)
    world.finish_all()
    (world.root / layout.environment(folder)).rename(world.root / "swept")
    (world.root / layout.build(folder)).rename(world.root / "swept-too")
    world.source.push(project("a", packages={"a": "django"}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again", at_rerun="again 1")
    assert states(world.settle()) == {"environment": "Running", "a": "Waiting"}
    assert folder_of(world) == folder
    assert told(world, folder) == wanted
    assert (world.root / layout.build_lock(folder)).read_text() == "flask==3.0.0\n"


def test_an_environment_of_another_python_is_built_again_by_the_next_run(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    kept = world.finish_all()
    told = world.root / layout.outdated("iris", kept.request_uid, 1, "a")
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps({"environment": folder}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    world.settle()
    assert folder_of(world) == f"{folder}-2"
    assert world.finish_all().phase == "Ready"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="third")
    assert states(world.settle())["environment"] == "Reused"


def test_a_pipe_in_place_of_a_note_about_another_python_holds_up_no_later_run(world: World) -> None:
    kept = begin(world, project("a"))
    world.finish_all()
    place = world.root / layout.outdated("iris", kept.request_uid, 1, "a")
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.finish_all().run == 2


def test_a_run_says_what_it_uses_and_what_it_ran_with(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    kept = world.finish_all()
    uses = json.loads((world.root / layout.uses("iris", kept.request_uid, 1)).read_text())["paths"]
    assert {f"environments/{folder}", f"builds/{folder}"} < set(uses)
    run = json.loads((world.root / layout.run_record("iris", kept.request_uid, 1)).read_text())
    assert run["environments"][0]["packages"] == {"flask": "3.0.0"}
    assert run["outcome"] == "Succeeded"


def test_all_missing_secrets_are_reported_before_the_first_step(world: World) -> None:
    files = project("first >> a,b", secrets={"a": "KEY = aws\nID = aws", "b": "TOKEN = hub"})
    kept = begin(world, files)
    assert kept.phase == "Running"
    assert kept.reason == "SecretMissing"
    assert "kubectl -n test create secret generic aws --from-literal=ID=VALUE --from-literal=KEY=VALUE" in kept.message
    assert "kubectl -n test create secret generic hub --from-literal=TOKEN=VALUE" in kept.message
    assert not world.jobs()


@pytest.mark.parametrize("value", [b"caf\xe9", b"a\0b"])
@pytest.mark.parametrize("wanted", ["KEY = aws", "KEY = aws?"])
def test_a_secret_that_is_not_text_is_reported_with_secret_key_and_stage(
    world: World, value: bytes, wanted: str
) -> None:
    world.cluster.secret("aws", KEY=value, OTHER=b"\xff")
    kept = begin(world, project("a", secrets={"a": wanted}))
    assert (kept.phase, kept.reason, world.jobs()) == ("Running", "SecretMissing", {})
    words = (
        "Secret aws has bytes that no variable can hold in key KEY, not text in UTF-8 (stage a): kubectl -n test patch"
    )
    assert words in kept.message
    world.cluster.secret("aws", KEY="x")
    assert states(world.settle()) == {"a": "Running"}


def test_a_run_goes_on_when_its_secrets_are_there(world: World) -> None:
    begin(world, project("a", secrets={"a": "KEY = aws"}))
    world.cluster.secret("aws", KEY="x")
    kept = world.settle()
    assert states(kept) == {"a": "Running"}
    assert kept.stages["a"].message == ""
    assert kept.spec is not None
    assert [name for name, _ in kept.spec.secrets] == ["aws"]


def test_a_secret_that_only_the_failure_stage_wants_is_reported_before_the_first_step(world: World) -> None:
    kept = begin(world, project("a >> b", secrets={"tell": "KEY = mail"}, on_failure="tell"))
    assert (kept.phase, kept.reason, kept.step, world.jobs()) == ("Running", "SecretMissing", 0, {})
    assert "Secret mail with KEY not found (stage tell)" in kept.message
    world.cluster.secret("mail", KEY="x")
    assert states(world.settle()) == {"a": "Running", "b": "Waiting"}


def test_a_secret_that_has_come_is_reported_as_missing_no_longer(world: World) -> None:
    begin(world, project("a,b", secrets={"a": "KEY = aws", "b": "TOKEN = hub"}))
    world.cluster.secret("aws", KEY="x")
    world.clock.pass_(10)
    kept = world.settle()
    assert kept.stages["a"].message == ""
    assert (kept.reason, "hub" in kept.message, "aws" in kept.message) == ("SecretMissing", True, False)


def test_a_run_whose_secrets_stay_away_fails_after_the_grace(world: World) -> None:
    begin(world, project("a", secrets={"a": "KEY = aws"}))
    world.clock.pass_(121)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Failed", "SecretMissing")


def test_the_failure_stage_runs_when_a_run_has_failed_and_learns_why(world: World) -> None:
    begin(world, project("a >> b", on_failure="tell"))
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "a/run.py:3: ValueError: no data")
    kept = world.settle()
    assert (kept.phase, states(kept)) == ("Running", {"a": "Failed", "b": "Skipped", "tell": "Running"})
    container = world.jobs()["iris-tell-1"]["spec"]["template"]["spec"]["containers"][0]
    told = {item["name"]: item.get("value") for item in container["env"]}
    assert told["EXCEPTION_MESSAGE"] == "stage a: a/run.py:3: ValueError: no data"
    assert (told["COACHWORK_FAILED_STAGE"], told["COACHWORK_FAILED_REASON"]) == ("a", "ExitCode")
    world.cluster.end_job(world.jobs()["iris-tell-1"])
    kept = world.settle()
    assert (kept.phase, kept.message) == ("Failed", "stage a: a/run.py:3: ValueError: no data")
    assert states(kept) == {"a": "Failed", "b": "Skipped", "tell": "Done"}
    assert kept.stages["tell"].started


def test_the_failure_of_the_failure_stage_is_reported_next_to_the_first(world: World) -> None:
    begin(world, project("a", on_failure="tell"))
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "no data")
    world.settle()
    world.cluster.end_job(world.jobs()["iris-tell-1"], 1, "no mail")
    kept = world.settle()
    assert kept.message == "stage a: no data (and the failure stage failed: no mail)"


def test_builds_that_failed_or_were_stopped_rest_while_the_failure_stage_runs(world: World) -> None:
    begin(world, project("a,b", packages={"a": "flask==3.0.0", "b": "flask==2.3.0"}, on_failure="tell"))
    world.cluster.end_job(builds(world)[0], 121, "no such package")
    kept = world.settle()
    for job in builds(world):  # as its time to live has it, or a person
        world.cluster.remove("Job", job["metadata"]["name"])
    later = world.passes(3, seconds=60.0)
    assert (later.active, later.stages, builds(world)) == (True, kept.stages, [])


def test_a_build_of_what_somebody_else_has_published_is_ended(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    folder = folder_of(world)
    world.make_environment(layout.environment(folder), folder)  # another controller on this volume was quicker
    kept = world.settle()
    assert states(kept) == {"environment": "Done", "a": "Running"}
    assert builds(world) == []


def test_what_is_left_of_a_damaged_environment_does_not_stand_in_the_way(world: World) -> None:
    begin(world, project("a", packages=FLASK))
    world.finish_all()
    (place,) = (world.root / layout.ENVIRONMENTS).glob("[0-9a-f]*")
    (place / layout.COMPLETE).unlink()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.finish_all()
    assert (kept.run, kept.phase, (place / layout.COMPLETE).exists()) == (2, "Ready", True)


def test_services_go_back_before_the_failure_stage_runs(world: World) -> None:
    begin(world, project("web >> a", services={"web": 5000}, on_failure="tell"))
    world.finish_all()
    first = world.cluster.of_kind("Deployment")[0]["metadata"]["annotations"]
    world.source.push(project("web >> a", services={"web": 5001}, on_failure="tell"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="second")
    world.settle()
    world.cluster.roll_out(world.cluster.of_kind("Deployment")[0])
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-2"], 1, "no data")
    kept = world.settle()
    assert kept.active
    assert world.cluster.of_kind("Deployment")[0]["metadata"]["annotations"] == first


def test_a_failure_stage_whose_own_build_failed_the_run_is_reported_once(world: World) -> None:
    begin(world, project("a", packages={"tell": "flask==3.0.0"}, on_failure="tell"))
    world.cluster.end_job(builds(world)[0], 121, "no such package")
    assert world.settle().message == "stage environment: no such package"


def test_a_good_run_that_ends_before_the_failure_stage_s_build_leaves_nothing_running(world: World) -> None:
    begin(world, project("a", packages={"tell": "flask==3.0.0"}, on_failure="tell"))
    world.cluster.end_job(world.jobs()["iris-a-1"])
    kept = world.settle()
    assert (kept.phase, states(kept)) == ("Ready", {"environment": "Stopped", "a": "Done"})


def test_a_run_that_succeeds_has_no_failure_stage(world: World) -> None:
    begin(world, project("a", on_failure="tell"))
    kept = world.finish_all()
    assert (kept.phase, states(kept)) == ("Ready", {"a": "Done"})


def test_a_cancelled_run_has_no_failure_stage(world: World) -> None:
    begin(world, project("a", on_failure="tell"))
    world.cluster.ask("iris", repository=REPOSITORY, cancel="1")
    assert world.settle().phase == "Cancelled"
    assert not world.jobs()


def test_a_run_cancelled_during_its_failure_stage_still_says_what_failed(world: World) -> None:
    begin(world, project("a", on_failure="tell"))
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "no data")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, cancel="1")
    kept = world.settle()
    assert (kept.phase, kept.message) == (
        "Cancelled",
        "run 1 was cancelled on request (it had failed: stage a: no data)",
    )
    assert kept.history[0].message == kept.message


def test_an_index_secret_may_come_a_little_later_than_its_request(world: World) -> None:
    kept = begin(world, project("a", packages=FLASK), index_secret="pypi")
    assert (kept.phase, kept.reason) == ("Pending", "SecretMissing")
    world.cluster.secret("pypi", UV_INDEX="https://pypi.example/simple")
    assert states(world.settle()) == {"environment": "Running", "a": "Waiting"}


def test_an_index_secret_that_stays_away_makes_the_run_invalid(world: World) -> None:
    begin(world, project("a", packages=FLASK), index_secret="pypi")
    world.clock.pass_(121)
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Invalid", "SecretMissing")
    assert "kubectl create secret generic pypi" in kept.message


def test_a_first_release_that_fails_takes_no_requests_while_its_failure_stage_runs(world: World) -> None:
    begin(world, project("web >> a", services={"web": 5000}, on_failure="tell"))
    world.cluster.roll_out(world.cluster.of_kind("Deployment")[0])
    world.settle()
    world.cluster.end_job(world.jobs()["iris-a-1"], 1, "no data")
    assert world.settle().active
    assert not world.cluster.of_kind("Deployment")


def test_a_build_that_only_the_failure_stage_needs_fails_no_healthy_run(world: World) -> None:
    begin(world, project("a", packages={"tell": "flask==3.0.0"}, on_failure="tell"))
    world.cluster.end_job(builds(world)[0], 121, "no such package")
    assert world.settle().active
    assert world.finish_all().phase == "Ready"


def test_each_build_is_made_in_the_image_of_its_stages_python(world: World) -> None:
    files = project("a,b", packages={"a": "flask==3.0.0\n", "b": "flask==3.0.0\n"})
    files["bodywork.ini"] = files["bodywork.ini"].replace("[default]", "[default]\nPYTHON = 3.9")
    files["b/config.ini"] = files["b/config.ini"].replace("[default]", "[default]\nPYTHON = 3.10")
    begin(world, files)
    assert {image_of(job) for job in builds(world)} == {"python:3.9-slim", "python:3.10-slim"}
    for job in builds(world):
        world.build(job)
    world.settle()
    stages = {name: image_of(job) for name, job in world.jobs().items() if name.startswith("iris")}
    assert stages == {"iris-a-1": "python:3.9-slim", "iris-b-1": "python:3.10-slim"}


def test_a_run_keeps_its_images_where_the_setting_changes_meanwhile(world: World) -> None:
    files = project("a >> b")
    files["bodywork.ini"] = files["bodywork.ini"].replace("[default]", "[default]\nPYTHON = 3.9")
    begin(world, files)
    world.policy = replace(POLICY, images=(("3.9", "acme/python:9"),))
    world.restart()
    world.cluster.end_job(world.jobs()["iris-a-1"])
    world.settle()
    assert image_of(world.jobs()["iris-b-1"]) == "python:3.9-slim"


@pytest.mark.parametrize(("stage", "packages"), [("environment", FLASK), ("a", {})])
def test_a_job_whose_pods_a_quota_refuses_is_made_anew_once_the_settings_name_amounts(
    world: World, stage: str, packages: dict[str, str]
) -> None:
    begin(world, project("a", packages=packages))
    (job,) = world.jobs().values()
    uid = job["metadata"]["uid"]
    words = 'Error creating: pods "x" is forbidden: failed quota: team: must specify limits.cpu for: stage'
    about = {"kind": "Job", "uid": uid, "name": job["metadata"]["name"]}
    world.cluster.create({
        **event("FailedCreate", words, uid, "Job"), "apiVersion": "v1", "involvedObject": about,
        "metadata": {"name": "denial", "namespace": POLICY.namespace},
    })  # fmt: skip
    assert "COACHWORK_DEFAULT_LIMITS" in world.settle().stages[stage].message

    def default(job: Object) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = "123m"

    world.cluster.edit("Job", job["metadata"]["name"], default)  # as a webhook would each time
    world.settle()
    assert [job["metadata"]["uid"] for job in world.jobs().values()] == [uid], "it would be refused again"
    world.policy = replace(POLICY, default_limits=(("cpu", "0.5"),))
    world.restart()
    assert world.settle().active
    (job,) = world.jobs().values()
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "0.5"}
    assert job["metadata"]["uid"] != uid


def test_what_is_to_be_said_of_a_python_is_among_the_problems_of_the_run(world: World) -> None:
    files = project("a")
    image = "DOCKER_IMAGE = bodyworkml/bodywork-core:1.0"
    files["bodywork.ini"] = files["bodywork.ini"].replace("[default]", f"[default]\n{image}")
    assert "had Python 3.7: its stages get 3.8" in begin(world, files).problems[0]


def as_of(world: World) -> str:
    return str(json.loads(world.volume.recall_text(layout.build_requirements(folder_of(world))))["as_of"])


def test_packages_are_those_of_the_day_on_which_the_requirements_last_changed(world: World) -> None:
    files = project("a", packages={"a": "six\n"})
    files["bodywork.ini"] = files["bodywork.ini"].replace("[default]", "[default]\nRESOLVE_AS_OF = commit")
    for step in ("flask\n", "six\n", "six  # why\n"):
        world.source.push(files | {"a/requirements.txt": step})
    kept = begin(world, files)
    assert (as_of(world), kept.problems) == ("2021-01-02", ())


def test_a_run_of_a_project_of_bodywork_says_as_of_which_day_its_packages_are(world: World) -> None:
    files = project("a", packages={"a": "six\n"})
    image = "DOCKER_IMAGE = bodyworkml/bodywork-core:2.1"
    files["bodywork.ini"] = files["bodywork.ini"].replace("[default]", f"[default]\n{image}")
    kept = begin(world, files)
    assert as_of(world) == "2021-01-01"
    assert kept.problems[0].startswith("stage a: packages are those of 2021-01-01 (RESOLVE_AS_OF = commit, the default")


def image_of(job: Object) -> str:
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_run_waits_for_no_optional_secret(world: World) -> None:
    begin(world, project("a >> b", secrets={"a": "KEY = hub?", "b": "KEY = hub?"}))
    assert set(world.jobs()) == {"iris-a-1"}


def test_an_optional_secret_is_waited_for_where_another_stage_can_not_do_without(world: World) -> None:
    kept = begin(world, project("a >> b", secrets={"a": "KEY = hub?\nOTHER = hub?", "b": "KEY = hub"}))
    assert (kept.reason, "KEY" in kept.message, "OTHER" in kept.message) == ("SecretMissing", True, False)


LIB = "https://git.example/lib"
DOWN = Transient("GitUnreachable", f"repository {LIB}: the server can't be reached; it is tried again")
FROM_GIT = {"a": f"six\nlib @ git+{LIB}@v1\n"}


def test_a_git_requirement_that_cannot_be_reached_is_reported_with_file_and_stage_and_not_waited_for_for_ever(
    world: World,
) -> None:
    world.source.faults[LIB] = DOWN
    kept = begin(world, project("a", packages=FROM_GIT))
    line = f"a/requirements.txt:2 (stage a): repository {LIB}: the server can't be reached"
    assert (kept.phase, kept.reason, kept.message) == ("Pending", "GitRequirementUnreachable", line)
    world.clock.pass_(121)
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.problems) == ("Invalid", "GitRequirementUnreachable", (line,))


def test_a_git_requirement_whose_server_comes_back_in_time_is_built(world: World) -> None:
    world.source.faults[LIB] = DOWN
    begin(world, project("a", packages=FROM_GIT))
    world.source.faults.clear()
    assert states(world.settle()) == {"environment": "Running", "a": "Waiting"}


def test_all_git_requirements_that_can_not_be_had_are_reported_at_once(world: World) -> None:
    other = "https://git.example/other"
    world.source.faults |= {LIB: DOWN, other: Invalid("RefMissing", [f"repository {other}: ref v2 not found"])}
    kept = begin(world, project("a,b", packages={**FROM_GIT, "b": f"git+{other}@v2\ngit+{LIB}@v1\n"}))
    assert (kept.phase, kept.reason) == ("Invalid", "RefMissing")
    assert [line.split(" (")[0] for line in kept.problems] == ["a/requirements.txt:2", "b/requirements.txt:1"]


def test_a_run_that_asks_for_a_shared_build_hears_of_its_end_before_its_record_is_written(world: World) -> None:
    world.source.push(project("a", packages={"a": "flask==3.0.0"}))
    world.cluster.ask("ada", repository=REPOSITORY)
    world.settle("ada")
    (build,) = world.jobs().values()

    def end(_verb: str, _moment: str) -> None:
        """Let the build end, and passes of the other request publish it, before the first write of this one."""
        world.cluster.hook = lambda _verb, _moment: None
        world.build(build)
        other = Thread(target=world.settle, args=["ada"])
        other.start()
        other.join()

    world.cluster.ask("iris", repository=REPOSITORY)
    world.woken.clear()
    world.cluster.hook = end
    world.pass_()
    assert world.record().active
    assert "iris" in world.woken
    assert world.settle().stages["a"].state == "Running"
