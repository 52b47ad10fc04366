"""The tutorial's second part: every command of it, on the cluster."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.e2e import NAMESPACE, Coachwork, kubectl
from tests.support.incluster_git import ROOT
from tests.support.tutorial import PAGE, Reader, Section, sections

ADDRESS = "https://github.com/you/iris"
LAPTOP = 3  # sections that need no cluster


def git_config(folder: Path, coachwork: Coachwork, repository: str) -> Path:
    """Write who commits, and how this machine pushes to an address that only the cluster can reach."""
    server = f"ext::kubectl --namespace {coachwork.git.namespace} exec --stdin deployment/git -- %S"
    path = folder / "gitconfig"
    path.write_text(
        f'[user]\n\tname = Ada\n\temail = ada@example.com\n[protocol "ext"]\n\tallow = always\n'
        f'[url "{server} {ROOT}/{repository}.git"]\n\tinsteadOf = {coachwork.git.url(repository)}\n',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def reader(coachwork: Coachwork, tmp_path: Path) -> Reader:
    """Somebody who has followed the first sections, and has an empty repository."""
    repository = f"{coachwork.name('tutorial')}/iris"  # a request has the name of its repository
    coachwork.git.create(repository)
    config = git_config(tmp_path, coachwork, repository)
    command = shutil.which("coachwork", path=str(Path(sys.executable).parent))
    assert command
    path = f"{Path(command).parent}:/usr/local/bin:/usr/bin:/bin"
    variables = {"GIT_CONFIG_GLOBAL": str(config), "PATH": path, "COLUMNS": "200"}
    it = Reader(tmp_path, variables, {ADDRESS: coachwork.git.url(repository), "serve 5000": "serve :5000"})
    for section in sections()[:LAPTOP]:
        it.write(section.files)
    return it


def made(section: Section) -> dict[str, str]:
    """Return the data of the request that a section shows."""
    (item,) = yaml.safe_load_all(section.yaml[0])
    return dict(item["data"])


@pytest.mark.timeout(900)
def test_every_command_for_the_cluster_works(coachwork: Coachwork, reader: Reader) -> None:
    assert "sh\ncoachwork " in PAGE.read_text(encoding="utf-8")
    coachwork.delete("iris")
    kubectl("-n", NAMESPACE, "wait", "--for=delete", "configmap/iris", "--timeout=60s")
    try:
        for section in sections()[LAPTOP:]:
            reader.follow(section)
            if section.yaml:
                shown = {key: reader.instead.get(value, value) for key, value in made(section).items()}
                assert coachwork.get("configmap", "iris")["data"] == shown
        left = kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "json")
        assert "iris" not in {item["metadata"]["name"] for item in json.loads(left)["items"]}
    finally:
        coachwork.delete("iris")
