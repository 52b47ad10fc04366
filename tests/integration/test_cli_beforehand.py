"""What commands refuse before they call anything: names that no cluster accepts, and all that is wrong at once."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import CommandLine, write
from tests.support.gitserver import Repository

PROJECT = {
    "bodywork.ini": "[default]\nPROJECT_NAME = iris\n[workflow]\nDAG = train\n",
    "train/config.ini": "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\nNICE = 1\n",
    "train/run.py": "",
}


@pytest.fixture
def coachwork(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "state", {"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)})


def refused(coachwork: CommandLine, *arguments: str) -> list[str]:
    ended = coachwork.run(*arguments)
    assert (ended.code, ended.out) == (2, ""), ended.err
    lines = ended.err.splitlines()
    return lines[:-1] if lines[-1] == f"{len(lines) - 1} problems" else lines


def test_plan_refuses_names_that_no_cluster_accepts_and_proposes_others(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", PROJECT))
    problems = refused(coachwork, "plan", folder, "--name", "Foo_Bar", "--namespace", "My NS", "--image", "My Image")
    assert [(line.split(":")[0], line.rpartition(": ")[2]) for line in problems] == [
        ("--name", "write foo-bar"),
        ("--namespace", "write my-ns"),
        ("--image", "write my-image"),
    ]
    assert "iris-status-project" in refused(coachwork, "plan", folder, "--name", "iris-status")[0]
    assert "expected at most 63" in refused(coachwork, "plan", folder, "-n", "x" * 64)[0]


@pytest.mark.parametrize(
    ("address", "code", "line"),
    [
        (
            "https://github.com/u/p/tree/main/x",
            2,
            "x is a page for browsers: write https://github.com/u/p --ref main --path x",
        ),
        (
            "git@git.example:u/p.git",
            2,
            "git@git.example:u/p.git is reached over ssh, with a key that only git has: git clone",
        ),
        ("https://git.example/u/p?x", 2, "repository https://git.example/u/p?x: it has a ? or # part: write"),
        ("http://127.0.0.1:9/u/p", 4, "check the host name, the network and the proxy (unable to access"),
    ],
)
def test_an_address_that_can_not_be_read_is_refused_with_what_to_do(
    coachwork: CommandLine, address: str, code: int, line: str
) -> None:
    ended = coachwork.run("run", address)
    assert (ended.code, ended.out) == (code, "")
    assert line in ended.err.splitlines()[-1]


def test_plan_shows_the_warnings_of_the_project(coachwork: CommandLine, tmp_path: Path) -> None:
    ended = coachwork.run("plan", str(write(tmp_path / "iris", PROJECT)))
    assert (ended.code, "NICE" in ended.err) == (0, True)
    assert "NICE" not in ended.out


@pytest.mark.parametrize(
    ("file", "rule", "missing"),
    [
        ("train/.gitignore", "run.*", "train/run.py"),
        (".gitignore", "tra*/", "train/config.ini"),
        (".git/info/exclude", "*work.ini", "bodywork.ini"),
        (".gitignore", "*.txt", "train/requirements.txt"),
        (".gitignore", "*", "bodywork.ini"),
    ],
)
def test_a_file_that_is_missing_since_git_ignores_it_is_named_with_the_rule_and_the_remedy(
    coachwork: CommandLine, tmp_path: Path, file: str, rule: str, missing: str
) -> None:
    folder = write(tmp_path / "iris", PROJECT | {"train/requirements.txt": "six\n"})
    Repository(folder).git("init", "--quiet")
    write(folder, {file: f"# data\n{rule}\n"})
    for command in ("validate", "plan", "run"):
        lines = refused(coachwork, command, str(folder))
        assert lines[-1] == (
            f"{missing}: is ignored by git ({rule} in line 2 of {file}): change that, or"
            f" git -C {folder} add -f -- {missing}"
        )
    for part in ("bodywork.ini", "train"):
        Repository(folder).git("add", "--force", part)
    assert coachwork.run("validate", str(folder)).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder another user's")
@pytest.mark.parametrize("ids", ["sha1", "sha256"])
def test_a_repository_of_another_user_is_refused_with_gits_own_remedy_which_works(
    coachwork: CommandLine, tmp_path: Path, ids: str
) -> None:
    iris = Repository(write(tmp_path / "iris", PROJECT))
    iris.git("init", "--quiet", f"--object-format={ids}")
    head = iris.commit()
    subprocess.run(["chown", "-R", "1234", iris.folder], check=True)
    for command in ("validate", "plan", "run"):
        (line,) = refused(coachwork, command, str(iris.folder))
        assert "dubious ownership" in line
    (address,) = refused(coachwork, "run", f"file://{iris.folder}")
    assert "it is another user's, and git does not read it: give its folder" in address
    subprocess.run(line.rpartition("trust it, ")[2].split(), env=os.environ | coachwork.env, check=True)
    assert head[:7] in coachwork.run("validate", str(iris.folder)).out


def test_a_submodule_that_is_not_checked_out_is_a_warning_and_the_cause_of_what_is_missing(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    iris = Repository(write(tmp_path / "iris", PROJECT))
    iris.git("init", "--quiet")
    iris.commit()
    iris.submodule("lib", "git@git.example:acme/lib", "1" * 40)
    cause = f"lib: is a submodule that is not checked out: git -C {iris.folder} submodule update --init -- lib"
    for command in ("validate", "plan", "run"):
        ended = coachwork.run(command, str(iris.folder))
        assert (ended.code, ended.err.splitlines().count(f"warning: {cause}")) == (0, 1), ended.err
    write(iris.folder, {"bodywork.ini": PROJECT["bodywork.ini"].replace("train", "lib")})
    assert cause in refused(coachwork, "validate", str(iris.folder))


def test_deploy_shows_all_that_is_wrong_before_it_calls_a_cluster(coachwork: CommandLine) -> None:
    problems = refused(
        coachwork, "deploy", "https://git.example/x", "--name", "Foo_Bar", "-n", "NS", "--env", "PATH=1", "--env", "x",
        "--timeout", "soon", "--image", "My Image", "--keep-runs", "900", "--ref", "a\u200db", "--poll", "never",
    )  # fmt: skip
    assert sorted(line.split(":")[0] for line in problems) == [
        "--env", "--env", "--name", "--namespace", "--timeout", "image", "keep-runs", "poll", "ref",
    ]  # fmt: skip
    assert 'ref: holds the invisible character U+200D after "a": delete it' in problems


def test_deploy_in_a_clone_shows_all_that_is_wrong_before_it_calls_a_cluster(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    iris = Repository(write(tmp_path / "iris", PROJECT))
    problems = refused(coachwork, "deploy", str(iris.folder), "--poll", "never")
    assert [line.split(":")[0] for line in problems] == [
        f"{iris.folder} is in no Git repository, and no cluster can read it here",
        "poll",
    ]
    iris.git("init", "--quiet")
    iris.commit()
    iris.git("remote", "add", "origin", "git@git.example:acme/iris.git")
    (line,) = refused(coachwork, "deploy", str(iris.folder))
    assert line.startswith('--git-secret: missing: "git@git.example:acme/iris.git" is reached over ssh: name a Secret')


def test_trigger_and_rerun_show_all_that_is_wrong_before_they_call_a_cluster(coachwork: CommandLine) -> None:
    problems = refused(
        coachwork, "trigger", "iris", "--set", "A-B=1", "--set", "x", "--timeout", "soon", "--id", "a\nb"
    )
    assert [line.split(":")[0] for line in problems] == ["--set", "--set", "--timeout", "--id"]
    assert refused(coachwork, "rerun", "iris", "--timeout", "soon")[0].startswith("--timeout: ")


@pytest.mark.parametrize("command", [["status"], ["logs"], ["delete", "--yes"], ["cancel"], ["runs"], ["trigger"]])
def test_a_name_that_nothing_can_have_is_refused_with_one_that_can(coachwork: CommandLine, command: list[str]) -> None:
    problems = refused(coachwork, command[0], "Foo_Bar", *command[1:], "--namespace", "My NS")
    assert [line.rpartition(": ")[2] for line in problems] == ["write my-ns", "write foo-bar"]


def test_run_shows_all_wrong_options_at_once(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", PROJECT))
    problems = refused(coachwork, "run", folder, "--only", "a", "--from", "b", "--env", "PORT=1", "--python", "nowhere")
    assert [line.split(":")[0] for line in problems] == ["--only and --from", "--env", "--python"]


def test_run_names_all_lines_of_a_secrets_file_that_it_can_not_read(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", PROJECT))
    given = write(tmp_path, {"secrets": "A=1\nhunter2\nB='hunter2"}) / "secrets"
    problems = refused(coachwork, "run", folder, "--secrets", str(given), "--python", "nowhere")
    expected = [f"--secrets: {given}, line 2", f"--secrets: {given}, line 3", "--python"]
    assert [line.partition(": expected" if "line" in line else ": ")[0] for line in problems] == expected
    assert "hunter" not in "".join(problems)
    (line,) = refused(coachwork, "run", folder, "--secrets", str(tmp_path))
    assert line.endswith("can't be read: Is a directory")
