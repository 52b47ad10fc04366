"""What others do to what serves: shown at once, put back, told by an Event, and no endless fight."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.core.errors import Refused
from controller.core.model import Object, Record
from tests.support.world import REPOSITORY, World, project

WEB = project("web", services={"web": 5000})
WEB["web/config.ini"] += "INGRESS = True\n"
OBJECTS = [("Deployment", "iris--web"), ("Service", "iris--web"), ("Ingress", "iris--web")]

Change = Callable[[Object], object]
CHANGES: list[tuple[str, Change, str]] = [
    ("Deployment", lambda item: item["spec"].update(replicas=0), "spec.replicas"),
    ("Deployment", lambda item: stage(item)["env"].pop(0), "spec.template.spec.containers[stage].env"),
    ("Deployment", lambda item: stage(item).update(image="busybox"), "containers[stage].image"),
    ("Deployment", lambda item: item["metadata"]["labels"].pop("coachwork.io/stage"), "labels.coachwork.io/stage"),
    ("Service", lambda item: item["spec"]["ports"][0].update(port=81), "spec.ports[5000]"),
    ("Service", lambda item: item["spec"]["selector"].update(track="canary"), "spec.selector"),
    ("Ingress", lambda item: item["spec"].update(rules=[]), "spec.rules"),
    ("Ingress", lambda item: item["metadata"]["annotations"].clear(), "metadata.annotations.nginx"),
    ("Deployment", lambda item: item["metadata"].update(annotations={}), "annotations.coachwork.io/digest"),
]


@pytest.fixture
def world(memory: Path) -> World:
    return released(World(memory), WEB)


def released(world: World, files: dict[str, str]) -> World:
    world.source.push(files)
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.finish_all().phase == "Ready"
    return world


def stage(item: Object) -> Object:
    container: Object = item["spec"]["template"]["spec"]["containers"][0]
    return container


def spec(world: World, kind: str) -> Object:
    return copy.deepcopy({key: world.cluster.stored[kind, "iris--web"][key] for key in ("spec",)})


def up(world: World) -> Record:
    """Let what is to serve come up; return the record."""
    world.settle()
    for deployment in world.cluster.of_kind("Deployment"):
        world.cluster.roll_out(deployment)
    return world.settle()


def news(world: World) -> list[str]:
    return [item["message"] for item in world.cluster.of_kind("Event") if item["reason"] == "ServiceDrifted"]


def one_pass(world: World) -> Record:
    world.cluster.sync()
    world.pass_()
    return world.record()


@pytest.mark.parametrize(("kind", "change", "field"), CHANGES)
def test_an_edited_object_is_degraded_at_once_reported_and_put_back(
    world: World, kind: str, change: Change, field: str
) -> None:
    before = spec(world, kind)
    world.cluster.edit(kind, "iris--web", change)
    kept = one_pass(world)
    assert kept.phase == "Degraded"
    assert spec(world, kind) == before
    assert kept.reason == "ServiceDrifted"
    assert field in kept.message
    assert news(world) == [kept.message]
    assert up(world).phase == "Ready"


@pytest.mark.parametrize(("kind", "name"), OBJECTS)
def test_a_deleted_object_is_degraded_at_once_reported_and_made_again(world: World, kind: str, name: str) -> None:
    world.cluster.remove(kind, name)
    kept = one_pass(world)
    assert (kept.phase, kept.reason) == ("Degraded", "ServiceDrifted")
    assert (kind, name) in world.cluster.stored
    assert len(news(world)) == 1
    assert up(world).phase == "Ready"


def test_a_service_that_was_put_back_is_ready_only_when_its_pods_are_the_right_ones(world: World) -> None:
    world.cluster.edit("Deployment", "iris--web", lambda item: stage(item).update(image="busybox"))
    world.settle()
    kept = world.settle()
    assert (kept.phase, kept.reason) == ("Degraded", "ServiceDegraded")
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    assert world.settle().phase == "Ready"


def test_the_same_is_reported_again_when_it_happens_again(world: World) -> None:
    for _ in range(2):
        world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
        one_pass(world)
        world.clock.pass_(60)
        world.settle()
    assert len(news(world)) == 2


def test_a_restart_and_a_sidecar_are_left_alone(world: World) -> None:
    def add(item: Object) -> None:
        item["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-01"
        item["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})

    world.cluster.edit("Deployment", "iris--web", add)
    edited = spec(world, "Deployment")
    world.settle()
    assert spec(world, "Deployment") == edited
    assert news(world) == []
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    assert world.settle().phase == "Ready"


def test_what_serves_is_put_back_while_a_long_run_is_active(memory: Path) -> None:
    world = released(World(memory), project("train >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    assert world.settle().phase == "Running"
    world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
    world.cluster.remove("Service", "iris--web")
    kept = world.settle()
    assert (kept.phase, kept.run) == ("Running", 2)
    assert world.cluster.stored["Deployment", "iris--web"]["spec"]["replicas"] == 1
    assert ("Service", "iris--web") in world.cluster.stored
    assert len(news(world)) == 2
    assert world.finish_all().phase == "Ready"


def test_a_service_that_is_done_is_put_back_while_later_stages_run(memory: Path) -> None:
    world = World(memory)
    world.source.push(project("web >> a", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    assert world.settle().step == 2
    world.cluster.edit("Service", "iris--web", lambda item: item["spec"]["ports"][0].update(port=81))
    assert world.settle().phase == "Running"
    assert spec(world, "Service")["spec"]["ports"][0]["port"] == 5000


def test_an_unchanged_service_that_was_scaled_to_nothing_is_not_done(memory: Path) -> None:
    world = released(World(memory), project("web >> a", services={"web": 5000}))
    world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
    world.cluster.roll_out(world.cluster.stored["Deployment", "iris--web"])
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    kept = world.settle()
    assert kept.stages["web"].state == "Running"
    assert world.cluster.stored["Deployment", "iris--web"]["spec"]["replicas"] == 1
    kept = world.finish_all()
    assert (kept.phase, kept.stages["web"].state) == ("Ready", "Unchanged")
    assert world.cluster.stored["Deployment", "iris--web"]["metadata"]["labels"]["coachwork.io/run"] == "1"


def test_after_a_failed_run_what_serves_is_put_back_and_reported_as_well(memory: Path) -> None:
    world = released(World(memory), project("train >> web", services={"web": 5000}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again")
    world.settle()
    world.cluster.end_job(world.jobs()["iris-train-2"], 3)
    assert world.settle().phase == "Failed"
    world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
    assert world.settle().phase == "Failed"
    assert world.cluster.stored["Deployment", "iris--web"]["spec"]["replicas"] == 1
    assert len(news(world)) == 1


def test_something_that_changes_it_again_and_again_is_met_with_a_pause(world: World) -> None:
    def scale(item: Object) -> None:
        item["spec"]["replicas"] = 0

    world.cluster.edit("Deployment", "iris--web", scale)
    one_pass(world)
    assert spec(world, "Deployment")["spec"]["replicas"] == 1
    world.clock.pass_(1)
    world.cluster.edit("Deployment", "iris--web", scale)
    world.cluster.remove("Service", "iris--web")
    world.cluster.sync()
    assert world.pass_() == 9
    assert world.record().phase == "Degraded"
    assert spec(world, "Deployment")["spec"]["replicas"] == 0
    assert ("Service", "iris--web") in world.cluster.stored
    world.clock.pass_(10)
    world.settle()
    assert spec(world, "Deployment")["spec"]["replicas"] == 1


def test_a_change_that_the_role_does_not_let_it_put_back_is_said_and_put_back_later(world: World) -> None:
    world.cluster.refuse["replace", "iris--web"] = Refused("deployments is forbidden", forbidden=True)
    world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
    kept = one_pass(world)
    assert (kept.phase, kept.reason) == ("Degraded", "ServiceDrifted")
    assert kept.message.endswith("it can't be put back (Deployment/iris--web: deployments is forbidden)")
    world.cluster.refuse.clear()
    assert up(world).phase == "Ready"


def test_what_can_not_be_put_back_is_recorded_once_and_not_in_each_pass(world: World) -> None:
    world.cluster.refuse["replace", "iris--web"] = Refused("deployments is forbidden", forbidden=True)
    world.cluster.edit("Deployment", "iris--web", lambda item: item["spec"].update(replicas=0))
    one_pass(world)
    recorded, writes = world.data(), len(world.cluster.writes)
    world.pass_()
    assert world.data() == recorded
    assert not [write for write in world.cluster.writes[writes:] if "iris-status" in write]
