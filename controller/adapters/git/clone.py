"""A clone on this machine, as `coachwork deploy` reads it: where it is pushed to, and what a cluster would not see.

Nothing is fetched: what the remote has is what this clone last saw there.
"""

from dataclasses import dataclass
from pathlib import Path

from controller.adapters.git.command import Failed, Limits
from controller.adapters.git.snapshot import OWN, find
from controller.core.inputs.repository import resembles_address

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone's state. `path` is the folder that was asked about, below its top; "" for that."""

    path: str
    commit: str  # of HEAD; "": none yet
    branch: str  # on this machine; "": HEAD is detached
    remote: str  # the name of the one that the branch is pushed to; "": none
    address: str  # of the remote
    upstream: str  # the branch there
    unpushed: int | None  # commits that the remote does not have; None: it has no such branch
    changed: int  # files of the folder that are not as they are committed


def read_clone(folder: Path) -> Clone | None:
    """Return the clone that a folder is in, None where it is in none. Raises Invalid where git can't read it."""
    place = folder.resolve()  # git is started in another folder

    def ask(*arguments: str) -> str:
        try:
            out = OWN.run(["-C", str(place), *arguments], Limits(SECONDS))
        except Failed:
            return ""
        return out.decode(errors="surrogateescape").strip("\n")

    found = find(place)
    if not found.objects:
        return None
    branch, commit = ask("symbolic-ref", "--short", "HEAD"), found.head
    form = "--format=%(upstream:remotename) %(upstream:remoteref)"
    tracked = ask("for-each-ref", form, f"refs/heads/{branch}") if branch else ""
    remote, _, ref = tracked.partition(" ")
    if remote in ("", "."):  # the upstream may be another branch of this clone
        known = ask("remote").splitlines()
        remote, ref = "origin" if "origin" in known else "".join(known[:1]), ""
    upstream = ref.removeprefix("refs/heads/") or branch
    there = f"--remotes={remote}" if not branch else f"refs/remotes/{remote}/{upstream}"
    # As it is written: insteadOf may name a way that only this machine has, unless it completes a short form.
    own = ask("config", "--get", f"remote.{remote}.url") if remote else ""
    count = ask("rev-list", "--count", commit, "--not", there) if commit and remote else ""
    return Clone(
        "" if found.path == "." else found.path,
        commit,
        branch,
        remote,
        own if resembles_address(own) else ask("remote", "get-url", remote) if remote else "",
        upstream,
        int(count) if count else None,
        len(ask("status", "--porcelain", "--", ".").splitlines()),
    )
