"""A volume, a server of Git repositories, and git on that volume, for all tests that need them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.git import Git
from tests.support.gitserver import INI, SETTINGS, GitServer, Repository, serving


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
