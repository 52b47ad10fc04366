"""The three examples, as a user applies them: packages from PyPI, predictions over HTTP."""

import csv
from pathlib import Path

import pytest
import yaml

from tests.support.e2e import Coachwork, Record, told

EXAMPLES = Path(__file__).parents[2] / "examples"
SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SECONDS = 400  # packages are downloaded and unpacked while three other tests run

pytestmark = pytest.mark.timeout(900)


def start(coachwork: Coachwork, example: str) -> tuple[str, Record]:
    """Request the example as its request.yaml does, from a repository that holds all examples."""
    name = coachwork.name(example)
    data = yaml.safe_load((EXAMPLES / example / "request.yaml").read_text())["data"]
    files = {
        f"examples/{path.relative_to(EXAMPLES)}": path.read_bytes() for path in EXAMPLES.rglob("*") if path.is_file()
    }
    coachwork.git.push(name, files)
    coachwork.request(name, path=data["path"], project_name=name)
    return name, coachwork.ended(name, seconds=SECONDS)


def test_batch_scoring_saves_a_score_of_every_wine(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "batch-scoring")
    assert (record["phase"], record["stage.score"]) == ("Ready", "Done"), told(record)
    table = list(csv.DictReader(coachwork.run_file(name, 1, "artifacts/scores.csv").splitlines()))
    assert len(table) == 178
    assert {row["cultivar"] for row in table} == {"class_0", "class_1", "class_2"}
    assert "scored 178 wines" in coachwork.run_file(name, 1, "logs/score/1.log")


def test_serve_model_answers_predictions_from_two_replicas(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "serve-model")
    assert record["phase"] == "Ready", told(record)
    assert len(coachwork.pods(name)) == 2
    reply = coachwork.http(f"{name}--predict", "/predict", SETOSA)
    assert (reply.status, reply.json()["species"]) == (200, "setosa")
    assert coachwork.http(f"{name}--predict", "/predict", {"sepal_length": -1}).status == 422
    assert coachwork.http("predict", "/healthz").status == 200  # the name that a project of schema 1.1 was used to


def test_train_and_serve_answers_with_the_model_that_was_just_trained(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "train-and-serve")
    assert record["phase"] == "Ready", told(record)
    reply = coachwork.http(f"{name}--serve", "/predict", SETOSA)
    assert (reply.status, reply.json()["species"]) == (200, "setosa")
    measured = coachwork.http(f"{name}--serve", "/metrics.json").json()
    assert measured["accuracy"] > 0.9
    assert measured["commit"] == record["run-commit"]
