"""What names a repository, a ref and a folder: one grammar for requests, requirements, submodules and the Git adapter.

An address may hold a password: no error repeats one. Refuses other transports than https, http, ssh and file (git
would run `ext::` as a command), credentials, options, and what git or a server would take for something else. Whether
file:// is allowed is the Git adapter's decision, and which need credentials is that of credentials.py.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

from controller.core.text import clean, invisible, quoted

LIMIT = 2048
REF_LIMIT = 255
PATH_LIMIT = 1024
SHA256_DIGITS = 64
COMMIT = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"  # a whole id: SHA-1 or SHA-256
ABBREVIATED = re.compile(r"[0-9a-f]{7,63}")
PORTS = {"https": 443, "http": 80, "ssh": 22}
_EXPECTED = "expected the address of a Git repository, like https://HOST/PATH or ssh://git@HOST/PATH"
_CREDENTIALS = "it holds credentials: remove them, an address is shown in logs and in the status"
_ANOTHER_HOST = re.compile(r"@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?::[0-9]+)?/")
_PAGE = re.compile(  # what browsers show of GitHub; of GitLab, Gitea and Forgejo, wherever they are; of Bitbucket
    r"//(?:www\.)?github\.com/[^/]+/[^/]+?(?:\.git)?(?P<hub>/[^/]+.*)|//.+?(?P<lab>/-/.*)"
    r"|//[^/]+/[^/]+/[^/]+(?P<tea>/src/(?:branch|tag|commit)/.+)|//bitbucket\.org/[^/]+/[^/]+(?P<bucket>/src/.+)"
)
_IN_PAGE = re.compile(
    r"/(?:-/)?(?P<kind>tree|blob|raw|src)(?:/(?:branch|tag|commit))?/(?P<ref>[^/]+)(?:/(?P<path>.+?))?/?"
)
_USER, _HOST = r"[A-Za-z0-9_][A-Za-z0-9._+-]*", r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SHORT = re.compile(  # git-clone(1): as scp has it
    rf"(?P<user>{_USER})@(?P<host>{_HOST}|\[[0-9a-fA-F:.]+\]):(?P<path>(?!//)[^:-].*)"
)


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers at an address: the transport, the host in lower case, the port that is meant where none is named."""

    scheme: str
    host: str
    port: int


class Page(ValueError):
    """An address shows a repository to a browser; `place` is its ref and path, as far as the page is of these."""

    def __init__(self, address: str, place: Mapping[str, str | None]) -> None:
        self._address = address
        self._place = [(key, clean(text, 200)) for key in ("ref", "path") if (text := place.get(key))]
        more = "".join(f", {key} {text}" for key, text in self._place)
        super().__init__(f"it is a page for browsers: write {address}{more}")

    @property
    def typed(self) -> str:
        """The same on a command line."""
        return shlex.join([self._address, *(word for key, text in self._place for word in (f"--{key}", text))])


# --- addresses --------------------------------------------------------------------------------------


def address(text: str, *, folders: bool = False) -> str:
    """Return the address as it is if git may be given it; `folders`: absolute paths are addresses too.

    Raises ValueError with one sentence that does not repeat it.
    """
    if len(text) > LIMIT:
        raise ValueError(f"it is {len(text)} characters long: {LIMIT} at most")
    if hidden := invisible(text):
        raise ValueError(hidden.partition(" after ")[0] + ": delete it")
    if not text.isprintable() or re.search(r"[ \\]|%(?:0[0-9a-f]|1[0-9a-f]|7f)", text, re.IGNORECASE):
        raise ValueError("it has a space, a backslash or a control character: write the address that git clone takes")
    if _SHORT.fullmatch(text) or (folders and text.startswith("/")):
        return text
    parts = _split(text)
    check = _CHECKS.get(text.partition("://")[0])
    if not check:
        raise ValueError(f"{_EXPECTED}; other transports are refused")
    check(parts)
    return text


def resembles_address(text: str) -> bool:
    """Return whether a text is meant as an address, valid or not, where it could also be the path of a folder."""
    return re.match(r"[a-z][a-z0-9+.-]*://|[^/]+@[^/]+:", text, re.IGNORECASE) is not None


def is_local(text: str) -> bool:
    """Return whether an address is that of a folder of this machine."""
    return text.startswith(("/", "file://"))


def server(text: str) -> Server | None:
    """Return whose server an address names; None for a file and for what can't be an address."""
    if short := _SHORT.fullmatch(text):
        return Server("ssh", short["host"].strip("[]").lower(), PORTS["ssh"])
    try:
        parts = _split(text)
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return Server(parts.scheme, parts.hostname.lower(), parts.port or PORTS[parts.scheme])


def is_ssh(text: str) -> bool:
    """Return whether git would reach this address by ssh."""
    there = server(text)
    return there is not None and there.scheme == "ssh"


