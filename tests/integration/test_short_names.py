"""http://STAGE:PORT is a convenience: whoever comes first has it, and nobody fails for want of it."""

import json
from pathlib import Path

import pytest

from tests.support.world import REPOSITORY, World

SERVICE = {"executable_module_path": "serve.py", "service": {"port": 5000}}
ALIAS = ("Service", "scoring-service")


def files(version: str = "1.1") -> dict[str, str]:
    section = {"1.0": "project", "1.1": "pipeline"}[version]
    document = {"version": version, section: {"name": "iris", "DAG": "scoring-service"}}
    return {"bodywork.yaml": json.dumps({**document, "stages": {"scoring-service": SERVICE}}), "serve.py": ""}


@pytest.fixture
def world(memory: Path) -> World:
    """Return a world in which the request `iris` has the short name."""
    world = World(memory)
    world.source.push(files())
    world.cluster.ask("iris", repository=REPOSITORY)
    assert world.finish_all().phase == "Ready"
    return world


def second(world: World, **more: str) -> dict[str, str]:
    """Return the record of another request that wants the same short name, at its end."""
    world.cluster.ask("other", repository=REPOSITORY, project_name="other", **more)
    for _ in range(10):
        world.settle("other")
        for deployment in world.cluster.of_kind("Deployment"):
            world.cluster.roll_out(deployment)
    return world.data("other")


def holder(world: World) -> str:
    (owner,) = world.cluster.stored[ALIAS]["metadata"]["ownerReferences"]
    return str(owner["name"])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_service_answers_to_its_stages_name(memory: Path, version: str) -> None:
    world = World(memory)
    world.source.push(files(version))
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.finish_all()
    assert (kept.phase, kept.problems) == ("Ready", ())
    assert ALIAS in world.cluster.stored


def test_a_name_that_another_request_holds_is_gone_without_and_said(world: World) -> None:
    data = second(world)
    assert data["phase"] == "Ready"
    assert "Service scoring-service belongs to ConfigMap iris" in data["problems"]
    assert "other--scoring-service" in data["problems"]
    assert holder(world) == "iris"
    assert world.settle("iris").phase == "Ready"
    assert ("Service", "other--scoring-service") in world.cluster.stored


def test_a_strangers_service_is_gone_without_as_well_and_not_touched(memory: Path) -> None:
    world = World(memory)
    world.source.push(files())
    metadata = {"name": "scoring-service"}
    world.cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"a": "b"}})
    world.cluster.ask("iris", repository=REPOSITORY)
    kept = world.finish_all()
    assert kept.phase == "Ready"
    assert "belongs to nobody of ours" in kept.problems[0]
    assert world.cluster.stored[ALIAS]["spec"] == {"a": "b"}


def test_the_next_run_takes_a_name_that_is_free_by_then(world: World) -> None:
    second(world)
    world.cluster.remove("ConfigMap", "iris")
    assert ALIAS not in world.cluster.stored
    data = second(world, trigger="again")
    assert (data["phase"], data.get("problems", "")) == ("Ready", "")
    assert holder(world) == "other"


def test_a_name_that_is_taken_while_the_run_begins_fails_nothing(world: World) -> None:
    other = world.cluster.stored[ALIAS]
    world.cluster.remove(*ALIAS)
    world.cluster.ask("other", repository=REPOSITORY, project_name="other")
    get = world.cluster.get

    def late(kind: str, name: str) -> object:
        found = get(kind, name)
        if (kind, name) == ALIAS and not found:  # right after it was looked for
            world.cluster.restore(other)
        return found

    world.cluster.get = late  # type: ignore[assignment, method-assign]
    data = second(world)
    assert data["phase"] == "Ready"
    assert "scoring-service leads elsewhere" in data["problems"]
    assert holder(world) == "iris"


def test_a_services_own_name_is_never_done_without(world: World) -> None:
    world.cluster.ask("twin", repository=REPOSITORY)
    assert world.settle("twin").reason == "NameTaken"
