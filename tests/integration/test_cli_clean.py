"""`coachwork clean` on what real runs left."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CommandLine, write
from tests.support.world import project

SAVE = "import os, pathlib\npathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'model').write_text('x' * 100000)\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a project has run twice, next to one that has run once; `home` is what is left."""
    root = tmp_path_factory.mktemp("ran")
    folder = write(root / "iris", project("train") | {"train/run.py": SAVE})
    other = write(root / "other", project("train", name="other") | {"train/run.py": SAVE})
    for each in (folder, folder, other):
        assert CommandLine(root / "home").run("run", str(each)).code == 0
    return root


@pytest.fixture
def iris(coachwork: CommandLine, ran: Path) -> Path:
    """Return the folder of the project that has run twice; what is left of all runs is there again for each test."""
    folder = write(ran / "iris", {"train/run.py": SAVE})
    shutil.copytree(ran / "home", coachwork.home, symlinks=True, dirs_exist_ok=True)
    package = write(coachwork.home / "environments" / "0123456789abcdef0123", {"lib/big": "x" * 1_000_000})
    cached = coachwork.home / "builds" / "cache" / "big"
    cached.parent.mkdir(parents=True)
    os.link(package / "lib" / "big", cached)  # as uv installs
    return folder


def left(home: Path) -> set[str]:
    """Return which runs there are, and which other folders are not empty."""
    runs = {f"{path.parent.name.split('-')[0]} {path.name}" for path in home.glob("runs/*/[1-9]*")}
    others = (path for path in home.iterdir() if path.is_dir() and path.name not in {"runs", "scratch"})
    return runs | {path.name for path in others if any(path.iterdir())}


RUNS = {"iris 1", "iris 2", "other 1"}
MADE_AGAIN = {"environments", "builds", "pythons", "checkouts", "mirrors", "tools"}


def test_it_frees_what_the_next_run_makes_again_and_leaves_the_runs(coachwork: CommandLine, iris: Path) -> None:
    planned = json.loads(coachwork.run("clean", "--dry-run", "--output", "json").out)
    assert left(coachwork.home) == RUNS | MADE_AGAIN
    packages = next(part for part in planned["parts"] if part["part"] == "packages")
    assert 1_000_000 <= packages["bytes"] < 2_000_000, "two links to a file are freed once"
    ended = coachwork.run("clean")
    assert (ended.code, left(coachwork.home)) == (0, RUNS)
    assert "frees" in ended.out
    assert "runs stay" in ended.err
    assert coachwork.run("clean").out == f"nothing to remove in {coachwork.home}"
    again = coachwork.run("run", str(iris))
    assert again.out.splitlines()[-1].startswith("Ready: run 3"), again.out


@pytest.mark.usefixtures("iris")
@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (("iris",), {"other 1"} | MADE_AGAIN),
        (("--all",), set()),
        (("--all", "--older-than", "7d"), {"iris 2", "other 1"} | MADE_AGAIN),
        (("--all", "--older-than", "0s"), set()),
        (("iris", "--older-than", "30d"), {"iris 2", "other 1"} | MADE_AGAIN),
    ],
)
def test_runs_go_only_if_they_are_named(coachwork: CommandLine, arguments: tuple[str, ...], kept: set[str]) -> None:
    (first,) = coachwork.home.glob("runs/iris-*/1")
    for path in (first, *first.rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    refused = coachwork.run("clean", *arguments)
    assert (refused.code, refused.out, "add --yes" in refused.err) == (2, "", True)
    assert left(coachwork.home) == RUNS | MADE_AGAIN
    ended = coachwork.run("clean", *arguments, "--yes")
    assert (ended.code, left(coachwork.home)) == (0, kept), ended.err
    assert not list(coachwork.home.rglob(".trash-*"))


def test_a_folder_means_its_project_and_another_name_is_not_found(coachwork: CommandLine, iris: Path) -> None:
    assert coachwork.run("clean", "irs").err == 'no project "irs" has run on this machine: did you mean iris?'
    refused = coachwork.run("clean", "--older-than", "1w").err
    assert refused == '--older-than: expected a duration like 30m, 12h or 7d, got "1w"'
    assert coachwork.run("clean", str(iris), "--yes").code == 0
    assert left(coachwork.home) == {"other 1"} | MADE_AGAIN


def test_of_two_folders_with_one_project_name_the_runs_of_the_first_stay(coachwork: CommandLine, iris: Path) -> None:
    copy = write(iris.parent / "copy", project("train") | {"train/run.py": SAVE})
    assert coachwork.run("run", str(copy)).code == 0
    assert coachwork.run("clean", "iris", "--yes").code == 0
    assert left(coachwork.home) == RUNS | MADE_AGAIN
    assert coachwork.run("status", str(iris)).code == 0


def test_nothing_goes_while_a_run_of_it_is_active(coachwork: CommandLine, iris: Path) -> None:
    write(iris, {"train/run.py": "import time; time.sleep(600)"})
    running = coachwork.start("run", str(iris))
    running.line(lambda line: "Running" in line)
    before = left(coachwork.home)
    for arguments in ((), ("--all", "--yes"), ("iris", "--yes")):
        ended = coachwork.run("clean", *arguments)
        assert (ended.code, ended.err) == (2, "iris: `coachwork run` of it is under way: end it first")
    assert left(coachwork.home) == before
    assert coachwork.run("clean", "other", "--yes").code == 0
    running.interrupt()
    running.end()
    assert left(coachwork.home) == before - {"other 1"}


def test_on_a_terminal_it_asks_before_runs_go(coachwork: CommandLine, iris: Path) -> None:
    command = [sys.executable, "-m", "controller", "clean", str(iris)]
    for answer, code, kept in ((b"n\n", 5, RUNS | MADE_AGAIN), (b"y\n", 0, {"other 1"} | MADE_AGAIN)):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        env = {**os.environ, "COACHWORK_HOME": str(coachwork.home)}
        ended = subprocess.run(command, stdin=theirs, env=env, capture_output=True, timeout=60, check=False)
        os.close(ours)
        os.close(theirs)
        assert (ended.returncode, left(coachwork.home)) == (code, kept), ended.stderr
