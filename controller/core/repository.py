"""Addresses of Git repositories: which may be used at all. Never repeats an address: it may hold a password.

Refuses other transports than https, http and file (git would run `ext::` as a command), credentials, options, and
whatever a log, a credential helper or a shell could misread. Whether file:// is allowed is the Git adapter's decision.
"""

import re
from urllib.parse import SplitResult, urlsplit

LIMIT = 2048
_EXPECTED = "expected the address of a Git repository, like https://HOST/PATH"
_SPECIAL = re.compile(r"[\\\"'`<>|{}^$]|%(?:0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
_SSH = "addresses over ssh are not supported yet (they need git-secret): write the repository's https address"


def parse(text: str) -> str:
    """Give the address as it is if it may be used. Raises ValueError with one sentence that does not repeat it."""
    if len(text) > LIMIT:
        raise ValueError(f"is {len(text)} characters long: {LIMIT} at most")
    if not re.fullmatch(r"[!-~]+", text) or _SPECIAL.search(text):
        raise ValueError("has white space, quotes, control or other special characters: write them percent-encoded")
    if text.lower().startswith(("ssh://", "git+ssh://")) or re.match(r"[A-Za-z0-9_][^/:@]*@[^/:@]+:(?!//)", text):
        raise ValueError(_SSH)
    parts = _split(text)
    match parts.scheme if f"{parts.scheme}://" == text[: len(parts.scheme) + 3] else "":
        case "https" | "http":
            _check_http(parts)
        case "file":
            _check_file(parts)
        case _:
            raise ValueError(f"{_EXPECTED}; other transports are refused")
    return text


def _split(text: str) -> SplitResult:
    """Split an address; urlsplit's own complaints would repeat it."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{_EXPECTED}: its host or port is malformed") from None
    return parts


def _check_http(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValueError("holds credentials: remove them, an address is shown in logs and in the status")
    if parts.query or parts.fragment:
        raise ValueError("has a ? or # part: write the address that git clone takes, without it")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9a-fA-F:.]+", parts.hostname or ""):
        raise ValueError(f"{_EXPECTED}: it has no proper host")
    if not parts.path.strip("/"):
        raise ValueError(f"{_EXPECTED}: it names a host, but no repository there")


def _check_file(parts: SplitResult) -> None:
    if parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("expected file:///ABSOLUTE/PATH for a repository on the controller's own disk")
    if ".." in parts.path.split("/"):
        raise ValueError("has .. in its path: write it without")
