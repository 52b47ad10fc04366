"""What starts a run, waits, is passed over or refused: `decide` alone."""

import json

import pytest

from controller.core.errors import Invalid, Transient
from controller.core.model import Object, Record
from tests.support.desk import Desk
from tests.support.world import project


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.push(project("a"))
    return desk


DOWN = Transient("GitUnreachable", "git.example: no answer")


def variables(job: Object) -> dict[str, str]:
    """Return the plain variables of a Job's container."""
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


def outcomes(kept: Record) -> list[tuple[int, str, str]]:
    """Return run, outcome and trigger of the history, newest first."""
    return [(past.run, past.outcome, past.trigger) for past in kept.history]


def polled(desk: Desk, **data: str) -> Record:
    """Make a request that looks every 30 s, and its first run over."""
    desk.ask(poll="30s", **data)
    return desk.finish_all()


REFUSED = {
    "a stage that is not there": ({"at_from": "x nope"}, "UnknownStage"),
    "one stage that is not there": ({"at_only": "x nope"}, "UnknownStage"),
    "a run that never was": ({"at_rerun": "x 9"}, "RunNotKept"),
    "no run's number": ({"at_rerun": "x many"}, "InvalidTrigger"),
    "a stage alone and a stage with all after it": ({"at_only": "x a", "at_from": "x a"}, "InvalidTrigger"),
    "no parameters": ({"at_set": "x nonsense"}, "InvalidTrigger"),
    "a parameter that can't be one": ({"at_set": 'x {"PATH": "/"}'}, "InvalidTrigger"),
}


def test_replace_ends_the_active_run_and_starts_the_new_one(desk: Desk) -> None:
    desk.ask(on_overlap="replace")
    assert desk.settle().run == 1
    desk.ask(on_overlap="replace", trigger="t1")
    kept = desk.settle()
    assert (kept.run, kept.phase) == (2, "Running")
    assert set(desk.jobs()) == {"iris-a-2"}
    assert outcomes(kept) == [(1, "Cancelled", "")]
    assert kept.history[0].reason == "Replaced"
    assert kept.history[0].message == "run 1 was replaced by trigger t1 (on-overlap: replace)"
    assert desk.finish_all().finished_trigger == "t1"
    assert desk.outcomes == ["Cancelled", "Succeeded"]


def test_a_change_replaces_as_a_trigger_does(desk: Desk) -> None:
    desk.ask(on_overlap="replace")
    desk.settle()
    desk.ask(on_overlap="replace", env="2")
    kept = desk.settle()
    assert (kept.run, kept.history[0].message) == (
        2,
        "run 1 was replaced by a change of the request (on-overlap: replace)",
    )
    assert variables(desk.jobs()["iris-a-2"])["ALPHA"] == "2"


def test_a_commit_that_moves_replaces_the_run_of_the_old_one(desk: Desk) -> None:
    desk.ask(on_overlap="replace", poll="30s")
    desk.settle()
    desk.push(project("a >> b"))
    kept = desk.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.cause) == (2, "Polled")
    assert kept.history[0].message == "run 1 was replaced by a commit that moved (on-overlap: replace)"


def test_nothing_is_replaced_while_suspended(desk: Desk) -> None:
    desk.ask(on_overlap="replace")
    desk.settle()
    desk.ask(on_overlap="replace", suspend="true", trigger="t1")
    assert (desk.settle().run, desk.record.active) == (1, True)
    kept = desk.finish_all()
    assert (kept.run, kept.phase, kept.finished_trigger) == (1, "Suspended", "t1")


def test_skip_passes_over_what_comes_during_a_run_and_says_so(desk: Desk) -> None:
    desk.ask(on_overlap="skip")
    desk.settle()
    desk.ask(on_overlap="skip", trigger="t1")
    kept = desk.settle()
    assert kept.finished_trigger == "t1"
    assert (kept.run, outcomes(kept)) == (1, [(0, "Skipped", "t1")])
    assert kept.history[0].message == "run 1 was active (on-overlap: skip)"
    kept = desk.finish_all()
    assert (kept.run, kept.phase, kept.reason) == (1, "Ready", "Succeeded")
    desk.ask(on_overlap="skip", trigger="t2")
    assert desk.finish_all().run == 2


def test_skip_passes_over_changes_and_commits_as_well(desk: Desk) -> None:
    desk.ask(on_overlap="skip", poll="30s")
    desk.settle()
    desk.ask(on_overlap="skip", poll="30s", env="2")
    desk.settle()
    desk.push(project("a >> b"))
    assert outcomes(desk.passes(2, 31)) == [(0, "Skipped", ""), (0, "Skipped", "")]
    desk.finish_all()
    assert desk.passes(3, 31).run == 1


