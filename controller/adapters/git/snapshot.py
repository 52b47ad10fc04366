"""A folder as git status shows it, as a commit in its mirror: what `coachwork run PATH` runs.

The same content gives the same commit, so that an unchanged folder is not published twice. Repositories inside it,
submodules too, are taken as they lie there, like other folders: nothing is fetched. The user's repositories are only
read, by the settings that git has there: index, objects and references of the snapshot are those of the mirror.
"""

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote

from controller.adapters.git.command import Failed, Limits, Runner
from controller.adapters.git.faults import clean, detail
from controller.adapters.git.mirror import KEPT, Mirrors
from controller.core.errors import Invalid

SECONDS = 300.0
SHORT = 7  # digits of a commit where a person reads it
LINK = "160000 "  # how the index's line of a submodule begins
# Author and date say nothing here, and would make each snapshot of the same content another commit.
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "coachwork"), ("EMAIL", "coachwork@localhost"), ("DATE", "@0 +0000"))
}
OWN = Runner(None)  # with the person's own settings, which say what is ignored, and whose repositories may be read


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder at a commit of its mirror. `shown` is the commit as a person reads it: `abc1234+changes`."""

    repository: str
    commit: str
    path: str
    shown: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A working tree: its top folder, the project below it, its HEAD ("": none), where Git's objects are (None)."""

    top: Path
    path: str
    head: str = ""
    objects: Path | None = None
    sha256: bool = False

    @property
    def url(self) -> str:
        """The address under which the mirror knows it."""
        return f"file://{quote(str(self.top))}"


@dataclass(frozen=True, slots=True)
class Part:
    """A repository in a working tree, or the top folder without one, and what git takes of it.

    `below` is its place, "" or with a / at its end; names of files and of empty submodules are below that.
    """

    below: str
    ask: Callable[..., list[str]]  # git there, for names
    files: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def empty_below(self, top: Path) -> Iterator[tuple[str, str]]:
        """Yield its empty submodules by their names below `top`, each with what to do."""
        for name in self.empty:
            command = ["git", "-C", str(top / self.below), "submodule", "update", "--init", "--", name]
            yield self.below + name, f"is a submodule that is not checked out: {clean(shlex.join(command))}"


def find(folder: Path) -> Folder:
    """Return the working tree that `folder` is in; a folder outside any repository is one by itself. Raises Invalid."""
    place = folder.resolve()
    with _readable(place):
        try:
            top = Path(_line(place, "rev-parse", "--show-toplevel")).resolve()
        except Failed as failed:
            if "not a git repository (or any" not in failed.stderr:  # it is one: broken, or of another user
                raise
            return Folder(place, ".")
        objects = place / _line(place, "rev-parse", "--git-path", "objects")
        sha256 = _line(place, "rev-parse", "--show-object-format") == "sha256"
        try:
            head = _line(place, "rev-parse", "--verify", "HEAD^{commit}")
        except Failed:  # no commit yet
            head = ""
    return Folder(top, place.relative_to(top).as_posix(), head, objects.resolve(), sha256)


def take(mirrors: Mirrors, folder: Folder) -> Snapshot:
    """Return the snapshot of a working tree. Raises Invalid where git can't read it; Transient, NotYet."""
    url, commit, changed = folder.url, folder.head, ""
    mirrors.create_empty(url, sha256=folder.sha256)
    if folder.objects:
        mirrors.borrow(url, folder.objects)
    with _readable(folder.top):
        parts = list(_parts(mirrors, folder))
        tree = _tree(mirrors, folder, {part.below + name for part in parts for name in part.files})
        if not commit or tree != mirrors.local(url, ["rev-parse", f"{commit}^{{tree}}"]).decode().strip():
            parent = ["-p", commit] if commit else []
            made = mirrors.local(url, ["commit-tree", tree, *parent, "-m", "as it stands"], None, **AUTHOR)
            commit = made.decode().strip()
            mirrors.local(url, ["update-ref", f"{KEPT}{commit}", commit])
            # A commit never holds the files of its submodules: another tree alone is no change.
            status = ["status", "--porcelain", "--ignore-submodules=none"]
            changed = "+changes" if folder.head and _ask(folder.top, {}, *status) else ""
    shown = f"{folder.head[:SHORT]}{changed}" if folder.head else "uncommitted"
    warnings = tuple(f"{clean(name)}: {why}" for part in parts for name, why in part.empty_below(folder.top))
    return Snapshot(url, commit, folder.path, shown, warnings)


