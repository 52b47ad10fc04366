"""Every behaviour of a cluster that the product relies on, each as one test, for each implementation of the port."""

from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from controller.adapters.kube.cluster import Kube
from controller.core import manifests
from controller.core.errors import AlreadyExists, Conflict, NotYet, Refused, Transient
from controller.core.facts import drift
from controller.core.inputs import cron
from controller.core.manifests import RunContext
from controller.core.model import Object, Pipeline, Policy, Request, Resources, RunSpec, Stage
from controller.core.model import Service as ServiceWork
from tests.contract.conftest import World
from tests.support.eventually import eventually
from tests.support.workloads import BUSYBOX, conditions, config_map, deployment, job, labels

BACKEND = {"name": "serve", "port": {"number": 80}}
OTHER_UID = "00000000-0000-0000-0000-000000000000"
SLOW = 90.0  # seconds: a pod that must start, fail and start again

pytestmark = pytest.mark.timeout(180)
REAL_ONLY = pytest.mark.real_only


def the_job(world: World) -> Object:
    """Give the only Job, {} if it is not there."""
    jobs = world.view.children("iris").jobs
    return jobs[0] if jobs else {}


def waiting(world: World) -> Object:
    """Give why the first container of the only pod waits."""
    statuses = [
        status
        for pod in world.view.children("iris").pods
        for status in pod.get("status", {}).get("containerStatuses") or ()
    ]
    return statuses[0]["state"].get("waiting") or {} if statuses else {}


# --- writing ---------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_no_conflict(world: World) -> None:
    world.kube.create(config_map("iris"))
    with pytest.raises(AlreadyExists):
        world.kube.create(config_map("iris"))


def test_an_update_of_a_stale_version_is_a_conflict(world: World) -> None:
    first = world.kube.create(config_map("iris"))
    world.kube.replace({**first, "data": {"key": "second"}})
    with pytest.raises(Conflict):
        world.kube.replace({**first, "data": {"key": "third"}})
    assert world.kube.get("ConfigMap", "iris")["data"] == {"key": "second"}  # type: ignore[index]


def test_an_update_of_what_is_gone_is_a_conflict(world: World) -> None:
    with pytest.raises(Conflict):
        world.kube.replace(config_map("iris", resourceVersion="1"))


def test_an_apply_with_another_object_s_uid_is_a_conflict_and_changes_nothing(world: World) -> None:
    world.kube.create(config_map("iris"))
    with pytest.raises(Conflict):
        world.kube.apply({**config_map("iris", uid=OTHER_UID), "data": {"key": "other"}})
    assert world.kube.get("ConfigMap", "iris")["data"] == {"key": "value"}  # type: ignore[index]


def test_an_apply_with_the_uid_of_what_is_gone_makes_nothing(world: World) -> None:
    with pytest.raises(Conflict):
        world.kube.apply(config_map("iris", uid=OTHER_UID))
    assert world.kube.get("ConfigMap", "iris") is None


def test_an_apply_without_a_uid_takes_over_what_the_same_manager_made(world: World) -> None:
    owners = [world.kube.create(config_map(name)) for name in ("one", "other")]
    theirs = world.kube.apply(deployment("shared", owner=owners[0]))
    taken = world.kube.apply(deployment("shared", owner=owners[1]))
    assert taken["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert [owner["name"] for owner in taken["metadata"]["ownerReferences"]] == ["other"]


def test_an_apply_that_changes_nothing_makes_no_version(world: World) -> None:
    first = world.kube.apply(config_map("iris"))
    again = world.kube.apply(config_map("iris", uid=first["metadata"]["uid"]))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


def test_what_an_apply_leaves_out_is_gone_even_if_a_create_put_it_there(world: World) -> None:
    both = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    created = world.kube.create(deployment("serve", replicas=0, container={"env": both}))
    changed = deployment("serve", replicas=0, container={"env": both[1:]})
    changed["metadata"]["uid"] = created["metadata"]["uid"]
    assert world.kube.apply(changed)["spec"]["template"]["spec"]["containers"][0]["env"] == both[1:]


def test_a_deletion_with_another_uid_deletes_nothing(world: World) -> None:
    world.kube.create(deployment("serve", replicas=0))
    world.kube.delete("Deployment", "serve", OTHER_UID)
    assert world.kube.get("Deployment", "serve")


def test_a_deletion_of_what_is_gone_is_done(world: World) -> None:
    world.kube.delete("Job", "iris-train-7", OTHER_UID)


def test_an_object_that_breaks_a_rule_is_refused_with_the_field(world: World) -> None:
    with pytest.raises(Refused, match="backoffLimit") as caught:
        world.kube.create(job("iris-train-7", "true", backoffLimit=-1))
    assert not caught.value.forbidden


def test_a_duplicate_variable_makes_an_apply_fail_in_the_server(world: World) -> None:
    twice = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    with pytest.raises(Transient, match="duplicate entries") as caught:
        world.kube.apply(deployment("serve", replicas=0, container=twice))
    assert caught.value.reason == "ServerError"


def test_an_event_that_is_there_already_is_told_apart(world: World) -> None:
    iris = world.kube.create(config_map("iris"))
    involved = {"apiVersion": "v1", "kind": "ConfigMap", **{key: iris["metadata"][key] for key in ("name", "uid")}}
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "iris.7"}, "reason": "RunStarted", "type": "Normal",
        "involvedObject": {**involved, "namespace": world.kube.namespace}, "message": "run 7",
    }  # fmt: skip
    world.kube.create(event)
    with pytest.raises(AlreadyExists):
        world.kube.create(event)