def test_what_an_invalid_request_is_asked_for_during_a_run_waits(desk: Desk) -> None:
    desk.ask(on_overlap="skip")
    desk.settle()
    desk.ask(on_overlap="skip", keep_runs="x", trigger="t1")
    assert desk.settle().queued == "t1"


def test_a_commit_that_moves_starts_one_run(desk: Desk) -> None:
    polled(desk)
    desk.push(project("a >> b"))
    kept = desk.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.cause, kept.spec and kept.spec.commit[-1]) == (2, "Polled", "2")
    assert variables(desk.jobs()["iris-a-2"])["COACHWORK_TRIGGER"] == "polled"
    desk.finish_all()
    assert desk.passes(5, 31).run == 2


def test_it_is_looked_again_when_the_next_look_is_due(desk: Desk) -> None:
    polled(desk)
    delay = desk.pass_().requeue_after
    assert delay is not None
    assert 0 < delay <= 30
    desk.push(project("a >> b"))
    desk.clock.pass_(delay)
    assert desk.settle().run == 2


def test_requests_look_at_different_moments(desk: Desk) -> None:
    delays = set()
    for number in range(8):
        desk = Desk()
        desk.ask(poll="1h", run_on_create="false")
        desk.configmap["metadata"]["uid"] = f"{number}"
        desk.settle()
        delays.add(desk.pass_().requeue_after)
    assert len(delays) > 4


@pytest.mark.parametrize("bad", [{"bootwork.ini": ""}, {"bodywork.ini": "nonsense"}])
def test_a_commit_whose_project_is_invalid_is_handled(desk: Desk, bad: dict[str, str]) -> None:
    polled(desk)
    desk.push(bad)
    assert desk.passes(2, 31).phase == "Invalid"
    desk.passes(4, 31)
    assert desk.outcomes == ["Succeeded", "Invalid"]
    desk.push(project("a"))
    assert desk.passes(2, 31).run == 2


def test_a_commit_whose_run_failed_is_handled(desk: Desk) -> None:
    polled(desk)
    desk.push(project("a >> b"))
    desk.passes(2, 31)
    desk.end_job("iris-a-2", 3)
    assert desk.settle().phase == "Failed"
    assert desk.passes(4, 31).run == 2


def test_a_branch_that_is_pushed_back_has_moved(desk: Desk) -> None:
    desk.push(project("a >> b"))
    polled(desk)
    desk.source.head = 1
    kept = desk.passes(2, 31)
    assert (kept.run, kept.spec and kept.spec.commit[-1]) == (2, "1")


def test_without_a_run_the_first_look_only_takes_note(desk: Desk) -> None:
    desk.ask(poll="30s", run_on_create="false")
    desk.settle()
    assert desk.passes(3, 31).run == 0
    desk.push(project("a >> b"))
    assert desk.passes(2, 31).run == 1


def test_what_is_pushed_while_suspended_is_handled(desk: Desk) -> None:
    polled(desk)
    desk.ask(poll="30s", suspend="true")
    desk.push(project("a >> b"))
    assert desk.passes(2, 31).phase == "Suspended"
    desk.ask(poll="30s")
    assert desk.passes(3, 31).run == 1


def test_a_run_that_what_moved_has_to_wait_for_is_not_disturbed_by_looks(desk: Desk) -> None:
    desk.ask(poll="30s")
    desk.settle()
    desk.push(project("a >> b"))
    desk.source.calls.clear()
    desk.passes(4, 31)
    assert desk.source.calls == []
    desk.finish_all()
    assert desk.passes(2, 31).run == 2


def test_a_server_that_does_not_answer_is_asked_less_and_less(desk: Desk) -> None:
    polled(desk)
    desk.source.fault = DOWN
    desk.source.calls.clear()
    desk.passes(100, 31)
    assert 4 < len(desk.source.calls) < 12


def test_a_branch_that_appears_later_is_run(desk: Desk) -> None:
    desk.source.fault = Invalid("RefNotFound", ["ref: no branch main"])
    desk.ask(poll="30s")
    assert desk.settle().phase == "Invalid"
    desk.source.fault = None
    assert desk.passes(6, 31).run == 1


def test_without_the_key_nobody_looks(desk: Desk) -> None:
    desk.ask()
    desk.finish_all()
    desk.push(project("a >> b"))
    desk.source.calls.clear()
    assert desk.passes(3, 3600).run == 1
    assert desk.source.calls == []