def left_out(mirrors: Mirrors, folder: Folder) -> Mapping[str, str]:
    """Return why files that lie in the project are not in its snapshot, by their names below it. Raises Invalid."""
    reasons: dict[str, str] = {}
    with _readable(folder.top):
        for part in _parts(mirrors, folder):
            reasons |= part.empty_below(folder.top)
            ignored = part.ask("ls-files", "-z", "--others", "--ignored", "--exclude-standard")
            listed = "".join(f"{name}\0" for name in ignored)
            words = iter(part.ask("check-ignore", "--verbose", "-z", "--stdin", given=listed) if ignored else ())
            for source, line, rule, name in zip(words, words, words, words, strict=True):
                command = ["git", "-C", str(folder.top / part.below), "add", "-f", "--", name]
                which = clean(f"{rule} in line {line} of {source}")
                reasons[part.below + name] = (
                    f"is ignored by git ({which}): change that, or {clean(shlex.join(command))}"
                )
    start = "" if folder.path == "." else f"{folder.path}/"
    return {name.removeprefix(start): why for name, why in reasons.items() if name.startswith(start)}


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Raise Invalid where git can't read a working tree."""
    try:
        yield
    except Failed as failed:
        words = detail(failed.stderr)
        for line in failed.stderr.splitlines():
            if line.strip().startswith("git config --global --add safe.directory "):
                words += f": it is another user's: if you trust it, {clean(line.strip())}"
        raise Invalid("FolderUnreadable", [f"{clean(str(folder))}: git can't read it: {words}"]) from failed


def _ask(folder: Path, env: Mapping[str, str], *arguments: str, given: str = "") -> list[str]:
    """Ask git, as the user has it, about what is in a folder."""
    return _names(OWN.run(["-C", str(folder), *arguments], Limits(SECONDS), env, given))


def _names(listed: bytes) -> list[str]:
    return os.fsdecode(listed).removesuffix("\0").split("\0") if listed else []


def _line(folder: Path, *arguments: str) -> str:
    return _ask(folder, {}, *arguments)[0].strip("\n")


def _parts(mirrors: Mirrors, folder: Folder) -> Iterator[Part]:
    """Yield the working tree, and the repositories in it that git does not ignore."""
    is_real = cache(lambda place: Path(place).resolve() == Path(place))  # what is behind a link is not git's
    waiting = [""]
    while waiting:
        below = waiting.pop()
        place = folder.top / below
        is_repository = os.path.lexists(place / ".git") if below else folder.objects
        outside = {"GIT_DIR": str(mirrors.folder(folder.url)), "GIT_WORK_TREE": str(place)}
        part = Part(below, partial(_ask, place, {} if is_repository else outside))
        entries = [entry.partition("\t") for entry in part.ask("ls-files", "-z", "--stage")]
        links = {name for facts, _, name in entries if facts.startswith(LINK)}
        others = part.ask("ls-files", "-z", "--others", "--exclude-standard")
        for name in {name for _, _, name in entries}.union(others):
            inner = f"{place}/{name.rstrip('/')}"
            try:  # strings: a Path for each of very many files takes longer than all else
                mode = os.lstat(inner).st_mode if is_real(inner.rpartition("/")[0]) else 0
            except OSError:  # no longer there
                continue
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                part.files.append(name)
            elif name in links and stat.S_ISDIR(mode) and not any(Path(inner).iterdir()):
                part.empty.append(name)
            elif stat.S_ISDIR(mode) and (name in links or name.endswith("/")):
                waiting.append(f"{below}{name.rstrip('/')}/")
        yield part


def _tree(mirrors: Mirrors, folder: Folder, names: set[str]) -> str:
    """Return the tree of these files, from an index that is kept so that only changes are read."""
    index = mirrors.folder(folder.url) / "snapshot-index"
    git = partial(mirrors.local, folder.url, GIT_WORK_TREE=str(folder.top), GIT_INDEX_FILE=str(index))
    gone = set(_names(git(["ls-files", "-z"]))) - names
    for options, some in (["--force-remove"], gone), (["--add", "--remove"], names):
        git(["update-index", "-z", *options, "--stdin"], None, "".join(f"{name}\0" for name in sorted(some)))
    return git(["write-tree"]).decode().strip()
