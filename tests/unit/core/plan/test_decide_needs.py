"""What a decision asks for, and what follows from each answer that is an error: `decide` alone."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.documents.codec import Corrupt, TooNew
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.model import Cause, Object, Record
from controller.core.plan import Apply, Create, Delete, Emit, Observed, Refusal, Restore, Tidy, decide, needs
from tests.support.desk import UID, Desk
from tests.support.examples import share
from tests.support.world import POLICY, project

DOWN = Transient("GitUnreachable", "git.example: no answer")
BUSY = NotYet(5.0, "git is busy")
WRONG = Invalid("RefNotFound", ["ref: no branch dev"])
UNREADY = Transient("ApiUnavailable", "the API server does not answer")


def begun(desk: Desk, files: Mapping[str, str] | None = None, **asked: str) -> Desk:
    desk.push(dict(files or project("a >> web", services={"web": 5000})))
    desk.ask(**asked)
    desk.settle()
    return desk


def kinds(desk: Desk) -> list[str]:
    """Return the kinds of the questions in their order, each once in a row."""
    names = [type(question).__name__ for question in desk.questions]
    return [name for number, name in enumerate(names) if names[max(number - 1, 0)] != name or not number]


# --- what is asked ---------------------------------------------------------------------------------


def test_a_new_run_asks_for_all_that_it_is_made_of_before_it_is_recorded() -> None:
    desk = Desk()
    desk.push(project("a >> web", services={"web": 5000}, packages={"a": "flask==3.0.0"}))
    desk.ask()
    desk.pass_()
    asked = ["Commit", "Project", "Environments", "Sources", "NewestRun", "BuildOf", "Holder", "RunFolder"]
    assert kinds(desk) == asked
    held = {(item.kind, item.name) for item in desk.questions if isinstance(item, needs.Holder)}
    assert {("Job", "iris-a-1"), ("Deployment", "iris--web"), ("ConfigMap", "iris-release")} <= held


def test_an_active_run_asks_for_its_project_alone_and_one_at_rest_for_nothing() -> None:
    desk = begun(Desk())
    desk.questions.clear()
    desk.pass_()
    assert kinds(desk) == ["Project"]
    desk.finish_all()
    desk.questions.clear()
    desk.pass_()
    assert desk.questions == []


def test_secrets_are_looked_up_before_the_first_step_opens_and_not_again() -> None:
    desk = begun(Desk(), project("a >> b", secrets={"b": "TOKEN = vault"}))
    assert (desk.record.reason, desk.jobs()) == ("SecretMissing", {})
    assert "Secret vault with TOKEN not found (stage b)" in desk.record.message
    desk.live["Secret", "vault"] = {"metadata": {"resourceVersion": "7"}, "data": {"TOKEN": "eA=="}}
    desk.settle()
    assert set(desk.jobs()) == {"iris-a-1"}
    assert desk.record.spec
    assert desk.record.spec.secrets == (("vault", "7"),)
    desk.questions.clear()
    desk.pass_()
    assert kinds(desk) == ["Project"]


def test_who_set_which_field_is_looked_up_only_where_a_cached_object_differs() -> None:
    desk = begun(Desk(), project("web", services={"web": 5000}))
    desk.finish_all()
    desk.questions.clear()
    scaled(desk)
    decision = desk.pass_()
    assert desk.questions == [needs.Live("Deployment", "iris--web")]
    assert [type(action) for action in decision.actions] == [Emit, Restore]
    assert decision.record.reason == "ServiceDrifted"


def scaled(desk: Desk) -> Object:
    live = desk.objects["Deployment", "iris--web"]
    edited = {**live["metadata"], "managedFields": [{"manager": "kubectl-edit"}]}
    desk.objects["Deployment", "iris--web"] = {**live, "metadata": edited, "spec": {**live["spec"], "replicas": 0}}
    return live


# --- errors instead of answers ---------------------------------------------------------------------

BEFORE_A_RUN: Mapping[str, tuple[type, Exception, tuple[str, str]]] = {
    "no such ref": (needs.Commit, WRONG, ("Invalid", "RefNotFound")),
    "no Git server": (needs.Commit, DOWN, ("Pending", "GitUnreachable")),
    "a busy mirror": (needs.Commit, BUSY, ("Queued", "NotYet")),
    "an invalid project": (needs.Project, Invalid("InvalidProject", ["x"]), ("Invalid", "InvalidProject")),
    "a project that can't be read now": (needs.Project, DOWN, ("Pending", "GitUnreachable")),
    "bad requirements": (needs.Environments, Invalid("InvalidProject", ["x"]), ("Invalid", "InvalidProject")),
    "a requirement that may come": (
        needs.Environments, Invalid("GitRequirementUnreachable", ["x"]), ("Pending", "GitRequirementUnreachable"),
    ),
    "sources that can't be had now": (needs.Sources, DOWN, ("Pending", "GitUnreachable")),
    "no API server": (needs.Holder, UNREADY, ("Pending", "ApiUnavailable")),
    "a name that becomes free": (needs.Holder, NotYet(1.0, "is being removed"), ("Queued", "NotYet")),
    "a full volume": (needs.RunFolder, Transient("VolumeFull", "no room"), ("Pending", "VolumeFull")),
}  # fmt: skip


@pytest.mark.parametrize(("question", "error", "expected"), BEFORE_A_RUN.values(), ids=BEFORE_A_RUN)
def test_what_keeps_a_run_from_starting_is_recorded_and_only_the_user_can_mend_what_is_invalid(
    question: type, error: Exception, expected: tuple[str, str]
) -> None:
    desk = Desk(faults={question: error})
    desk.push(project("a"))
    desk.ask(trigger="t1")
    decision = desk.pass_()
    assert (decision.record.phase, decision.record.reason, decision.record.run) == (*expected, 0)
    handled = expected[0] == "Invalid"
    assert (decision.error is None, "t1" in decision.record.handled) == (handled, handled)
    assert desk.objects == {}
    desk.faults.clear()
    assert desk.finish_all().run == (0 if handled else 1)


def test_what_may_still_come_is_waited_for_as_long_as_its_grace() -> None:
    desk = Desk(faults={needs.Environments: Invalid("GitRequirementUnreachable", ["git.example does not answer"])})
    desk.push(project("a"))
    desk.ask()
    assert desk.settle().phase == "Pending"
    desk.clock.pass_(POLICY.start_grace - 1)
    assert desk.settle().phase == "Pending"
    desk.clock.pass_(1)
    assert (desk.settle().phase, desk.record.reason) == ("Invalid", "GitRequirementUnreachable")


def test_all_names_that_others_hold_are_said_at_once() -> None:
    desk = Desk(holders={("Service", "iris--web"): "ConfigMap other", ("Job", "iris-a-1"): "nobody of ours"})
    begun(desk)
    assert (desk.record.phase, desk.record.reason, len(desk.record.problems)) == ("Invalid", "NameTaken", 2)
    assert any("Service iris--web belongs to ConfigMap other" in problem for problem in desk.record.problems)


DURING_A_RUN: Mapping[str, tuple[Exception, tuple[str, str]]] = {
    "no Git server": (DOWN, ("Running", "GitUnreachable")),
    "a busy mirror": (BUSY, ("Running", "NotYet")),
    "a repository that is gone": (Invalid("RepositoryNotFound", ["x"]), ("Failed", "RepositoryNotFound")),
}


@pytest.mark.parametrize(("error", "expected"), DURING_A_RUN.values(), ids=DURING_A_RUN)
def test_a_run_whose_project_is_lost_waits_for_it_or_fails(error: Exception, expected: tuple[str, str]) -> None:
    desk = begun(Desk(), project("a"))
    desk.faults[needs.Project] = error
    decision = desk.pass_()
    assert (decision.record.phase, decision.record.reason) == expected
    assert bool(decision.error) == decision.record.active


@pytest.mark.parametrize(
    "error", [DOWN, UNREADY, Invalid("GitSecretMissing", ["no Secret git"])], ids=["down", "busy", "a Secret to come"]
)
def test_nothing_is_replaced_before_what_replaces_it_can_begin(error: Exception) -> None:
    desk = begun(Desk(), on_overlap="replace")
    jobs = desk.jobs()
    for trigger in ("t1", "t2"):
        desk.ask(on_overlap="replace", trigger=trigger)
        desk.faults[needs.Commit] = error
        decision = desk.pass_()
        assert (decision.record.active, decision.record.queued, decision.requeue_after) == (True, trigger, 30.0)
        assert "(what is to replace it can't start yet: " in decision.record.message
    assert (desk.jobs(), desk.record.history[0].outcome) == (jobs, "Superseded")
    desk.faults.clear()
    assert desk.pass_().outcome == "Cancelled"
    assert (desk.settle().run, desk.record.handled[-2:]) == (2, ("t1", "t2"))


# --- the pass itself fails -------------------------------------------------------------------------


def test_a_pass_that_could_not_observe_or_record_says_why_and_does_nothing() -> None:
    desk = begun(Desk())
    for error in (UNREADY, BUSY):
        decision = desk.decide(Observed(failed=error))
        assert (decision.error, decision.actions, decision.record.phase) == (error, (), "Running")


def test_a_full_volume_is_recorded_with_its_room_and_the_remedy() -> None:
    desk = begun(Desk())
    decision = desk.decide(Observed(failed=Transient("VolumeFull", "can't write")))
    remedy = "enlarge the claim, lower keep-runs or delete requests; it goes on by itself"
    assert decision.record.message == f"can't write (1 MiB of 1 GiB is free: {remedy})"
    assert str(decision.error) == decision.record.message


def test_an_invalid_that_is_nobodys_mistake_is_tried_again() -> None:
    desk = begun(Desk(), project("web", services={"web": 5000}))
    desk.finish_all()
    release = desk.objects["ConfigMap", "iris-release"]
    desk.objects["ConfigMap", "iris-release"] = {**release, "data": {**release["data"], "objects": "]["}}
    decision = desk.pass_()
    assert (decision.record.reason, type(decision.error), decision.actions) == ("ReleaseUnreadable", Transient, ())


# --- the record ------------------------------------------------------------------------------------


def test_a_record_of_a_newer_version_blocks_the_request_whatever_else_is_so() -> None:
    desk = begun(Desk())
    desk.questions.clear()
    newer: TooNew[Record] = TooNew(desk.record, "the record was written by a newer version")
    for observed in (desk.observed(), Observed(failed=UNREADY)):
        desk.found = newer
        decision = desk.decide(observed)
        assert (decision.record.phase, decision.record.reason) == ("Blocked", "RecordTooNew")
        assert decision.record.message == newer.problem
        assert ([type(action) for action in decision.actions], decision.error) == ([Emit], None)
    assert desk.questions == []


def test_a_damaged_record_is_reported_and_its_numbers_and_triggers_go_on() -> None:
    desk = Desk()
    desk.push(project("a"))
    desk.ask(trigger="t1")
    desk.found = Corrupt(Record(UID, run=7, handled=("t1",)))
    assert desk.settle().run == 8  # the request as it was handled is lost, its trigger is not
    assert len(desk.news("RecordDamaged")) == 1
    assert desk.record.spec
    assert (desk.record.spec.cause, desk.record.spec.trigger) == ("Created", "")


# --- what the cluster refused ----------------------------------------------------------------------


def refusal(reason: str, *, final: bool) -> Refusal:
    return Refusal("", Cause(reason, f"{reason}: no"), final=final)


def test_a_refused_object_fails_its_stage_at_once_or_after_the_grace_for_what_may_change() -> None:
    desk = Desk(refuse={"iris-a-1": refusal("RejectedByCluster", final=True)})
    begun(desk, project("a"))
    assert (desk.record.phase, desk.record.reason) == ("Failed", "RejectedByCluster")
    desk = Desk(refuse={"iris-a-1": refusal("QuotaExceeded", final=False)})
    begun(desk, project("a"))
    assert (desk.record.phase, desk.record.reason) == ("Running", "QuotaExceeded")
    assert isinstance(desk.pass_().error, Transient)
    assert desk.record.message.endswith("; waits up to 30 min, then fails")
    desk.clock.pass_(POLICY.schedule_grace)
    assert (desk.settle().phase, desk.record.reason) == ("Failed", "QuotaExceeded")
    assert desk.record.message.endswith("; waited 30 min")
    assert "waits" not in desk.record.message


def test_a_refused_release_fails_the_run_and_a_refused_schedule_disturbs_nothing() -> None:
    desk = Desk(refuse={"iris-release": refusal("RejectedByCluster", final=True)})
    begun(desk, project("web", services={"web": 5000}))
    assert (desk.finish_all().phase, desk.of_kind("Deployment")) == ("Failed", [])
    desk = Desk(refuse={"iris": refusal("QuotaExceeded", final=False)})
    begun(desk, project("a"), schedule="@daily")
    assert (desk.finish_all().phase, desk.record.schedule_problem) == ("Ready", "QuotaExceeded: QuotaExceeded: no")


def test_a_change_that_can_not_be_put_back_is_said() -> None:
    desk = begun(Desk(), project("web", services={"web": 5000}))
    desk.finish_all()
    scaled(desk)
    desk.refuse["iris--web"] = refusal("QuotaExceeded", final=False)
    decision = desk.pass_()
    assert (decision.record.phase, decision.record.reason) == ("Degraded", "ServiceDrifted")
    assert decision.record.message.endswith("it can't be put back (QuotaExceeded: no)")
    assert isinstance(decision.error, Transient)


# --- always ----------------------------------------------------------------------------------------


def test_the_folders_of_earlier_runs_go_when_a_run_ends_after_all_that_must_not_wait_for_that() -> None:
    desk = begun(Desk(), project("a"))
    desk.end_job("iris-a-1")
    decision = desk.pass_()
    assert decision.outcome == "Succeeded"
    assert isinstance(decision.actions[-1], Tidy)
    desk.ask(keep_runs="x")
    desk.end_job("iris-a-1")
    assert not any(isinstance(action, Tidy) for action in desk.pass_().actions)


QUESTIONS = [needs.Commit, needs.Project, needs.Environments, needs.Sources, needs.BuildOf, needs.Holder,
             needs.NewestRun, needs.RunFolder, needs.Live, needs.KeptSpec, needs.KeptRun]  # fmt: skip
ERRORS = [DOWN, BUSY, WRONG, Invalid("SecretMissing", ["no Secret"]), Transient("VolumeFull", "no room")]
STEPS: list[dict[str, Any]] = [
    {}, {"trigger": "t1"}, {"trigger": "t2", "on_overlap": "replace"}, {"trigger": "t3", "at_rerun": "t3 1"},
    {"trigger": "t4", "at_from": "t4 web"}, {"poll": "30s"}, {"keep_runs": "x"}, {"suspend": "true"}, {"cancel": "1"},
]  # fmt: skip


@settings(max_examples=share(0.5), deadline=None)
@given(
    story=st.lists(
        st.tuples(st.sampled_from(STEPS), st.dictionaries(st.sampled_from(QUESTIONS), st.sampled_from(ERRORS))),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_the_answers_are_there_is_a_decision_and_one_with_an_error_of_git_touches_nothing(story: Any) -> None:
    desk = Desk()
    desk.push(project("a >> web", services={"web": 5000}, packages={"a": "flask==3.0.0"}, secrets={"a": "T = vault"}))
    for asked, faults in story:
        desk.ask(**asked)
        desk.faults = faults
        run = desk.record.run
        decision = desk.pass_()  # Desk asserts: no question twice, the same answer to the same arguments
        assert run <= decision.record.run <= run + 1
        if decision.error and not desk.refuse and decision.record.reason != "VolumeFull":
            assert not any(isinstance(action, Create | Apply | Delete) for action in decision.actions)
        desk.clock.pass_(31)
    desk.ask(trigger="last")
    desk.faults = {}
    desk.live["Secret", "vault"] = {"metadata": {"resourceVersion": "7"}, "data": {"T": "eA=="}}
    for _ in range(3):
        desk.finish_all()
    assert not desk.record.active
    assert "last" in desk.record.handled


def test_nothing_is_decided_before_all_questions_of_a_round_are_answered() -> None:
    desk = Desk()
    desk.push(project("a"))
    desk.ask()
    first = decide(desk.known(), desk.observed(), POLICY, desk.clock())
    assert first == needs.Needs((needs.Commit(),))
    assert decide(desk.known(), desk.observed() | {needs.Commit(): BUSY}, POLICY, desk.clock()) != first
