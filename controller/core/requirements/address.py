"""Addresses in requirements. Refuses credentials in them, and Git over what the controller does not speak.

No sentence repeats an address: it may hold a password.
"""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from controller.core import repository

GIT = "git+"
GIT_SCHEMES = {"git+https", "git+http", "git+ssh"}
_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|file:)", re.IGNORECASE)
_OTHER_GIT = "is Git over what is not supported: write git+https://HOST/PATH or git+ssh://git@HOST/PATH"


def is_url(text: str) -> bool:
    """Tell whether a requirement or an option's value is an address, and not a name or a path."""
    return _URL.match(text) is not None


def is_git(text: str) -> bool:
    """Tell whether a requirement names a Git repository."""
    return text.lower().startswith(GIT)


def local(url: str) -> str | None:
    """Give the path of a `file:` address, None for every other one. Raises ValueError where it has none."""
    if not url.lower().startswith("file:"):
        return None
    path = url[len("file:") :]
    path = unquote(path.removeprefix("//").removeprefix("localhost") if path.startswith("//") else path)
    if not path:
        raise ValueError("names no file: write its path after file:")
    return path


def check_web(url: str) -> None:
    """Raise ValueError where an address that uv is to open can't be one, or holds credentials."""
    if re.match(r"(?:hg|svn|bzr)\+", url, re.IGNORECASE):
        raise ValueError("is neither Git nor an archive: only git+https, git+ssh and archives are supported")
    parts = _split(url)
    if "@" in parts.netloc:
        raise ValueError("holds credentials: remove them, and give them by the request's index-secret (its netrc)")


def git_address(address: str) -> tuple[str, str]:
    """Give the repository and the ref ("" for HEAD) of `git+URL@REF`, as pip cuts it: at the path's last `@`.

    Raises ValueError with one sentence.
    """
    parts = _split(address)
    if parts.scheme not in GIT_SCHEMES:
        raise ValueError(_OTHER_GIT)
    user, at, host = parts.netloc.rpartition("@")
    if at and (parts.scheme != "git+ssh" or ":" in user or "$" in user):
        raise ValueError("holds credentials: remove them, and give them by the request's git-secret")
    path, at, ref = parts.path.rpartition("@")
    if at and not ref:
        raise ValueError("ends in an @ with no branch, tag or commit after it: write one, or remove the @")
    path = path if at else ref
    if parts.query or parts.fragment:
        raise ValueError("has a ? part: write the address that git clone takes, without it")
    who = f"{user}@" if user else ""
    return repository.parse(f"{parts.scheme.removeprefix(GIT)}://{who}{host}{path}"), ref if at else ""


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is no proper address: its host or port is malformed") from None
    return parts
