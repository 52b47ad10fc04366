"""What starts a run and what it is started with, pass by pass: overlaps, polls, parameters, repetition."""

import json
from pathlib import Path

import pytest

from controller.core.errors import Invalid, Transient
from controller.core.model import Object, Record
from tests.support.world import REPOSITORY, World, project

DOWN = Transient("GitUnreachable", "git.example: no answer")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.source.push(project("a"))
    return world


def variables(job: Object) -> dict[str, str]:
    """Give the plain variables of a Job's container."""
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


def outcomes(kept: Record) -> list[tuple[int, str, str]]:
    """Give run, outcome and trigger of the history, newest first."""
    return [(past.run, past.outcome, past.trigger) for past in kept.history]


# --- on-overlap ------------------------------------------------------------------------------------


def test_replace_ends_the_active_run_and_starts_the_new_one(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace")
    assert world.settle().run == 1
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", trigger="t1")
    kept = world.settle()
    assert (kept.run, kept.phase) == (2, "Running")
    assert set(world.jobs()) == {"iris-a-2"}
    assert outcomes(kept) == [(1, "Cancelled", "")]
    assert kept.history[0].reason == "Replaced"
    assert kept.history[0].message == "run 1 was replaced by trigger t1 (on-overlap: replace)"
    assert world.finish_all().finished_trigger == "t1"
    assert world.metrics.outcomes == ["Cancelled", "Succeeded"]


def test_a_change_replaces_as_a_trigger_does(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", env="2")
    kept = world.settle()
    assert (kept.run, kept.history[0].message) == (
        2,
        "run 1 was replaced by a change of the request (on-overlap: replace)",
    )
    assert variables(world.jobs()["iris-a-2"])["ALPHA"] == "2"


def test_a_commit_that_moves_replaces_the_run_of_the_old_one(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", poll="30s")
    world.settle()
    world.source.push(project("a >> b"))
    kept = world.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.cause) == (2, "Polled")
    assert kept.history[0].message == "run 1 was replaced by a commit that moved (on-overlap: replace)"


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


def test_nothing_is_replaced_while_suspended(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", suspend="true", trigger="t1")
    assert (world.settle().run, world.record().active) == (1, True)
    kept = world.finish_all()
    assert (kept.run, kept.phase, kept.finished_trigger) == (1, "Suspended", "t1")


def test_skip_passes_over_what_comes_during_a_run_and_says_so(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip", trigger="t1")
    kept = world.settle()
    assert kept.finished_trigger == "t1"
    assert (kept.run, outcomes(kept)) == (1, [(0, "Skipped", "t1")])
    assert kept.history[0].message == "run 1 was active (on-overlap: skip)"
    kept = world.finish_all()
    assert (kept.run, kept.phase, kept.reason) == (1, "Ready", "Succeeded")
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip", trigger="t2")
    assert world.finish_all().run == 2


def test_skip_passes_over_changes_and_commits_as_well(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip", poll="30s")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip", poll="30s", env="2")
    world.settle()
    world.source.push(project("a >> b"))
    assert outcomes(world.passes(2, 31)) == [(0, "Skipped", ""), (0, "Skipped", "")]
    world.finish_all()
    assert world.passes(3, 31).run == 1


def test_what_an_invalid_request_is_asked_for_during_a_run_waits(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="skip", keep_runs="x", trigger="t1")
    assert world.settle().queued == "t1"


# --- poll ------------------------------------------------------------------------------------------


def polled(world: World, **data: str) -> Record:
    """Have a request that looks every 30 s, and its first run over."""
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s", **data)
    return world.finish_all()


def test_a_commit_that_moves_starts_one_run(world: World) -> None:
    polled(world)
    world.source.push(project("a >> b"))
    kept = world.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.cause, kept.spec and kept.spec.commit[-1]) == (2, "Polled", "2")
    assert variables(world.jobs()["iris-a-2"])["COACHWORK_TRIGGER"] == "polled"
    world.finish_all()
    assert world.passes(5, 31).run == 2


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


def test_it_is_looked_again_when_the_next_look_is_due(world: World) -> None:
    polled(world)
    delay = world.pass_()
    assert delay is not None
    assert 0 < delay <= 30
    world.source.push(project("a >> b"))
    world.clock.pass_(delay)
    assert world.settle().run == 2


def test_requests_look_at_different_moments(world: World) -> None:
    delays = set()
    for number in range(8):
        world.cluster.ask(f"r{number}", repository=REPOSITORY, poll="1h", run_on_create="false")
        world.settle(f"r{number}")
        delays.add(world.pass_(f"r{number}"))
    assert len(delays) > 4


@pytest.mark.parametrize("bad", [{"bootwork.ini": ""}, {"bodywork.ini": "nonsense"}])
def test_a_commit_whose_project_is_invalid_is_handled(world: World, bad: dict[str, str]) -> None:
    polled(world)
    world.source.push(bad)
    assert world.passes(2, 31).phase == "Invalid"
    world.passes(4, 31)
    assert world.metrics.outcomes == ["Succeeded", "Invalid"]
    world.source.push(project("a"))
    assert world.passes(2, 31).run == 2


def test_a_commit_whose_run_failed_is_handled(world: World) -> None:
    polled(world)
    world.source.push(project("a >> b"))
    world.passes(2, 31)
    world.cluster.end_job(world.jobs()["iris-a-2"], 3)
    assert world.settle().phase == "Failed"
    assert world.passes(4, 31).run == 2


def test_a_branch_that_is_pushed_back_has_moved(world: World) -> None:
    world.source.push(project("a >> b"))
    polled(world)
    world.source.head = 1
    kept = world.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.commit[-1]) == (2, "1")


def test_without_a_run_the_first_look_only_takes_note(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s", run_on_create="false")
    world.settle()
    assert world.passes(3, 31).run == 0
    world.source.push(project("a >> b"))
    assert world.passes(2, 31).run == 1


def test_a_restarted_controller_misses_no_commit(world: World) -> None:
    polled(world)
    world.source.push(project("a >> b"))
    world.restart()
    assert world.passes(2, 31).run == 2


def test_what_is_pushed_while_suspended_counts_as_handled(world: World) -> None:
    polled(world)
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s", suspend="true")
    world.source.push(project("a >> b"))
    assert world.passes(2, 31).phase == "Suspended"
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s")
    assert world.passes(3, 31).run == 1


def test_a_run_that_what_moved_has_to_wait_for_is_not_disturbed_by_looks(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s")
    world.settle()
    world.source.push(project("a >> b"))
    world.source.calls.clear()
    world.passes(4, 31)
    assert world.source.calls == []
    world.finish_all()
    assert world.passes(2, 31).run == 2


@pytest.mark.parametrize("fault", [DOWN, Invalid("RefNotFound", ["ref: no branch main"])])
def test_a_look_that_fails_is_told_beside_what_serves_and_disturbs_nothing(world: World, fault: Exception) -> None:
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


def test_a_server_that_does_not_answer_is_asked_less_and_less(world: World) -> None:
    polled(world)
    world.source.fault = DOWN
    world.source.calls.clear()
    world.passes(100, 31)
    assert 4 < len(world.source.calls) < 12


def test_a_branch_that_appears_later_is_run(world: World) -> None:
    world.source.fault = Invalid("RefNotFound", ["ref: no branch main"])
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s")
    assert world.settle().phase == "Invalid"
    world.source.fault = None
    assert world.passes(6, 31).run == 1


def test_without_the_key_nobody_looks(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.push(project("a >> b"))
    world.source.calls.clear()
    assert world.passes(3, 3600).run == 1
    assert world.source.calls == []


# --- parameters ------------------------------------------------------------------------------------


def test_parameters_are_variables_of_that_run_alone_and_win_over_the_requests(world: World) -> None:
    given = json.dumps({"ALPHA": "0.1", "BETA": "$x"})
    world.cluster.ask("iris", repository=REPOSITORY, env="9", trigger="t1", at_set=f"t1 {given}")
    kept = world.settle()
    assert kept.spec
    assert kept.spec.parameters == (("ALPHA", "0.1"), ("BETA", "$x"))
    found = variables(world.jobs()["iris-a-1"])
    assert (found["ALPHA"], found["BETA"]) == ("0.1", "$$x")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, env="9", trigger="t2", at_set=f"t1 {given}")
    world.settle()
    assert variables(world.jobs()["iris-a-2"])["ALPHA"] == "9"


def test_what_went_with_a_handled_trigger_means_nothing_to_a_later_change(world: World) -> None:
    wishes = {"trigger": "t1", "at_set": 't1 {"ALPHA": "1"}', "at_rerun": "t1 1", "at_from": "t1 b"}
    world.source.push(project("a >> b"))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, **wishes)
    assert world.finish_all().run == 2
    world.source.push(project("a >> b >> c"))
    world.cluster.ask("iris", repository=REPOSITORY, env="2", **wishes)
    kept = world.settle()
    assert kept.spec
    assert (kept.run, kept.spec.commit[-1], kept.spec.rerun, kept.spec.parameters) == (3, "3", 0, ())
    assert {stage.state for stage in kept.stages.values()} == {"Running", "Waiting"}
    assert variables(world.jobs()["iris-a-3"])["ALPHA"] == "2"


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


def test_a_repeated_run_takes_parameters_of_its_own_over_the_old_ones(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1", at_set='t1 {"A": "1", "B": "1"}')
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t2", at_rerun="t2 1", at_set='t2 {"B": "2"}')
    kept = world.settle()
    assert kept.spec
    assert kept.spec.parameters == (("A", "1"), ("B", "2"))


def test_a_repeated_run_is_no_move_of_the_branch(world: World) -> None:
    polled(world)
    world.source.push(project("a >> b"))
    world.passes(2, 31)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, poll="30s", trigger="t1", at_rerun="t1 1")
    assert world.finish_all().run == 3
    assert world.passes(4, 31).run == 3


def test_a_run_that_is_not_kept_can_not_be_repeated_and_the_kept_ones_are_named(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1")
    for number in range(3):
        world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1", trigger=f"t{number}")
        world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="1", trigger="x", at_rerun="x 1")
    kept = world.settle()
    assert (kept.phase, kept.run, kept.finished_trigger, kept.history[0].reason) == ("Ready", 3, "x", "RunNotKept")
    assert kept.history[0].message == "run 1 is not kept, so it can't be repeated: kept are 3"


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


def failed_at(world: World, stage: str, run: int, **asked: str) -> None:
    """Let a run begin, and all its stages end well until `stage`, which fails."""
    world.cluster.ask("iris", repository=REPOSITORY, **asked)
    while f"iris-{stage}-{run}" not in world.jobs():
        world.settle()
        for name, job in world.jobs().items():
            if name.endswith(f"-{run}") and name != f"iris-{stage}-{run}" and "status" not in job:
                world.cluster.end_job(job)
    world.cluster.end_job(world.jobs()[f"iris-{stage}-{run}"], 3)
    assert world.settle().phase == "Failed"


def test_a_kept_run_is_gone_on_from_only_as_far_as_it_got(world: World) -> None:
    world.source.push(project("a >> b >> c"))
    failed_at(world, "b", 1)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    assert world.finish_all().phase == "Ready"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t2", at_rerun="t2 1", at_from="t2 c")
    kept = world.settle()
    assert (kept.run, kept.phase, kept.history[0].reason) == (2, "Ready", "NothingToReuse")
    assert kept.history[0].message.startswith("stage b of run 1 is Failed, so nothing of it can be reused")
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t3", at_rerun="t3 2", at_from="t3 c")
    assert {name: stage.state for name, stage in world.finish_all().stages.items()} == {
        "a": "Reused",
        "b": "Reused",
        "c": "Done",
    }


def test_what_a_kept_run_says_it_reused_counts_as_it_was_where_it_ran(world: World) -> None:
    world.source.push(project("a >> b >> c"))
    failed_at(world, "a", 1)
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


# --- what is refused -------------------------------------------------------------------------------

REFUSED = {
    "a stage that is not there": ({"at_from": "x nope"}, "UnknownStage"),
    "one stage that is not there": ({"at_only": "x nope"}, "UnknownStage"),
    "a run that never was": ({"at_rerun": "x 9"}, "RunNotKept"),
    "no run's number": ({"at_rerun": "x many"}, "InvalidTrigger"),
    "a stage alone and a stage with all after it": ({"at_only": "x a", "at_from": "x a"}, "InvalidTrigger"),
    "no parameters": ({"at_set": "x nonsense"}, "InvalidTrigger"),
    "a parameter that can't be one": ({"at_set": 'x {"PATH": "/"}'}, "InvalidTrigger"),
}


@pytest.mark.parametrize("overlap", ["queue", "replace", "skip"])
@pytest.mark.parametrize(("wish", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_trigger_that_is_refused_changes_nothing_else_and_is_told(
    world: World, wish: dict[str, str], reason: str, overlap: str
) -> None:
    world.source.push(project("a >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap=overlap)
    before = world.finish_all()
    deployment = world.cluster.of_kind("Deployment")
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap=overlap, trigger="x", **wish)
    kept = world.settle()
    for field in ("phase", "reason", "run", "stages", "spec", "release_run", "release_commit", "problems", "finished"):
        assert getattr(kept, field) == getattr(before, field), field
    assert world.cluster.of_kind("Deployment") == deployment
    refused = kept.history[0]
    assert (refused.outcome, refused.trigger, refused.reason, refused.run) == ("Refused", "x", reason, 0)
    assert kept.message == f"run 1 succeeded (trigger x was refused: {refused.message})"
    assert (kept.finished_trigger, kept.handled) == ("x", ("x",))
    told = [item["message"] for item in world.cluster.of_kind("Event") if item["reason"] == "RunRefused"]
    assert told == [f"trigger x was refused: {refused.message}"]
    assert world.metrics.outcomes == ["Succeeded", "Refused"]
    writes = len(world.cluster.writes)
    world.passes(3)
    assert len(world.cluster.writes) == writes
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap=overlap, trigger="y")
    kept = world.finish_all()
    assert (kept.run, kept.phase, kept.message) == (2, "Ready", "run 2 succeeded")


@pytest.mark.parametrize(("wish", "reason"), REFUSED.values(), ids=REFUSED)
def test_no_run_is_replaced_by_what_can_not_start(world: World, wish: dict[str, str], reason: str) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, on_overlap="replace", trigger="x", **wish)
    kept = world.settle()
    assert (kept.run, kept.active, kept.history[0].reason, kept.finished_trigger) == (1, True, reason, "x")
    assert world.finish_all().phase == "Ready"


@pytest.mark.parametrize("wish", [{"at_rerun": "x 9"}, {"at_set": "x nonsense"}])
def test_no_trigger_that_waits_makes_way_for_what_can_not_start(world: World, wish: dict[str, str]) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="t1")
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", **wish)
    assert world.settle().queued == "t1"
    kept = world.finish_all()
    assert (kept.run, kept.finished_trigger) == (2, "t1")
    assert outcomes(kept) == [(2, "Succeeded", "t1"), (1, "Succeeded", ""), (0, "Refused", "x")]


def test_the_active_run_can_be_repeated_once_it_is_over(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", at_rerun="x 1")
    assert world.settle().queued == "x"
    kept = world.finish_all()
    assert (kept.run, kept.spec and kept.spec.rerun) == (2, 1)


def test_a_change_that_comes_with_a_trigger_that_is_refused_still_runs(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, env="2", trigger="x", at_only="x nope")
    kept = world.finish_all()
    assert (kept.run, kept.spec and kept.spec.cause) == (2, "Changed")
    assert outcomes(kept)[:2] == [(2, "Succeeded", ""), (0, "Refused", "x")]


@pytest.mark.parametrize("annotation", [{"trigger": "a\nb"}, {"trigger": "x" * 257}, {"cancel": "a\nb"}])
def test_an_annotation_that_can_not_be_read_is_told_once_and_disturbs_nothing(
    world: World, annotation: dict[str, str]
) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, **annotation)
    kept = world.settle()
    assert (kept.run, kept.phase) == (1, "Ready")
    assert "256 printable characters" in kept.message
    assert outcomes(kept) == [(0, "Refused", ""), (1, "Succeeded", "")]
    writes = len(world.cluster.writes)
    world.passes(3)
    assert len(world.cluster.writes) == writes


def test_a_repeated_run_whose_commit_is_gone_is_refused_and_what_serves_goes_on(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.fault = Invalid("RepositoryNotFound", ["git.example has no such repository"])
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", at_rerun="x 1")
    kept = world.settle()
    assert (kept.phase, kept.run, kept.history[0].reason) == ("Ready", 1, "RepositoryNotFound")


def test_a_commit_that_has_become_invalid_is_told_as_before(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.source.push({"bodywork.ini": "nonsense"})
    world.cluster.ask("iris", repository=REPOSITORY, trigger="x", at_only="x a")
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.history[0].outcome) == ("Invalid", "InvalidProject", "Invalid")
