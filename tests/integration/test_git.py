"""Git against real repositories and a real server: which commit a ref names, and servers that misbehave."""

import contextlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.git import Git
from controller.core import layout
from controller.core.errors import Invalid, NotYet, Transient
from tests.support.eventually import eventually
from tests.support.gitserver import (
    INI,
    SETTINGS,
    GitServer,
    Repository,
    hitch,
    no_process_stays,
    published,
    refusal,
    serving,
)

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


@pytest.mark.parametrize(
    ("ref", "choice"),
    [
        ("prodution", "production, main (the default branch)"),
        ("mian", "main (the default branch)"),
        ("zzz", "main (the default branch), production, v1"),
    ],
)
def test_an_unknown_ref_names_the_nearest_ones_then_the_default_branch(
    server: GitServer, iris: Repository, git: Git, ref: str, choice: str
) -> None:
    iris.git("branch", "production")
    iris.git("tag", "v1")
    reason, line = refusal(lambda: git.resolve(server.url("iris"), ref))
    assert reason == "RefNotFound"
    assert line.endswith(f'it has no branch, tag or commit "{ref}"; choose from {choice}')


def test_an_empty_repository_says_so(server: GitServer, git: Git) -> None:
    server.repository("empty")
    assert refusal(lambda: git.resolve(server.url("empty"), ""))[0] == "RepositoryEmpty"


@pytest.mark.parametrize(
    "ref",
    ["-upload-pack=touch /tmp/x", "a\nb", "main^{}"],
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
        while len(server.requests) == asked:  # one try at a time, and other addresses hear the same as before
            tried = pool.submit(git.resolve, server.url("iris"), "")
            eventually(lambda it=tried: it.done() or len(server.requests) > asked)  # type: ignore[misc]
        assert hitch(lambda: git.resolve(server.url("other"), ""))[0] == "GitTimeout"
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
