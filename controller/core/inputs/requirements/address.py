"""Addresses and paths in requirements.

Refuses credentials, Git over what the controller does not speak, what a browser shows of a repository, and paths of
other machines. No sentence repeats an address before it is known to hold no password.
"""

import posixpath
import re
from urllib.parse import SplitResult, unquote, urlsplit

from controller.core.inputs import repository
from controller.core.text import clean, quoted

GIT = "git+"
PROPOSAL = 200  # characters
GIT_SCHEMES = {"git+https", "git+http", "git+ssh"}
_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|file:)", re.IGNORECASE)
_WINDOWS = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")
# Where conda and conda-forge build packages, which `pip freeze` repeats: NAME_1690232220950/work and the like.
_CONDA = re.compile(
    r"(?:^|[/\\_-])(?:croot|(?:mini|ana)?conda\d*|conda-bld|feedstock_root|bld|build_artifacts)(?:[/\\]|$)"
    r"|_\d{10,16}[/\\]work(?:[/\\]|$)|^/tmp/build/[0-9a-f]{8}/",
    re.IGNORECASE,
)
_HOSTS = re.compile(r"(?:^|[.-])(?:github|gitlab|bitbucket|gitea|forgejo|codeberg)(?:[.-]|$)", re.IGNORECASE)
# .../-/tree/REF/PATH of GitLab; of others right behind OWNER/NAME.
_PAGE = re.compile(
    r"(?P<repository>/.+?)/-/(?:tree|blob|raw|commit|commits)/(?P<ref>[^/]+)(?:/(?P<path>.*))?"
    r"|(?P<repository2>/[^/]+/[^/]+)/(?:tree|blob|raw|commit|releases/tag|src(?:/branch|/tag|/commit)?)/(?P<ref2>[^/]+)"
    r"(?:/(?P<path2>.*))?"
)
_FILE = re.compile(r"\.(?:whl|zip|tgz|tar\.\w+)$")
_BELOW = re.compile(r"(?P<repository>/.*?\.git)/(?P<path>.*[^/].*)")
_SHORT = re.compile(r"(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]+):(?!//)(?P<path>[^\s:]+)")
_OTHER_GIT = "unsupported Git transport: write git+https://HOST/PATH or git+ssh://git@HOST/PATH"


def is_url(text: str) -> bool:
    """Return whether a requirement or an option's value is an address, and not a name or a path."""
    return _URL.match(text) is not None


def is_git(text: str) -> bool:
    """Return whether a requirement names a Git repository."""
    return text.lower().startswith(GIT)


def local(url: str) -> str | None:
    """Return the path of a `file:` address, None for every other one. Raises ValueError where it has none."""
    if not url.lower().startswith("file:"):
        return None
    path = url[len("file:") :]
    path = unquote(path.removeprefix("//").removeprefix("localhost") if path.startswith("//") else path)
    if not path:
        raise ValueError("names no file: write its path after file:")
    return path


def check_here(path: str, name: str) -> None:
    """Raise ValueError where a path leads out of every project; `name` is the package's, where it has one."""
    if not (path.startswith("/") or _WINDOWS.match(path)):
        return
    write = f"write {name or 'NAME'}==VERSION"
    if _CONDA.search(path):
        shows = "(`pip list --format=freeze` shows it)"
        raise ValueError(f"{quoted(path)} is where conda built the package, on another machine: {write} {shows}")
    remedy = f", or {write}" if name else ""
    raise ValueError(f"{quoted(path)} is outside the project: copy it into the project{remedy}")


def check_short(text: str) -> None:
    """Raise ValueError for `git@HOST:PATH`, which `git clone` takes, and neither pip nor uv."""
    short = _SHORT.fullmatch(text)
    if short and short["host"].lower() != "file":
        written = f"{short['user']}@{short['host']}/{short['path'].lstrip('/')}"
        raise ValueError(f"is an address for `git clone`: write git+ssh://{clean(written, PROPOSAL)}")


def check_web(url: str) -> None:
    """Raise ValueError where an address that uv is to open can't be one, or holds credentials."""
    if re.match(r"(?:hg|svn|bzr)\+", url, re.IGNORECASE):
        raise ValueError("is neither Git nor an archive: only git+https, git+ssh and archives are supported")
    parts = _split(url)
    if "@" in parts.netloc:
        raise ValueError("holds credentials: remove them, and give them by the request's index-secret (its netrc)")


def check_archive(url: str) -> None:
    """Raise ValueError where the address of a package can't be one, or is a page about a repository."""
    check_web(url)
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not _HOSTS.search(parts.hostname or "") or _FILE.search(parts.path):
        return
    server = f"{GIT}{parts.scheme}://{parts.netloc}"
    _check_no_page(server, parts.path, "")
    if re.fullmatch(r"/[^/]+/[^/]+/?", parts.path):
        raise ValueError(f"is a repository, not an archive: write {clean(server + parts.path, PROPOSAL)}")


def git_address(address: str) -> tuple[str, str]:
    """Return the repository and the ref ("" for HEAD) of `git+URL@REF`, as pip cuts it: at the path's last `@`.

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
    _check_no_page(f"{parts.scheme}://{who}{host}", path, ref if at else "")
    found = repository.address(f"{parts.scheme.removeprefix(GIT)}://{who}{host}{path}")
    return found, repository.ref(ref) if at else ""


def _check_no_page(server: str, path: str, ref: str) -> None:
    """Raise ValueError where a path is that of a page about a repository, or goes on behind one."""
    host = server.rpartition("@")[2].rpartition("/")[2]
    if below := _BELOW.fullmatch(path):
        written, found_ref, inner = below["repository"], "", below["path"]
        is_page = not inner.rstrip("/").endswith(".git")
    elif page := _PAGE.fullmatch(path):
        written = page["repository"] or page["repository2"]
        found_ref, inner = page["ref"] or page["ref2"], page["path"] or page["path2"] or ""
        is_page = bool(page["repository"] or _HOSTS.search(host))
    else:
        return
    if is_page:
        folder = (
            inner.strip("/")
            if posixpath.splitext(inner)[1] not in (".py", ".toml", ".cfg")
            else posixpath.dirname(inner)
        )
        proposal = f"{server}{written}{f'@{ref or found_ref}' if ref or found_ref else ''}"
        proposal += f"#subdirectory={folder}" if folder else ""
        raise ValueError(f"is a page for a browser, not a repository: write {clean(proposal, PROPOSAL)}")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("malformed address: check its host and port") from None
    return parts