@REAL_ONLY
def test_a_write_into_a_namespace_that_goes_away_is_not_yet(world: World) -> None:
    held = world.kube.create(config_map("held", finalizers=["coachwork.io/test"]))
    world.admin("DELETE", "/api/v1/namespaces/{namespace}")
    try:
        with pytest.raises(NotYet):
            world.kube.create(config_map("iris"))
    finally:
        now = world.kube.get("ConfigMap", "held") or held
        world.kube.replace({**now, "metadata": {**now["metadata"], "finalizers": []}})


# --- watching --------------------------------------------------------------------------------------


def test_our_own_writes_are_read_at_once(world: World) -> None:
    iris = world.kube.create(config_map("iris"))
    assert world.view.requests() == ["iris"]
    world.kube.replace({**iris, "data": {"key": "second"}})
    assert world.view.request("iris")["data"] == {"key": "second"}  # type: ignore[index]


def test_what_leaves_the_selector_is_reported_as_deleted(world: World) -> None:
    iris = world.kube.create(config_map("iris"))
    eventually(lambda: world.keys)
    world.keys.clear()
    world.kube.replace({**iris, "metadata": {**iris["metadata"], "labels": {}}})
    eventually(lambda: world.view.request("iris") is None and world.keys)
    assert set(world.keys) == {"iris"}


def test_the_roles_of_config_maps_are_kept_apart(world: World) -> None:
    for name, role in (("iris", "request"), ("iris-status", "status"), ("iris-release", "release")):
        world.kube.create(config_map(name, role))
    world.kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unrelated"}})
    assert world.view.requests() == ["iris"]
    assert world.view.status("iris")
    assert world.view.release("iris")
    assert world.view.request("iris-status") is None
    eventually(lambda: len(world.keys) >= 3)
    assert set(world.keys) == {"iris"}


def test_when_we_last_applied_can_be_read_from_the_cache(world: World) -> None:
    world.kube.apply(deployment("serve", replicas=0))
    (cached,) = world.view.children("iris").deployments
    ours = [entry for entry in cached["metadata"]["managedFields"] if entry["manager"] == "coachwork"]
    assert ours[0]["time"]
    assert "fieldsV1" not in ours[0]


def test_an_object_from_the_cache_can_be_written_back(world: World) -> None:
    world.kube.create(config_map("iris"))
    cached = world.view.request("iris")
    assert cached is not None
    changed = world.kube.replace({**cached, "data": {"key": "second"}})
    assert changed["metadata"]["managedFields"]


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ({"apiVersion": "v1", "spec": {"ports": [{"port": 80}]}}, "Service"),
        (
            {"apiVersion": "networking.k8s.io/v1", "spec": {"defaultBackend": {"service": BACKEND}}},
            "Ingress",
        ),
    ],
)
def test_services_and_ingresses_are_applied_cached_read_and_deleted(world: World, manifest: Object, kind: str) -> None:
    applied = world.kube.apply({**manifest, "kind": kind, "metadata": {"name": "iris--serve", "labels": labels()}})
    children = world.view.children("iris")
    (cached,) = {"Service": children.services, "Ingress": children.ingresses}[kind]
    assert cached["metadata"]["uid"] == applied["metadata"]["uid"]
    assert cached["kind"] == kind
    world.kube.delete(kind, "iris--serve", applied["metadata"]["uid"])
    eventually(lambda: world.kube.get(kind, "iris--serve") is None)
    eventually(lambda: not any((world.view.children("iris").services, world.view.children("iris").ingresses)))


