"""What `git clone` accepts is accepted: ids of either kind, old histories, odd names, and what a server may hold."""

import contextlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.git import Git
from controller.core.errors import Invalid
from tests.support.gitserver import CLEAN, ENV, INI, SETTINGS, GitServer, Repository, published, refusal


@pytest.fixture
def git(volume: Path) -> Git:
    return Git(volume, replace(SETTINGS, allow_file=True))


def clones(server: GitServer, name: str, folder: Path) -> None:
    """Clone it by git itself: what these tests promise is exactly that."""
    command = ["git", "clone", "--quiet", server.url(name), str(folder)]
    subprocess.run(command, env=ENV, check=True, capture_output=True, timeout=60)


def raw_object(repository: Repository, kind: str, content: bytes) -> str:
    file = repository.folder.parent / "object"
    file.write_bytes(content)
    return repository.git("hash-object", "-t", kind, "--literally", "-w", str(file))


def raw_commit(repository: Repository, tree: str, *, who: bytes = b"Ada <a@b.c> 1 +0000", message: bytes = b"m") -> str:
    parent = repository.git("rev-parse", "HEAD").encode()
    head = b"tree " + tree.encode() + b"\nparent " + parent + b"\n"
    return raw_object(repository, "commit", head + b"author " + who + b"\ncommitter " + who + b"\n\n" + message)


ODD_COMMITS: dict[str, dict[str, bytes]] = {
    "a NUL in its message": {"message": b"be\0fore"},
    "an author that is not UTF-8": {"who": b"Ren\xe9 <r@b.c> 1 +0000"},
    "no name": {"who": b"<> 1 +0000"},
    "a date before 1970": {"who": b"A <a@b.c> -5 +0000"},
    "a date after all time": {"who": b"A <a@b.c> 99999999999999999999 +0000"},
    "a broken time zone": {"who": b"A <a@b.c> 1 +51800000"},
}


@pytest.mark.parametrize("odd", ODD_COMMITS)
def test_an_odd_old_commit_stops_no_run_of_a_later_one(
    server: GitServer, git: Git, volume: Path, tmp_path: Path, odd: str
) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": INI})
    iris.git("reset", "--quiet", "--hard", raw_commit(iris, iris.git("rev-parse", "HEAD^{tree}"), **ODD_COMMITS[odd]))
    iris.commit({"later": "1"})
    clones(server, "iris", tmp_path / "clone")
    assert (published(git, volume, server.url("iris")) / "bodywork.ini").read_text() == INI


def odd_tree(iris: Repository, name: str) -> str:
    blob = iris.git("hash-object", "-w", "--stdin", stdin="evil")
    return raw_object(iris, "tree", b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob))


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_a_dangerous_tree_in_an_old_commit_stops_no_run_of_a_later_one(
    server: GitServer, git: Git, volume: Path, name: str
) -> None:
    iris = server.repository("iris")
    first = iris.commit({"bodywork.ini": INI})
    evil = raw_commit(iris, odd_tree(iris, name))
    sound = iris.git("commit-tree", f"{first}^{{tree}}", "-p", evil, "-m", "mended")
    iris.git("update-ref", "refs/heads/main", sound)
    assert published(git, volume, server.url("iris"), "main").name == sound
    assert refusal(lambda: git.publish(server.url("iris"), evil))[0] == "RepositoryRefused"


def test_a_tree_that_would_write_through_its_own_link_writes_nothing_outside(
    server: GitServer, git: Git, volume: Path, tmp_path: Path
) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": INI})
    outside = tmp_path / "outside"
    outside.mkdir()
    link = bytes.fromhex(iris.git("hash-object", "-w", "--stdin", stdin=str(outside)))
    inner = bytes.fromhex(odd_tree(iris, "evil"))
    tree = raw_object(iris, "tree", b"120000 a\0" + link + b"40000 a\0" + inner)
    iris.git("update-ref", "refs/heads/main", raw_commit(iris, tree))
    with contextlib.suppress(Invalid):
        published(git, volume, server.url("iris"), "main")
    assert not list(outside.iterdir())


def test_long_lines_of_attributes_are_passed_over(server: GitServer, git: Git, volume: Path, tmp_path: Path) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": INI, ".gitattributes": "x" * 5000 + " text\n*.txt eol=lf\n"})
    clones(server, "iris", tmp_path / "clone")
    assert (published(git, volume, server.url("iris")) / "bodywork.ini").read_text() == INI


@pytest.mark.parametrize("name", [".git-index", ".git-index/a", ".gitx/index", "index.lock"])
def test_no_name_at_the_root_is_taken_by_us(server: GitServer, git: Git, volume: Path, name: str) -> None:
    server.repository("iris").commit({"bodywork.ini": INI, name: "mine"})
    checkout = published(git, volume, server.url("iris"))
    assert (checkout / name).read_text() == "mine"
    assert sorted(path.name for path in (checkout / ".git").iterdir()) == ["HEAD", "config", "objects", "refs"]


# --- SHA-256 ------------------------------------------------------------------------------------------


