"""Commands that show runs, on what `coachwork run` left on this machine: no cluster is there to answer."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.cli import CommandLine, write
from tests.support.world import project

TRAIN = """\
import os, pathlib
print('trained', flush=True)
folder = pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'models')
folder.mkdir(exist_ok=True)
(folder / 'iris.txt').write_text(os.environ.get('ALPHA', '0'))
"""


@pytest.fixture
def iris(coachwork: CommandLine, tmp_path: Path) -> Path:
    """Return the folder of a project that has run twice."""
    coachwork.env["HOME"] = str(tmp_path / "home")  # where no kubeconfig is
    folder = write(tmp_path / "iris", project("train") | {"train/run.py": TRAIN})
    for alpha in ("1", "2"):
        assert coachwork.run("run", str(folder), "--env", f"ALPHA={alpha}").code == 0
    return folder


def test_a_folder_or_a_name_shows_what_its_runs_left(coachwork: CommandLine, iris: Path) -> None:
    for name, here in ((str(iris), ()), ("iris", ("--local",)), ("iris", ())):
        for arguments, shown in (
            (("status", name), "release:      run 2, commit"),
            (("runs", name), "1     Succeeded"),
            (("logs", name, "train"), "trained"),
            (("logs", name, "--follow"), "train: trained"),
            (("logs", name, "--run", "1"), "==> train, attempt 1 <=="),
            (("diff", name, "1", "2"), "ALPHA"),
            (("artifacts", name), "models/iris.txt"),
        ):
            ended = coachwork.run(*arguments, *here)
            assert (ended.code, shown in ended.out) == (0, True), (arguments, ended)
            assert ended.err.splitlines()[0] == f"iris on this machine, from {iris}"


def test_the_answers_for_programs_are_those_of_a_cluster(coachwork: CommandLine, iris: Path) -> None:
    (listed,) = json.loads(coachwork.run("status", "--local", "--output", "json").out)
    assert (listed["request"], listed["phase"], listed["run"]) == ("iris", "Ready", 2)
    assert listed["data"]["repository"] == iris.as_uri()
    assert [run["run"] for run in json.loads(coachwork.run("runs", "iris", "--output", "json").out)] == [2, 1]


def test_artifacts_are_fetched_one_by_one_and_all_at_once(coachwork: CommandLine, iris: Path, tmp_path: Path) -> None:
    for arguments, file in (
        (("models/iris.txt", "--run", "1", "--to", str(tmp_path / "one")), "one/iris.txt"),
        (("--run", "1", "--to", str(tmp_path / "all")), "all/models/iris.txt"),
    ):
        ended = coachwork.run("artifacts", str(iris), *arguments)
        assert (ended.code, ended.out, (tmp_path / file).read_text()) == (0, str(tmp_path / file), "1"), ended.err


def test_a_run_that_was_killed_is_over(coachwork: CommandLine, iris: Path) -> None:
    write(iris, {"train/run.py": "import time\nprint('begun', flush=True)\ntime.sleep(600)"})
    running = coachwork.start("run", str(iris))
    running.line(lambda line: "Running" in line)
    following = coachwork.start("logs", "iris", "train", "--follow")
    following.line(lambda line: line == "begun")
    assert "active for" in coachwork.run("status", "iris").out
    running.process.send_signal(signal.SIGKILL)
    running.end()
    following.interrupt()
    following.end()
    status = coachwork.run("status", "iris").out
    assert "Cancelled" in status
    assert "Stopped" in status
    assert "3     Cancelled" in coachwork.run("runs", "iris").out


def test_of_two_folders_of_one_name_each_answers_for_itself_and_the_name_means_the_last(
    coachwork: CommandLine, iris: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", project("train") | {"train/run.py": "print('another')"})
    assert coachwork.run("run", str(other)).code == 0
    for name, printed in ((str(iris), "trained"), (str(other), "another"), ("iris", "another")):
        assert printed in coachwork.run("logs", name, "train").out


def test_a_cluster_that_is_meant_is_never_answered_for(coachwork: CommandLine, iris: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "kubeconfig")
    hint = f"it has run on this machine, from {iris}: see it with --local"
    for arguments, code, said in (
        (("status", "iris", "--kubeconfig", nowhere), 4, f"or --kubeconfig; {hint}"),
        (("status", "iris", "--cluster"), 4, "no such kubeconfig"),
        (("status", "iris", "--local", "--context", "x"), 2, "--local: the runs of this machine: leave out what names"),
        (("logs", str(iris), "-n", "x"), 2, f"{iris} is a folder of this machine: leave out what names a cluster"),
        (("logs", "irs"), 3, 'no project "irs" on this machine: did you mean iris?'),
        (("logs", str(tmp_path)), 3, "the project in this folder has not run here: coachwork run"),
    ):  # fmt: skip
        ended = coachwork.run(*arguments)
        assert (ended.code, ended.out, said in ended.err) == (code, "", True), (arguments, ended)


@pytest.mark.parametrize("name", ["~nosuchuser/iris", "./" + "b" * 300])
@pytest.mark.parametrize("command", ["run", "validate", "deploy", "status", "logs", "clean"])
def test_a_name_that_no_folder_can_have_is_refused(coachwork: CommandLine, command: str, name: str) -> None:
    ended = coachwork.run(command, name)
    assert (ended.code, ended.err.count("\n"), ": no folder: " in ended.err) == (2, 0, True), ended
