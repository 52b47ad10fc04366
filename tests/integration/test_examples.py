"""The examples, and what `coachwork init` writes, as a newcomer runs them: with packages from PyPI."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.init import SCAFFOLD
from tests.support.building import uv
from tests.support.cli import CommandLine

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}

pytestmark = pytest.mark.timeout(300)  # packages are downloaded


@pytest.fixture(scope="module")
def coachwork(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("state"))


@contextmanager
def serving(coachwork: CommandLine, example: str, *options: str) -> Iterator[dict[str, str]]:
    """Yield the addresses of an example's services while they are up."""
    running = coachwork.start("run", str(EXAMPLES / example), *options, "--output", "json")
    scene = json.loads(running.line(lambda line: json.loads(line)["over"]))
    assert scene["phase"] == "Ready", scene
    try:
        yield scene["services"]
    finally:
        running.interrupt()
        assert running.end().code == 0
    assert coachwork.processes() == []


def post(url: str, body: object = None) -> Any:
    """Return the JSON that is answered; without a body, to a GET."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)  # noqa: S310 (an address of ours)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.14"])
def test_all_pinned_packages_have_wheels_for_each_python_of_a_laptop(tmp_path: Path, python: str) -> None:
    pinned = {line for folder in (EXAMPLES, SCAFFOLD) for file in folder.rglob("requirements.txt")
              for line in file.read_text().splitlines() if not line.startswith("-r")}  # fmt: skip
    for project in EXAMPLES.glob("*/bodywork.yaml"):
        stages = yaml.safe_load(project.read_text())["stages"].values()
        pinned |= {line for stage in stages for line in stage.get("requirements", ())}
    assert len(pinned) > 10
    (tmp_path / "all.txt").write_text("\n".join(pinned))  # all at once: each package has one version in all of them
    command = [uv(), "pip", "compile", "--quiet", "--no-build", "--no-python-downloads", "--python", sys.executable]
    command += ["--python-version", python, str(tmp_path / "all.txt")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_train_and_serve_predicts_with_the_model_that_it_trained(coachwork: CommandLine) -> None:
    with serving(coachwork, "train-and-serve") as addresses:
        assert post(f"{addresses['serve']}/predict", FLOWER)["species"] == "setosa"


def test_serve_model_predicts(coachwork: CommandLine) -> None:
    with serving(coachwork, "serve-model") as addresses:
        assert post(f"{addresses['predict']}/predict", FLOWER)["species"] == "setosa"


def test_batch_scoring_scores_the_whole_data_set(coachwork: CommandLine) -> None:
    ended = coachwork.run("run", str(EXAMPLES / "batch-scoring"))
    assert ended.code == 0, ended.out + ended.err
    (scores,) = coachwork.home.glob("runs/batch-scoring-*/1/artifacts/scores.csv")
    assert len(scores.read_text().splitlines()) > 170


@pytest.mark.parametrize("kind", ["train-and-serve", "service"])
def test_a_new_project_answers_what_it_says_that_one_can_type(
    coachwork: CommandLine, tmp_path: Path, kind: str
) -> None:
    made = coachwork.run("init", str(tmp_path / "iris"), "--kind", kind)
    (command,) = re.findall("^  coachwork (run .*)$", made.out, re.MULTILINE)
    running = coachwork.start(*shlex.split(command))
    shown = running.line(lambda line: "ask for a prediction: " in line).partition("prediction: ")[2]
    running.line(lambda line: line.startswith("Ready"))
    curl, address, data, body = shlex.split(shown)
    assert (curl, data) == ("curl", "-d")  # as each curl has it, and not --json of those since 7.82
    with urllib.request.urlopen(f"http://{address}", body.encode(), timeout=30) as answer:
        assert json.load(answer) == {"species": "setosa"}
    running.interrupt()
    assert running.end().code == 0


def test_a_new_batch_project_saves_its_table_and_its_number(coachwork: CommandLine, tmp_path: Path) -> None:
    coachwork.run("init", str(tmp_path / "wines"), "--kind", "batch")
    ended = coachwork.run("run", str(tmp_path / "wines"))
    assert ended.code == 0, ended.out + ended.err
    assert "accuracy 0.9" in ended.out
    (table,) = coachwork.home.glob("runs/wines-*/1/artifacts/models.csv")
    assert len(table.read_text().splitlines()) == 3


@pytest.mark.long
def test_sweep_and_score_picks_the_best_and_scores_every_row(coachwork: CommandLine) -> None:
    ended = coachwork.run("run", str(EXAMPLES / "sweep-and-score"))
    assert ended.code == 0, ended.out + ended.err
    assert "the best of 6: index 2, {'LEARNING_RATE': '0.1', 'DEPTH': '2'}" in ended.out
    (scores,) = coachwork.home.glob("runs/sweep-and-score-*/1/artifacts/scores.csv")
    assert [line.split(",")[0] for line in scores.read_text().splitlines()] == ["row", *map(str, range(442))]


@pytest.mark.long
def test_dask_peers_work_for_the_first_of_them(coachwork: CommandLine) -> None:
    ended = coachwork.run("run", str(EXAMPLES / "dask-peers"))
    assert ended.code == 0, ended.out + ended.err
    assert "2 workers say that pi is 3.14" in ended.out


@pytest.mark.long
def test_mlflow_and_minio_serves_the_model_that_it_registered(coachwork: CommandLine, tmp_path: Path) -> None:
    with serving(coachwork, "mlflow-and-minio", "--env", f"MLFLOW_TRACKING_URI=file://{tmp_path}/runs") as addresses:
        model = post(f"{addresses['serve']}/model.json")
        assert model["address"] == "models:/wine/1"
        answer = post(f"{addresses['serve']}/predict", dict.fromkeys(model["names"], 1.0))
    assert (answer["cultivar"], answer["model"]) == (1, "models:/wine/1")
    (version,) = tmp_path.glob("runs/models/wine/version-*/meta.yaml")
    assert "models/" in version.read_text()


@pytest.mark.long
@pytest.mark.parametrize("name", ["notebook", "readings"])
def test_a_notebook_fits_with_the_parameters_of_the_run_and_is_kept_as_a_page(
    coachwork: CommandLine, tmp_path: Path, name: str
) -> None:
    folder = EXAMPLES / name
    if not folder.exists():  # one that is new
        folder = tmp_path / name
        coachwork.run("init", str(folder), "--kind", "notebook")
    ended = coachwork.run("run", str(folder), "--env", "DEGREE=3")
    assert ended.code == 0, ended.out + ended.err
    (model,) = coachwork.home.glob(f"runs/{name}-*/1/artifacts/model.json")
    assert len(json.loads(model.read_text())["coefficients"]) == 4
    assert "data:image/png;base64," in (model.parent / "notebooks/fit.html").read_text()


def test_reuse_prepares_its_data_once(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "reuse"
    shutil.copytree(EXAMPLES / "reuse", folder)
    assert coachwork.run("run", str(folder)).code == 0
    with (folder / "train.py").open("a") as file:
        file.write("print('changed')\n")
    ended = coachwork.run("run", str(folder))
    assert "prepare: Reused: no input has changed since run 1" in ended.out
    assert "| changed" in ended.out
