"""Git against real repositories and a real server: checkouts are whole or absent, within limits, with submodules."""

import contextlib
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.adapters import removal
from controller.adapters.git import Git
from controller.adapters.volume import Sweeper, Volume
from controller.core import layout, sweep
from controller.core.model import Request
from controller.core.plan import Needs
from controller.core.plan.needs import Project
from controller.reconciler import View
from controller.reconciler.gather import Gatherer, Moment
from controller.reconciler.runfolders import RunFolders
from tests.support.byhand import ByHand
from tests.support.gitserver import (
    CLEAN,
    INI,
    SETTINGS,
    GitServer,
    Repository,
    no_process_stays,
    published,
    refusal,
)
from tests.support.world import POLICY

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa\nsize 9\n"
)


# --- publish ----------------------------------------------------------------------------------------


def test_a_checkout_is_whole_marked_writable_by_the_group_and_answers_rev_parse_in_a_copy(
    server: GitServer, iris: Repository, git: Git, volume: Path, tmp_path: Path
) -> None:
    checkout = published(git, volume, server.url("iris"))
    commit = iris.git("rev-parse", "HEAD")
    assert checkout.name == (checkout / ".complete").read_text() == commit
    assert {path.name for path in checkout.iterdir()} == {".git", ".complete", "bodywork.ini", "train"}
    for path in (checkout, *checkout.rglob("*"), *volume.glob("mirrors/*.git")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o060 == 0o060
        assert not path.is_dir() or mode & 0o070 == 0o070
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy, symlinks=True)
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=copy / "train",
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert asked.stdout.strip() == commit
    assert not list((checkout / ".git" / "objects").iterdir())


def test_a_remote_that_did_not_move_is_not_fetched_and_one_that_moved_is_fetched_once(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    calls: list[tuple[str, str]] = []
    git = Git(volume, SETTINGS, lambda operation, outcome, _: calls.append((operation, outcome)))
    url = server.url("iris")
    first = published(git, volume, url)
    assert calls.count(("fetch", "ok")) == 1
    before = len(server.requests)
    git.publish(url, first.name)
    assert len(server.requests) == before
    assert published(git, volume, url) == first
    assert calls.count(("fetch", "ok")) == 1
    iris.commit({"bodywork.ini": "new"})
    second = published(git, volume, url)
    assert published(git, volume, url) == second
    assert calls.count(("fetch", "ok")) == 2
    assert (second / "bodywork.ini").read_text() == "new"
    assert (first / "bodywork.ini").read_text() == INI
    assert {outcome for _, outcome in calls if _ == "ls-remote"} == {"ok"}


def test_two_threads_that_publish_one_commit_clone_once(server: GitServer, iris: Repository, volume: Path) -> None:
    calls: list[str] = []
    git = Git(volume, SETTINGS, lambda operation, *_: calls.append(operation))
    commit = iris.git("rev-parse", "HEAD")
    start = threading.Barrier(2)

    def publish() -> None:
        start.wait(10)
        git.publish(server.url("iris"), commit)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(publish) for _ in range(2)]:
            done.result(60)
    assert calls.count("fetch") == 1
    assert calls.count("checkout-index") == 1


PUBLISH = """
import os, signal, sys
from pathlib import Path
from controller.adapters.git import Git
volume, url, commit, last = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
left = last
CHANGES = {"rename", "mkdir", "remove", "rmdir", "utime", "chmod", "link", "symlink", "truncate"}
def count(event, arguments):
    global left
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if opened or event == "subprocess.Popen" or event.removeprefix("os.") in CHANGES:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
git = Git(volume)
sys.addaudithook(count)
print("ready", flush=True)
git.publish(url, commit)
"""


