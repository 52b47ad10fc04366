"""The controller dies, records vanish, things are deleted by hand: the outcome is as if nothing had been."""

from functools import partial

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project, server, service

SLOW = """
import os, pathlib, time
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "starts", "a") as file:
    print(os.environ["COACHWORK_STAGE"], file=file)
time.sleep(12)
"""


def kill(coachwork: Coachwork) -> None:
    """Kill the controller, and wait until another one is ready."""
    pod = coachwork.controller()
    kubectl("-n", NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0")
    eventually(lambda: coachwork.controller() != pod, "another controller")


def jobs(coachwork: Coachwork, name: str) -> set[str]:
    return {job["metadata"]["uid"] for job in coachwork.objects(name, "jobs")}


def test_killing_the_controller_within_a_stage_changes_nothing(coachwork: Coachwork) -> None:
    name = coachwork.name("killed")
    coachwork.git.push(name, project(name, "one >> two", batch("one", SLOW), batch("two", SLOW)))
    coachwork.request(name)
    coachwork.running(name, "one")
    before = jobs(coachwork, name)
    kill(coachwork)
    record = coachwork.ended(name)
    assert (record["phase"], record["run"]) == ("Ready", "1"), told(record)
    assert before < jobs(coachwork, name)
    assert len(jobs(coachwork, name)) == 2
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one", "two"]
    assert [past["outcome"] for past in coachwork.history(record)] == ["Succeeded"]


def test_a_run_that_ends_while_the_controller_is_away_is_seen(coachwork: Coachwork) -> None:
    name = coachwork.name("away")
    script = SLOW.replace("time.sleep(12)", "time.sleep(3)\nraise SystemExit('gone wrong')")
    coachwork.git.push(name, project(name, "one", batch("one", script)))
    coachwork.request(name)
    coachwork.running(name, "one")
    kill(coachwork)
    record = coachwork.ended(name)
    assert record["phase"] == "Failed", told(record)
    assert "gone wrong" in record["message"]
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one"]


def test_a_deleted_status_comes_back_and_starts_nothing(coachwork: Coachwork) -> None:
    name = coachwork.name("status")
    files = project(name, "one >> web", batch("one", SLOW.replace("12", "0")), service("web", server("up")))
    before = coachwork.start(name, files)
    uids = {pod["metadata"]["uid"] for pod in coachwork.pods(name)}
    kubectl("-n", NAMESPACE, "delete", "configmap", f"{name}-status")
    after = coachwork.wait_for(name, lambda data: data.get("phase") == "Ready", "record that came back")
    assert after == before
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one"]
    assert {pod["metadata"]["uid"] for pod in coachwork.pods(name)} == uids


def test_a_job_that_is_deleted_by_hand_is_not_run_twice(coachwork: Coachwork) -> None:
    name = coachwork.name("job")
    coachwork.git.push(name, project(name, "one", batch("one", SLOW)))
    coachwork.request(name)
    coachwork.running(name, "one")
    eventually(lambda: coachwork.run_file(name, ".", "cache/starts"), "start of the script")
    kubectl("-n", NAMESPACE, "delete", "job", f"{name}-one-1")
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "JobDeleted"), told(record)
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one"]


def test_what_others_do_to_objects_is_reported_or_put_back_and_the_run_goes_on(coachwork: Coachwork) -> None:
    name = coachwork.name("citizen")
    record, job, deployment = f"{name}-status", f"{name}-one-1", f"{name}--web"
    coachwork.git.push(name, project(name, "one >> web", batch("one", SLOW), service("web", server("up"))))
    coachwork.request(name, schedule="0 7 * * *")
    coachwork.running(name, "one")
    kubectl("-n", NAMESPACE, "label", "job", job, "coachwork.io/run-")
    kubectl("-n", NAMESPACE, "label", "configmap", record, "coachwork.io/request-")
    disown(record, "configmap")
    kubectl("-n", NAMESPACE, "patch", "job", job, "-p", '{"spec": {"suspend": true}}')
    said = coachwork.wait_for(name, lambda data: data.get("reason") == "JobSuspended", "word of the suspended Job")
    assert f"kubectl patch job {job} -p" in said["message"], told(said)
    kubectl("-n", NAMESPACE, "patch", "job", job, "-p", said["message"].partition(" -p '")[2].partition("'")[0])
    assert coachwork.ended(name)["phase"] == "Ready"
    assert coachwork.get("configmap", record)["metadata"]["ownerReferences"]
    for kind, item in (("deployment", deployment), ("service", deployment), ("cronjob", name)):
        disown(item, kind)
        eventually(partial(owners, coachwork, kind, item), f"owner of {kind}")
    kubectl("-n", NAMESPACE, "rollout", "pause", f"deployment/{deployment}")
    eventually(lambda: "paused" not in coachwork.get("deployment", deployment)["spec"], "rollout that goes on")
    assert coachwork.trigger(name, "again")["phase"] == "Ready"


def disown(name: str, kind: str) -> None:
    """Take the owner of an object away."""
    kubectl("-n", NAMESPACE, "patch", kind, name, "--type=merge", "-p", '{"metadata": {"ownerReferences": null}}')


def owners(coachwork: Coachwork, kind: str, name: str) -> object:
    """Return the owners of an object."""
    return coachwork.get(kind, name)["metadata"].get("ownerReferences")