@REAL_ONLY
def test_a_cronjob_is_made_as_the_schedule_says_changed_cached_and_deleted(world: World) -> None:
    owner = world.kube.create(config_map("iris"))
    request = Request("iris", owner["metadata"]["uid"], "x", schedule="0 6 * * 1-5", time_zone="Europe/Paris")
    policy = Policy(namespace=world.kube.namespace, image="python:3.12-slim", claim="c", tools="t")
    made = world.kube.create(manifests.cronjob(request, policy))
    changed = manifests.cronjob(replace(request, schedule="@daily", suspend=True, time_zone=""), policy)
    world.kube.apply(manifests.with_uid(changed, made["metadata"]["uid"]))
    (cached,) = world.view.children("iris").cronjobs
    spec = cached["spec"]
    assert (spec["schedule"], spec["suspend"], spec["timeZone"]) == ("@daily", True, "Etc/UTC")
    assert cached["metadata"]["annotations"] == changed["metadata"]["annotations"]
    world.kube.delete("CronJob", "iris", made["metadata"]["uid"])
    eventually(lambda: not world.view.children("iris").cronjobs)


@REAL_ONLY
@pytest.mark.parametrize("schedule", ["*/15 0-6/2,22 1,15 jan-MAR mon-FRI", "5/20 ? ? * ?", "0 0 31 2 1", "@weekly"])
def test_schedules_that_a_request_may_have_are_taken_by_the_server(world: World, schedule: str) -> None:
    policy = Policy(namespace=world.kube.namespace, image="python:3.12-slim", claim="c", tools="t")
    request = Request("iris", OTHER_UID, "x", schedule=cron.schedule(schedule), time_zone="America/New_York")
    orphan = manifests.cronjob(request, policy)
    del orphan["metadata"]["ownerReferences"]
    assert world.kube.create(orphan)["spec"]["schedule"] == schedule


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
    """Give all children but the events."""
    children = world.view.children("iris")
    return children.jobs, children.pods, children.deployments


# --- what others change ------------------------------------------------------------------------------

STAGE = Stage("web", "web", "serve.py", ServiceWork(5000, ingress=True), resources=Resources(0.1, 64, 1.0, 1024))
CHANGES = [
    ("Deployment", {"spec": {"replicas": 0}}, "spec.replicas"),
    ("Deployment", {"metadata": {"labels": {"coachwork.io/stage": None}}}, "metadata.labels.coachwork.io/stage"),
    ("Deployment", {"spec": {"minReadySeconds": 60}}, "spec.minReadySeconds"),
    ("Service", {"spec": {"selector": {"track": "canary"}}}, "spec.selector"),
    ("Service", {"spec": {"ports": [{"name": "http", "port": 81, "targetPort": "http"}]}}, "spec.ports[5000]"),
    ("Ingress", {"spec": {"rules": [{"host": "elsewhere.example"}]}}, "spec.rules"),
]


def serving(world: World) -> dict[str, Object]:
    """Create the objects of a service stage; give them by kind as they were sent."""
    owner = world.kube.create(config_map("iris"))
    policy = Policy(namespace=world.kube.namespace, image=BUSYBOX, claim="c", tools="t")
    spec = RunSpec("https://git.example/iris", "c" * 40, ".", "t", BUSYBOX)
    pipeline = Pipeline("iris", (("web",),), {"web": STAGE})
    context = RunContext("iris", owner["metadata"]["uid"], 1, spec, pipeline, policy)
    objects = manifests.service_objects(context, STAGE)
    for item in objects:
        world.kube.create(item)
    return {item["kind"]: item for item in objects}


def live(world: World, item: Object) -> Object:
    return world.kube.get(item["kind"], item["metadata"]["name"]) or {}


def test_what_the_server_makes_of_an_object_is_no_change_of_it(world: World) -> None:
    for item in serving(world).values():
        assert not drift.differs(item, live(world, item))


@pytest.mark.parametrize(("kind", "patch", "field"), CHANGES)
def test_what_somebody_changes_is_seen_at_once_with_its_name_and_an_update_puts_it_back(
    world: World, kind: str, patch: Object, field: str
) -> None:
    item = serving(world)[kind]
    eventually(lambda: world.keys)
    world.keys.clear()
    world.edit(kind, item["metadata"]["name"], patch)
    eventually(lambda: "iris" in world.keys)
    changed = drift.read(item, live(world, item))
    assert changed is not None
    assert changed.fields.startswith(field)
    assert changed.by == ("somebody" if _is_removal(patch) and isinstance(world.kube, Kube) else "kubectl-edit")
    _put_back(world, item)
    assert not drift.differs(item, live(world, item))
    assert drift.read(item, live(world, item)) is None


