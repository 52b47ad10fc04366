"""What `coachwork deploy` takes from the clone that it is called in, and what it says about that clone."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from controller.adapters.git import read_clone
from controller.app.place import project_folder
from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import repository
from controller.core.text import clean, quoted

_USER: Final = re.compile(r"^(https?://)[^/]*@")
_SHORT: Final = 7  # digits of a commit


@dataclass(frozen=True, slots=True)
class Source:
    """What is deployed: an address that a cluster can read, a ref and a folder there; and what to warn of."""

    address: str
    ref: str
    path: str  # "": the top
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of a request of it, unless another is given: that of the folder, or of the repository."""
        last = re.split("[/:]", (self.path or self.address).rstrip("/"))[-1]
        return names.request(last.removesuffix(".git"))


@cache  # it is asked for before a cluster is called, and then
def source(target: str, ref: str, path: str) -> Source:
    """Return what a clone's folder stands for on the remote that it is pushed to; a `ref` that is given stays.

    Raises Invalid where the folder holds no project, or no cluster could read it.
    """
    folder = project_folder(target, path or ".")
    clone = read_clone(folder)
    place = clean(str(folder.resolve()))
    push = "push it to a server that the cluster can reach"
    if clone is None:
        raise Invalid("WrongUse", [f"{place} is in no Git repository, and no cluster can read it here: {push}"])
    if not clone.commit:
        raise Invalid("WrongUse", [f"{place} has no commit yet: git add, git commit, and {push}"])
    if not clone.remote:
        raise Invalid("WrongUse", [f"{place} has no remote: {push}: git remote add origin https://HOST/PATH"])
    remote = f"remote {clean(clone.remote)} of {place}"
    address = _USER.sub(r"\1", clone.address)
    if repository.is_local(address) or not repository.resembles_address(address):
        line = f"{remote} is {quoted(address)}, on this machine, where no cluster can read it: {push}"
        raise Invalid("WrongUse", [f"{line}: git remote set-url {clean(clone.remote)} https://HOST/PATH"])
    try:
        repository.address(address)
    except ValueError as error:
        raise Invalid("WrongUse", [f"address of {remote}: {error}"]) from None
    warnings = []
    if address != clone.address:
        warnings.append(f"{remote} holds credentials, which were left out: for a private repository give --git-secret")
    if not ref:
        warnings += _left_behind(clone.branch, clone.upstream, clone.remote, clone.commit[:_SHORT], clone.unpushed)
        if clone.changed:
            files = "1 file is" if clone.changed == 1 else f"{clone.changed} files are"
            warnings.append(f"{files} not as committed: the cluster runs without these changes")
    return Source(address, ref or clone.upstream or clone.commit, clone.path, tuple(map(clean, warnings)))


def _left_behind(branch: str, upstream: str, remote: str, commit: str, unpushed: int | None) -> list[str]:
    """Return the warnings about what the remote does not have, as far as this clone knows."""
    if not branch:
        line = f"HEAD is detached: commit {commit} is deployed, whatever is pushed later: git switch BRANCH"
        return [line, *([f"commit {commit} is not on {remote}: push it"] if unpushed else [])]
    if unpushed is None:
        return [
            f"branch {branch} was never pushed to {remote}, so the cluster won't find it: git push -u {remote} {branch}"
        ]
    commits = "1 commit" if unpushed == 1 else f"{unpushed} commits"
    return (
        [f"{commits} of branch {branch} not pushed: the cluster runs {remote}/{upstream}: git push"] if unpushed else []
    )
