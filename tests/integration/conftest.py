"""What many tests begin with: a controller in miniature, a stage, a builder, a command line, and Git on a volume."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.git import Git
from tests.support.building import Builder
from tests.support.cli import CommandLine
from tests.support.gitserver import INI, SETTINGS, GitServer, Repository, serving
from tests.support.launching import Stage, wheel
from tests.support.world import World


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as git:
        yield git


@pytest.fixture
def git(volume: Path) -> Git:
    return Git(volume, SETTINGS)


@pytest.fixture
def iris(server: GitServer) -> Repository:
    repository = server.repository("iris")
    repository.commit({"bodywork.ini": INI, "train/config.ini": "[default]\n", "train/train.py": "print(1)\n"})
    return repository


@pytest.fixture
def world(memory: Path) -> World:
    return World(memory)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def builder(stage: Stage) -> Builder:
    """Return a builder that finds one package, `plume`."""
    builder = Builder(stage)
    wheel(builder.index, "plume", "1.0", "VALUE = 42")
    return builder


@pytest.fixture
def coachwork(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "state")
