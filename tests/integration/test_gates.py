"""What `previous` is in a gate: the number of the last good run that ran the stage, whatever came after it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.core.documents import status
from controller.core.model import Record
from tests.support.world import REPOSITORY, World, project

GATED = project("train >> score", services={})
GATED["train/config.ini"] += "REQUIRE = rmse <= previous * 2, rows > 10\n"


@pytest.fixture
def iris(world: World) -> World:
    world.source.push(GATED)
    return world


def ended(world: World, run: int, numbers: dict[str, float], *, train: int = 0, score: int = 0, **ask: str) -> Record:
    """Make a run whose stages end with these codes, train with numbers."""
    world.cluster.ask("iris", repository=REPOSITORY, trigger=f"t{run}", **ask)
    world.settle()
    for stage, code in (("train", train), ("score", score)):
        if job := world.jobs().get(f"iris-{stage}-{run}"):
            outcome = {"exit_code": code, "metrics": numbers if stage == "train" else {}}
            world.leave(world.logs(stage, run), json.dumps(outcome))
            world.cluster.end_job(job, code)
            world.settle()
    return world.settle()


def limit(world: World, run: int) -> Any:
    """Return what rmse may be at most in a run that begins now."""
    world.cluster.ask("iris", repository=REPOSITORY, trigger=f"t{run}")
    world.settle()
    (container,) = world.jobs()[f"iris-train-{run}"]["spec"]["template"]["spec"]["containers"]
    gate = json.loads("".join(container["command"][2:]))["require"]
    assert gate[1] == ["rows", ">", 10, "> 10"]
    assert gate[0][:2] == ["rmse", "<="]
    return gate[0][2]


def test_without_a_good_run_there_is_no_limit(iris: World) -> None:
    assert ended(iris, 1, {"rmse": 1}, score=1).phase == "Failed"
    assert limit(iris, 2) is None


def test_the_last_good_run_is_what_a_new_one_is_compared_with(iris: World) -> None:
    assert ended(iris, 1, {"rmse": 1, "rows": 20}).phase == "Ready"
    assert ended(iris, 2, {"rmse": 3, "rows": 20}, train=121).phase == "Failed"
    assert ended(iris, 3, {"rmse": 1.5, "rows": 20}, score=1).phase == "Failed"
    kept = ended(iris, 4, {"rmse": 1.25, "rows": 20})
    assert {**kept.release_numbers["train"]} == {"rmse": 1.25, "rows": 20}
    assert [(past.run, past.metrics["train"]["rmse"]) for past in kept.history] == [(4, 1.25), (3, 1.5), (2, 3), (1, 1)]
    assert limit(iris, 5) == 2.5


def test_a_stage_that_a_run_reuses_keeps_the_numbers_that_it_left_where_it_ran(iris: World) -> None:
    ended(iris, 1, {"rmse": 1})
    ended(iris, 2, {"rmse": 0.5}, score=1)
    kept = ended(iris, 3, {}, resume="t3 score")
    assert (kept.phase, kept.stages["train"].state) == ("Ready", "Reused")
    assert {**kept.stages["train"].metrics} == {"rmse": 0.5}
    assert {**ended(iris, 4, {}, resume="t4 score").stages["train"].metrics} == {"rmse": 0.5}
    assert limit(iris, 5) == 1.0


def test_a_run_that_passes_the_stage_over_changes_nothing(iris: World) -> None:
    ended(iris, 1, {"rmse": 1})
    ended(iris, 2, {"rmse": 0.5}, train=121)
    kept = ended(iris, 3, {}, only="t3 score")
    assert (kept.phase, kept.stages["train"].state) == ("Ready", "Skipped")
    assert limit(iris, 4) == 2


def test_what_somebody_takes_from_the_record_comes_back_from_its_copy(iris: World) -> None:
    ended(iris, 1, {"rmse": 1})
    iris.cluster.remove("ConfigMap", "iris-status")
    iris.settle()
    assert limit(iris, 2) == 2


def test_numbers_never_make_a_record_larger_than_the_api_server_takes(world: World) -> None:
    stages = [f"s{number}-{'x' * 30}" for number in range(25)]
    world.source.push(project(", ".join(stages)))
    many = json.dumps({"exit_code": 0, "metrics": {f"{number:x^64}": -1.1e-100 / 3 for number in range(50)}})
    world.cluster.ask("iris", repository=REPOSITORY)
    world.settle()
    for stage in stages:
        world.leave(world.logs(stage), many)
        world.cluster.end_job(world.jobs()[f"iris-{stage}-1"], 0)
    kept = world.settle()
    assert kept.phase == "Ready"
    assert sum(map(len, kept.measured.values())) == sum(map(len, kept.release_numbers.values())) == 1000
    assert kept.problems == tuple(
        f"stage {stage}: 0 of 50 numbers are recorded: a run has 1000 at most" for stage in stages[20:]
    )
    full = replace(kept, history=kept.history[:1] * 60, problems=("p" * 1024,) * 100)
    assert len(json.dumps(status.write(full))) < 600_000