def test_parameters_are_variables_of_that_run_alone_and_win_over_the_requests(desk: Desk) -> None:
    given = json.dumps({"ALPHA": "0.1", "BETA": "$x"})
    desk.ask(env="9", trigger="t1", at_set=f"t1 {given}")
    kept = desk.settle()
    assert kept.spec
    assert kept.spec.parameters == (("ALPHA", "0.1"), ("BETA", "$x"))
    found = variables(desk.jobs()["iris-a-1"])
    assert (found["ALPHA"], found["BETA"]) == ("0.1", "$$x")
    desk.finish_all()
    desk.ask(env="9", trigger="t2", at_set=f"t1 {given}")
    desk.settle()
    assert variables(desk.jobs()["iris-a-2"])["ALPHA"] == "9"


def test_what_went_with_a_handled_trigger_means_nothing_to_a_later_change(desk: Desk) -> None:
    wishes = {"trigger": "t1", "at_set": 't1 {"ALPHA": "1"}', "at_rerun": "t1 1", "at_from": "t1 b"}
    desk.push(project("a >> b"))
    desk.ask()
    desk.finish_all()
    desk.ask(**wishes)
    assert desk.finish_all().run == 2
    desk.push(project("a >> b >> c"))
    desk.ask(env="2", **wishes)
    kept = desk.settle()
    assert kept.spec
    assert (kept.run, kept.spec.commit[-1], kept.spec.rerun, kept.spec.parameters) == (3, "3", 0, ())
    assert {stage.state for stage in kept.stages.values()} == {"Running", "Waiting"}
    assert variables(desk.jobs()["iris-a-3"])["ALPHA"] == "2"


def test_a_repeated_run_takes_parameters_of_its_own_over_the_old_ones(desk: Desk) -> None:
    desk.ask(trigger="t1", at_set='t1 {"A": "1", "B": "1"}')
    desk.finish_all()
    desk.ask(trigger="t2", at_rerun="t2 1", at_set='t2 {"B": "2"}')
    kept = desk.settle()
    assert kept.spec
    assert kept.spec.parameters == (("A", "1"), ("B", "2"))


def test_a_repeated_run_does_not_move_the_branch(desk: Desk) -> None:
    polled(desk)
    desk.push(project("a >> b"))
    desk.passes(2, 31)
    desk.finish_all()
    desk.ask(poll="30s", trigger="t1", at_rerun="t1 1")
    assert desk.finish_all().run == 3
    assert desk.passes(4, 31).run == 3


def test_a_kept_run_is_gone_on_from_only_as_far_as_it_got(desk: Desk) -> None:
    desk.push(project("a >> b >> c"))
    desk.ask()
    desk.settle()
    desk.end_job("iris-a-1")
    desk.settle()
    desk.end_job("iris-b-1", 3)
    assert desk.settle().phase == "Failed"
    desk.ask(trigger="t1")
    assert desk.finish_all().phase == "Ready"
    desk.ask(trigger="t2", at_rerun="t2 1", at_from="t2 c")
    kept = desk.settle()
    assert (kept.run, kept.phase, kept.history[0].reason) == (2, "Ready", "NothingToReuse")
    assert kept.history[0].message.startswith("stage b of run 1 is Failed, so nothing of it can be reused")
    desk.ask(trigger="t3", at_rerun="t3 2", at_from="t3 c")
    assert {name: stage.state for name, stage in desk.finish_all().stages.items()} == {
        "a": "Reused",
        "b": "Reused",
        "c": "Done",
    }


@pytest.mark.parametrize(("wish", "reason"), REFUSED.values(), ids=REFUSED)
def test_no_run_is_replaced_by_what_can_not_start(desk: Desk, wish: dict[str, str], reason: str) -> None:
    desk.ask(on_overlap="replace")
    desk.settle()
    desk.ask(on_overlap="replace", trigger="x", **wish)
    kept = desk.settle()
    assert (kept.run, kept.active, kept.history[0].reason, kept.finished_trigger) == (1, True, reason, "x")
    assert desk.finish_all().phase == "Ready"


@pytest.mark.parametrize("how", ["trigger", "change", "commit"])
def test_no_run_is_replaced_by_an_invalid_project(desk: Desk, how: str) -> None:
    asked = {"on_overlap": "replace", "poll": "30s"}
    desk.ask(**asked)
    desk.settle()
    desk.push({"bodywork.ini": "nonsense"})
    if how != "commit":
        desk.ask(**asked, **({"trigger": "x"} if how == "trigger" else {"env": "2"}))
    desk.passes(2, 31)
    kept = desk.record
    assert (kept.run, kept.phase, kept.problems, set(desk.jobs())) == (1, "Running", (), {"iris-a-1"})
    assert [past.outcome for past in kept.history] == ["Invalid"]
    assert "bodywork.ini" in kept.history[0].message
    assert kept.finished_trigger == ("x" if how == "trigger" else "")
    assert desk.finish_all().phase == "Ready"
    assert desk.outcomes == ["Invalid", "Succeeded"]


