"""What controllers and nodes make of workloads, each behaviour that the product relies on as one test."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from controller.core.errors import Refused
from controller.core.model import Object
from tests.contract.conftest import World
from tests.support.eventually import eventually
from tests.support.workloads import conditions, config_map, deployment, job

OTHER_UID = "00000000-0000-0000-0000-000000000000"
SLOW = 90.0  # seconds: a pod that must start, fail and start again

pytestmark = [pytest.mark.timeout(180), pytest.mark.worlds("local", "real")]
REAL_ONLY = pytest.mark.worlds("real")


def the_job(world: World) -> Object:
    """Return the only Job, {} if it is not there."""
    jobs = world.view.children("iris").jobs
    return jobs[0] if jobs else {}


def waiting(world: World) -> Object:
    """Return why the first container of the only pod waits."""
    statuses = [
        status
        for pod in world.view.children("iris").pods
        for status in pod.get("status", {}).get("containerStatuses") or ()
    ]
    return statuses[0]["state"].get("waiting") or {} if statuses else {}


def test_an_object_that_breaks_a_rule_is_refused_with_the_field(world: World) -> None:
    with pytest.raises(Refused, match="backoffLimit") as caught:
        world.kube.create(job("iris-train-7", "true", backoffLimit=-1))
    assert not caught.value.forbidden


# --- owners ----------------------------------------------------------------------------------------


def test_what_a_deleted_owner_owned_is_collected(world: World) -> None:
    iris = world.kube.create(config_map("iris"))
    world.kube.create(job("iris-train-7", "sleep 3600", owner=iris))
    world.kube.apply(deployment("serve", owner=iris))
    eventually(lambda: len(world.view.children("iris").pods) == 2)
    world.remove("ConfigMap", "iris")
    eventually(lambda: not any(_all(world)), SLOW)
    assert world.view.requests() == []


def test_an_object_of_an_owner_that_never_was_is_collected(world: World) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": OTHER_UID}}
    world.kube.create(job("iris-train-7", "sleep 3600", owner=ghost))
    eventually(lambda: world.kube.get("Job", "iris-train-7") is None, SLOW)


def test_deleting_a_job_in_the_background_takes_its_pods(world: World) -> None:
    created = world.kube.create(job("iris-train-7", "sleep 3600"))
    uid = created["metadata"]["uid"]
    eventually(lambda: world.kube.pods_of_job(uid))
    world.kube.delete("Job", "iris-train-7", uid)
    eventually(lambda: not world.kube.pods_of_job(uid), SLOW)
    eventually(lambda: not any(_all(world)))


def _all(world: World) -> tuple[object, ...]:
    """Return all children but the events."""
    children = world.view.children("iris")
    return children.jobs, children.pods, children.deployments


# --- Jobs ------------------------------------------------------------------------------------------


def test_a_job_is_tried_again_as_often_as_asked_and_then_fails(world: World) -> None:
    world.kube.create(job("iris-train-7", "exit 3", backoffLimit=1))
    failed = eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    assert failed["reason"] == "BackoffLimitExceeded"
    assert the_job(world)["status"]["failed"] == 2
    assert "succeeded" not in the_job(world)["status"]  # a count that is 0 is absent


def test_the_launcher_s_exit_code_ends_a_job_whatever_retries_are_left(world: World) -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [121]}},
    ]
    world.kube.create(job("iris-train-7", "exit 121", backoffLimit=5, podFailurePolicy={"rules": rules}))
    failed = eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    assert failed["reason"] == "PodFailurePolicy"
    assert the_job(world)["status"]["failed"] == 1


def test_a_disruption_uses_up_no_retry(world: World) -> None:
    ignore = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    created = world.kube.create(job("iris-train-7", "sleep 3600", podFailurePolicy={"rules": [ignore]}))
    (first,) = eventually(lambda: _running(world), SLOW)
    world.evict(first)
    eventually(lambda: _running(world) not in ([], [first]), SLOW)
    assert not conditions(the_job(world))
    assert "failed" not in the_job(world)["status"]
    world.kube.delete("Job", "iris-train-7", created["metadata"]["uid"])


def _running(world: World) -> list[str]:
    """Return the names of the pods that run and are not on their way out."""
    pods = world.view.children("iris").pods
    living = [pod["metadata"] for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    return [metadata["name"] for metadata in living if "deletionTimestamp" not in metadata]


def test_a_pod_past_its_deadline_fails_and_stays(world: World) -> None:
    limited = job("iris-train-7", "sleep 3600")
    limited["spec"]["template"]["spec"]["activeDeadlineSeconds"] = 2
    world.kube.create(limited)
    eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    (pod,) = world.view.children("iris").pods
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("exit 7", 7, "Error"), ("sh -c 'kill -9 $$$$'; exit $?", 137, "Error"), ("exit 0", 0, "Completed")],
)
def test_a_container_s_end_has_its_code_and_its_message(world: World, script: str, code: int, reason: str) -> None:
    words = 'echo "last words" > "${COACHWORK_TERMINATION_LOG:-/dev/termination-log}"'
    world.kube.create(job("iris-train-7", f"{words}; {script}"))
    eventually(lambda: conditions(the_job(world)), SLOW)
    (pod,) = world.view.children("iris").pods
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (code, reason, "last words\n")


def test_a_command_that_is_not_there_is_a_start_error(world: World) -> None:
    world.kube.create(job("iris-train-7", "", container={"command": ["/no/such/program"]}))
    eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    (pod,) = world.view.children("iris").pods
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "/no/such/program" in ended["message"]


@pytest.mark.parametrize(
    ("script", "first", "last"), [("true", "SuccessCriteriaMet", "Complete"), ("false", "FailureTarget", "Failed")]
)
def test_a_job_announces_its_end_before_it_ends(world: World, script: str, first: str, last: str) -> None:
    world.kube.create(job("iris-train-7", script))
    eventually(lambda: last in conditions(the_job(world)), SLOW)
    assert [*conditions(world.kube.get("Job", "iris-train-7") or {})] == [first, last]
    assert [*conditions(the_job(world))] == [last]  # the other one decides nothing


def test_a_pod_has_succeeded_before_its_job_is_complete(world: World) -> None:
    found: list[tuple[set[str], set[str]]] = []

    def note() -> None:
        children = world.view.children("iris")
        found.append(({pod["status"]["phase"] for pod in children.pods}, set(conditions(the_job(world)))))

    world.watchers.append(note)
    world.kube.create(job("iris-train-7", "true"))
    eventually(lambda: "Complete" in conditions(the_job(world)), SLOW)
    assert any(phases == {"Succeeded"} and "Complete" not in types for phases, types in found)


def test_a_pod_s_uid_leads_to_its_job(world: World) -> None:
    uid = world.kube.create(job("iris-train-7", "true"))["metadata"]["uid"]
    (pod,) = eventually(lambda: world.kube.pods_of_job(uid))
    assert pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == uid


# --- Jobs of many indexes ----------------------------------------------------------------------------

INDEX = {
    "name": "INDEX",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}},
}


def many(script: str, **spec: Any) -> Object:
    """Return a Job of three indexes, whose pods have theirs as a variable."""
    rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [121]}}]
    limits = {"backoffLimitPerIndex": 1, "podFailurePolicy": {"rules": rules}, "completions": 3, "parallelism": 3}
    made = job("iris-train-7", script, container={"env": [INDEX]}, completionMode="Indexed", **{**limits, **spec})
    del made["spec"]["backoffLimit"]
    return made


def indexes_of(world: World, *phases: str) -> list[str]:
    pods = [pod for pod in world.view.children("iris").pods if pod.get("status", {}).get("phase") in phases]
    return sorted(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods)


def test_each_index_of_a_job_has_its_own_pod_and_its_own_end(world: World) -> None:
    world.kube.create(many('test "$INDEX" -lt 3'))
    ended = eventually(lambda: "Complete" in conditions(the_job(world)) and the_job(world), SLOW)
    assert ended["status"]["completedIndexes"] == "0-2"
    assert indexes_of(world, "Succeeded") == ["0", "1", "2"]


def test_an_index_that_fails_leaves_the_others_alone(world: World) -> None:
    world.kube.create(many('test "$INDEX" = 0 && exit 3; test "$INDEX" = 1 && exit 121; exit 0'))
    failed = eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    status = the_job(world)["status"]
    assert (failed["reason"], status["completedIndexes"], status["failedIndexes"]) == ("FailedIndexes", "2", "0,1")
    assert indexes_of(world, "Failed") == ["0", "0", "1"], "each had its own retries, and what is hopeless none"


def test_where_none_may_fail_the_others_end_with_the_first(world: World) -> None:
    world.kube.create(many('test "$INDEX" = 1 && exit 121; sleep 3600', maxFailedIndexes=0))
    failed = eventually(lambda: conditions(the_job(world)).get("Failed"), SLOW)
    assert failed["reason"] == "MaxFailedIndexesExceeded"
    eventually(lambda: not _running(world), SLOW)


def test_no_more_indexes_run_at_once_than_asked(world: World) -> None:
    most: list[int] = []
    world.watchers.append(lambda: most.append(len(indexes_of(world, "Pending", "Running"))))
    world.kube.create(many("true", parallelism=1))
    eventually(lambda: "Complete" in conditions(the_job(world)), SLOW)
    assert max(most) == 1


# --- what can't start ------------------------------------------------------------------------------


@REAL_ONLY
def test_a_missing_image_fails_no_job_but_its_container_waits(world: World) -> None:
    world.kube.create(job("iris-train-7", "true", container={"image": "no-such-image.invalid/x:1"}))
    reason = eventually(lambda: waiting(world).get("reason") not in {None, "ContainerCreating"} and waiting(world))
    assert reason["reason"] in {"ErrImagePull", "ImagePullBackOff"}
    assert not conditions(the_job(world))


def test_a_missing_secret_fails_no_job_but_its_container_waits(world: World) -> None:
    source = {"valueFrom": {"secretKeyRef": {"name": "aws", "key": "KEY"}}}
    world.kube.create(job("iris-train-7", "true", container={"env": [{"name": "KEY", **source}]}))
    eventually(lambda: waiting(world).get("reason") == "CreateContainerConfigError", SLOW)
    assert "aws" in waiting(world)["message"]
    assert not conditions(the_job(world))


@REAL_ONLY
def test_a_quota_that_is_used_up_shows_only_in_an_event_about_the_job(world: World) -> None:
    path = "/api/v1/namespaces/{namespace}/resourcequotas"
    hard = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    world.admin("POST", path, hard)
    eventually(lambda: world.admin("GET", f"{path}/none").get("status", {}).get("hard"))
    world.kube.create(job("iris-train-7", "true"))
    (event, *_) = eventually(lambda: world.view.children("iris").events, SLOW)
    assert event["reason"] == "FailedCreate"
    assert "exceeded quota" in event["message"]
    assert not world.view.children("iris").pods
    assert not conditions(the_job(world))


# --- Deployments -----------------------------------------------------------------------------------


def the_deployment(world: World) -> Object:
    """Return the only Deployment."""
    (only,) = world.view.children("iris").deployments
    return only


def test_a_rollout_is_done_when_all_counts_agree_at_the_new_generation(world: World) -> None:
    world.kube.apply(deployment("serve"))
    eventually(lambda: _rolled_out(world), SLOW)


def test_a_rollout_that_never_gets_ready_says_so_in_its_condition(world: World) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1}  # nobody listens there
    world.kube.apply(deployment("serve", progressDeadlineSeconds=5, container={"readinessProbe": probe}))
    progressing = eventually(lambda: _exceeded(world), SLOW)
    assert progressing["status"] == "False"
    assert progressing["lastUpdateTime"]


def _containers(world: World) -> list[Object]:
    """Return the states of all containers of the Deployment."""
    pods = world.view.children("iris").pods
    return [status for pod in pods for status in pod.get("status", {}).get("containerStatuses") or ()]


def test_a_service_that_ends_is_started_again_and_then_waits(world: World) -> None:
    world.kube.apply(deployment("serve", container={"command": ["sh", "-c", "exit 4"]}))
    crashed = eventually(lambda: [item for item in _containers(world) if item["lastState"]], SLOW)
    # A kubelet keeps one dead container of each: once the next one has ended, too, it is the only one with an end.
    ends = [crashed[0][state].get("terminated") for state in ("lastState", "state")]
    assert {end["exitCode"] for end in ends if end} == {4}
    eventually(lambda: waiting(world).get("reason") == "CrashLoopBackOff", SLOW)


def test_a_service_that_ends_before_it_has_been_ready_for_its_time_was_never_available(world: World) -> None:
    world.kube.apply(deployment("serve", minReadySeconds=30, container={"command": ["sh", "-c", "sleep 1"]}))
    eventually(lambda: the_deployment(world).get("status", {}).get("readyReplicas"), SLOW)
    eventually(lambda: waiting(world).get("reason") == "CrashLoopBackOff", SLOW)
    assert not the_deployment(world)["status"].get("availableReplicas")
    assert conditions(world.kube.get("Deployment", "serve") or {})["Available"]["status"] == "False"


def test_a_pod_that_has_been_ready_for_its_time_is_available(world: World) -> None:
    world.kube.apply(deployment("serve", minReadySeconds=1))
    eventually(lambda: _rolled_out(world), SLOW)


def test_old_pods_stay_until_new_ones_are_ready_and_a_roll_back_takes_the_new_ones(world: World) -> None:
    applied = world.kube.apply(deployment("serve"))
    uid = applied["metadata"]["uid"]
    (good,) = eventually(
        lambda: the_deployment(world).get("status", {}).get("availableReplicas") and _running(world), SLOW
    )
    bad = deployment("serve", container={"readinessProbe": {"tcpSocket": {"port": 9}}})
    bad["metadata"]["uid"] = uid
    world.kube.apply(bad)
    eventually(lambda: len(_running(world)) == 2, SLOW)
    assert good in _running(world)
    assert the_deployment(world)["status"]["availableReplicas"] == 1
    back = deployment("serve")
    back["metadata"]["uid"] = uid
    world.kube.apply(back)
    eventually(lambda: _running(world) == [good] and _rolled_out(world), SLOW)


def test_new_pods_that_are_ready_take_the_place_of_old_ones(world: World) -> None:
    applied = world.kube.apply(deployment("serve"))
    (old,) = eventually(
        lambda: the_deployment(world).get("status", {}).get("availableReplicas") and _running(world), SLOW
    )
    new = deployment("serve", container={"command": ["sleep", "3599"]})
    new["metadata"]["uid"] = applied["metadata"]["uid"]
    world.kube.apply(new)
    eventually(lambda: _rolled_out(world) and old not in _running(world), SLOW)
    assert len(_running(world)) == 1


def _rolled_out(world: World) -> bool:
    """Return whether all counts agree at the present generation."""
    serve = the_deployment(world)
    status = serve.get("status", {})
    counts = [status.get(key) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return status.get("observedGeneration") == serve["metadata"]["generation"] and counts == [1, 1, 1]


def _exceeded(world: World) -> Object | None:
    """Return the condition that says the deadline was exceeded."""
    condition = conditions(the_deployment(world)).get("Progressing", {})
    return condition if condition.get("reason") == "ProgressDeadlineExceeded" else None


# --- builds: objects that belong to no request -------------------------------------------------------


def a_build(folder: str, script: str = "true", **spec: Any) -> Object:
    """Return a Job that says which environment it builds, and whose it is not."""
    made = job(f"env-{folder}", script, **spec)
    marks = {"app.kubernetes.io/managed-by": "coachwork", "coachwork.io/environment": folder}
    template = {**made["spec"]["template"], "metadata": {"labels": marks}}
    metadata = {"name": f"env-{folder}", "labels": marks}
    return {**made, "metadata": metadata, "spec": {**made["spec"], "template": template}}


def a_status(world: World, name: str, phase: str) -> None:
    """Make the record of a request in this phase, whose run wants the environment 0a1b."""
    marks = {"coachwork.io/role": "status", "coachwork.io/request": name, "coachwork.io/phase": phase}
    world.kube.create({**config_map(f"{name}-status", "status", labels=marks), "data": {"run-spec": "folder: 0a1b"}})


def test_a_build_is_found_by_its_environment_and_belongs_to_no_request(world: World) -> None:
    world.kube.create(a_build("0a1b"))
    eventually(lambda: world.view.build("0a1b").pods, SLOW)
    (cached,) = world.view.build("0a1b").jobs
    assert cached["metadata"]["name"] == "env-0a1b"
    assert not world.view.build("ffff").jobs
    assert not world.view.children("iris").jobs


def test_a_change_of_a_build_wakes_all_whose_run_is_under_way(world: World) -> None:
    for name, phase in (("iris", "Running"), ("other", "Running"), ("third", "Ready")):
        a_status(world, name, phase)
    eventually(lambda: {"iris", "other", "third"} <= set(world.keys))
    world.keys.clear()
    world.kube.create(a_build("0a1b"))
    eventually(lambda: {"iris", "other"} <= set(world.keys), SLOW)
    assert "third" not in world.keys


def test_an_ended_build_that_nobody_reads_goes_by_itself(world: World) -> None:
    world.kube.create(a_build("0a1b", ttlSecondsAfterFinished=1))
    eventually(lambda: world.kube.get("Job", "env-0a1b") is None, SLOW)


# --- what is needed of the shared volume ----------------------------------------------------------------


def test_what_workloads_mount_is_read_from_all_that_exist_now(world: World) -> None:
    mounts = [{"name": "shared", "subPath": "checkouts/iris/c1", "mountPath": "/mnt"}]
    for number in range(3):
        made = job(f"job-{number}", "sleep 3600", container={"volumeMounts": mounts})
        made["spec"]["template"]["spec"]["volumes"] = [{"name": "shared", "emptyDir": {}}]
        world.kube.create(made)
        mounts = [{**mounts[0], "subPath": f"checkouts/iris/c{number + 2}"}]
    expected = {PurePosixPath(f"checkouts/iris/c{number}") for number in (1, 2, 3)}
    assert world.kube.references() == expected
    for item in world.view.children("iris").jobs:
        world.kube.delete("Job", item["metadata"]["name"], item["metadata"]["uid"])
    eventually(lambda: world.kube.references() == set())
