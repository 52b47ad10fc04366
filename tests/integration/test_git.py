"""Git against real repositories and a real server: what resolve, publish and read promise."""

import contextlib
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters import removal
from controller.adapters.git import Git, GitSettings
from controller.core import layout
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.inputs.project.asof import Meaning
from controller.core.model import Unread
from tests.support.eventually import eventually
from tests.support.gitserver import CLEAN, SETTINGS, GitServer, Repository, hitch, published, refusal, serving

INI = "[default]\nPROJECT_NAME = iris\n"
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa\nsize 9\n"
)


@pytest.fixture
def iris(server: GitServer) -> Repository:
    repository = server.repository("iris")
    repository.commit({"bodywork.ini": INI, "train/config.ini": "[default]\n", "train/train.py": "print(1)\n"})
    return repository


# --- resolve --------------------------------------------------------------------------------------


def test_head_branch_tags_and_full_names_are_resolved_by_one_question_and_no_fetch(
    server: GitServer, iris: Repository, git: Git
) -> None:
    first = iris.git("rev-parse", "HEAD")
    iris.git("tag", "light")
    iris.git("tag", "--annotate", "heavy", "--message", "m")
    iris.git("checkout", "--quiet", "-b", "feature/x")
    second = iris.commit({"a": "b"})
    iris.git("checkout", "--quiet", "main")
    names = ("", "main", "light", "heavy", "refs/tags/heavy", "HEAD")
    others = ("feature/x", "refs/heads/feature/x", "heads/feature/x")
    expected = dict.fromkeys(names, first) | dict.fromkeys(others, second)
    for ref, commit in expected.items():
        assert git.resolve(server.url("iris"), ref) == commit
    assert server.count("/info/refs") == len(expected)
    assert server.count("POST") == len(expected)  # protocol 2 asks for the refs by a POST; a fetch would be one more


def test_a_tag_wins_over_a_branch_of_its_name_as_in_gitrevisions(server: GitServer, iris: Repository, git: Git) -> None:
    tagged = iris.git("rev-parse", "HEAD")
    iris.git("tag", "both")
    iris.git("checkout", "--quiet", "-b", "both")
    iris.commit({"a": "b"})
    assert git.resolve(server.url("iris"), "both") == tagged


def test_full_and_abbreviated_commits_are_those_that_exist(server: GitServer, iris: Repository, git: Git) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    assert git.resolve(url, commit) == commit
    assert git.resolve(url, commit[:9]) == commit
    assert git.resolve(url, commit.upper()) == commit
    for missing in ("0" * 39 + "1", "0123456"):
        reason, line = refusal(lambda ref=missing: git.resolve(url, ref))  # type: ignore[misc]
        assert reason == "RefNotFound"
        assert url in line


