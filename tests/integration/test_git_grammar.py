"""The grammar of addresses and refs, held against git itself: nothing that it accepts is refused by git."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.inputs import repository
from tests.support.grammar import ADDRESSES, REFS

NOBODY = "http://127.0.0.1:1"
REFUSALS = (  # git's words for an address that it does not even try
    "blocked", "not supported", "not allowed", "is not a git command", "bad/illegal format", "no path specified",
    "contains a newline", "unable to find remote helper", "strange",
)  # fmt: skip


def git(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {
        **os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "false", "GIT_SSH_VARIANT": "ssh",
        "http_proxy": NOBODY, "https_proxy": NOBODY, "no_proxy": "", **env,
    }  # fmt: skip
    return subprocess.run(["git", *arguments], env=own, capture_output=True, text=True, timeout=60, check=False)


def taken(url: str) -> bool:
    """Return whether git tries to reach the address; nobody is ever there."""
    words = git("ls-remote", "--", url).stderr
    return bool(words) and not any(refusal in words for refusal in REFUSALS)


@pytest.mark.parametrize("url", ["ext::sh", "HTTPS://h/a", "https://h:99999/a", "git@host:-x", "ssh://-x@h/a"])
def test_git_refuses_what_it_can_not_use(url: str) -> None:
    assert not taken(url)


def test_every_address_of_the_grammars_table_is_taken_by_git() -> None:
    assert [url for url in ADDRESSES if not taken(url)] == []


@settings(deadline=None, max_examples=60)
@given(
    st.from_regex(
        r"(https?://|ssh://git@|git@)(h|h\.example|\[::1\])(:[0-9]{1,3})?[/:][!-~\u00e9]{1,12}", fullmatch=True
    )
)
def test_an_address_that_a_request_may_name_is_taken_by_git(url: str) -> None:
    try:
        repository.address(url)
    except ValueError:
        return
    assert taken(url)


def valid(ref: str) -> bool:
    return git("check-ref-format", "--allow-onelevel", ref).returncode == 0


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(REFS) | st.text(st.sampled_from("ab@{}./-_~^:?*[\\ lock\u00e9"), min_size=1, max_size=8))
def test_the_same_refs_are_valid_here_and_to_git(ref: str) -> None:
    try:
        repository.ref(ref)
    except ValueError:
        assert not valid(ref) or ref.startswith("-")  # to git an option, wherever a branch may be named
    else:
        assert valid(ref)
