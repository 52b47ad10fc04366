"""The examples, and what `coachwork init` writes, as a user applies them: packages from PyPI, predictions over HTTP."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.e2e import Coachwork, Record, ask, asked_all_the_time, told

EXAMPLES = Path(__file__).parents[2] / "examples"
SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SECONDS = 400  # packages are downloaded and unpacked while three other tests run

pytestmark = pytest.mark.timeout(900)


def files() -> dict[str, bytes]:
    """Return the files of a repository that holds all examples."""
    return {
        f"examples/{path.relative_to(EXAMPLES)}": path.read_bytes() for path in EXAMPLES.rglob("*") if path.is_file()
    }


def test_what_init_writes_deploys_as_it_is(coachwork: Coachwork, tmp_path: Path) -> None:
    written = {}
    for kind in ("train-and-serve", "batch", "service"):
        name = coachwork.name(kind[:5])
        subprocess.run([sys.executable, "-m", "controller", "init", tmp_path / name, "--kind", kind], check=True)
        written[kind] = name
    repository = coachwork.name("new")
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    coachwork.git.push(repository, {str(path.relative_to(tmp_path)): path.read_bytes() for path in made})
    for name in written.values():
        coachwork.request(name, repository=coachwork.git.url(repository), path=name)
    for name in written.values():
        record = coachwork.ended(name, seconds=SECONDS)
        assert record["phase"] == "Ready", told(record)
    for name, stage in ((written["train-and-serve"], "serve"), (written["service"], "predict")):
        reply = coachwork.http(f"{name}--{stage}", "/predict", [5.1, 3.5, 1.4, 0.2])
        assert (reply.status, reply.json()) == (200, {"species": "setosa"})
    assert len(coachwork.run_file(written["batch"], 1, "artifacts/models.csv").splitlines()) == 3


def start(coachwork: Coachwork, example: str) -> tuple[str, Record]:
    """Request the example as its request.yaml does."""
    name = coachwork.name(example)
    data = yaml.safe_load((EXAMPLES / example / "request.yaml").read_text())["data"]
    coachwork.git.push(name, files())
    coachwork.request(name, path=data["path"], project_name=name)
    return name, coachwork.ended(name, seconds=SECONDS)


def test_batch_scoring_saves_a_score_of_every_wine(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "batch-scoring")
    assert (record["phase"], record["stage.score"]) == ("Ready", "Done"), told(record)
    table = list(csv.DictReader(coachwork.run_file(name, 1, "artifacts/scores.csv").splitlines()))
    assert len(table) == 178
    assert {row["cultivar"] for row in table} == {"class_0", "class_1", "class_2"}
    assert "scored 178 wines" in coachwork.run_file(name, 1, "logs/score/1.log")


def test_many_indexes_sweep_score_and_are_one_cluster(coachwork: Coachwork) -> None:
    sweep, dask = (coachwork.name(example) for example in ("sweep-and-score", "dask-peers"))
    coachwork.git.push(sweep, files())
    for name, example in ((sweep, "sweep-and-score"), (dask, "dask-peers")):
        coachwork.request(name, repository=coachwork.git.url(sweep), path=f"examples/{example}", project_name=name)
    record = coachwork.ended(sweep, seconds=SECONDS)
    assert record["phase"] == "Ready", told(record)
    stages = coachwork.stages(record)
    assert (stages["sweep"]["indexes"], stages["score"]["indexes"]) == (6, 8)
    assert stages["pick"]["metrics"]["rmse"] == stages["sweep"]["metrics"]["rmse.min"]
    rows = coachwork.run_file(sweep, 1, "artifacts/scores.csv").splitlines()
    assert [row.split(",")[0] for row in rows] == ["row", *map(str, range(442))]
    assert "index 5 of 6, LEARNING_RATE=0.3, DEPTH=4" in coachwork.run_file(sweep, 1, "logs/sweep/5/1.log")
    (job,) = (item for item in coachwork.objects(sweep, "jobs") if item["metadata"]["name"].endswith("-score-1"))
    assert (job["spec"]["completions"], job["spec"]["parallelism"], job["status"]["completedIndexes"]) == (8, 4, "0-7")
    record = coachwork.ended(dask, seconds=SECONDS)
    assert record["phase"] == "Ready", told(record)
    assert "2 workers say that pi is 3.14" in coachwork.run_file(dask, 1, "logs/count/0/1.log")
    assert not coachwork.objects(dask, "services"), "names of peers are there as long as the run"


def test_serve_model_answers_predictions_from_two_replicas(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "serve-model")
    assert record["phase"] == "Ready", told(record)
    assert len(coachwork.pods(name)) == 2
    reply = coachwork.http(f"{name}--predict", "/predict", SETOSA)
    assert (reply.status, reply.json()["species"]) == (200, "setosa")
    assert coachwork.http(f"{name}--predict", "/predict", {"sepal_length": -1}).status == 422
    assert coachwork.http("predict", "/healthz").status == 200  # the name that a project of schema 1.1 was used to


def test_train_and_serve_answers_with_the_model_that_was_just_trained_unless_it_is_worse(coachwork: Coachwork) -> None:
    name, record = start(coachwork, "train-and-serve")
    assert record["phase"] == "Ready", told(record)
    reply = coachwork.http(f"{name}--serve", "/predict", SETOSA)
    assert (reply.status, reply.json()["species"]) == (200, "setosa")
    address = coachwork.address(f"{name}--serve")
    measured = ask(f"{address}/metrics.json").json()
    assert measured["accuracy"] > 0.9
    assert measured["commit"] == record["run-commit"]
    assert yaml.safe_load(record["release-numbers"]) == {"train": {"accuracy": measured["accuracy"]}}
    worse = files()
    script = worse["examples/train-and-serve/train/train.py"]
    worse["examples/train-and-serve/train/train.py"] = script.replace(b"fit(train_data, ", b"fit(train_data[::-1], ")
    coachwork.git.push(name, worse)
    with asked_all_the_time(f"{address}/metrics.json") as replies:
        record = coachwork.trigger(name, "worse")
        assert (record["phase"], record["reason"]) == ("Failed", "RequirementNotMet"), told(record)
        train = coachwork.stages(record)["train"]
        assert (train["attempts"], train["metrics"]["accuracy"] < 0.9) == (1, True)
        assert record["message"].startswith(f"stage train: accuracy is {train['metrics']['accuracy']}, REQUIRE wants ")
        assert (record["stage.serve"], record["release-run"]) == ("Skipped", "1")
        (job,) = (item for item in coachwork.objects(name, "jobs") if item["metadata"]["name"].endswith("-train-2"))
        assert [it["reason"] for it in job["status"]["conditions"] if it["type"] == "Failed"] == ["PodFailurePolicy"]
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert replies[0].json() == measured
    assert ask(f"{address}/predict", SETOSA).json()["species"] == "setosa"