def test_an_abbreviation_of_a_commit_that_was_just_pushed_is_found(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    published(git, volume, server.url("iris"))
    commit = iris.commit({"a": "b"})
    assert git.resolve(server.url("iris"), commit[:8]) == commit


def test_a_commit_that_no_branch_holds_any_more_can_still_be_run(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    lost = iris.commit({"a": "lost"})
    iris.git("reset", "--quiet", "--hard", "HEAD~1")
    assert git.resolve(server.url("iris"), lost) == lost
    git.publish(server.url("iris"), lost)
    assert (volume / layout.checkout(server.url("iris"), lost) / "a").read_text() == "lost"


def test_an_unknown_ref_names_the_nearest_ones(server: GitServer, iris: Repository, git: Git) -> None:
    iris.git("branch", "production")
    reason, line = refusal(lambda: git.resolve(server.url("iris"), "prodution"))
    assert reason == "RefNotFound"
    assert '"prodution"' in line
    assert "production" in line


def test_an_empty_repository_says_so(server: GitServer, git: Git) -> None:
    server.repository("empty")
    assert refusal(lambda: git.resolve(server.url("empty"), ""))[0] == "RepositoryEmpty"


@pytest.mark.parametrize(
    "ref",
    ["-upload-pack=touch /tmp/x", "--exec=x", "a..b", "a b", "a\nb", "main^{}", "HEAD@{1}", "*", "x" * 300, "a.lock"],
)
def test_an_impossible_ref_is_refused_before_git_sees_it(
    server: GitServer, iris: Repository, git: Git, ref: str
) -> None:
    assert refusal(lambda: git.resolve(server.url(iris.folder.name), ref))[0] == "RefNotFound"
    assert not server.requests


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://user:hunter2@example.com/x", "credentials"),
        ("https://hunt/er2@example.com/x", "credentials"),
        ("https://example.com/x\n", "control"),
        ("-oProxyCommand=touch@example.com:x", "expected the address"),
        ("file:///etc", "switched off"),
        ("/etc", "switched off"),
    ],
)
def test_an_address_that_git_must_not_be_given_is_refused_without_showing_secrets(
    git: Git, url: str, word: str
) -> None:
    for action in (
        lambda: git.resolve(url, ""),
        lambda: git.publish(url, "0" * 40),
        lambda: git.read(url, "0" * 40, "."),
    ):
        reason, line = refusal(action)
        assert reason == "RepositoryRefused"
        assert word in line
        assert "er2@" not in line


def test_local_repositories_are_read_where_the_setting_allows_it(iris: Repository, volume: Path) -> None:
    git = Git(volume, replace(SETTINGS, allow_file=True))
    for url in (str(iris.folder), iris.folder.as_uri()):
        assert (published(git, volume, url) / "bodywork.ini").read_text() == INI
    assert refusal(lambda: git.resolve(str(iris.folder / "nothing"), ""))[0] == "RepositoryNotFound"


# --- servers that misbehave -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"), [("404", "RepositoryNotFound"), ("401", "RepositoryRefused"), ("403", "RepositoryRefused")]
)
def test_what_only_the_user_can_mend_is_invalid_and_always_said_alike(
    server: GitServer, iris: Repository, git: Git, fault: str, reason: str
) -> None:
    server.fault = fault
    lines = [refusal(lambda: git.resolve(server.url(iris.folder.name), "")) for _ in range(2)]
    assert lines[0] == lines[1]
    assert lines[0][0] == reason
    assert server.url("iris") in lines[0][1]


def test_the_words_of_an_address_are_not_taken_for_a_fault(git: Git) -> None:
    reason, _ = hitch(lambda: git.resolve("http://127.0.0.1:1/SSL-certificate/early EOF 404".replace(" ", "-"), ""))
    assert reason == "GitUnreachable"


@pytest.mark.parametrize("fault", ["500", "503"])
def test_a_server_in_trouble_is_tried_again(server: GitServer, iris: Repository, git: Git, fault: str) -> None:
    server.fault = fault
    assert hitch(lambda: git.resolve(server.url(iris.folder.name), ""))[0] == "GitServerError"


def test_an_unreachable_host_is_tried_again_and_always_said_alike(git: Git) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x.git"
        lines = [hitch(lambda: git.resolve(url, "")) for _ in range(2)]
    assert lines[0] == lines[1]
    assert lines[0][0] == "GitUnreachable"
    assert hitch(lambda: git.resolve("http://nowhere.invalid/x.git", ""))[0] == "GitUnreachable"


def alive(word: str) -> list[str]:
    """Return the processes of this machine that have `word` in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [file.parent.name] if word.encode() in file.read_bytes() else []
    return found


def no_process_stays(word: str) -> bool:
    """Wait until the kernel has taken away what was killed; the address with its port is this test's alone."""
    deadline = time.monotonic() + 20
    while alive(word) and time.monotonic() < deadline:
        os.sched_yield()
    return not alive(word)