def publisher(volume: Path, url: str, commit: str, last: int) -> "subprocess.Popen[bytes]":
    """Start a process that publishes, and kills itself just before its `last` process or change of a file."""
    arguments = [sys.executable, "-c", PUBLISH, str(volume), url, commit, str(last)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def whole(checkout: Path, number: int) -> bool:
    files = len(list((checkout / "data").iterdir()))
    rests = list(checkout.parent.glob(".partial-*"))
    return ((checkout / "number").read_text(), files, rests) == (str(number), 300, [])


@pytest.mark.parametrize("apart", [pytest.param(1, marks=pytest.mark.long), 7])
def test_killed_before_any_process_or_change_of_a_file_the_next_publish_is_whole(
    server: GitServer, iris: Repository, tmp_path: Path, apart: int
) -> None:
    commit = iris.commit({f"data/{number}": "x" for number in range(300)} | {"number": "1"})
    for last in range(1, 400, apart):
        volume = tmp_path / f"volume-{last}"
        volume.mkdir()
        target = volume / layout.checkout(server.url("iris"), commit)
        with publisher(volume, server.url("iris"), commit, last) as process:
            ended = process.wait(60) == 0
        assert target.exists() or not ended
        assert not target.exists() or (target / ".complete").read_text() == commit  # all that follows is tidying up
        Git(volume, SETTINGS).publish(server.url("iris"), commit)
        assert whole(target, 1)
        if ended:
            assert last > 20
            return
    raise AssertionError("publishing takes more steps than this test expects")


def test_killed_at_any_instant_of_a_fetch_the_next_publish_is_whole(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({f"data/{number}": os.urandom(2000) for number in range(300)})
    published(git, volume, server.url("iris"))
    chance = random.Random(7)  # noqa: S311  # a spread of instants, the same each time
    for number in range(6):
        commit = iris.commit({"number": str(number), "noise": os.urandom(500_000)})
        target = volume / layout.checkout(server.url("iris"), commit)
        with publisher(volume, server.url("iris"), commit, 1000) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.random() * 0.2)
            process.kill()
        assert not target.exists() or (target / ".complete").read_text() == commit
        git.publish(server.url("iris"), commit)
        assert whole(target, number)


@pytest.mark.parametrize("name", ["..", ".git", "../../../evil", ".GIT"])
def test_a_tree_whose_names_leave_the_checkout_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path, name: str
) -> None:
    blob = iris.git("hash-object", "-w", "--stdin", stdin="evil")
    raw = iris.folder / "raw"
    raw.write_bytes(b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob))
    tree = iris.git("hash-object", "-t", "tree", "--literally", "-w", "raw")
    iris.git("update-ref", "refs/heads/evil", iris.git("commit-tree", tree, "-m", "evil"))
    commit = git.resolve(server.url("iris"), "evil")
    assert refusal(lambda: git.publish(server.url("iris"), commit))[0] == "RepositoryRefused"
    assert not [path for path in volume.rglob("*") if "evil" in path.name and path.parent.name != "heads"]


