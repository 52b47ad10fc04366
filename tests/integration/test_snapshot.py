"""A folder of this machine as it stands: which of its files belong to the run."""

import shutil
from pathlib import Path

import pytest

from controller.adapters.git import Git, GitSettings
from controller.core import layout
from controller.core.errors import Invalid
from tests.support.cli import CommandLine, write
from tests.support.gitserver import Repository

IGNORE = {".gitignore": "*.csv\n/private/\n"}


@pytest.fixture
def iris(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "my iris")
    repository.folder.mkdir()
    repository.git("init", "--quiet", "--initial-branch=main")
    return repository


def taken(volume: Path, folder: Path) -> dict[str, str]:
    """Return the files that a run of the folder has, with their contents."""
    git = Git(volume, GitSettings(allow_file=True))
    snapshot = git.snapshot(folder)
    git.publish(snapshot.repository, snapshot.commit)
    root = volume / layout.checkout(snapshot.repository, snapshot.commit)
    files = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] != ".git")
    return {str(path.relative_to(root)): path.read_text() for path in files if path.name != layout.COMPLETE}


@pytest.mark.parametrize("first", [True, False])
def test_an_ignored_file_that_was_added_by_force_belongs_to_the_run_as_it_stands(
    iris: Repository, volume: Path, *, first: bool
) -> None:
    iris.write(IGNORE)
    if not first:
        iris.git("add", "--all")
        iris.git("commit", "--quiet", "--message", "one")
    names = ("data.csv", "private/model[1].bin", "gone.csv", ":odd.csv")
    iris.write(dict.fromkeys(names, "staged") | {"other.csv": "ignored"})
    iris.git("--literal-pathspecs", "add", "--force", *names)
    iris.write({"data.csv": "changed later"})
    (iris.folder / "gone.csv").unlink()
    before = iris.git("status", "--porcelain")
    expected = IGNORE | {"data.csv": "changed later", "private/model[1].bin": "staged", ":odd.csv": "staged"}
    assert taken(volume, iris.folder) == expected
    assert taken(volume, iris.folder) == expected  # the mirror's own index, which is kept, says the same
    assert iris.git("status", "--porcelain") == before
    iris.git("rm", "--cached", "--force", "--quiet", "data.csv")
    assert "data.csv" not in taken(volume, iris.folder)


def test_a_file_that_is_no_longer_tracked_and_ignored_does_not_belong_to_the_run(
    iris: Repository, volume: Path
) -> None:
    iris.write({"data.csv": "1", "kept.py": "2"})
    iris.git("add", "--all")
    iris.git("commit", "--quiet", "--message", "one")
    assert taken(volume, iris.folder) == {"data.csv": "1", "kept.py": "2"}
    iris.write(IGNORE)
    assert taken(volume, iris.folder) == IGNORE | {"data.csv": "1", "kept.py": "2"}
    iris.git("rm", "--cached", "--quiet", "data.csv", "kept.py")
    assert taken(volume, iris.folder) == IGNORE | {"kept.py": "2"}


def test_what_a_clone_ignores_by_itself_stays_out_in_a_linked_work_tree_too(
    iris: Repository, volume: Path, tmp_path: Path
) -> None:
    iris.write({"a.py": "1"})
    iris.git("add", "--all")
    iris.git("commit", "--quiet", "--message", "one")
    (iris.folder / ".git" / "info" / "exclude").write_text("*.log\n")
    iris.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    write(tmp_path / "linked", {"b.py": "2", "run.log": "3"})
    assert taken(volume, tmp_path / "linked") == {"a.py": "1", "b.py": "2"}


def test_a_folder_with_sha256_ids_is_taken_as_any_other(iris: Repository, volume: Path) -> None:
    iris.write({"a.py": "1"})
    assert taken(volume, iris.folder) == {"a.py": "1"}
    shutil.rmtree(iris.folder / ".git")
    iris.git("init", "--quiet", "--object-format=sha256")
    assert taken(volume, iris.folder) == {"a.py": "1"}
    iris.git("add", "--all")
    iris.git("commit", "--quiet", "--message", "one")
    snapshot = Git(volume, GitSettings(allow_file=True)).snapshot(iris.folder)
    assert (snapshot.commit, snapshot.shown) == (head := iris.git("rev-parse", "HEAD"), head[:7])
    iris.write({"b.py": "2"})
    assert taken(volume, iris.folder) == {"a.py": "1", "b.py": "2"}


def test_a_folder_whose_index_is_broken_is_refused_in_gits_words(iris: Repository, volume: Path) -> None:
    iris.write({"a.py": "1"})
    (iris.folder / ".git" / "index").write_text("half")
    with pytest.raises(Invalid) as refused:
        Git(volume, GitSettings(allow_file=True)).snapshot(iris.folder)
    (line,) = refused.value.problems
    assert (refused.value.reason, line.partition(": git ")[0]) == ("FolderUnreadable", str(iris.folder))


def test_a_project_with_sha256_ids_runs_on_a_laptop(iris: Repository, tmp_path: Path) -> None:
    shutil.rmtree(iris.folder / ".git")
    iris.git("init", "--quiet", "--object-format=sha256")
    iris.write({
        "bodywork.ini": "[default]\nPROJECT_NAME = iris\n[workflow]\nDAG = train\n",
        "train/config.ini": "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n",
        "train/run.py": "import os, subprocess\nprint(os.environ['COACHWORK_COMMIT'])\n"
        "subprocess.run(['git', 'rev-parse', 'HEAD'], check=True)\n",
    })  # fmt: skip
    commit = iris.commit()
    coachwork = CommandLine(tmp_path / "state")
    ended = coachwork.run("run", str(iris.folder))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == f"Ready: run 1 at {commit[:7]}"
    printed = next(coachwork.home.glob("runs/iris-*/1/logs/train/1.log")).read_text()
    assert printed.count(commit) == 3, printed
