"""Paths stay below the volume's root, are the same for the same input, and never meet where they must not."""

from collections.abc import Callable
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import layout

calm = settings(deadline=None)  # a busy machine is no failure

urls = st.text(max_size=300) | st.from_regex(r"(https|ssh|file)://[a-z./@:-]{1,80}(\.git)?", fullmatch=True)
commits = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
requests = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)
runs = st.integers(min_value=1, max_value=10**6)


def below(path: PurePosixPath, root: PurePosixPath) -> bool:
    """Return whether a path is truly below another, with nothing in it that leads elsewhere."""
    return path.is_relative_to(root) and path != root and ".." not in path.parts and not path.is_absolute()


@calm
@given(urls)
def test_a_repository_s_key_is_one_safe_and_bounded_folder_name(url: str) -> None:
    key = layout.repository_key(url)
    assert key == layout.repository_key(url)
    assert len(key) <= 53
    assert key.replace("-", "").isascii()
    assert key.replace("-", "").isalnum()
    assert key[0] != "-"


@calm
@given(st.lists(urls, unique=True, min_size=2))
def test_two_repositories_never_share_a_folder(items: list[str]) -> None:
    assert len({layout.mirror(url) for url in items}) == len(items)


@calm
@given(urls, commits)
def test_mirrors_and_checkouts_are_below_their_folders(url: str, commit: str) -> None:
    assert below(layout.mirror(url), layout.MIRRORS)
    assert below(layout.checkout(url, commit), layout.CHECKOUTS)


@calm
@given(requests, uids, runs, st.text(max_size=100))
def test_what_belongs_to_a_request_is_below_its_folder(name: str, uid: str, number: int, stage: str) -> None:
    root = layout.request(name, uid)
    assert below(root, layout.RUNS)
    of_run = (layout.artifacts(name, uid, number), layout.logs(name, uid, number, stage))
    assert all(below(path, layout.run(name, uid, number)) for path in of_run)
    assert all(below(path, root) for path in (*of_run, layout.cache(name, uid), layout.record(name, uid)))


@calm
@given(requests, uids, runs)
def test_no_run_s_folder_is_the_record_or_the_cache(name: str, uid: str, number: int) -> None:
    assert len({layout.run(name, uid, number), layout.record(name, uid), layout.cache(name, uid)}) == 3


@calm
@given(st.lists(st.tuples(requests, uids), unique=True, min_size=2))
def test_two_requests_never_share_a_folder(items: list[tuple[str, str]]) -> None:
    assert len({layout.request(name, uid) for name, uid in items}) == len(items)


@calm
@given(requests, uids, runs, st.sampled_from([layout.artifacts, layout.run]))
def test_a_request_made_again_under_its_name_finds_nothing_old(
    name: str, uid: str, number: int, path: Callable[[str, str, int], PurePosixPath]
) -> None:
    assert path(name, uid, number) != path(name, f"{uid}x", number)


@pytest.mark.parametrize(
    ("url", "readable"),
    [("https://github.com/acme/iris.git", "github-com-acme-iris-"), ("git@host:acme/iris", "git-host-acme-iris-")],
)
def test_a_repository_s_folder_can_be_recognised(url: str, readable: str) -> None:
    assert layout.repository_key(url).startswith(readable)


def test_all_places_in_the_container_are_distinct_and_below_one_root() -> None:
    places = [
        layout.IN_CHECKOUT, layout.IN_TOOLS, layout.IN_LOGS, layout.IN_ARTIFACTS, layout.IN_PREVIOUS, layout.IN_CACHE,
        layout.IN_SCRATCH,
    ]  # fmt: skip
    assert len(set(places)) == len(places)
    assert all(place.parent == layout.ROOT for place in places)


def test_tools_are_kept_by_their_digest() -> None:
    assert layout.tools("abc") == PurePosixPath("tools/abc")