def overwrite(mirror: Path, pattern: str, length: int = 1) -> None:
    """Leave a byte in place of each file; or, of length 0, its first half."""
    for file in mirror.glob(pattern):
        file.chmod(0o644)
        if length:
            file.write_bytes(b"x" * length)
        else:
            os.truncate(file, file.stat().st_size // 2)


def drop_blob_only(mirror: Path) -> None:
    """Keep the commits and trees that a look for the commit meets, lose what the checkout needs."""
    repository = Repository(mirror)
    commits = repository.git("rev-list", "--all").split()
    kept = "\n".join(commits + [repository.git("rev-parse", f"{commit}^{{tree}}") for commit in commits])
    repository.git("pack-objects", "--quiet", str(mirror / "objects/pack/pack"), stdin=f"{kept}\n")
    new = max(mirror.glob("objects/pack/*.pack"), key=lambda pack: pack.stat().st_mtime_ns)
    for file in mirror.glob("objects/pack/*"):
        if file.stem != new.stem:
            file.unlink()


def drop(mirror: Path, pattern: str) -> None:
    for place in mirror.glob(pattern):
        removal.remove(place)


def become_a_file(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.write_text("a file")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "no HEAD": lambda mirror: drop(mirror, "HEAD"),
    "no objects": lambda mirror: drop(mirror, "objects"),
    "other packs": lambda mirror: overwrite(mirror, "objects/pack/*.pack"),
    "half of the packs": lambda mirror: overwrite(mirror, "objects/pack/*.pack", 0),
    "other indexes": lambda mirror: overwrite(mirror, "objects/pack/*.idx"),
    "no indexes": lambda mirror: drop(mirror, "objects/pack/*.idx"),
    "no blobs": drop_blob_only,
    "a file": become_a_file,
    "empty": lambda mirror: drop(mirror, "*"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_broken_mirror_is_made_again(
    server: GitServer, iris: Repository, git: Git, volume: Path, damage: Callable[[Path], None]
) -> None:
    old = published(git, volume, server.url("iris"))
    damage(volume / layout.mirror(server.url("iris")))
    shutil.rmtree(old)
    git.publish(server.url("iris"), old.name)
    assert (old / "bodywork.ini").read_text() == INI
    iris.commit({"a": "b"})
    assert (published(git, volume, server.url("iris")) / "a").read_text() == "b"


def test_locks_that_a_killed_git_left_stop_nobody(server: GitServer, iris: Repository, git: Git, volume: Path) -> None:
    published(git, volume, server.url("iris"))
    mirror = volume / layout.mirror(server.url("iris"))
    for name in ("refs/heads/main.lock", "packed-refs.lock", "config.lock", "objects/pack/tmp_pack_abc"):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text("")
    iris.commit({"a": "b"})
    assert (published(git, volume, server.url("iris")) / "a").exists()
    assert not (mirror / "objects/pack/tmp_pack_abc").exists()


def test_an_incomplete_folder_in_the_checkouts_place_is_replaced(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    target = volume / layout.checkout(server.url("iris"), iris.git("rev-parse", "HEAD"))
    (target / "left").mkdir(parents=True)
    assert published(git, volume, server.url("iris")) == target
    assert not (target / "left").exists()


def test_a_moved_branch_whose_name_becomes_a_folder_is_fetched(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.git("branch", "topic")
    published(git, volume, server.url("iris"))
    iris.git("branch", "--delete", "--force", "topic")
    iris.git("checkout", "--quiet", "-b", "topic/one")
    iris.commit({"a": "b"})
    assert (published(git, volume, server.url("iris"), "topic/one") / "a").exists()


def test_a_name_that_no_file_can_have_is_refused_and_the_mirror_is_kept(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    calls: list[str] = []
    git = Git(volume, SETTINGS, lambda operation, *_: calls.append(operation))
    blob = iris.git("hash-object", "-w", "--stdin", stdin="x")
    iris.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{'x' * 300}")
    iris.git("commit", "--quiet", "--message", "long")
    reason, line = refusal(lambda: published(git, volume, server.url("iris")))
    assert reason == "RepositoryRefused"
    assert "xxxx" in line
    assert calls.count("fetch") == 1


def test_hooks_and_filters_of_a_repository_never_run(
    server: GitServer, iris: Repository, git: Git, volume: Path, tmp_path: Path
) -> None:
    iris.commit({".gitattributes": "*.bin filter=lfs\n*.txt filter=evil\n", "model.bin": POINTER, "a.txt": "plain"})
    checkout = published(git, volume, server.url("iris"))
    assert (checkout / "model.bin").read_text() == POINTER
    warnings = git.read(server.url("iris"), checkout.name, ".").warnings
    assert [line for line in warnings if line.startswith("model.bin: ") and "Git LFS" in line]
    assert not (tmp_path / "evil").exists()


# --- limits -----------------------------------------------------------------------------------------


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def test_a_repository_above_the_size_limit_is_refused_and_its_space_is_free_again(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    commit = iris.commit({"noise": os.urandom(3_000_000)})
    git = Git(volume, replace(SETTINGS, max_bytes=1_000_000))
    reason, line = refusal(lambda: git.publish(server.url("iris"), commit))
    assert reason == "RepositoryTooLarge"
    assert "976.6 KiB" in line
    assert size(volume) < 100_000


def test_an_existing_mirror_that_grows_too_large_keeps_no_rest_of_the_transfer(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    git = Git(volume, replace(SETTINGS, max_bytes=1_000_000))
    published(git, volume, server.url("iris"))
    iris.commit({"noise": os.urandom(3_000_000)})
    for _ in range(2):
        assert refusal(lambda: published(git, volume, server.url("iris")))[0] == "RepositoryTooLarge"
    assert size(volume) < 100_000


def test_a_mirror_full_of_what_was_pushed_away_makes_room(server: GitServer, iris: Repository, volume: Path) -> None:
    git = Git(volume, replace(SETTINGS, max_bytes=1_000_000))
    for number in range(3):
        iris.git("reset", "--quiet", "--hard", "main" if number == 0 else "HEAD~1")
        iris.commit({"noise": os.urandom(400_000), "number": str(number)})
        assert (published(git, volume, server.url("iris")) / "number").read_text() == str(number)


def test_a_transfer_that_never_ends_is_stopped_at_the_size_limit(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    git = Git(volume, replace(SETTINGS, max_bytes=5_000_000))
    server.fault = "endless#pack"
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    assert refusal(lambda: git.publish(url, commit))[0] == "RepositoryTooLarge"
    assert no_process_stays(url)
    assert size(volume) < 100_000


def test_small_packs_of_enormous_files_are_refused_before_a_file_is_written(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    commit = iris.commit({f"zero-{number}": bytes(5_000_000) for number in range(2)})
    git = Git(volume, replace(SETTINGS, max_bytes=6_000_000))
    assert refusal(lambda: git.publish(server.url("iris"), commit))[0] == "RepositoryTooLarge"
    assert not list(volume.glob("checkouts/*/[0-9a-f]*"))
    assert not list(volume.glob("checkouts/*/.partial-*"))


def test_too_many_files_are_refused(server: GitServer, iris: Repository, volume: Path) -> None:
    commit = iris.commit({f"d/{number}": "x" for number in range(20)})
    git = Git(volume, replace(SETTINGS, max_files=10))
    reason, line = refusal(lambda: git.publish(server.url("iris"), commit))
    assert reason == "RepositoryTooLarge"
    assert "10 files" in line


# --- submodules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["../library.git", "absolute"])
def test_submodules_in_submodules_are_checked_out(
    server: GitServer, iris: Repository, git: Git, volume: Path, url: str
) -> None:
    deep, library = server.repository("deep"), server.repository("library")
    inner = library.submodule("inner", "./../deep.git", deep.commit({"deep.txt": "deep"}))
    iris.submodule("lib/one", server.url("library") if url == "absolute" else url, inner)
    checkout = published(git, volume, server.url("iris"))
    assert (checkout / "lib/one/inner/deep.txt").read_text() == "deep"
    assert not list((checkout / "lib").rglob(".git"))
    assert "lib/one/inner/deep.txt" in git.read(server.url("iris"), checkout.name, ".").files


def test_mirrors_of_submodules_stay_as_long_as_that_of_their_repository(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    deep, library = server.repository("deep"), server.repository("library")
    inner = library.submodule("inner", "../deep.git", deep.commit({"deep.txt": "deep"}))
    iris.submodule("lib", "../library.git", inner)
    published(git, volume, server.url("iris"))
    later = time.time() + 3600
    Sweeper(volume).sweep(lambda: {layout.mirror(server.url("iris"))}, sweep.CALM, later)
    mirrors = {path.name for path in volume.glob("mirrors/*.git")}
    assert mirrors == {layout.mirror(server.url(name)).name for name in ("iris", "library", "deep")}
    assert not list(volume.glob("checkouts/*/*/bodywork.ini"))
    Sweeper(volume).sweep(set, sweep.CALM, later)
    assert not list(volume.glob("mirrors/*.git"))


@pytest.mark.parametrize("url", ["ext::sh -c touch", "-oProxyCommand=x", "file:///etc", "../../../../x"])
def test_a_submodule_of_a_hostile_address_is_refused_clearly(
    server: GitServer, iris: Repository, git: Git, volume: Path, url: str
) -> None:
    iris.submodule("lib", url, "1" * 40)
    reason, line = refusal(lambda: published(git, volume, server.url("iris")))
    assert reason == "RepositoryRefused"
    assert '.gitmodules: submodule "lib"' in line
    assert not list(volume.glob("checkouts/*/[0-9a-f]*"))


def test_a_submodules_update_command_never_runs(
    server: GitServer, iris: Repository, git: Git, volume: Path, tmp_path: Path
) -> None:
    library = server.repository("library")
    commit = library.commit({"a": "b"})
    iris.submodule("lib", "../library.git", commit, f"update = !touch {tmp_path}/ran")
    assert (published(git, volume, server.url("iris")) / "lib/a").exists()
    assert not (tmp_path / "ran").exists()


def test_a_submodule_without_an_address_leaves_its_folder_empty_and_warns(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.submodule("lib", "x", "1" * 40)
    (iris.folder / ".gitmodules").unlink()
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    assert not list((checkout / "lib").iterdir())
    assert [line for line in git.read(server.url("iris"), checkout.name, ".").warnings if line.startswith("lib: ")]


def test_submodules_that_hold_each_other_end(server: GitServer, iris: Repository, git: Git, volume: Path) -> None:
    iris.submodule("again", "../iris.git", "2" * 40)
    reason, line = refusal(lambda: published(git, volume, server.url("iris")))
    assert reason == "RefNotFound"
    assert "2222222" in line


# --- for a new run -----------------------------------------------------------------------------------


def test_a_new_run_marks_its_checkout_as_used_and_has_its_mirror(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    checkout = published(git, volume, url)
    os.utime(checkout, (1e9, 1e9))
    shared = Volume(volume)
    gatherer = Gatherer(View(lambda _: None), ByHand(), Git(volume, SETTINGS), shared, RunFolders(shared, ""), POLICY)
    request = Request(name="iris", uid="u", repository=url)
    active, begun = (Project(url, commit, ".", POLICY.image, begins=begins) for begins in (False, True))
    moment = Moment(0.0, 0.0, datetime.now(UTC))
    gatherer.gather(request, Needs((active,)), moment)
    assert checkout.stat().st_mtime == 1e9  # what an active run uses is marked by its record
    shutil.rmtree(volume / layout.mirror(url))
    gatherer.gather(request, Needs((begun,)), moment)
    assert checkout.stat().st_mtime > 1e9
    assert (volume / layout.mirror(url)).is_dir()
