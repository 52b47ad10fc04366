"""Mirrors and checkouts that a disk has damaged: no wrong file is ever read, and both are made again by themselves."""

import os
import shutil
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import pytest

from controller.adapters.git import Git
from controller.core import layout
from controller.core.errors import NotYet, Transient
from controller.core.model import ProjectTree
from tests.support.damage import harm, harms
from tests.support.gitserver import SETTINGS, GitServer, Repository, published

HALVES = (".lock", ".home")
TRIES = 4  # passes until all is well again


def contents(checkout: Path) -> dict[str, str]:
    """Return what stages find: each file, and where each link leads."""
    found = {}
    for path in sorted(checkout.rglob("*")):
        name = path.relative_to(checkout)
        if name.parts[0] != ".git" and (path.is_symlink() or path.is_file()):
            found[str(name)] = str(path.readlink()) if path.is_symlink() else path.read_bytes().hex()
    return found


def passes(volume: Path, url: str, ref: str) -> tuple[ProjectTree, str, dict[str, str]]:
    """Return what a controller that has just started reads of a commit, after as many passes as that takes."""
    git = Git(volume, SETTINGS)
    for _ in range(TRIES):
        with suppress(NotYet, Transient):
            commit = git.resolve(url, ref)
            git.publish(url, commit)
            tree = git.read(url, commit, ".")
            day = git.last_change(url, commit, ".", ("train/train.py",), lambda texts: tuple(texts.items()))
            return tree, day, contents(volume / layout.checkout(url, commit))
    raise AssertionError(f"not well after {TRIES} passes")


@pytest.mark.parametrize(
    ("count", "most"), [pytest.param(1, 8, id="some"), pytest.param(3, 32, id="more", marks=pytest.mark.long)]
)
def test_whatever_file_of_a_mirror_or_checkout_is_damaged_a_run_finds_what_was_committed(
    server: GitServer, iris: Repository, memory: Path, count: int, most: int
) -> None:
    url, whole, volume = server.url("iris"), memory / "whole", memory / "volume"
    (iris.folder / "link").symlink_to("train/train.py")
    old = iris.commit({"data": os.urandom(2000).hex()}, day="2030-01-01")  # train.py is older, and stays so
    whole.mkdir()
    known = {old: passes(whole, url, old)}
    new = iris.commit({"train/train.py": "print(2)\n", "train/new.py": ""})
    (memory / "other").mkdir()
    known[new] = passes(memory / "other", url, "main")
    files = [path for path in sorted(whole.rglob("*")) if path.is_file() and not path.name.startswith(HALVES)]
    cases = [
        (file.relative_to(whole), name, content, ref)
        for number, file in enumerate(files)
        if not file.is_symlink()
        for (name, content), ref in zip(harms(file.read_bytes(), count, number), cycle((old, "main")), strict=False)
    ]
    for file, name, content, ref in islice(cases, 0, None, max(len(cases) // most, 1)):
        shutil.copytree(whole, volume, symlinks=True)
        harm(volume / file, content)
        assert passes(volume, url, ref) == known[old if ref == old else new], f"{file}: {name}"
        shutil.rmtree(volume)


def test_an_index_that_has_lost_one_object_makes_the_mirror_again(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    whole = passes(volume, url, commit)
    index = next((volume / layout.mirror(url)).glob("objects/pack/*.idx"))
    blob = bytes.fromhex(iris.git("rev-parse", "HEAD:train/train.py"))
    harm(index, index.read_bytes().replace(blob, blob[:-1] + bytes([blob[-1] ^ 1])))
    with pytest.raises(Transient, match="its mirror on the shared volume can't be used"):
        Git(volume, SETTINGS).read(url, commit, ".")  # git ends well, and says of the size that it is BAD
    assert passes(volume, url, commit) == whole


def test_a_git_that_was_killed_is_no_damage_of_the_mirror(
    server: GitServer, iris: Repository, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    published(Git(volume, SETTINGS), volume, url)
    dying = tmp_path / "bin" / "git"
    dying.parent.mkdir()
    dying.write_text("#!/bin/sh\nkill -KILL $$\n")
    dying.chmod(0o755)
    monkeypatch.setenv("PATH", str(dying.parent), prepend=os.pathsep)
    with pytest.raises(Transient, match="its mirror on the shared volume can't be used"):
        Git(volume, SETTINGS).read(url, commit, ".")
    assert (volume / layout.mirror(url)).exists()


def test_a_mirror_that_another_pass_has_made_again_meanwhile_stays(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    published(Git(volume, SETTINGS), volume, url)
    mirror = volume / layout.mirror(url)
    shutil.rmtree(mirror)

    def make_again(operation: str, outcome: str, _seconds: float) -> None:
        if (operation, outcome) == ("ls-tree", "error"):
            Git(volume, SETTINGS).publish(url, commit)

    with pytest.raises(Transient, match="its mirror on the shared volume can't be used"):
        Git(volume, SETTINGS, on_call=make_again).read(url, commit, ".")
    assert mirror.exists()
    assert Git(volume, SETTINGS).read(url, commit, ".").files


def test_attributes_that_change_what_is_checked_out_are_no_damage(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    commit = iris.commit({".gitattributes": "*.bat text eol=crlf\n", "run.bat": "echo 1\necho 2\n"})
    url = server.url("iris")
    checkout = published(Git(volume, SETTINGS), volume, url)
    assert (checkout / "run.bat").read_bytes() == b"echo 1\r\necho 2\r\n"
    assert "run.bat" in Git(volume, SETTINGS).read(url, commit, ".").files
    (checkout / "run.bat").write_text("")
    with pytest.raises(Transient, match="on the shared volume is damaged; it is written again"):
        Git(volume, SETTINGS).read(url, commit, ".")
