"""A repository that git is about to be given: the last look at its address, and which commit a ref of it names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from controller.adapters.git.faults import clean
from controller.core.errors import Invalid
from controller.core.inputs import repository
from controller.core.inputs.credentials import fitting
from controller.core.model import GitCredentials
from controller.core.text import near

SHOWN = 5  # names in a suggestion


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository, and what opens it; None: nothing is needed, or nothing is given."""

    url: str
    credentials: GitCredentials | None = None

    def at(self, url: str) -> "Remote":
        """Return the repository at another address, with these credentials if they may be sent there."""
        return Remote(url, fitting(self.credentials, self.url, url))


@dataclass(frozen=True, slots=True)
class Refs:
    """What a remote advertises: the commits of its refs by their full names, and its default branch, "" for none."""

    commits: Mapping[str, str]
    default: str = ""


def place(url: str) -> str:
    """Return the start of a message about a repository; nothing before an `@` is shown, whatever it is."""
    return f"repository {clean(url.rpartition('@')[2])}"


@contextmanager
def checking(reason: str, where: str) -> Iterator[None]:
    """Raise Invalid, with this reason and place, for what a grammar refuses."""
    try:
        yield
    except ValueError as error:
        raise Invalid(reason, [f"{where}: {error}"]) from None


def check_repository(url: str, *, allow_file: bool, where: str = "") -> None:
    """Raise Invalid(RepositoryRefused) unless `url` is an address that git may be given.

    `where` names what holds the address, if that is not the request.
    """
    with checking("RepositoryRefused", where or place(url)):
        if repository.is_local(repository.address(url, folders=True)) and not allow_file:
            raise ValueError("repositories on the controller's own disk are switched off: write an https address")


def check_opened(remote: Remote, *, where: str = "") -> None:
    """Raise Invalid(GitSecretRequired) for a repository over ssh without a key; `where` is as in check_repository."""
    if not repository.is_ssh(remote.url) or (remote.credentials and remote.credentials.private_key):
        return
    fault = "it is reached over ssh, which needs git-secret"
    if where:
        fault = (
            "it is reached over ssh on another server, where git-secret is not sent: write a relative or https address"
        )
    raise Invalid("GitSecretRequired", [f"{where or place(remote.url)}: {fault}"])


def pick(refs: Mapping[str, str], ref: str) -> str:
    """Return the commit that `ref` names among the advertised refs, "" if none.

    The order is that of gitrevisions(7): the full name, refs/X, refs/tags/X, refs/heads/X. So a tag wins over a
    branch of its name. An annotated tag gives the commit that it points to.
    """
    for name in (ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
        if name in refs:
            return refs.get(f"{name}^{{}}", refs[name])
    return ""


def unknown_ref(url: str, refs: Refs, ref: str) -> Invalid:
    """Return the error for a ref that the remote does not have: the nearest ones that it has, the default branch."""
    full = (name for name in refs.commits if "^" not in name)
    short = sorted({name.removeprefix("refs/heads/").removeprefix("refs/tags/") for name in full})
    names = [name for name in short if name != "HEAD" and not name.startswith("refs/")]
    default = [name for name in names if name == refs.default]  # HEAD may name a branch that does not exist
    close = near(ref, names, SHOWN)
    there = dict.fromkeys([*close, *default, *([] if close else names[:SHOWN])])
    marked = (f"{clean(name, 60)}{' (the default branch)' if name in default else ''}" for name in there)
    choice = f"; choose from {', '.join(marked)}" if there else ""
    what = f'no branch, tag or commit "{clean(ref, 100)}"' if ref else "no commit that HEAD names: give a `ref`"
    return Invalid("RefNotFound", [f"{place(url)}: it has {what}{choice}"])