def _is_removal(patch: object) -> bool:
    """Return whether a patch only takes away: nobody holds a field that is gone."""
    return patch is None or (isinstance(patch, dict) and all(map(_is_removal, patch.values())))


def _put_back(world: World, item: Object) -> None:
    """Write an object as it was; the Deployment's controller may write in between."""
    for _ in range(5):
        with suppress(Conflict):
            world.kube.replace(drift.mended(item, live(world, item)))
            return
    raise AssertionError("always a conflict")


def test_what_others_add_is_no_change_and_stays_when_something_is_put_back(world: World) -> None:
    item = serving(world)["Deployment"]
    name, restarted = item["metadata"]["name"], {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    world.edit("Deployment", name, {"spec": {"template": {"metadata": {"annotations": restarted}}}})
    assert drift.read(item, live(world, item)) is None
    world.edit("Deployment", name, {"spec": {"replicas": 0}})
    _put_back(world, item)
    template = live(world, item)["spec"]["template"]
    assert restarted.items() <= template["metadata"]["annotations"].items()


def test_what_somebody_changed_can_be_applied_anew_by_a_later_run(world: World) -> None:
    item = serving(world)["Service"]
    world.edit("Service", item["metadata"]["name"], {"spec": {"selector": {"track": "canary"}}})
    _put_back(world, item)
    newer = {**item, "metadata": {**item["metadata"], "uid": live(world, item)["metadata"]["uid"]}}
    newer["spec"] = {**item["spec"], "ports": [{**item["spec"]["ports"][0], "port": 6000}]}
    world.kube.apply(newer)
    assert [port["port"] for port in live(world, item)["spec"]["ports"]] == [6000]


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
    """Give the names of the pods that run and are not on their way out."""
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
    told = 'echo "last words" > "${COACHWORK_TERMINATION_LOG:-/dev/termination-log}"'
    world.kube.create(job("iris-train-7", f"{told}; {script}"))
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
    seen: list[set[str]] = []
    world.listeners.append(lambda _key: seen.append(set(conditions(the_job(world)))))
    world.kube.create(job("iris-train-7", script))
    eventually(lambda: any(last in types for types in seen), SLOW)
    ending = [types for types in seen if types]
    assert ending[0] == {first}
    assert ending[-1] == {first, last}


def test_a_pod_has_succeeded_before_its_job_is_complete(world: World) -> None:
    seen: list[tuple[set[str], set[str]]] = []

    def look(_key: str) -> None:
        children = world.view.children("iris")
        seen.append(({pod["status"]["phase"] for pod in children.pods}, set(conditions(the_job(world)))))

    world.listeners.append(look)
    world.kube.create(job("iris-train-7", "true"))
    eventually(lambda: "Complete" in conditions(the_job(world)), SLOW)
    assert any(phases == {"Succeeded"} and "Complete" not in types for phases, types in seen)


def test_a_pod_s_uid_leads_to_its_job(world: World) -> None:
    uid = world.kube.create(job("iris-train-7", "true"))["metadata"]["uid"]
    (pod,) = eventually(lambda: world.kube.pods_of_job(uid))
    assert pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == uid
    assert pod["kind"] == "Pod"


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
def test_a_quota_that_is_used_up_is_told_by_an_event_on_the_job_only(world: World) -> None:
    path = "/api/v1/namespaces/{namespace}/resourcequotas"
    hard = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    world.admin("POST", path, hard)
    eventually(lambda: world.admin("GET", f"{path}/none").get("status", {}).get("hard"))
    woken: list[int] = []
    world.listeners.append(lambda _key: woken.append(len(world.view.children("iris").events)))
    world.kube.create(job("iris-train-7", "true"))
    eventually(lambda: any(woken), SLOW)  # the Event itself wakes the Job's request
    (event, *_) = eventually(lambda: world.view.children("iris").events, SLOW)
    assert event["reason"] == "FailedCreate"
    assert "exceeded quota" in event["message"]
    assert not world.view.children("iris").pods
    assert not conditions(the_job(world))


# --- Deployments -----------------------------------------------------------------------------------


def the_deployment(world: World) -> Object:
    """Give the only Deployment."""
    (only,) = world.view.children("iris").deployments
    return only


def test_a_rollout_is_done_when_all_counts_agree_at_the_new_generation(world: World) -> None:
    world.kube.apply(deployment("serve"))
    eventually(lambda: _rolled_out(world), SLOW)


def test_a_rollout_that_never_gets_ready_is_told_by_its_condition(world: World) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1}  # nobody listens there
    world.kube.apply(deployment("serve", progressDeadlineSeconds=5, container={"readinessProbe": probe}))
    progressing = eventually(lambda: _exceeded(world), SLOW)
    assert progressing["status"] == "False"
    assert progressing["lastUpdateTime"]