def test_a_server_that_hangs_is_left_in_time_and_no_process_stays(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    git = Git(volume, replace(SETTINGS, resolve_timeout=1, fetch_timeout=1))
    server.fault = "hang"
    assert hitch(lambda: git.resolve(url, "main"))[0] == "GitTimeout"
    assert hitch(lambda: git.publish(url, commit))[0] == "GitTimeout"
    assert server.arrived.is_set()
    assert no_process_stays(url)
    assert not list(volume.glob("mirrors/*.git"))
    assert not list(volume.glob("mirrors/.partial-*"))


def test_a_transfer_that_breaks_off_leaves_nothing_half_and_is_tried_again(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({"noise": os.urandom(200_000)})
    server.fault = "drop#pack"
    commit = git.resolve(server.url("iris"), "main")
    assert hitch(lambda: git.publish(server.url("iris"), commit))[0] == "GitInterrupted"
    assert not [path for path in (volume / "mirrors").iterdir() if path.name.endswith(".git") or "partial" in path.name]
    server.fault = ""
    assert (published(git, volume, server.url("iris")) / "noise").stat().st_size == 200_000


def test_a_redirect_is_followed_and_one_to_another_protocol_is_not(
    server: GitServer, iris: Repository, git: Git, tmp_path: Path
) -> None:
    with serving(tmp_path / "served") as other:
        other.fault = f"redirect:http://127.0.0.1:{server.port}"
        assert git.resolve(other.url("iris"), "") == iris.git("rev-parse", "HEAD")
        for target in ("file:///etc", "ssh://x", "ftp://127.0.0.1"):
            other.fault = f"redirect:{target}"
            assert refusal(lambda: git.resolve(other.url("iris"), ""))[0] == "RepositoryRefused"


def test_dead_remotes_never_hold_all_workers(server: GitServer, iris: Repository, volume: Path) -> None:
    git = Git(volume, replace(SETTINGS, concurrency=1, wait=0.1))
    server.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(git.resolve, server.url(iris.folder.name), "")
        assert server.arrived.wait(30)
        with pytest.raises(NotYet):
            git.resolve("http://127.0.0.1:9/other.git", "")
        server.released.set()
        assert stuck.exception(timeout=60)


def test_one_dead_host_never_takes_all_places(server: GitServer, iris: Repository, volume: Path) -> None:
    git = Git(volume, replace(SETTINGS, concurrency=4, wait=0.1))
    with serving(server.root) as dead, ThreadPoolExecutor(2) as pool:
        dead.fault = "hang"
        stuck = [pool.submit(git.resolve, dead.url(name), "") for name in ("one", "two")]
        eventually(lambda: len(dead.requests) == len(stuck))
        with pytest.raises(NotYet):
            git.resolve(dead.url("three"), "")
        assert git.resolve(server.url("iris"), "") == iris.git("rev-parse", "HEAD")
        dead.released.set()
        assert all(one.exception(timeout=60) for one in stuck)


def test_a_host_that_timed_out_is_left_alone_for_a_while_and_the_reason_stays(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    git = Git(volume, replace(SETTINGS, resolve_timeout=1, pause=60))
    with serving(server.root) as dead:
        dead.fault = "hang"
        first = hitch(lambda: git.resolve(dead.url("iris"), ""))
        asked = len(dead.requests)
        assert hitch(lambda: git.resolve(dead.url("iris"), "")) == first
        assert hitch(lambda: git.resolve(dead.url("other"), ""))[0] == "GitTimeout"
        assert hitch(lambda: git.resolve(dead.url("iris"), "1" * 40)) == first
        assert len(dead.requests) == asked
        assert git.resolve(server.url("iris"), "") == iris.git("rev-parse", "HEAD")


def test_a_host_that_answers_again_is_used_again(server: GitServer, iris: Repository, volume: Path) -> None:
    git = Git(volume, replace(SETTINGS, resolve_timeout=2, pause=0.2, concurrency=2, wait=0.1))
    server.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        assert hitch(lambda: git.resolve(server.url("iris"), ""))[0] == "GitTimeout"
        asked, tried = len(server.requests), None
        while len(server.requests) == asked:  # one try at a time, and all others hear the same as before
            tried = pool.submit(git.resolve, server.url("iris"), "")
            eventually(lambda it=tried: it.done() or len(server.requests) > asked)  # type: ignore[misc]
        assert hitch(lambda: git.resolve(server.url("iris"), ""))[0] == "GitTimeout"
        assert tried
        assert isinstance(tried.exception(timeout=60), Transient)
    server.fault = ""

    def answers() -> bool:
        with contextlib.suppress(Transient):
            return git.resolve(server.url("iris"), "") == iris.git("rev-parse", "HEAD")
        return False

    eventually(answers)


def test_what_git_says_is_shown_without_control_characters_and_credentials(
    server: GitServer, iris: Repository, git: Git, tmp_path: Path
) -> None:
    with serving(tmp_path / "served") as other:
        other.fault = f"redirect:http://user:hunter2@127.0.0.1:{server.port}/missing"
        with pytest.raises((Invalid, Transient)) as caught:
            git.resolve(other.url(iris.folder.name), "")
        line = str(caught.value)
        assert line.isprintable()
        assert "hunter2" not in line


@pytest.mark.usefixtures("proxied")
def test_surrounding_configuration_and_credentials_do_not_reach_git_but_a_ca_does(
    server: GitServer, iris: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(f'[url "http://127.0.0.1:1/"]\n\tinsteadOf = {server.url("iris")}\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "broken")
    monkeypatch.setenv("GIT_TRACE", "1")
    assert git.resolve(server.url("iris"), "") == iris.git("rev-parse", "HEAD")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no-such-ca.pem"))
    reason, line = hitch(lambda: git.resolve("https://127.0.0.1:1/x.git", ""))
    assert reason in {"GitCertificate", "GitUnreachable"}, line
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert hitch(lambda: git.resolve(server.url("iris"), ""))[0] == "GitUnreachable"


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
    git = Git(volume, SETTINGS, lambda operation, outcome: calls.append((operation, outcome)))
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
    git = Git(volume, SETTINGS, lambda operation, _: calls.append(operation))
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
def count(event, _):
    global left
    if event in {"subprocess.Popen", "os.rename"}:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
git = Git(volume)
sys.addaudithook(count)
print("ready", flush=True)
git.publish(url, commit)
"""


def publisher(volume: Path, url: str, commit: str, last: int) -> "subprocess.Popen[bytes]":
    """Start a process that publishes, and kills itself just before its `last` process or rename."""
    arguments = [sys.executable, "-c", PUBLISH, str(volume), url, commit, str(last)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def whole(checkout: Path, number: int) -> bool:
    files = len(list((checkout / "data").iterdir()))
    rests = list(checkout.parent.glob(".partial-*"))
    return ((checkout / "number").read_text(), files, rests) == (str(number), 300, [])


def test_killed_before_any_process_or_rename_the_next_publish_is_whole(
    server: GitServer, iris: Repository, tmp_path: Path
) -> None:
    commit = iris.commit({f"data/{number}": "x" for number in range(300)} | {"number": "1"})
    for last in range(1, 40):
        volume = tmp_path / f"volume-{last}"
        volume.mkdir()
        target = volume / layout.checkout(server.url("iris"), commit)
        with publisher(volume, server.url("iris"), commit, last) as process:
            ended = process.wait(60) == 0
        assert ended == target.exists()
        Git(volume, SETTINGS).publish(server.url("iris"), commit)
        assert whole(target, 1)
        if ended:
            assert last > 8
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
    git = Git(volume, SETTINGS, lambda operation, _: calls.append(operation))
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


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch", "ext::x", "-oProxyCommand=x", "/etc", "file:///etc", "../../../../x", "host:x", "."]
)
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


# --- read -------------------------------------------------------------------------------------------


def test_a_project_is_read_with_its_texts_its_files_and_its_tree(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({
        "ml/bodywork.ini": INI, "ml/train/config.ini": "c", "ml/train/requirements.txt": "r", "ml/train/x.py": "",
        "ml/a/b/c/requirements-dev.txt": "deep", "ml/a/b/c/d/requirements.txt": "too deep", "ml/a/b/config.ini": "no",
        "ml/bodywork.yaml": "y", "ml/bodywork.yml": "z", "ml/train/model.bin": b"\x00\xff",
    })  # fmt: skip
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, "ml")
    assert tree.digest == iris.git("rev-parse", "HEAD:ml")
    assert not tree.texts
    assert {"train/x.py", "train/model.bin", "a/b/config.ini"} <= tree.files
    wanted = ("bodywork.yaml", "train/config.ini", "a/b/c/d/requirements.txt")
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=wanted))
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=("a/b/config.ini",)))
    assert dict(tree.texts) == dict(zip(wanted, (b"y", b"c", b"too deep"), strict=True)) | {"a/b/config.ini": b"no"}
    assert not tree.faults
    assert not tree.warnings
    whole = git.read(server.url("iris"), checkout.name, ".")
    assert whole.digest == iris.git("rev-parse", "HEAD^{tree}")
    assert not [name for name in whole.files if name.startswith((".git", ".complete"))]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("trian", "train"),
        ("train/nothing", "train has no folders"),
        ("train/train.py", "is a file"),
        ("../..", "expected a folder inside"),
        ("/etc", "expected a folder inside"),
        ("train/../..", "expected a folder inside"),
        (".git", "is inside .git"),
        ("out", "leaves the repository"),
        ("hidden", "leaves the repository"),
        ("a\x1bb", "expected a folder inside"),
        ("-x", "no folder"),
        ("x" * 5000, "expected a folder inside"),
    ],
)
def test_a_path_that_is_not_a_folder_of_the_repository_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path, path: str, word: str
) -> None:
    iris.link("out", "../../..")
    iris.link("hidden", ".git")
    iris.git("add", "--all")
    iris.git("commit", "--quiet", "--message", "links")
    checkout = published(git, volume, server.url("iris"))
    reason, line = refusal(lambda: git.read(server.url("iris"), checkout.name, path))
    assert reason == "PathNotFound"
    assert word in line


def test_links_inside_are_followed_and_those_that_leave_are_reported(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    links = {
        "serve/config.ini": "../train/config.ini", "other": "train", "train/loop": "..", "self": "self",
        "bad/config.ini": "/etc/passwd", "bad/requirements.txt": "../../../../etc/passwd", "data": "/etc",
        "odd/config.ini": "../.git/config", "dangling": "nothing", "bodywork.yaml": "gone",
    }  # fmt: skip
    for name, target in links.items():
        iris.link(name, target)
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    wanted = Unread(texts=("serve/config.ini", "other/config.ini", *links))
    tree = git.extend(server.url("iris"), checkout.name, tree, wanted)
    assert tree.texts["serve/config.ini"] == b"[default]\n"
    assert tree.texts["other/config.ini"] == b"[default]\n"
    broken = {"bad/config.ini", "bad/requirements.txt", "bodywork.yaml", "odd/config.ini", "data", "dangling", "self"}
    assert set(tree.faults) == broken | {"other", "train/loop"}  # folders have no text
    assert "/etc/passwd" in tree.faults["bad/config.ini"]
    assert {line.split(":")[0] for line in tree.warnings} == broken
    assert not [text for text in tree.texts.values() if b"root:" in text]
    assert not [name for name in tree.files if name.startswith("data/")]


def test_further_texts_are_those_of_the_projects_own_files(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.link("linked.in", "train/train.py")
    iris.link("out.in", "/etc/passwd")
    iris.link("hidden", ".git")
    iris.commit({"base.in": "six\n", "other/deep/more.in": "pandas\n"})
    commit = published(git, volume, server.url("iris")).name
    asked = [
        "base.in",
        "linked.in",
        "out.in",
        "hidden/HEAD",
        ".git/HEAD",
        ".complete",
        "../volume",
        "gone",
        "train",
        "",
    ]
    url = server.url("iris")
    found = git.extend(url, commit, git.read(url, commit, "."), Unread(texts=tuple(asked)))
    assert found.texts == {"base.in": b"six\n", "linked.in": b"print(1)\n"}
    assert set(found.faults) == set(asked) - set(found.texts) | {"hidden"}
    below = git.extend(url, commit, git.read(url, commit, "other"), Unread(texts=("deep/more.in", "base.in")))
    assert below.texts == {"deep/more.in": b"pandas\n"}


def test_a_fingerprint_follows_names_modes_and_contents_and_nothing_else(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    def taken(*names: str) -> str:
        commit = published(git, volume, server.url("iris")).name
        return git.fingerprint(server.url("iris"), commit, ".", names)

    iris.link("out", "/etc")
    iris.commit({"lib/setup.py": "1", "lib/a/b.py": "2", "a.whl": "w"})
    first = taken("lib", "a.whl")
    assert first == taken("a.whl", "lib")
    iris.commit({"train/train.py": "print(2)\n"})
    assert taken("lib", "a.whl") == first
    seen = {first, taken("lib"), taken("a.whl"), taken("lib", "gone"), taken(".")}
    assert len(seen) == 4
    iris.commit({"lib/a/b.py": "3"})
    seen.add(taken("lib", "a.whl"))
    iris.git("mv", "lib/a/b.py", "lib/a/c.py")
    iris.commit()
    seen.add(taken("lib", "a.whl"))
    iris.git("update-index", "--chmod=+x", "a.whl")
    iris.git("commit", "--quiet", "--message", "mode")
    seen.add(taken("lib", "a.whl"))
    assert len(seen) == 7
    assert taken("out", "../..", "/etc") == taken()


def test_a_fingerprint_of_too_much_is_refused(server: GitServer, iris: Repository, volume: Path) -> None:
    for number in range(40):
        iris.link(f"lib/{number}", "../big")
    commit = iris.commit({"big": "x" * 100_000})
    git = Git(volume, replace(SETTINGS, max_bytes=3_000_000))
    git.publish(server.url("iris"), commit)
    reason, _ = refusal(lambda: git.fingerprint(server.url("iris"), commit, ".", ["lib"]))
    assert reason == "RepositoryTooLarge"


def test_many_links_to_folders_full_of_links_end_at_the_limit(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    for one in range(12):
        for other in range(12):
            iris.link(f"d{one}/l{other}", f"../d{other}")
    commit = iris.commit()
    git = Git(volume, replace(SETTINGS, max_files=1000))
    git.publish(server.url("iris"), commit)
    assert refusal(lambda: git.read(server.url("iris"), commit, "."))[0] == "RepositoryTooLarge"


def test_a_text_above_the_limit_is_a_problem_and_not_loaded(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.commit({"bodywork.ini": "x" * 1_900_000, "train/config.ini": b"\x00\xfe\xff"})
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    tree = git.extend(server.url("iris"), checkout.name, tree, Unread(texts=("bodywork.ini", "train/config.ini")))
    assert "bodywork.ini" not in tree.texts
    assert "1.8 MiB" in tree.faults["bodywork.ini"]
    assert "bodywork.ini" in tree.files
    assert tree.texts["train/config.ini"] == b"\x00\xfe\xff"


def test_names_that_are_not_utf8_are_left_out_with_a_warning(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    (iris.folder / os.fsdecode(b"caf\xe9.py")).write_text("")
    (iris.folder / "new\nline.py").write_text("")
    iris.commit()
    checkout = published(git, volume, server.url("iris"))
    tree = git.read(server.url("iris"), checkout.name, ".")
    assert [line for line in tree.warnings if line.startswith("caf\\xe9.py: ")]
    assert "new\nline.py" in tree.files


def test_a_root_file_that_would_pass_for_the_marker_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    iris.link(".complete", "/etc/passwd")
    iris.commit()
    reason, line = refusal(lambda: published(git, volume, server.url("iris")))
    assert reason == "RepositoryRefused"
    assert ".complete" in line


def test_reading_what_is_not_published_is_tried_again(server: GitServer, iris: Repository, git: Git) -> None:
    assert hitch(lambda: git.read(server.url("iris"), iris.git("rev-parse", "HEAD"), "."))[0] == "NotPublished"


def test_a_mirror_that_was_taken_away_is_fetched_again_for_reading(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    checkout = published(git, volume, server.url("iris"))
    shutil.rmtree(volume / layout.mirror(server.url("iris")))
    assert git.read(server.url("iris"), checkout.name, ".").digest == iris.git("rev-parse", "HEAD^{tree}")


def test_a_volume_that_can_not_be_written_is_tried_again(
    server: GitServer, iris: Repository, git: Git, volume: Path
) -> None:
    (volume / "checkouts").write_text("in the way")
    assert hitch(lambda: published(git, volume, server.url(iris.folder.name)))[0] == "VolumeFailed"


def test_a_repository_that_another_pass_works_on_is_come_back_to(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    git, hasty = Git(volume, SETTINGS), Git(volume, replace(SETTINGS, wait=0.2))
    server.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(git.publish, url, commit)
        assert server.arrived.wait(30)
        with pytest.raises(NotYet):
            hasty.publish(url, commit)
        server.fault = ""
        server.released.set()
        assert isinstance(stuck.exception(timeout=60), Transient)


# --- when files last changed -------------------------------------------------------------------------


def commit_on(repository: Repository, day: str, **files: str) -> str:
    """Commit files on a day; `__` in their names is a slash, `_` a dot."""
    repository.write({name.replace("__", "/").replace("_", "."): text for name, text in files.items()})
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "change")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    parents = [part for parent in repository.git("log", "-1", "--format=%P").split() for part in ("-p", parent)]
    dates = {"GIT_COMMITTER_DATE": f"{day}T23:30:00-0100", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = subprocess.run(
        ["git", "-C", str(repository.folder), "commit-tree", tree, *parents, "-m", "change"],
        env={**os.environ, **CLEAN, **dates, **who},
        capture_output=True,
        text=True,
        check=True,
    )
    repository.git("reset", "--quiet", "--soft", made.stdout.strip())
    return made.stdout.strip()


def last_change(git: Git, url: str, commit: str, *files: str, path: str = ".") -> str:
    git.publish(url, commit)
    return git.last_change(url, commit, path, files, lambda texts: tuple(sorted(texts.items())))


def test_files_changed_on_the_day_of_the_last_commit_that_touched_them(git: Git, server: GitServer) -> None:
    repository = server.repository("dated")
    commit_on(repository, "2021-03-04", a__r_txt="six", b__r_txt="six")
    commit_on(repository, "2021-06-01", a__r_txt="flask")
    head = commit_on(repository, "2022-01-01", other="x")
    url = server.url("dated")
    assert last_change(git, url, head, "a/r.txt") == "2021-06-02"  # in UTC
    assert last_change(git, url, head, "b/r.txt") == "2021-03-05"
    assert last_change(git, url, head, "a/r.txt", "b/r.txt") == "2021-06-02"
    assert last_change(git, url, head, "r.txt", path="b") == "2021-03-05"


def test_a_commit_that_changes_nothing_that_counts_is_passed_over(git: Git, server: GitServer) -> None:
    repository = server.repository("layout")
    commit_on(repository, "2021-03-04", r_txt="flask")
    commit_on(repository, "2021-05-04", r_txt="six")
    commit_on(repository, "2021-07-04", r_txt="six  ")
    head = commit_on(repository, "2021-08-04", r_txt="SIX")
    git.publish(server.url("layout"), head)
    day = git.last_change(server.url("layout"), head, ".", ["r.txt"], lambda texts: texts["r.txt"].strip().lower())
    assert day == "2021-05-05"


def test_the_history_of_a_commit_is_looked_at_once(server: GitServer, volume: Path) -> None:
    calls: list[str] = []
    git = Git(volume, SETTINGS, lambda operation, _: calls.append(operation))
    repository = server.repository("busy")
    head = [commit_on(repository, f"2021-03-{day:02}", r_txt=f"six{' ' * day}") for day in range(1, 10)][-1]
    git.publish(server.url("busy"), head)
    meaning = Meaning("train")
    assert git.last_change(server.url("busy"), head, ".", ["r.txt"], meaning) == "2021-03-02"
    assert (calls.count("log"), calls.count("cat-file")) == (1, 9)
    assert git.last_change(server.url("busy"), head, ".", ["r.txt"], Meaning("train")) == "2021-03-02"
    assert (calls.count("log"), calls.count("cat-file")) == (1, 9)


def test_a_merge_does_not_touch_what_it_brings(git: Git, server: GitServer) -> None:
    repository = server.repository("merged")
    commit_on(repository, "2021-01-01", r_txt="a", x="1")
    repository.git("checkout", "--quiet", "-b", "side")
    commit_on(repository, "2021-02-01", r_txt="b")
    repository.git("checkout", "--quiet", "-")
    commit_on(repository, "2021-03-01", x="2")
    repository.git("merge", "--quiet", "--no-ff", "side", "-m", "merge")
    head = repository.git("rev-parse", "HEAD")
    assert last_change(git, server.url("merged"), head, "r.txt") == "2021-02-02"


def test_what_is_not_committed_has_no_day_and_a_comment_there_keeps_the_old_one(volume: Path, tmp_path: Path) -> None:
    git = Git(volume, GitSettings(allow_file=True))
    repository = Repository(tmp_path / "work")
    repository.folder.mkdir()
    repository.git("init", "--quiet")
    commit_on(repository, "2021-01-01", r_txt="six", x="1")
    for files, day in (({"x": "2"}, "2021-01-02"), ({"r.txt": "six "}, "2021-01-02"), ({"r.txt": "flask"}, "")):
        repository.write(files)
        taken = git.snapshot(repository.folder)
        assert git.last_change(taken.repository, taken.commit, ".", ["r.txt"], lambda t: t["r.txt"].strip()) == day


def test_where_the_history_is_cut_off_the_day_of_the_commit_stands_in(volume: Path, tmp_path: Path) -> None:
    git = Git(volume, GitSettings(allow_file=True))
    repository = Repository(tmp_path / "work")
    repository.folder.mkdir()
    repository.git("init", "--quiet")
    commit_on(repository, "2021-01-01", r_txt="six")
    commit_on(repository, "2022-01-01", x="1")
    shallow = Repository(tmp_path / "shallow")
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow.folder))
    taken = git.snapshot(shallow.folder)
    assert git.last_change(taken.repository, taken.commit, ".", ["r.txt"], repr) == "2022-01-02"


@pytest.mark.parametrize("name", [":(top)r.txt", "*.txt", "-r.txt", "--all", "r\n.txt"])
def test_names_of_files_are_taken_literally(git: Git, server: GitServer, name: str) -> None:
    repository = server.repository("hostile")
    repository.write({name: "six"})
    commit_on(repository, "2021-01-01", r_txt="six")
    head = commit_on(repository, "2022-01-01", r_txt="flask")
    assert last_change(git, server.url("hostile"), head, name) == "2021-01-02"
