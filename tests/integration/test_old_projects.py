"""Projects of 2021 to 2023, unchanged, on a machine without a cluster: their Pythons, their packages, their answers."""

from pathlib import Path

import pytest
import yaml

from controller.app import pythons
from controller.core import names
from tests.support.cli import CommandLine
from tests.support.old_projects import FOLDER, PROJECTS, OldProject

pytestmark = pytest.mark.timeout(300)  # packages come from PyPI
EACH = pytest.mark.parametrize("old", PROJECTS, ids=lambda old: old.folder)


@pytest.fixture
def coachwork(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "state")


def test_every_project_of_the_folder_is_tried() -> None:
    assert {old.folder for old in PROJECTS} == {path.name for path in FOLDER.iterdir() if path.is_dir()}


@EACH
def test_an_old_project_is_valid_and_each_stage_gets_its_python(
    old: OldProject, coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = str(old.committed(tmp_path / "project"))
    ended = coachwork.run("validate", folder)
    assert (ended.code, ended.out.split(": ")[1].split(",")[0]) == (0, "valid"), ended.err
    plan = coachwork.run("plan", folder)
    assert plan.code == 0, plan.err
    pods = [item["spec"]["template"] for item in yaml.safe_load_all(plan.out) if item["kind"] in ("Job", "Deployment")]
    images = {
        pod["metadata"]["labels"][names.STAGE]: pod["spec"]["containers"][0]["image"]
        for pod in pods
        if names.STAGE in pod["metadata"]["labels"]
    }
    assert images == {stage: f"python:{python}-slim" for stage, python in old.pythons.items()}


@EACH
def test_an_old_project_runs_as_it_is(old: OldProject, coachwork: CommandLine, tmp_path: Path) -> None:
    for version in sorted(set(old.pythons.values())):
        if not pythons.find(version):
            pytest.skip(f"no Python {version} on this machine: uv python install {version}")
    ended = coachwork.run("run", str(old.committed(tmp_path / "project")), "--exit-when-ready")
    assert ended.code == 0, ended.out + ended.err
    assert "Ready: run 1 at" in ended.out
    for words in old.warns:
        assert any(line.startswith("warning: ") and words in line for line in ended.err.splitlines()), ended.err
    for stage, line in old.says.items():
        (log,) = coachwork.home.glob(f"runs/*/1/logs/{names.kubernetes_name(stage)}/1.log")
        assert any(said.startswith(line) for said in log.read_text().splitlines()), log.read_text()
    assert coachwork.processes() == []
