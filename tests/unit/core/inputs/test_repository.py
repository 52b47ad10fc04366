"""The one grammar of addresses, refs and folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.inputs import repository
from tests.support.grammar import ADDRESSES, REFS

BASE = "https://example.com/acme/iris.git"
REFUSED = {
    "": "expected the address", "../s3cret": "expected the address", "host:s3cret": "expected the address",
    "https://user:s3cret@github.com/a": "holds credentials", "https://s3cret@github.com/a": "holds credentials",
    "https://user:12/s3cret@host.example/x": "%40", "https://s3/cret@host.example/s3cret": "%40",
    "ssh://git:s3cret@host/a": "holds credentials", "git:s3cret@host:a": "expected the address",
    "https://user:s3/cret@host/s3cret": "malformed", "https://host:99999/s3cret": "malformed",
    "https://[s3cret/a": "malformed",
    "http://github.com/a?token=s3cret": "has a ? or # part", "https://github.com/a#s3cret": "has a ? or # part",
    "ssh://git@host/a?s3cret": "has a ? or # part",
    "ext::sh -c s3cret": "has a space", "ext::s3cret": "other transports are refused",
    "git@host::s3cret": "other transports", "git@host://s3cret": "other transports",
    "git://host/s3cret": "other transports", "ftp://host/s3cret": "other transports",
    "git+ssh://git@host/s3cret": "other transports", "HTTPS://host/s3cret": "other transports",
    "SSH://git@host/s3cret": "other transports", "/srv/s3cret": "other transports",
    "--upload-pack=s3cret": "expected the address", "-s3cret": "expected the address",
    "-s3cret@host:a": "expected the address", "git@-s3cret:a": "expected the address",
    "git@host:-s3cret": "expected the address",
    "ssh://host/s3cret": "names no user", "ssh://-s3cret@host/a": "names no user",
    "ssh://git@-s3cret/a": "no proper host", "https://-s3cret/a": "no proper host", "https:///s3cret": "no proper host",
    "https://h\u00f6st/s3cret": "no proper host", "https://s3cret": "no repository there",
    "ssh://git@s3cret": "no repository there",
    "https://host/s3cret\n": "control character", "\x00s3cret": "control character",
    "https://host/s3cret b": "has a space", "https://host/s3cret\\b": "a backslash",
    "https://host/%0as3cret": "control character", "https://exa\x1b[31mmple.com/s3cret": "control character",
    "https://host/" + "s3cret" * 400: "characters long: 2048 at most",
    "https://host/s3cret\u200b": "holds the invisible character U+200B",
    "file://host/s3cret": "file:///ABSOLUTE/PATH", "file:///": "file:///ABSOLUTE/PATH",
    "file:///a/../s3cret": "has .. in its path",
}  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_git_takes_is_taken(url: str) -> None:
    assert repository.address(url) == url


@pytest.mark.parametrize(("url", "word"), REFUSED.items())
def test_what_git_must_not_be_given_is_refused_and_never_repeated(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        repository.address(url)
    assert word in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "cret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("page", "instead"),
    [
        ("github.com/u/p/tree/main/x", "github.com/u/p, ref main, path x"),
        ("github.com/u/p/tree/v1.0/x/y/", "github.com/u/p, ref v1.0, path x/y"),
        ("www.github.com/u/p/tree/main?tab=readme#top", "www.github.com/u/p, ref main"),
        ("github.com/u/p/blob/main/x/bodywork.ini#L3", "github.com/u/p, ref main, path x"),
        ("github.com/u/p/blob/main/README.md", "github.com/u/p, ref main"),
        ("github.com/u/p/issues", "github.com/u/p"),
        ("github.com/u/p.git/tree/main", "github.com/u/p.git, ref main"),
        ("git.example/a/b/c/-/tree/main/x", "git.example/a/b/c, ref main, path x"),
        ("gitlab.com/a/b/-/merge_requests/3", "gitlab.com/a/b"),
        ("codeberg.org/u/p/src/branch/main/x", "codeberg.org/u/p, ref main, path x"),
        ("bitbucket.org/u/p/src/main/x", "bitbucket.org/u/p, ref main, path x"),
    ],
)
def test_a_page_for_browsers_is_refused_with_what_to_write_instead(page: str, instead: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        repository.address(f"https://{page}")
    assert str(refused.value) == f"it is a page for browsers: write https://{instead}"


@pytest.mark.parametrize("url", ["https://github.com/u/p", "https://h/a/tree/main/x", "https://bitbucket.org/u/p/"])
def test_a_repository_is_no_page(url: str) -> None:
    assert repository.address(url) == url


def test_a_folder_of_this_machine_is_an_address_only_where_it_may_be() -> None:
    assert repository.address("/srv/iris", folders=True) == "/srv/iris"
    assert [repository.is_local(url) for url in ("/srv/a", "file:///srv/a", "https://h/a", "g@h:/a")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_what_people_mean_as_an_address_is_distinguished_from_a_folder() -> None:
    assert all(map(repository.resembles_address, [*ADDRESSES, "HTTPS://h/a", "git://h/a", "ftp://h/a", "a@b:c"]))
    assert not any(map(repository.resembles_address, [".", "iris", "./a@b:c", "/srv/a", "../x", "C:\\iris", "a:b"]))


@given(st.text() | st.from_regex(r"(https?|ssh|file|git|ext)(://|::|:)[a-z@:/%.?#\-]{0,30}", fullmatch=True))
def test_every_text_is_an_address_or_gets_one_printable_sentence(text: str) -> None:
    there, sentence = repository.server(text), ""
    try:
        assert repository.address(text) == text
        assert repository.is_local(text) != (there is not None)
    except ValueError as refused:
        sentence = str(refused)
    assert sentence.isprintable()
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("../library.git", "https://example.com/acme/library.git"),
        ("./library.git", "https://example.com/acme/iris.git/library.git"),
        ("../../other/library", "https://example.com/other/library"),
        ("./../../x", "https://example.com/x"),
        ("../../../x", "../../../x"),
        ("https://other.example/x", "https://other.example/x"),
    ],
)
def test_a_submodules_address_is_relative_to_its_repository(url: str, expected: str) -> None:
    assert repository.relative(BASE, url) == expected


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("git@host:acme/iris.git", "../library.git", "git@host:acme/library.git"),
        ("git@host:acme/iris.git", "../../other/library.git", "git@host:other/library.git"),
        ("git@host:iris.git", "../library.git", "git@host:library.git"),
        ("ssh://git@host:22/acme/iris.git", "../library.git", "ssh://git@host:22/acme/library.git"),
        ("ssh://git@host/iris.git", "../../../evil/x", "../../../evil/x"),
        ("/srv/iris", "../../../x", "../../../x"),
    ],
)
def test_a_submodules_address_stays_on_the_server_of_its_repository(base: str, url: str, expected: str) -> None:
    assert repository.relative(base, url) == expected


@pytest.mark.parametrize("ref", [*REFS, ""])
def test_refs_that_git_allows_are_taken(ref: str) -> None:
    assert repository.ref(ref) == ref


@pytest.mark.parametrize(
    "ref", ["-b", "a..b", "a b", "a\n", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a", "a/.b",
            "a.lock", "a.lock/b", "a.", "a@{1}", "@", "a\x7f", "\ue000a", "x" * 256]
)  # fmt: skip
def test_refs_that_git_refuses_are_refused(ref: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a branch, a tag or a commit, got "):
        repository.ref(ref)


@pytest.mark.parametrize(
    ("path", "folder"), [("", "."), (".", "."), ("a/b/", "a/b"), ("./a", "a"), ("a//b", "a/b"), (".github", ".github")]
)
def test_a_folder_is_normalised(path: str, folder: str) -> None:
    assert repository.folder(path) == folder


@pytest.mark.parametrize("path", ["/a", "..", "a/../..", "a\\b", ".git", "a/.GIT/b", "a\n", "x" * 1025])
def test_a_folder_outside_of_the_project_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"expected a folder inside the repository|is inside \.git"):
        repository.folder(path)
