"""A project of a Bodywork 1.0 user, unchanged, on a machine without a cluster."""

import sys
from pathlib import Path

import pytest

from controller.adapters import pythons
from tests.support import bodywork_project
from tests.support.cli import CommandLine, write

pytestmark = pytest.mark.timeout(300)  # packages come from PyPI


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", {name: str(text) for name, text in bodywork_project.files().items()})


def test_it_is_valid_without_a_warning(project: Path, tmp_path: Path) -> None:
    ended = CommandLine(tmp_path / "state").run("validate", "--strict", str(project))
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.splitlines() == ["house-prices at uncommitted: valid, 4 stages in 4 steps"]


@pytest.mark.skipif(
    sys.version_info >= (3, 14) and not pythons.find("3.8"), reason="Flask of 2021 needs a Python before 3.14"
)
def test_its_stages_find_their_secrets_and_each_other(project: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("".join(f"{name}={value}\n" for name, value in bodywork_project.CREDENTIALS.items()))
    coachwork = CommandLine(tmp_path / "state")
    ended = coachwork.run("run", str(project), "--secrets", str(secrets), "--exit-when-ready")
    assert ended.code == 0, ended.out + ended.err
    (log,) = coachwork.home.glob("runs/house-prices-*/1/logs/stage-4-test-scoring-service/1.log")
    assert bodywork_project.SAYS in log.read_text()
    assert coachwork.processes() == []


def test_what_is_missing_is_reported_before_anything_runs(project: Path, tmp_path: Path) -> None:
    ended = CommandLine(tmp_path / "state").run("run", str(project), "--exit-when-ready")
    assert ended.code == 2
    assert all(name in ended.err for name in bodywork_project.CREDENTIALS)
