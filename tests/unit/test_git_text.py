"""Hostile text on its way to git and from it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters.git import faults, private, remote
from controller.core.errors import Invalid
from controller.core.inputs import repository

VISIBLE = st.text(st.characters(exclude_categories=["Z", "C"]), max_size=20)


def said(judge: Callable[[], None]) -> str:
    """Return what a judge says against a text, "" if nothing."""
    try:
        judge()
    except Invalid as error:
        return str(error)
    return ""


@given(st.text())
def test_no_text_breaks_the_judges_and_what_they_say_is_one_short_line(text: str) -> None:
    lines = [
        said(lambda: remote.check_repository(text, allow_file=False)),
        faults.clean(text),
        str(faults.error(remote.place(text), text)),
    ]
    assert all(line.isprintable() for line in lines)
    assert max(len(line) for line in lines) < 1024


@given(st.from_regex(r"((https?|ssh|file)://|git@)[a-z@:/%.?#\\'$\u00e9-]{1,30}", fullmatch=True) | st.text())
def test_what_a_request_may_name_is_what_git_is_given(url: str) -> None:
    try:
        repository.address(url)
    except ValueError:
        assert said(lambda: remote.check_repository(url, allow_file=True)) or url.startswith("/")
    else:
        assert said(lambda: remote.check_repository(url, allow_file=True)) == ""
        assert bool(said(lambda: remote.check_repository(url, allow_file=False))) == repository.is_local(url)


@given(st.from_regex(r"[A-Z0-9]{6,20}", fullmatch=True), VISIBLE)
def test_nothing_before_the_at_sign_is_ever_shown(secret: str, more: str) -> None:
    url = f"https://user{more}:{secret}@example.com/x"
    line = said(lambda: remote.check_repository(url, allow_file=True))
    assert line
    assert secret not in line
    assert secret not in faults.detail(f"fatal: unable to access '{url}'")


def test_git_is_answered_about_the_repositorys_own_server_in_every_way_that_it_may_ask() -> None:
    asked = private.questions("https://Git.example.com/x", "ada@home")
    assert "Username for 'https://Git.example.com': " in asked["username"]
    assert "Username for 'https://git.example.com:443': " in asked["username"]
    assert "Password for 'https://ada@home@git.example.com': " in asked["password"]
    assert "Password for 'https://ada%40home@git.example.com': " in asked["password"]
    assert private.questions("http://[::1]:8080/x", "a")["username"] == ["Username for 'http://[::1]:8080': "]


def test_the_same_fault_gives_the_same_words() -> None:
    words = "fatal: unable to access 'https://example.com/x/': Failed to connect to example.com port 443 after {} ms: x"
    assert faults.detail(words.format(12)) == faults.detail(words.format(2034))


@pytest.mark.parametrize(
    "words",
    [
        "file {}.pack is far too short to be a packfile",
        "packfile {}.pack does not match index",
        "index file {}.idx is too small",
        "unable to read {}.pack: Is a directory",
    ],
)
def test_what_is_wrong_with_a_pack_that_is_there_is_not_the_connections_fault(words: str) -> None:
    pack = f"/volume/mirrors/iris.git/objects/pack/pack-{'0a' * 20}"
    collision = f"unable to rename temporary '*.pack' file to '{pack}.pack'"  # of newer gits, which compare the two
    broken = f"fatal: {collision}\nfatal: fetch-pack: invalid index-pack output\n"
    assert faults.known(f"error: {words.format(pack)}\n{broken}") is None


def test_a_connection_that_broke_off_is_not_the_mirrors_fault() -> None:
    row = faults.known("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n")
    assert row is not None
    assert row.reason == "GitInterrupted"
