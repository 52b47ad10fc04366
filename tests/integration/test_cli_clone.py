"""`coachwork deploy` in a clone: what it takes from there, what it warns of, and what it refuses."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from controller.cli.clone import Source, source
from controller.core.errors import Invalid
from tests.support.gitserver import Repository
from tests.support.laptop import batch, project

ADDRESS = "https://git.example/acme/Iris_2.git"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return a clone of a project in folder `models`, all of it pushed."""
    monkeypatch.setenv("COACHWORK_HOME", str(tmp_path / "home"))
    remote = Repository(tmp_path / "remote.git")
    remote.folder.mkdir()
    remote.git("init", "--quiet", "--bare", "--initial-branch=main")
    made = Repository(tmp_path / "clone")
    made.folder.mkdir()
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit({f"models/{name}": text for name, text in project("train", train=batch("")).items()})
    made.git("remote", "add", "origin", str(remote.folder))
    made.git("push", "--quiet", "-u", "origin", "main")
    made.git("remote", "set-url", "origin", ADDRESS)
    return made


def taken(clone: Repository, ref: str = "", path: str = "") -> Source:
    return source(str(clone.folder / "models"), ref, path)


@pytest.mark.parametrize(
    ("commands", "ref", "warnings"),
    [
        ([], "main", []),
        (
            ["commit -q --allow-empty -m x"],
            "main",
            ["1 commit of branch main not pushed: the cluster runs origin/main"],
        ),
        (["rm -q models/train/run.py"], "main", ["1 file is not as committed: the cluster runs without"]),
        (
            ["switch -q -c new"],
            "new",
            ["branch new was never pushed to origin, so the cluster won't find it: git push -u"],
        ),
        (
            ["branch -q --unset-upstream", "commit -q --allow-empty -m x"],
            "main",
            ["1 commit of branch main not pushed"],
        ),
        (["switch -q -c mine", "branch -q -u origin/main"], "main", []),
        (["checkout -q --detach"], "COMMIT", ["HEAD is detached: commit"]),
        (["checkout -q --detach", "commit -q --allow-empty -m x"], "COMMIT", ["HEAD is detached", "is not on origin"]),
    ],
)
def test_the_remote_s_branch_is_deployed_and_what_is_not_there_is_warned_of(
    clone: Repository, commands: Sequence[str], ref: str, warnings: Sequence[str]
) -> None:
    for command in commands:
        clone.git(*command.split())
    found = taken(clone)
    commit = clone.git("rev-parse", "HEAD")
    assert (found.address, found.path, found.ref) == (ADDRESS, "models", ref.replace("COMMIT", commit))
    assert len(found.warnings) == len(warnings)
    assert all(words in line for words, line in zip(warnings, found.warnings, strict=True)), found.warnings
    assert taken(clone, ref="v1") == Source(ADDRESS, "v1", "models"), "what is named is not of this clone"


@pytest.mark.parametrize(("folder", "target"), [("models", "."), ("", "models"), ("models/train", "..")])
def test_a_folder_is_named_from_where_a_person_stands(
    clone: Repository, monkeypatch: pytest.MonkeyPatch, folder: str, target: str
) -> None:
    monkeypatch.chdir(clone.folder / folder)
    source.cache_clear()
    assert source(target, "", "") == Source(ADDRESS, "main", "models")
    clone.git("remote", "remove", "origin")
    source.cache_clear()
    with pytest.raises(Invalid, match=f"^{clone.folder}/models has no remote: push it"):
        source(target, "", "")


def test_a_request_is_named_after_the_folder_or_else_the_repository(clone: Repository) -> None:
    assert taken(clone).name == "models"
    assert [
        Source(address, "", "").name for address in (ADDRESS, "git@git.example:iris", "https://git.example/a/")
    ] == [
        "iris-2",
        "iris",
        "a",
    ]


@pytest.mark.parametrize("secret", ["ada:t0ken@", "t0ken@", "ada:t0k@n@"])
def test_no_credentials_of_a_remote_leave_the_clone(clone: Repository, secret: str) -> None:
    clone.git("remote", "set-url", "origin", ADDRESS.replace("://", f"://{secret}"))
    found = taken(clone)
    assert found.address == ADDRESS
    (warning,) = found.warnings
    assert "credentials, which were left out" in warning
    assert "t0k" not in warning


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "/srv/git/iris.git",
            '"/srv/git/iris.git", on this machine, where no cluster can read it: push it to a server',
        ),
        ("../iris", "git remote set-url origin https://HOST/PATH"),
        ("file:///srv/git/iris.git", "on this machine"),
        ("https://ada:t0/ken@git.example/iris", "address of remote origin of"),
        ("ssh://git:t0ken@git.example/iris", ": it holds credentials"),
        ("", "has no remote"),
    ],
)
def test_a_remote_that_no_cluster_can_read_is_refused_with_the_remedy(
    clone: Repository, address: str, words: str
) -> None:
    clone.git(*(["remote", "set-url", "origin", address] if address else ["remote", "remove", "origin"]))
    with pytest.raises(Invalid) as refused:
        taken(clone)
    assert words in str(refused.value)
    assert "t0" not in str(refused.value)


def test_a_folder_in_no_clone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COACHWORK_HOME", str(tmp_path / "home"))
    (tmp_path / "x").mkdir()
    (tmp_path / "x/bodywork.ini").touch()
    with pytest.raises(Invalid, match="in no Git repository, and no cluster can read it here"):
        source(str(tmp_path / "x"), "", "")
    with pytest.raises(Invalid, match="no such folder"):
        source(str(tmp_path / "y"), "", "")
    Repository(tmp_path / "x").git("init", "--quiet")
    with pytest.raises(Invalid, match="has no commit yet"):
        source(str(tmp_path / "x"), "", ".")
