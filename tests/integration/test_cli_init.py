"""`coachwork init`: each kind runs as it is, by the commands that it prints; what exists is left alone."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from controller.cli.init import Kind
from tests.support.cli import CommandLine

KINDS = get_args(Kind)


@pytest.fixture
def coachwork(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "state")


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_valid_and_named_after_its_folder(coachwork: CommandLine, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "below" / "My Iris_2"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("mine")
    ended = coachwork.run("init", str(folder), "--kind", kind)
    assert ended.code == 0, ended.err
    assert (folder / "README.md").read_text() == "mine"
    assert {line.strip() for line in ended.out.splitlines()} >= {
        str(folder / path) for path in files(folder) if path != "README.md"
    }
    run, deploy = (shlex.split(line) for line in ended.out.splitlines() if line.startswith("  coachwork "))
    assert (run, deploy) == (["coachwork", "run", str(folder)], ["coachwork", "deploy", str(folder)])
    valid = coachwork.run("validate", str(folder), "--strict")
    assert (valid.code, valid.out.partition(" ")[0]) == (0, "my-iris-2"), valid.err


def project(folder: Path) -> None:
    folder.joinpath("bodywork.yaml").write_text("mine")


def script(folder: Path) -> None:
    folder.joinpath("train").mkdir()
    folder.joinpath("train", "train.py").write_text("mine")


def leading_elsewhere(folder: Path) -> None:
    folder.joinpath("train").mkdir()
    folder.joinpath("train", "train.py").symlink_to("../missing")


def no_folder(folder: Path) -> None:
    folder.joinpath("train").write_text("mine")


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        (project, "bodywork.yaml: it exists: give another folder"),
        (script, "train/train.py: it exists: give another folder"),
        (leading_elsewhere, "train/train.py: can't be written: File exists"),
        (no_folder, "train/config.ini: can't be written: "),
    ],
)
def test_what_exists_is_left_as_it_is_and_nothing_is_written(
    coachwork: CommandLine, tmp_path: Path, before: Callable[[Path], None], problem: str
) -> None:
    folder = tmp_path / "iris"
    folder.mkdir()
    before(folder)
    there = files(folder)
    ended = coachwork.run("init", str(folder))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"{folder}/{problem}")
    assert files(folder) == there


def test_an_address_and_a_file_are_no_folder(coachwork: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for given, problem in (
        ("https://git.example/acme/iris", "expected a folder of this machine: clone it, and give its folder"),
        (str(tmp_path / "mine"), "it is a file: give the name of a folder"),
    ):
        ended = coachwork.run("init", given)
        assert (ended.code, ended.err) == (2, f"{given}: {problem}")
    assert not list(tmp_path.glob("https*"))