def relative(base: str, url: str) -> str:
    """Return a submodule's address; `./` and `../` are relative to the repository that holds it (gitmodules(5)).

    One that climbs above the host is returned as it stands, and so refused later.
    """
    if not url.startswith(("./", "../")):
        return url
    # No `../` takes away what stands before the path; after `://` the host is the path's first step.
    start, separator, path = base.rstrip("/").rpartition("://")
    if not separator and is_ssh(base):
        start, separator, path = base.rstrip("/").partition(":")
    parts, rest = path.split("/"), url
    while rest.startswith(("./", "../")):
        step, _, rest = rest.partition("/")
        if step == "..":
            parts = parts[:-1]
    above = not any(parts) and separator != ":"
    return url if above else f"{start}{separator}{'/'.join([*parts, rest])}"


def _split(text: str) -> SplitResult:
    """Split an address; urlsplit's own complaints would repeat it."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{_EXPECTED}: its host or port is malformed") from None
    return parts


def _check_web(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValueError(_CREDENTIALS)
    if "." not in parts.netloc and _ANOTHER_HOST.search(parts.path):  # the rest of a token with a slash in it
        raise ValueError(f"{_CREDENTIALS}; write an @ of the path as %40")
    _check_page(parts)
    _check_place(parts)


def _check_page(parts: SplitResult) -> None:
    """Raise ValueError, with what to write instead, for the address of a page that shows a repository to a browser."""
    whole = f"//{parts.netloc}{parts.path}".rstrip("/")
    found = _PAGE.fullmatch(whole)
    page = next(filter(None, found.groups()), "") if found else ""
    if not page or "@" in whole:
        return
    inside = _IN_PAGE.fullmatch(page)
    where = inside.groupdict() if inside else {}
    if where.get("kind") in ("blob", "raw"):  # of a file: its folder is meant
        where["path"] = (where["path"] or "").rpartition("/")[0]
    raise Page(f"{parts.scheme}:{clean(whole.removesuffix(page), 200)}", where)


def _check_ssh(parts: SplitResult) -> None:
    if parts.password is not None:
        raise ValueError(_CREDENTIALS)
    if not re.fullmatch(_USER, parts.username or ""):
        raise ValueError("it names no user: write it as ssh://git@HOST/PATH (git is the user on most servers)")
    _check_place(parts)


def _check_file(parts: SplitResult) -> None:
    if parts.netloc or not parts.path.strip("/"):
        raise ValueError("expected file:///ABSOLUTE/PATH for a repository on the controller's own disk")
    if ".." in parts.path.split("/"):
        raise ValueError("it has .. in its path: write it without")


def _check_place(parts: SplitResult) -> None:
    if parts.query or parts.fragment:
        raise ValueError("it has a ? or # part: write the address that git clone takes, without it")
    if not re.fullmatch(rf"{_HOST}|[0-9a-fA-F:.]+(?:%25[A-Za-z0-9._-]+)?", parts.hostname or ""):
        raise ValueError(f"{_EXPECTED}: it has no proper host")
    if not parts.path.strip("/"):
        raise ValueError(f"{_EXPECTED}: it names a host, but no repository there")


_CHECKS: Mapping[str, Callable[[SplitResult], None]] = {
    "https": _check_web,
    "http": _check_web,
    "ssh": _check_ssh,
    "file": _check_file,
}


# --- refs and folders -------------------------------------------------------------------------------


def ref(text: str) -> str:
    """Return the ref as it is if it can be a branch, a tag or a commit (git-check-ref-format(1)). Raises ValueError."""
    bad = (
        len(text) > REF_LIMIT
        or text == "@"
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.$|^[-/]|/$|(?:^|/)\.|\.lock(?:/|$)", text) is not None
        or not text.isprintable()
    )
    if bad:
        raise ValueError(invisible(text) or f"expected a branch, a tag or a commit, got {quoted(text)}")
    return text


def is_commit(text: str) -> bool:
    """Return whether `text` is the whole id of a commit, in lower case."""
    return re.fullmatch(COMMIT, text) is not None


def is_sha256(commit: str) -> bool:
    """Return whether a whole id is one of a repository with SHA-256 ids (`git init --object-format=sha256`)."""
    return len(commit) == SHA256_DIGITS


def folder(text: str) -> str:
    """Return a folder of the repository, normalised; never one outside it or in its .git. Raises ValueError."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or "\\" in text
    if hidden := invisible(text):
        raise ValueError(hidden)
    if outside or len(text) > PATH_LIMIT or not text.isprintable():
        raise ValueError(f"expected a folder inside the repository, like models/iris, got {quoted(text)}")
    if any(part.lower() == ".git" for part in path.parts):
        raise ValueError("is inside .git: name a folder of the project")
    return str(path)