@pytest.mark.parametrize("wish", [{"at_rerun": "x 9"}, {"at_set": "x nonsense"}])
def test_no_trigger_that_waits_makes_way_for_what_can_not_start(desk: Desk, wish: dict[str, str]) -> None:
    desk.ask()
    desk.settle()
    desk.ask(trigger="t1")
    desk.settle()
    desk.ask(trigger="x", **wish)
    assert desk.settle().queued == "t1"
    kept = desk.finish_all()
    assert (kept.run, kept.finished_trigger) == (2, "t1")
    assert outcomes(kept) == [(2, "Succeeded", "t1"), (1, "Succeeded", ""), (0, "Refused", "x")]


def test_the_active_run_can_be_repeated_once_it_is_over(desk: Desk) -> None:
    desk.ask()
    desk.settle()
    desk.ask(trigger="x", at_rerun="x 1")
    assert desk.settle().queued == "x"
    kept = desk.finish_all()
    assert (kept.run, kept.spec and kept.spec.rerun) == (2, 1)


def test_a_change_that_comes_with_a_trigger_that_is_refused_still_runs(desk: Desk) -> None:
    desk.ask()
    desk.finish_all()
    desk.ask(env="2", trigger="x", at_only="x nope")
    kept = desk.finish_all()
    assert (kept.run, kept.spec and kept.spec.cause) == (2, "Changed")
    assert outcomes(kept)[:2] == [(2, "Succeeded", ""), (0, "Refused", "x")]


@pytest.mark.parametrize("annotation", [{"trigger": "a\nb"}, {"trigger": "x" * 257}, {"cancel": "a\nb"}])
def test_an_annotation_that_can_not_be_read_is_reported_once_and_disturbs_nothing(
    desk: Desk, annotation: dict[str, str]
) -> None:
    desk.ask()
    desk.finish_all()
    desk.ask(**annotation)
    kept = desk.settle()
    assert (kept.run, kept.phase) == (1, "Ready")
    assert "256 printable characters" in kept.message
    assert outcomes(kept) == [(0, "Refused", ""), (1, "Succeeded", "")]
    actions = len(desk.actions)
    desk.passes(3)
    assert len(desk.actions) == actions


def test_a_repeated_run_whose_commit_is_gone_is_refused_and_what_serves_goes_on(desk: Desk) -> None:
    desk.ask()
    desk.finish_all()
    desk.source.fault = Invalid("RepositoryNotFound", ["git.example has no such repository"])
    desk.ask(trigger="x", at_rerun="x 1")
    kept = desk.settle()
    assert (kept.phase, kept.run, kept.history[0].reason) == ("Ready", 1, "RepositoryNotFound")


def test_a_commit_that_has_become_invalid_is_reported_as_before(desk: Desk) -> None:
    desk.ask()
    desk.finish_all()
    desk.push({"bodywork.ini": "nonsense"})
    desk.ask(trigger="x", at_only="x a")
    kept = desk.settle()
    assert (kept.phase, kept.reason, kept.history[0].outcome) == ("Invalid", "InvalidProject", "Invalid")


@pytest.mark.parametrize("overlap", ["queue", "replace", "skip"])
@pytest.mark.parametrize(("wish", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_trigger_that_is_refused_changes_nothing_else_and_is_reported(
    desk: Desk, wish: dict[str, str], reason: str, overlap: str
) -> None:
    desk.push(project("a >> web", services={"web": 5000}))
    desk.ask(on_overlap=overlap)
    before = desk.finish_all()
    deployment = desk.of_kind("Deployment")
    desk.ask(on_overlap=overlap, trigger="x", **wish)
    kept = desk.settle()
    for field in ("phase", "reason", "run", "stages", "spec", "release_run", "release_commit", "problems", "finished"):
        assert getattr(kept, field) == getattr(before, field), field
    assert desk.of_kind("Deployment") == deployment
    refused = kept.history[0]
    assert (refused.outcome, refused.trigger, refused.reason, refused.run) == ("Refused", "x", reason, 0)
    assert kept.message == f"run 1 succeeded (trigger x was refused: {refused.message})"
    assert (kept.finished_trigger, kept.handled) == ("x", ("x",))
    told = desk.news("RunRefused")
    assert told == [f"trigger x was refused: {refused.message}"]
    assert desk.outcomes == ["Succeeded", "Refused"]
    actions = len(desk.actions)
    desk.passes(3)
    assert len(desk.actions) == actions
    desk.ask(on_overlap=overlap, trigger="y")
    kept = desk.finish_all()
    assert (kept.run, kept.phase, kept.message) == (2, "Ready", "run 2 succeeded")
