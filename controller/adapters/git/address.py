"""What may be handed to git: addresses, refs and paths, judged as hostile text. Pure.

The request's parser judges them too; this is the last look before a process starts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from controller.adapters.git.faults import clean
from controller.core.errors import Invalid
from controller.core.inputs import repository
from controller.core.inputs.credentials import fitting
from controller.core.model import GitCredentials
from controller.core.text import invisible, near

ABBREVIATED = re.compile(r"[0-9a-f]{7,63}")

URL_LIMIT = 2048
REF_LIMIT = 255
SHOWN = 5  # names in a suggestion


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository, and what opens it; None: nothing is needed, or nothing is given."""

    url: str
    credentials: GitCredentials | None = None

    def at(self, url: str) -> "Remote":
        """Give the repository at another address, with these credentials if they may be sent there."""
        return Remote(url, fitting(self.credentials, self.url, url))


def place(url: str) -> str:
    """Give the start of a message about a repository; nothing before an `@` is shown, whatever it is."""
    return f"repository {clean(url.rpartition('@')[2])}"


def check_repository(url: str, *, allow_file: bool, where: str = "") -> None:
    """Raise Invalid(RepositoryRefused) unless `url` is an address that git may be given.

    `where` names what holds the address, if that is not the request.
    """
    fault = _fault(url, allow_file=allow_file)
    if fault:
        raise Invalid("RepositoryRefused", [f"{where or place(url)}: {fault}"])


def _fault(url: str, *, allow_file: bool) -> str:
    """Give what is wrong with an address and the remedy, "" if nothing."""
    if not url or len(url) > URL_LIMIT:
        return f"the address is empty or longer than {URL_LIMIT} characters: give the repository's https address"
    if not url.isprintable() or " " in url or "\\" in url:
        return "the address has a space, a backslash or a control character: give the repository's https address"
    if url.startswith("-") or "::" in url.split("/", maxsplit=1)[0]:
        return "this is an option or a remote helper, not an address: give the repository's https address"
    if url.startswith(("/", "file:///")):
        return "" if allow_file else "local paths are switched off: give the repository's https address"
    if url.startswith("ssh://") or re.match(r"[^/:]+:(?!//)", url):
        return _ssh_fault(url)
    return _web_fault(url)


def _ssh_fault(url: str) -> str:
    try:
        repository.parse(url)
    except ValueError as error:
        return f"the address {error}"
    return ""


def check_opened(remote: Remote, *, where: str = "") -> None:
    """Raise Invalid(GitSecretRequired) for a repository over ssh without a key; `where` is as in check_repository."""
    if not repository.is_ssh(remote.url) or (remote.credentials and remote.credentials.private_key):
        return
    fault = "is reached over ssh, which needs git-secret"
    if where:
        fault = "is reached over ssh on another server, where git-secret is not sent: give a relative or https address"
    raise Invalid("GitSecretRequired", [f"{where or place(remote.url)}: {fault}"])


def _web_fault(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return "this is no valid URL: give the repository's https address"
    if parts.scheme not in {"http", "https"}:
        return "only https, http and ssh addresses are supported: give the repository's https address"
    return _parts_fault(parts)


def _parts_fault(parts: SplitResult) -> str:
    if "@" in parts.geturl():  # in the path too: a password with a slash in it ends there; %40 is an honest @
        return "the address holds credentials: remove them from the URL, and change them, since others may have read it"
    if not parts.hostname or not parts.path.strip("/"):
        return "the address names no host or no repository: give the repository's https address"
    if parts.query or parts.fragment:
        return "the address has a query or a fragment: give the repository's plain https address"
    return ""


def relative(base: str, url: str) -> str:
    """Give a submodule's address; `./` and `../` are relative to the repository that holds it (gitmodules(5)).

    One that climbs above the host is given as it stands, and so refused later.
    """
    if not url.startswith(("./", "../")):
        return url
    start, path = _start(base.rstrip("/"))
    parts, rest = path.split("/"), url
    while rest.startswith(("./", "../")):
        step, _, rest = rest.partition("/")
        if step == "..":
            parts = parts[:-1]
    return f"{start}{'/'.join([*parts, rest])}" if any(parts) or start.endswith(":") else url


def _start(base: str) -> tuple[str, str]:
    """Give what of an address no `../` takes away, and the rest, in which the host counts as a step after `://`."""
    scheme, separator, path = base.rpartition("://")
    if separator or not repository.is_ssh(base):
        return f"{scheme}{separator}", path
    host, colon, path = base.partition(":")
    return f"{host}{colon}", path


def check_ref(ref: str) -> None:
    """Raise Invalid(RefNotFound) unless `ref` can be a ref's name (git-check-ref-format(1)) or a commit."""
    bad = (
        len(ref) > REF_LIMIT
        or not ref.isprintable()
        or ref.startswith(("-", "/", "."))
        or ref.endswith(("/", ".", ".lock"))
        or re.search(r"\.\.|//|/\.|@\{|[ ~^:?*\[\\]", ref)
    )
    if hidden := invisible(ref):
        raise Invalid("RefNotFound", [f"ref: {hidden}"])
    if bad:
        line = f'ref: "{clean(ref, 100)}" can\'t be the name of a branch, a tag or a commit (git-check-ref-format)'
        raise Invalid("RefNotFound", [f"{line}: give one that `git ls-remote` shows"])


def pick(refs: Mapping[str, str], ref: str) -> str:
    """Give the commit that `ref` names among the advertised refs, "" if none.

    The order is that of gitrevisions(7): the full name, refs/X, refs/tags/X, refs/heads/X. So a tag wins over a
    branch of its name. An annotated tag gives the commit that it points to.
    """
    for name in (ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
        if name in refs:
            return refs.get(f"{name}^{{}}", refs[name])
    return ""


def unknown_ref(url: str, refs: Iterable[str], ref: str) -> Invalid:
    """Give the error for a ref that the remote does not have, with the nearest ones that it has."""
    short = sorted({name.removeprefix("refs/heads/").removeprefix("refs/tags/") for name in refs if "^" not in name})
    names = [name for name in short if name != "HEAD" and not name.startswith("refs/")]
    there = near(ref, names, SHOWN) or names[:SHOWN]
    choice = f"; choose from {', '.join(clean(name, 60) for name in there)}" if there else ""
    what = f'no branch, tag or commit "{clean(ref, 100)}"' if ref else "no commit that HEAD names: give a `ref`"
    return Invalid("RefNotFound", [f"{place(url)}: it has {what}{choice}"])


def check_path(path: str) -> None:
    """Raise Invalid(PathNotFound) unless `path` is a relative POSIX path that stays below the repository."""
    parts = path.split("/")
    if not path or not path.isprintable() or path.startswith("/") or "\\" in path or ".." in parts or ".git" in parts:
        line = f'path: "{clean(path, 100)}" does not stay inside the repository: give a folder relative to its root'
        raise Invalid("PathNotFound", [line])