def _containers(world: World) -> list[Object]:
    """Give the states of all containers of the Deployment."""
    pods = world.view.children("iris").pods
    return [status for pod in pods for status in pod.get("status", {}).get("containerStatuses") or ()]


def test_a_service_that_ends_is_started_again_and_then_waits(world: World) -> None:
    world.kube.apply(deployment("serve", container={"command": ["sh", "-c", "exit 4"]}))
    crashed = eventually(lambda: [item for item in _containers(world) if item["restartCount"] >= 1], SLOW)
    assert crashed[0]["lastState"]["terminated"]["exitCode"] == 4
    eventually(lambda: waiting(world).get("reason") == "CrashLoopBackOff", SLOW)


def test_a_service_that_ends_before_it_has_been_ready_for_its_time_was_never_available(world: World) -> None:
    world.kube.apply(deployment("serve", minReadySeconds=30, container={"command": ["sh", "-c", "sleep 1"]}))
    eventually(lambda: the_deployment(world).get("status", {}).get("readyReplicas"), SLOW)
    eventually(lambda: [item for item in _containers(world) if item["restartCount"] >= 2], SLOW)
    assert not the_deployment(world)["status"].get("availableReplicas")
    assert conditions(the_deployment(world))["Available"]["status"] == "False"


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
    """Tell whether all counts agree at the present generation."""
    serve = the_deployment(world)
    status = serve.get("status", {})
    counts = [status.get(key) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return status.get("observedGeneration") == serve["metadata"]["generation"] and counts == [1, 1, 1]


def test_a_change_of_the_template_makes_a_new_generation(world: World) -> None:
    first = world.kube.apply(deployment("serve", replicas=0))
    changed = deployment("serve", replicas=0, container={"command": ["sleep", "1"]})
    changed["metadata"]["uid"] = first["metadata"]["uid"]
    assert world.kube.apply(changed)["metadata"]["generation"] == first["metadata"]["generation"] + 1


def _exceeded(world: World) -> Object | None:
    """Give the condition that says the deadline was exceeded."""
    condition = conditions(the_deployment(world)).get("Progressing", {})
    return condition if condition.get("reason") == "ProgressDeadlineExceeded" else None


# --- builds: objects that belong to no request -------------------------------------------------------


def a_build(folder: str, script: str = "true", **spec: Any) -> Object:
    """Give a Job that says which environment it builds, and whose it is not."""
    wanted = job(f"env-{folder}", script, **spec)
    marks = {"app.kubernetes.io/managed-by": "coachwork", "coachwork.io/environment": folder}
    template = {**wanted["spec"]["template"], "metadata": {"labels": marks}}
    metadata = {"name": f"env-{folder}", "labels": marks}
    return {**wanted, "metadata": metadata, "spec": {**wanted["spec"], "template": template}}


def a_status(world: World, name: str, phase: str) -> None:
    """Make the record of a request in this phase, whose run wants the environment 0a1b."""
    marks = {"coachwork.io/role": "status", "coachwork.io/request": name, "coachwork.io/phase": phase}
    world.kube.create({**config_map(f"{name}-status", "status", labels=marks), "data": {"run-spec": "folder: 0a1b"}})


def test_a_build_is_found_by_its_environment_and_is_no_request_s(world: World) -> None:
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


def test_a_secret_that_is_not_there_is_none(world: World) -> None:
    assert world.kube.get("Secret", "nobody-s") is None


# --- what is needed of the shared volume ----------------------------------------------------------------


def test_what_workloads_mount_is_told_from_all_that_is_there_now(world: World) -> None:
    mounts = [{"name": "shared", "subPath": "checkouts/iris/c1", "mountPath": "/mnt"}]
    for number in range(3):
        made = job(f"job-{number}", "sleep 3600", container={"volumeMounts": mounts})
        made["spec"]["template"]["spec"]["volumes"] = [{"name": "shared", "emptyDir": {}}]
        world.kube.create(made)
        mounts = [{**mounts[0], "subPath": f"checkouts/iris/c{number + 2}"}]
    wanted = {PurePosixPath(f"checkouts/iris/c{number}") for number in (1, 2, 3)}
    assert world.kube.references() == wanted
    for item in world.view.children("iris").jobs:
        world.kube.delete("Job", item["metadata"]["name"], item["metadata"]["uid"])
    eventually(lambda: world.kube.references() == set())
