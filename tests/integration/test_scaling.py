"""Services whose number of pods an autoscaler owns: no write of ours fights with it, and the least is what counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.core import names
from controller.core.model import Object, Record
from tests.support.world import POLICY, REPOSITORY, World, project

AUTOSCALER, BUDGET, DEPLOYMENT = (
    (kind, "iris--web") for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Deployment")
)


def files(more: str = "REPLICAS = 2\nMAX_REPLICAS = 8\n", script: str = "print(1)\n") -> dict[str, str]:
    made = project("web", services={"web": 5000})
    config = made["web/config.ini"].replace("[default]\n", "[default]\nCPU_REQUEST = 0.1\n")
    return {**made, "web/config.ini": config + more, "web/run.py": script}


def run(world: World, pushed: dict[str, str], trigger: str = "") -> Record:
    world.source.push(pushed)
    world.cluster.ask("iris", repository=REPOSITORY, trigger=trigger)
    return world.finish_all()


def scale(world: World, number: int) -> None:
    """Do as the autoscaler does, and let the pods come up."""
    world.cluster.scale("iris--web", number)
    world.cluster.roll_out(world.cluster.stored[DEPLOYMENT])


def number(world: World) -> int:
    found: int = world.cluster.stored[DEPLOYMENT]["spec"]["replicas"]
    return found


def writes(world: World) -> list[tuple[str, str]]:
    """Return what was written of the service since the last call."""
    found = [(verb, kind) for verb, kind, name in world.cluster.writes if name == "iris--web"]
    world.cluster.writes.clear()
    return found


@pytest.fixture
def world(memory: Path) -> World:
    it = World(memory)
    assert run(it, files()).phase == "Ready"
    writes(it)
    return it


def test_it_begins_with_the_least_and_has_what_scales_it_and_what_keeps_drains_in_order(world: World) -> None:
    assert number(world) == 2
    cpu = {"name": "cpu", "container": "stage", "target": {"type": "Utilization", "averageUtilization": 80}}
    assert world.cluster.stored[AUTOSCALER]["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris--web"},
        "minReplicas": 2,
        "maxReplicas": 8,
        "metrics": [{"type": "ContainerResource", "containerResource": cpu}],
    }
    deployment = world.cluster.stored[DEPLOYMENT]["spec"]
    assert deployment["selector"] == spread(deployment)["labelSelector"]
    assert world.cluster.stored[BUDGET]["spec"] == {
        "maxUnavailable": 1, "selector": deployment["selector"], "unhealthyPodEvictionPolicy": "AlwaysAllow"
    }  # fmt: skip


def spread(deployment: Object) -> Object:
    (one,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    return dict(one)


def test_what_the_autoscaler_does_is_no_drift_and_what_it_adds_need_not_be_up(world: World) -> None:
    world.cluster.scale("iris--web", 8)
    assert (world.settle().phase, number(world), writes(world)) == ("Degraded", 8, [])  # nobody has judged it yet
    live = world.cluster.stored[DEPLOYMENT]
    world.cluster.count(live, 5, 2)
    assert world.settle().phase == "Ready"
    world.cluster.count(live, 5, 1)
    kept = world.settle()
    assert (kept.phase, kept.message) == ("Degraded", "service web has 1 of 2 pods ready")
    assert (number(world), writes(world)) == (8, [])


def test_scaled_to_nothing_which_stops_the_autoscaler_it_is_put_back_to_the_least(world: World) -> None:
    world.cluster.edit(*DEPLOYMENT, lambda item: item["spec"].update(replicas=0))
    world.settle()
    assert (number(world), writes(world)) == (2, [("replace", "Deployment")])


def test_a_run_that_changes_nothing_leaves_the_number_alone_and_one_that_does_as_well(world: World) -> None:
    scale(world, 5)
    kept = run(world, files(), "again")
    assert (kept.stages["web"].state, number(world), writes(world)) == ("Unchanged", 5, [])
    kept = run(world, files(script="print(2)\n"), "changed")
    assert (kept.phase, kept.stages["web"].state, number(world)) == ("Ready", "Done", 5)
    assert writes(world) == [("apply", "Deployment")]


def test_a_new_version_that_fails_is_rolled_back_at_the_number_that_there_is(world: World) -> None:
    scale(world, 5)
    world.source.push(files("REPLICAS = 3\nMAX_REPLICAS = 4\n", script="1 / 0\n"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="bad")
    world.settle()
    world.cluster.break_down(world.cluster.stored[DEPLOYMENT], "it broke")
    assert world.settle().phase == "Failed"
    world.cluster.roll_out(world.cluster.stored[DEPLOYMENT])
    assert world.settle().phase == "Failed"
    assert (number(world), world.cluster.stored[AUTOSCALER]["spec"]["maxReplicas"]) == (5, 8)
    assert writes(world) == [("apply", "Deployment")] * 2


@pytest.mark.parametrize(("before", "least", "after"), [(2, 6, 6), (5, 3, 5)])
def test_a_least_that_is_raised_counts_at_once(world: World, before: int, least: int, after: int) -> None:
    scale(world, before)
    assert run(world, files(f"REPLICAS = {least}\nMAX_REPLICAS = 8\n"), "more").phase == "Ready"
    assert (number(world), world.cluster.stored[AUTOSCALER]["spec"]["minReplicas"]) == (after, least)


def test_where_nothing_scales_it_any_more_the_autoscaler_goes_before_the_number_is_set(world: World) -> None:
    scale(world, 5)
    assert run(world, files("REPLICAS = 3\n"), "fixed").phase == "Ready"
    assert (number(world), AUTOSCALER in world.cluster.stored, BUDGET in world.cluster.stored) == (3, False, True)
    assert writes(world) == [("delete", "HorizontalPodAutoscaler"), ("apply", "Deployment")]
    kept = run(world, files(""), "one")
    assert (kept.phase, number(world), BUDGET in world.cluster.stored) == ("Ready", 1, False)


def test_a_service_that_begins_to_scale_keeps_its_pods(memory: Path) -> None:
    world = World(memory)
    run(world, files("REPLICAS = 4\n"))
    assert run(world, files(), "scales").phase == "Ready"
    assert (number(world), world.cluster.stored[AUTOSCALER]["spec"]["minReplicas"]) == (4, 2)


def test_an_autoscaler_that_can_not_go_is_waited_for_and_said(world: World) -> None:
    scale(world, 5)
    going = {"finalizers": ["example.com/hold"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.cluster.edit(*AUTOSCALER, lambda item: item["metadata"].update(going))
    world.source.push(files("REPLICAS = 3\n"))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="fixed")
    kept = world.settle()
    assert (kept.stages["web"].reason, number(world)) == ("BeingDeleted", 5)
    assert kept.stages["web"].message.startswith("HorizontalPodAutoscaler iris--web is being deleted, and goes once")
    world.cluster.remove(*AUTOSCALER)
    assert (world.finish_all().phase, number(world)) == ("Ready", 3)


@pytest.mark.parametrize("key", [AUTOSCALER, BUDGET])
def test_what_somebody_changes_or_deletes_of_it_is_put_back(world: World, key: tuple[str, str]) -> None:
    before = world.cluster.stored[key]["spec"]
    world.cluster.edit(*key, lambda item: item["spec"].update(dict.fromkeys(("maxReplicas", "maxUnavailable"), 7)))
    world.settle()
    assert before.items() <= world.cluster.stored[key]["spec"].items()
    world.cluster.remove(*key)
    world.settle()
    assert world.cluster.stored[key]["spec"] == before
    assert writes(world) == [("replace", key[0]), ("create", key[0])]
    told = [item["message"] for item in world.cluster.of_kind("Event") if item["reason"] == "ServiceDrifted"]
    assert len(told) == 2


def test_a_deployment_whose_labels_were_taken_off_gets_them_back_and_keeps_its_number(world: World) -> None:
    world.cluster.unlabel(*DEPLOYMENT)
    scale(world, 5)
    world.settle()
    assert world.cluster.stored[DEPLOYMENT]["metadata"]["labels"][names.REQUEST] == "iris"
    assert number(world) == 5


def test_on_one_node_only_nothing_keeps_it_from_being_drained(memory: Path) -> None:
    world = World(memory, policy=replace(POLICY, node="n1"))
    assert run(world, files()).phase == "Ready"
    assert (AUTOSCALER in world.cluster.stored, BUDGET in world.cluster.stored) == (True, False)
    assert "topologySpreadConstraints" not in world.cluster.stored[DEPLOYMENT]["spec"]["template"]["spec"]
