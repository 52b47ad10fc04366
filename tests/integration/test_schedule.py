"""The CronJob of a request, pass by pass: it is what the request says, whatever else goes on."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core import manifests, names
from controller.core.errors import Refused
from controller.core.exits import Exit
from controller.core.model import Object, Request
from tests.support.world import POLICY, REPOSITORY, World, project


@pytest.fixture
def world(memory: Path) -> World:
    world = World(memory)
    world.source.push(project("a"))
    return world


def cronjobs(world: World) -> list[Object]:
    """Return all CronJobs."""
    return world.cluster.of_kind("CronJob")


def test_a_schedule_makes_a_cronjob_that_is_owned_by_the_request(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="0 6 * * 1-5", time_zone="Europe/Paris")
    kept = world.settle()
    (found,) = cronjobs(world)
    assert found["metadata"]["name"] == "iris"
    assert found["metadata"]["ownerReferences"][0]["uid"] == kept.request_uid
    spec = found["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("0 6 * * 1-5", "Europe/Paris", False)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert kept.active
    world.cluster.remove("ConfigMap", "iris")
    assert cronjobs(world) == []


def test_a_schedule_that_changes_or_goes_is_followed_without_a_run(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@hourly", suspend="true")
    assert world.settle().run == 1
    (found,) = cronjobs(world)
    assert (found["spec"]["schedule"], found["spec"]["suspend"], found["spec"]["timeZone"]) == (
        "@hourly",
        True,
        "Etc/UTC",
    )
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.settle().run == 1
    assert cronjobs(world) == []


TEMPLATE = """
spec:
  nodeSelector: {pool: batch}
  tolerations: [{key: batch, operator: Exists}]
  imagePullSecrets: [{name: registry}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers: [{name: stage, volumeMounts: [{name: data, mountPath: /data}], resources: {limits: {cpu: 8}}}]
"""


def test_the_pods_of_a_schedule_go_where_the_pod_template_says_and_get_nothing_else_of_it(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily", pod_template="batch", run_on_create="false")
    world.settle()
    (bare,) = cronjobs(world)
    assert bare["spec"] == manifests.cronjob(Request("iris", "u", "x", schedule="@daily"), POLICY)["spec"], (
        "not there yet"
    )
    template = {"metadata": {"name": "batch"}, "data": {"pod.yaml": TEMPLATE}}
    world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", **template})
    world.pass_()
    (found,) = cronjobs(world)
    plain, placed = (item["spec"]["jobTemplate"]["spec"]["template"]["spec"] for item in (bare, found))
    assert placed == {
        **plain,
        "nodeSelector": {"pool": "batch"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }


def test_a_request_that_gets_invalid_keeps_its_cronjob(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, keep_runs="x")
    assert world.settle().phase == "Invalid"
    assert len(cronjobs(world)) == 1


def test_a_cronjob_that_someone_deletes_comes_back(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    world.finish_all()
    world.cluster.remove("CronJob", "iris")
    world.settle()
    assert len(cronjobs(world)) == 1


def foreign(world: World) -> None:
    """Let somebody else have a CronJob of the request's name."""
    metadata = {"name": "iris", "namespace": "test", "labels": {}}
    world.cluster.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": {}})


def test_a_cronjob_that_someone_edits_is_put_back(world: World) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    world.finish_all()
    world.cluster.edit("CronJob", "iris", lambda item: item["spec"].update(schedule="@yearly", suspend=True))
    assert world.settle().run == 1
    (found,) = cronjobs(world)
    assert (found["spec"]["schedule"], found["spec"]["suspend"]) == ("@daily", False)


def test_a_cronjob_of_that_name_makes_a_run_invalid_before_it_starts(world: World) -> None:
    foreign(world)
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    kept = world.settle()
    assert (kept.phase, kept.reason, kept.run) == ("Invalid", "NameTaken", 0)
    assert "CronJob iris belongs to nobody of ours (rename the request" in kept.message
    assert cronjobs(world)[0]["spec"] == {}


def test_a_cronjob_of_that_name_does_not_disturb_what_serves_and_is_reported(world: World) -> None:
    foreign(world)
    world.cluster.ask("iris", repository=REPOSITORY)
    world.finish_all()
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    kept = world.passes(3)
    assert (kept.phase, kept.run) == ("Ready", 1)
    assert kept.schedule_problem.startswith("NameTaken: CronJob iris belongs to nobody of ours")
    assert world.data()["schedule-problem"] == kept.schedule_problem
    writes = len(world.cluster.writes)
    world.passes(3)
    assert len(world.cluster.writes) == writes
    world.cluster.remove("CronJob", "iris")
    assert world.settle().schedule_problem == ""
    assert cronjobs(world)[0]["spec"]["schedule"] == "@daily"


def test_a_cronjob_that_the_server_refuses_is_reported_and_the_run_goes_on(world: World) -> None:
    world.cluster.refuse["create", "iris"] = Refused("spec.timeZone: unknown time zone", forbidden=False)
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    kept = world.settle()
    assert kept.schedule_problem == "RejectedByCluster: CronJob/iris: spec.timeZone: unknown time zone"
    assert kept.phase == "Running"
    assert world.finish_all().phase == "Ready"
    world.cluster.refuse.clear()
    assert world.settle().schedule_problem == ""


def test_news_is_sent_once_and_again_only_when_its_event_may_be_gone(world: World) -> None:
    world.cluster.refuse["create", "iris"] = Refused("spec.timeZone: unknown time zone", forbidden=False)
    world.cluster.ask("iris", repository=REPOSITORY, schedule="@daily")
    world.passes(5, 10)
    assert events(world) == {"RunStarted": 1, "RejectedByCluster": 1}
    world.cluster.refuse["create", "iris"] = Refused("spec: other words", forbidden=False)
    world.passes(3, 10)
    world.cluster.refuse["create", "iris"] = Refused("spec.timeZone: unknown time zone", forbidden=False)
    world.passes(3, 10)
    assert events(world) == {"RunStarted": 1, "RejectedByCluster": 2}
    world.restart()
    world.passes(3, 10)
    assert events(world) == {"RunStarted": 1, "RejectedByCluster": 2}
    world.cluster.refuse["create", "iris"] = Refused("spec: other words", forbidden=False)
    world.passes(3, 3600)
    assert events(world) == {"RunStarted": 1, "RejectedByCluster": 3}


def events(world: World) -> dict[str, int]:
    """Return how often creating an Event was tried, by what it was about."""
    reasons = {item["metadata"]["name"]: item["reason"] for item in world.cluster.of_kind("Event")}
    return dict(Counter(reasons[name] for name in world.cluster.events))


# --- what it starts --------------------------------------------------------------------------------

CRONJOB = manifests.cronjob(Request("iris", "u", REPOSITORY, schedule="@daily"), POLICY)
JOB = CRONJOB["spec"]["jobTemplate"]["spec"]
POD = JOB["template"]["spec"]


def test_the_slot_of_a_pod_is_the_name_of_its_job() -> None:
    (container,) = POD["containers"]
    assert container["command"] == ["coachwork", "trigger", "iris", "--id", "$(COACHWORK_SLOT)", "--wait"]
    (slot,) = container["env"]
    assert slot["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"


def test_what_another_pod_would_only_repeat_ends_the_job() -> None:
    rule = JOB["podFailurePolicy"]["rules"][1]
    final = {Exit.FAILED, Exit.INVALID, Exit.NOT_FOUND, Exit.CANCELLED}
    assert (rule["action"], set(rule["onExitCodes"]["values"])) == ("FailJob", final)
    assert rule["onExitCodes"]["containerName"] == POD["containers"][0]["name"]
    assert JOB["backoffLimit"] > 0


def test_its_pod_is_restricted_and_has_the_trigger_s_account() -> None:
    (container,) = POD["containers"]
    assert POD["serviceAccountName"] == "coachwork-trigger"
    assert (POD["securityContext"]["runAsNonRoot"], POD["securityContext"]["seccompProfile"]) == (
        True,
        {"type": "RuntimeDefault"},
    )
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_a_slot_starts_is_not_watched_as_a_stage() -> None:
    for labels in (CRONJOB["spec"]["jobTemplate"]["metadata"]["labels"], JOB["template"]["metadata"]["labels"]):
        assert names.MANAGED_BY not in labels
        assert labels[names.REQUEST] == "iris"


def test_the_image_of_triggers_need_not_be_that_of_stages() -> None:
    request = Request("iris", "u", REPOSITORY, schedule="@daily")
    made = manifests.cronjob(request, replace(POLICY, trigger_image="coachwork:1"))
    assert made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] == "coachwork:1"
    assert POD["containers"][0]["image"] == POLICY.image
