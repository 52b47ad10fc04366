"""A folder as it stands, uncommitted changes included, as a commit in its mirror: what `coachwork run PATH` runs.

The same content gives the same commit, so that an unchanged folder is not published twice. Ignored files stay out, but
for those that the user's own index holds (`git add --force`). The user's repository is only read: index, objects and
references are those of the mirror.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from controller.adapters.git.command import Failed, Limits, Runner
from controller.adapters.git.faults import clean
from controller.adapters.git.mirror import KEPT, Mirrors
from controller.core.errors import Invalid

SECONDS = 300.0
SHORT = 7  # digits of a commit where a person reads it
# Author and date say nothing here, and would make each snapshot of the same content another commit.
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "coachwork"), ("EMAIL", "coachwork@localhost"), ("DATE", "@0 +0000"))
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder at a commit of its mirror. `shown` is the commit as a person reads it: `abc1234+changes`."""

    repository: str
    commit: str
    path: str
    shown: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A working tree: its top folder, the project below it, its HEAD ("": none), where Git's objects are (None)."""

    top: Path
    path: str
    head: str = ""
    objects: Path | None = None
    sha256: bool = False
    exclude: str = os.devnull  # what this clone ignores in addition to .gitignore
    forced: bytes = b""  # ignored files that the index holds all the same, each with a NUL after it
    dropped: bytes = b""  # files of HEAD that the index no longer holds

    @property
    def url(self) -> str:
        """The address under which the mirror knows it."""
        return f"file://{quote(str(self.top))}"


def find(runner: Runner, folder: Path) -> Folder:
    """Return the working tree that `folder` is in; a folder outside any repository is one by itself. Raises Invalid."""
    place = folder.resolve()
    try:
        top = Path(_outside(runner, place, ["rev-parse", "--show-toplevel"]))
    except Failed:
        return Folder(place, ".")
    objects = place / _outside(runner, place, ["rev-parse", "--git-path", "objects"])
    try:
        head = _outside(runner, place, ["rev-parse", "--verify", "HEAD^{commit}"])
    except Failed:  # no commit yet
        head = ""
    top = top.resolve()
    dropped = ["diff-index", "--cached", "--name-only", "--no-renames", "--diff-filter=D", "-z", "HEAD", "--"]
    with _readable(top):
        forced = _ask(runner, top, ["ls-files", "--cached", "--ignored", "--exclude-standard", "-z"]).split(b"\0")
        return Folder(
            top,
            place.relative_to(top).as_posix(),
            head,
            objects.resolve(),
            sha256=_outside(runner, place, ["rev-parse", "--show-object-format"]) == "sha256",
            exclude=str(place / _outside(runner, place, ["rev-parse", "--git-path", "info/exclude"])),
            forced=b"".join(name + b"\0" for name in forced if name and os.path.lexists(top / os.fsdecode(name))),
            dropped=_ask(runner, top, dropped) if head else b"",
        )


@contextmanager
def _readable(top: Path) -> Iterator[None]:
    """Raise Invalid where git can't read a working tree."""
    try:
        yield
    except Failed as failed:
        words = clean(failed.stderr.strip().split("\n")[-1])
        raise Invalid("FolderUnreadable", [f"{clean(str(top))}: git can't read it: {words}"]) from failed


def origin(runner: Runner, folder: Path) -> str:
    """Return the address of a folder's remote `origin`, "" for none."""
    try:
        return _outside(runner, folder, ["remote", "get-url", "origin"])
    except Failed:
        return ""


def take(mirrors: Mirrors, folder: Folder) -> Snapshot:
    """Return the snapshot of a working tree. Raises Invalid where git can't read it; Transient, NotYet."""
    url = folder.url
    mirrors.create_empty(url, sha256=folder.sha256)
    if folder.objects:
        mirrors.borrow(url, folder.objects)
    with _readable(folder.top):
        tree, commit = _tree(mirrors, folder), folder.head
        if not commit or tree != mirrors.local(url, ["rev-parse", f"{commit}^{{tree}}"]).decode().strip():
            parent = ["-p", commit] if commit else []
            made = mirrors.local(url, ["commit-tree", tree, *parent, "-m", "as it stands"], None, **AUTHOR)
            commit = made.decode().strip()
            mirrors.local(url, ["update-ref", f"{KEPT}{commit}", commit])
    changed = "" if commit == folder.head else "+changes"
    shown = f"{folder.head[:SHORT]}{changed}" if folder.head else "uncommitted"
    return Snapshot(url, commit, folder.path, shown)


def _outside(runner: Runner, folder: Path, arguments: Sequence[str]) -> str:
    """Ask git about the user's own repository, from inside it."""
    return _ask(runner, folder, arguments).decode(errors="surrogateescape").strip("\n")


def _ask(runner: Runner, folder: Path, arguments: Sequence[str]) -> bytes:
    return runner.run(["-C", str(folder), *arguments], Limits(SECONDS))


def _tree(mirrors: Mirrors, folder: Folder) -> str:
    """Return the tree of all files that git would take, from an index that is kept so that only changes are read."""
    index = mirrors.folder(folder.url) / "snapshot-index"
    env = {"GIT_WORK_TREE": str(folder.top), "GIT_INDEX_FILE": str(index)}
    (mirrors.folder(folder.url) / "snapshot-index.lock").unlink(missing_ok=True)  # of a run that was killed
    start = ["read-tree", "--reset", folder.head] if folder.head and index.exists() else ["read-tree", folder.head]
    mirrors.local(folder.url, start if folder.head else ["read-tree", "--empty"], None, **env)
    _with(mirrors, folder, ["rm", "--cached", "--force", "--quiet", "--ignore-unmatch"], folder.dropped, env)
    mirrors.local(folder.url, ["-c", f"core.excludesFile={folder.exclude}", "add", "--all", "--", ":/"], None, **env)
    _with(mirrors, folder, ["add", "--force"], folder.forced, env)
    return mirrors.local(folder.url, ["write-tree"], None, **env).decode().strip()


def _with(mirrors: Mirrors, folder: Folder, command: Sequence[str], names: bytes, env: Mapping[str, str]) -> None:
    """Run git on files, by a list that may be longer than a command line."""
    if names:
        listed = mirrors.folder(folder.url) / "snapshot-names"
        listed.write_bytes(names)
        options = [f"--pathspec-from-file={listed}", "--pathspec-file-nul"]
        mirrors.local(folder.url, [*command, *options], None, **env, GIT_LITERAL_PATHSPECS="1")
