"""A volume, a server of Git repositories, and git on that volume, for all tests that need them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.git import Git
from tests.support.gitserver import SETTINGS, GitServer, serving


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
