"""After a downgrade: what a newer version wrote is gone on with, or left alone; it is never done again."""

import json
from pathlib import Path

import pytest
import yaml

from controller.core import layout, names
from tests.support import later
from tests.support.world import REPOSITORY, World, project

WEB = project("train >> web", services={"web": 5000})


@pytest.fixture
def world(memory: Path) -> World:
    """Return a world in which one trigger has been handled and a service serves."""
    world = World(memory)
    world.source.push(WEB)
    world.cluster.ask("iris", repository=REPOSITORY, trigger="first")
    assert world.finish_all().phase == "Ready"
    return world


def copy_of(world: World) -> Path:
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    return world.root / layout.record("iris", uid)


def rewrite(world: World, change: dict[str, str], digest: str = "") -> dict[str, str]:
    """Let a newer version have written the record, with the digest of today unless another is given."""
    status = world.cluster.stored["ConfigMap", "iris-status"]
    data = later.sealed({**status["data"], **change})
    data["digest"] = digest or data["digest"]
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": data})
    copy_of(world).write_text(yaml.safe_dump(data))
    return dict(data)


def news(world: World) -> list[str]:
    return [item["message"] for item in world.cluster.of_kind("Event") if item["reason"] == "RecordTooNew"]


def blocked(world: World) -> dict[str, str]:
    for _ in range(3):
        world.cluster.sync()
        assert world.pass_() is None
    data = world.data()
    assert (data["phase"], data["reason"]) == ("Blocked", "RecordTooNew")
    assert world.cluster.stored["ConfigMap", "iris-status"]["metadata"]["labels"][names.PHASE] == "Blocked"
    assert len(news(world)) == 1
    return data


@pytest.mark.parametrize("copy", ["", "{", "request-uid: other"])
def test_a_record_that_is_damaged_in_both_places_keeps_its_numbers_and_repeats_no_trigger(
    world: World, copy: str
) -> None:
    world.cluster.ask("iris", repository=REPOSITORY, trigger="first", run_on_create="false")
    world.settle()
    world.cluster.write_over("iris-status", {"run": "7", "history": "[", "message": "mine"})
    copy_of(world).write_text(copy)
    assert (world.settle().phase, world.settle().run) == ("Pending", 7)
    assert [item["reason"] for item in world.cluster.of_kind("Event")][-1] == "RecordDamaged"
    world.cluster.ask("iris", repository=REPOSITORY, trigger="second", run_on_create="false")
    assert world.finish_all().run == 8


@pytest.mark.parametrize("change", [{"version": "2"}, {"history": "{newest: {run: 1}}"}])
def test_a_record_that_can_not_be_honoured_stops_its_request_and_stays_as_it_is(
    world: World, change: dict[str, str]
) -> None:
    before, jobs = rewrite(world, change), set(world.jobs())
    copy = copy_of(world).read_text()
    world.cluster.ask("iris", repository=REPOSITORY, trigger="second")
    told = {"phase", "reason", "message", "digest"}
    after = blocked(world)
    assert {key: after.get(key) for key in {*before, *after} - told} == {
        k: before.get(k) for k in {*before, *after} - told
    }
    assert (copy_of(world).read_text(), set(world.jobs())) == (copy, jobs)
    assert "newer version" in after["message"]


def test_the_newer_version_goes_on_where_it_was(world: World) -> None:
    rewrite(world, {"version": "2"})
    blocked(world)
    data = world.data()
    del data["version"]
    world.cluster.edit("ConfigMap", "iris-status", lambda item: {**item, "data": data})
    rewrite(world, {})
    assert (world.settle().phase, world.settle().run) == ("Ready", 1)


def test_a_newer_record_with_another_kind_of_digest_is_not_taken_for_damaged(world: World) -> None:
    rewrite(world, {"version": "2"}, digest="blake3:abc")
    assert blocked(world)["digest"] == "blake3:abc"


def test_a_newer_copy_on_the_volume_is_honoured_when_the_record_was_deleted(world: World) -> None:
    before = rewrite(world, {"version": "2"})
    world.cluster.remove("ConfigMap", "iris-status")
    assert blocked(world)["handled-triggers"] == before["handled-triggers"]


def test_a_newer_release_stops_its_request_too(world: World) -> None:
    world.cluster.write_over("iris-release", {"version": "2"})
    world.cluster.remove("Service", "iris--web")
    blocked(world)
    assert ("Service", "iris--web") not in world.cluster.stored


def test_kinds_that_a_newer_release_holds_next_to_the_known_ones_are_left_alone(world: World) -> None:
    objects = world.cluster.stored["ConfigMap", "iris-release"]["data"]["objects"]
    scaler = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "iris--web"}}
    objects += f"---\n{yaml.safe_dump(scaler)}"
    world.cluster.write_over("iris-release", {"objects": objects, "digest": names.digest(objects, 64)})
    assert world.settle().phase == "Ready"


def test_another_request_goes_on_next_to_a_blocked_one(world: World) -> None:
    rewrite(world, {"version": "2"})
    blocked(world)
    world.cluster.ask("other", repository=REPOSITORY, project_name="other")
    assert world.settle("other").phase == "Running"


def test_a_run_that_a_newer_version_kept_is_not_repeated_by_halves(world: World) -> None:
    uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
    kept = world.root / layout.run_spec("iris", uid, 1)
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "version": 2}))
    world.cluster.ask("iris", repository=REPOSITORY, trigger="again", at_rerun="again 1")
    kept_record = world.settle()
    assert (kept_record.run, kept_record.history[0].reason) == (1, "RecordTooNew")
