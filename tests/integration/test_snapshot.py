"""A folder of this machine as it stands: which of its files belong to the run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from controller.adapters.git import Git, GitSettings
from controller.core import layout
from controller.core.errors import Invalid
from tests.support.cli import CommandLine
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


WORDS = """
git config --global user.name a; git config --global user.email a@example.com
git config --global protocol.file.allow always
one() { git add -A; git commit -qm one; }
library() { mkdir library; cd library; git init -q; echo 1 > a.py; one; cd ..; }
iris() { mkdir iris; cd iris; git init -q $*; echo 1 > x.py; one; }
added() { git submodule --quiet add ../$1 lib 2>&1; one; }
updated() { git -C lib submodule --quiet update --init 2>&1; }
submodule() { library; iris; added library; }
linked() { cd ..; mv iris main; git -C main worktree add -q ../iris; cd iris; }
"""
CLEAN, CHANGED, NONE = "as committed", "+changes", "uncommitted"
LIES_THERE = [  # what a shell does in an empty folder; what runs then besides x.py; how its commit is shown
    ("a submodule", "submodule", "lib/a.py", CLEAN),
    ("a submodule whose address leads nowhere", "submodule; rm -rf ../library", "lib/a.py", CLEAN),
    ("a submodule over ssh", "submodule; git config -f .gitmodules submodule.lib.url a@b:c; one", "lib/a.py", CLEAN),
    ("a commit not pushed", "submodule; cd lib; touch b.py; one; cd ..; one", "lib/a.py lib/b.py", CLEAN),
    ("changes inside", "submodule; touch lib/b.py; git -C lib rm -q a.py", "lib/b.py", CHANGED),
    ("no repository any more", "submodule; rm lib/.git", "lib/a.py", CLEAN),
    ("a folder now", "submodule; rm lib/.git; git rm -q --cached lib; touch lib/b", "lib/a.py lib/b", CHANGED),
    ("a removed submodule", "submodule; rm -r lib", "", CHANGED),
    ("a submodule in a submodule", "submodule; cd ..; mv iris outer; iris; added outer; updated",
     "lib/.gitmodules lib/x.py lib/lib/a.py", CLEAN),
    ("a clone inside", "library; iris; git clone -q ../library lib", "lib/a.py", CHANGED),
    ("an ignored clone", "library; iris; cp -r ../library lib; echo lib > .git/info/exclude", "", CLEAN),
    ("a repository without a commit", "iris; git init -q lib; touch lib/a lib/b; echo b > lib/.git/info/exclude",
     "lib/a", CHANGED),
    ("a repository in one without a commit", "iris; rm -rf .git; git init -q; git init -q lib; touch lib/a",
     "lib/a", NONE),
    ("a repository in a folder without", "iris; rm -rf .git; git init -q lib; touch lib/a", "lib/a", NONE),
    ("a repository with other ids", "library; iris --object-format=sha256; cp -r ../library lib", "lib/a.py", CHANGED),
    ("a link in place of a folder", "iris; mkdir d; touch d/x.py; one; rm -r d; ln -s x.py d", "d", CHANGED),
    ("a folder in place of a file", "iris; touch d; one; rm d; mkdir d; touch d/e", "d/e", CHANGED),
    ("what a clone ignores, in a linked work tree", "iris; echo a > .git/info/exclude; linked; touch a", "", CLEAN),
    ("what a person ignores", "iris; git config --global core.excludesFile ~/a; echo a > ~/a; touch a", "", CLEAN),
    ("what a person ignores by git's own file", "iris; mkdir -p ~/.config/git; echo a > ~/.config/git/ignore; touch a",
     "", CLEAN),
    ("what a folder ignores", "iris; mkdir d; echo b > d/.gitignore; touch b d/b", "b d/.gitignore", CHANGED),
]  # fmt: skip


@pytest.mark.parametrize(("script", "files", "shown"), [pytest.param(*row, id=name) for name, *row in LIES_THERE])
def test_a_folder_runs_as_git_status_shows_it_and_repositories_inside_as_they_lie_there(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, files: str, shown: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    subprocess.run(["sh", "-ec", WORDS + script], cwd=tmp_path, check=True, timeout=60)
    folder = tmp_path / "iris"
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    for place in (tmp_path, *inside):  # the mirror's own index, which is kept, says the same
        monkeypatch.chdir(place)
        assert set(taken(volume, folder)) - {".gitmodules"} == {"x.py", *files.split()}
    snapshot = Git(volume, GitSettings(allow_file=True)).snapshot(folder)
    head = "" if shown == NONE else Repository(folder).git("rev-parse", "HEAD")[:7]
    assert (snapshot.shown, snapshot.warnings) == ({CLEAN: head, CHANGED: f"{head}+changes"}.get(shown, shown), ())


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


@pytest.mark.parametrize("kept", [True, False])
def test_locks_that_a_killed_git_has_left_in_the_mirror_keep_nobody_out(
    iris: Repository, volume: Path, *, kept: bool
) -> None:
    iris.write(IGNORE)
    snapshot = Git(volume, GitSettings(allow_file=True)).snapshot(iris.folder)
    mirror = volume / layout.mirror(snapshot.repository)
    reference = mirror / "refs/coachwork" / snapshot.commit
    if not kept:
        reference.unlink()
    for place in (reference, mirror / "snapshot-index"):
        place.with_name(f"{place.name}.lock").touch()
    assert taken(volume, iris.folder) == IGNORE