def test_a_repository_with_sha256_ids_is_resolved_published_and_read(server: GitServer, git: Git, volume: Path) -> None:
    iris, library = (server.repository(name, "--object-format=sha256") for name in ("iris", "library"))
    inner = library.commit({"lib.py": "1"})
    first = iris.commit({"ml/bodywork.ini": INI})
    iris.submodule("lib", "../library.git", inner)
    second = iris.commit({"a": "b"})
    iris.git("tag", "--annotate", "v1", "--message", "m")
    url = server.url("iris")
    for ref, commit in {"": second, "main": second, "v1": second, second.upper(): second, first[:9]: first}.items():
        assert git.resolve(url, ref) == commit
    checkout = published(git, volume, url)
    assert checkout.name == (checkout / ".complete").read_text() == second
    assert (checkout / "lib/lib.py").read_text() == "1"
    assert git.read(url, second, "ml").digest == iris.git("rev-parse", "HEAD:ml")
    inside = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout / "ml", env=CLEAN, capture_output=True, text=True, check=True,
        timeout=20,
    )  # fmt: skip
    assert inside.stdout.strip() == second


def test_a_repository_that_was_made_again_with_other_ids_is_followed(server: GitServer, git: Git, volume: Path) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": INI})
    url = server.url("iris")
    published(git, volume, url)
    for number, ids in enumerate(("sha256", "sha1")):
        (server.root / "iris.git").unlink()
        iris.folder.rename(server.root / f"old-{number}")
        iris = server.repository("iris", f"--object-format={ids}")
        commit = iris.commit({"bodywork.ini": ids})
        assert published(git, volume, url).name == commit


@pytest.mark.parametrize(("ids", "digits"), [("sha1", 64), ("sha256", 40)])
def test_an_id_of_the_other_length_says_what_is_expected(server: GitServer, git: Git, ids: str, digits: int) -> None:
    server.repository("iris", f"--object-format={ids}").commit({"bodywork.ini": INI})
    reason, line = refusal(lambda: git.resolve(server.url("iris"), "a" * digits))
    assert reason == "RefNotFound"
    assert "64 of SHA-256" in line


# --- what a server may hold -----------------------------------------------------------------------------


def test_a_shallow_repository_is_a_source_as_any_other(
    server: GitServer, git: Git, volume: Path, tmp_path: Path
) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": "old"})
    last = iris.commit({"bodywork.ini": INI})
    shallow = tmp_path / "shallow"
    iris.git("clone", "--quiet", "--depth=1", iris.folder.as_uri(), str(shallow))
    assert published(git, volume, shallow.as_uri()).name == last


def test_packed_refs_and_very_many_of_them_are_read(server: GitServer, git: Git, volume: Path) -> None:
    iris = server.repository("iris")
    commit = iris.commit({"bodywork.ini": INI})
    many = "".join(f"create refs/heads/topic-{number} {commit}\n" for number in range(2_000))
    iris.git("update-ref", "--stdin", stdin=many)
    iris.git("pack-refs", "--all")
    assert published(git, volume, iris.folder.as_uri(), "topic-1999").name == commit


def test_a_head_that_names_no_branch_asks_for_a_ref(server: GitServer, git: Git) -> None:
    iris = server.repository("iris")
    commit = iris.commit({"bodywork.ini": INI})
    iris.git("symbolic-ref", "HEAD", "refs/heads/gone")
    reason, line = refusal(lambda: git.resolve(server.url("iris"), ""))
    assert (reason, "give a `ref`; choose from main" in line) == ("RefNotFound", True)
    assert git.resolve(server.url("iris"), "main") == commit


@pytest.mark.parametrize("what", ["HEAD^{tree}", "HEAD:bodywork.ini"])
@pytest.mark.parametrize("annotated", [True, False])
def test_a_tag_of_something_other_than_a_commit_is_refused(
    server: GitServer, git: Git, what: str, *, annotated: bool
) -> None:
    iris = server.repository("iris")
    iris.commit({"bodywork.ini": INI})
    iris.git("tag", *(("--annotate", "--message", "m") if annotated else ()), "odd", iris.git("rev-parse", what))
    url = server.url("iris")
    reason, line = refusal(lambda: git.publish(url, git.resolve(url, "odd")))
    assert reason == "RefNotFound"
    assert "not a commit" in line


def test_names_that_differ_in_case_loops_of_links_and_names_that_are_not_utf8_are_written(
    server: GitServer, git: Git, volume: Path
) -> None:
    iris = server.repository("iris")
    iris.link("loop/a", "b")
    iris.link("loop/b", "a")
    iris.write({"bodywork.ini": INI, "Readme": "1", "README": "2"})
    (iris.folder / os.fsdecode(b"caf\xe9")).write_text("3")
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    assert [(checkout / name).read_text() for name in ("Readme", "README", os.fsdecode(b"caf\xe9"))] == ["1", "2", "3"]
    tree = git.read(server.url("iris"), checkout.name, ".")
    assert set(tree.faults) == {"loop/a", "loop/b"}
