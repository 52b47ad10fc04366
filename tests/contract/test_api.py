"""What the API server does with objects, each behaviour that the product relies on as one test."""

from contextlib import suppress
from dataclasses import replace

import pytest

from controller.adapters.kube.cluster import Kube
from controller.app.leading import Candidate
from controller.core import lease, manifests
from controller.core.errors import AlreadyExists, Conflict, NotYet, Transient
from controller.core.facts import drift
from controller.core.inputs import cron
from controller.core.manifests import RunContext
from controller.core.model import Object, Pipeline, Policy, Request, Resources, RunSpec, Stage
from controller.core.model import Service as ServiceWork
from tests.contract.conftest import World
from tests.support.eventually import eventually
from tests.support.workloads import BUSYBOX, config_map, deployment, job, labels

BACKEND = {"name": "serve", "port": {"number": 80}}
OTHER_UID = "00000000-0000-0000-0000-000000000000"

pytestmark = [pytest.mark.timeout(180), pytest.mark.worlds("by hand", "local", "real")]
REAL_ONLY = pytest.mark.worlds("real")


# --- writing ---------------------------------------------------------------------------------------


def test_a_taken_name_is_not_a_conflict(world: World) -> None:
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


def test_a_duplicate_variable_makes_an_apply_fail_in_the_server(world: World) -> None:
    twice = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    with pytest.raises(Transient, match="duplicate entries") as caught:
        world.kube.apply(deployment("serve", replicas=0, container=twice))
    assert caught.value.reason == "ServerError"


def test_an_event_that_exists_already_raises_its_own_error(world: World) -> None:
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


def test_the_version_in_the_cache_is_that_of_the_server(world: World) -> None:
    made = world.kube.create(config_map("iris"))
    cached = world.view.request("iris")
    assert cached is not None
    metadata = {**made["metadata"], "resourceVersion": cached["metadata"]["resourceVersion"]}
    changed = world.kube.replace({**made, "metadata": metadata, "data": {"key": "second"}})
    assert changed["data"] == {"key": "second"}


@pytest.mark.worlds("by hand", "real")
def test_a_change_that_nobody_reads_wakes_nobody(world: World) -> None:
    world.kube.create(job("iris-train-7", "true", suspend=True))
    eventually(lambda: world.keys)
    world.keys.clear()
    world.edit("Job", "iris-train-7", {"metadata": {"annotations": {"example.com/note": "x"}}})
    world.edit("Job", "iris-train-7", {"metadata": {"labels": {"coachwork.io/stage": "another"}}})
    eventually(lambda: world.keys)
    assert world.keys == ["iris"]


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


@pytest.mark.worlds("by hand", "real")
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


# --- what others change ------------------------------------------------------------------------------

WORK = ServiceWork(5000, replicas=1, ingress=True, max_replicas=3)
STAGE = Stage("web", "web", "serve.py", WORK, resources=Resources(0.1, 64, 1.0, 1024))
CHANGES = [
    ("Deployment", {"spec": {"replicas": 0}}, "spec.replicas"),
    ("Deployment", {"metadata": {"labels": {"coachwork.io/stage": None}}}, "metadata.labels.coachwork.io/stage"),
    ("Deployment", {"spec": {"minReadySeconds": 60}}, "spec.minReadySeconds"),
    ("Service", {"spec": {"selector": {"track": "canary"}}}, "spec.selector"),
    ("Service", {"spec": {"ports": [{"name": "http", "port": 81, "targetPort": "http"}]}}, "spec.ports[5000]"),
    ("Ingress", {"spec": {"rules": [{"host": "elsewhere.example"}]}}, "spec.rules"),
    ("HorizontalPodAutoscaler", {"spec": {"maxReplicas": 9}}, "spec.maxReplicas"),
    ("PodDisruptionBudget", {"spec": {"maxUnavailable": 0}}, "spec.maxUnavailable"),
]


def serving(world: World) -> dict[str, Object]:
    """Create the objects of a service stage; return them by kind as they were sent."""
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


def test_the_number_of_pods_is_not_changed_by_an_apply_that_leaves_it_to_others(world: World) -> None:
    made = serving(world)["Deployment"]
    name, uid = made["metadata"]["name"], live(world, made)["metadata"]["uid"]
    spec = {key: value for key, value in made["spec"].items() if key != "replicas"}

    def applied(**more: int) -> int:
        world.kube.apply(manifests.with_uid({**made, "spec": {**spec, **more}}, uid))
        return int(live(world, made)["spec"]["replicas"])

    assert applied(replicas=2) == 2
    assert [applied(), applied(minReadySeconds=1)] == [2, 2]
    world.edit("Deployment", name, {"spec": {"replicas": 3}})
    assert applied(minReadySeconds=3) == 3
    assert applied(replicas=1) == 1


def test_what_the_server_adds_to_an_object_is_not_a_change(world: World) -> None:
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


def test_what_others_add_is_not_a_change_and_stays_when_something_is_put_back(world: World) -> None:
    item = serving(world)["Deployment"]
    name, restarted = item["metadata"]["name"], {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    world.edit("Deployment", name, {"spec": {"template": {"metadata": {"annotations": restarted}}}})
    assert drift.read(item, live(world, item)) is None
    world.edit("Deployment", name, {"spec": {"replicas": 0}})
    _put_back(world, item)
    template = live(world, item)["spec"]["template"]
    assert restarted.items() <= template["metadata"]["annotations"].items()


def test_what_somebody_changed_can_be_applied_again_by_a_later_run(world: World) -> None:
    item = serving(world)["Service"]
    world.edit("Service", item["metadata"]["name"], {"spec": {"selector": {"track": "canary"}}})
    _put_back(world, item)
    newer = {**item, "metadata": {**item["metadata"], "uid": live(world, item)["metadata"]["uid"]}}
    newer["spec"] = {**item["spec"], "ports": [{**item["spec"]["ports"][0], "port": 6000}]}
    world.kube.apply(newer)
    assert [port["port"] for port in live(world, item)["spec"]["ports"]] == [6000]


def test_a_change_of_the_template_makes_a_new_generation(world: World) -> None:
    first = world.kube.apply(deployment("serve", replicas=0))
    changed = deployment("serve", replicas=0, container={"command": ["sleep", "1"]})
    changed["metadata"]["uid"] = first["metadata"]["uid"]
    assert world.kube.apply(changed)["metadata"]["generation"] == first["metadata"]["generation"] + 1


def test_a_missing_secret_is_none(world: World) -> None:
    assert world.kube.get("Secret", "nobody-s") is None


@pytest.mark.worlds("by hand", "real")
def test_a_lease_is_taken_renewed_set_free_and_taken_by_the_next(world: World) -> None:
    first, second = (Candidate(world.kube, name) for name in ("pod-a", "pod-b"))
    assert first.stand()
    assert not first.stand()
    assert not second.stand()
    assert second.standing() == "another controller leads: pod-a holds the Lease coachwork"
    first.stop()
    assert second.stand()
    spec = world.kube.get("Lease", lease.NAME)["spec"]  # type: ignore[index]
    assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("pod-b", 1, 15)
