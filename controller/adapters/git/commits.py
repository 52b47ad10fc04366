"""What a commit in a mirror holds and says: its files, its submodules, and when files last changed.

All of it is data: `git submodule` is never run, since it would obey `update = !command`. Refuses addresses of
submodules that a request may not give.
"""

import hashlib
import posixpath
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.adapters.git.command import Failed, TooLarge
from controller.adapters.git.faults import clean
from controller.adapters.git.mirror import Mirrors
from controller.adapters.git.remote import Remote, check_opened, check_repository
from controller.core.inputs.repository import is_sha256, relative

LINK = "160000"  # mode of a submodule's entry in a tree
COMMITS = 100  # of a history, at most: a bodywork.yaml may be touched often before its requirements are
ABSENT = r"fatal: .*(does not exist in|exists on disk, but not in|bad file).*"  # all that git says then
Meaning = Callable[[Mapping[str, bytes]], Hashable]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of a commit's recursive listing. `size` in bytes, 0 for a submodule."""

    mode: str
    object: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule; `url` is "" where .gitmodules does not name it or says `update = none`: its folder stays empty."""

    path: str
    commit: str
    url: str


def entries(mirrors: Mirrors, url: str, commit: str) -> list[TreeEntry]:
    """Return all files and submodules of a commit in the mirror. Raises Failed, TimedOut, TooLarge."""
    out = mirrors.local(url, ["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit])
    lines = (line.partition("\t") for line in out.decode(errors="surrogateescape").split("\0") if line)
    split = ((*facts.split(), path) for facts, _, path in lines)
    with _sound("a tree that can't be read"):  # the size of a damaged object is BAD, and git ends well
        return [TreeEntry(mode, name, 0 if size == "-" else int(size), path) for mode, _, name, size, path in split]


def submodules(mirrors: Mirrors, url: str, commit: str, listed: Iterable[TreeEntry]) -> list[Submodule]:
    """Return the submodules of a commit with their absolute addresses, not yet judged.

    .gitmodules is read by git's own parser. Raises TimedOut, TooLarge.
    """
    links = [entry for entry in listed if entry.mode == LINK]
    sections: dict[str, dict[str, str]] = {}
    query = ["config", "--blob", f"{commit}:.gitmodules", "--no-includes", "-z", "--get-regexp", r"^submodule\."]
    with suppress(Failed):  # there is no such file, or it is not a configuration
        out = mirrors.local(url, query).decode(errors="replace") if links else ""
        for line in out.split("\0"):
            key, _, value = line.partition("\n")
            section, _, name = key.rpartition(".")
            sections.setdefault(section, {})[name] = value
    used = [section for section in sections.values() if section.get("update") != "none"]
    urls = {section["path"].rstrip("/"): section["url"] for section in used if {"path", "url"} <= set(section)}
    return [Submodule(link.path, link.object, relative(url, urls.get(link.path, ""))) for link in links]


def check(module: Submodule, remote: Remote, *, allow_file: bool) -> None:
    """Raise Invalid where git may not be given a submodule's address, or it needs a key that is not sent there.

    RepositoryRefused, GitSecretRequired.
    """
    where = f'.gitmodules: submodule "{clean(module.path)}"'
    check_repository(module.url, allow_file=allow_file, where=where)
    check_opened(remote, where=where)


def last_change(
    mirrors: Mirrors, repository: str, commit: str, path: str, files: tuple[str, ...], meaning: Meaning
) -> str:
    """Return the day (2021-03-05, in UTC) since which these files of the project mean what they mean; "" for none.

    The commits that touched them are read, newest first; a commit's day is its committer's. What is not committed of a
    folder as it stands has no day; where the mirror lacks the history (a shallow clone), the commit's own day stands
    in. Raises Failed, TimedOut, TooLarge where the mirror can't be read.
    """
    names = {file: posixpath.normpath(posixpath.join(path, file)) for file in files}
    touching: list[tuple[str, int]] = []
    with suppress(*([Failed] if mirrors.borrows(repository) else [])):  # a clone of this machine may be a shallow one
        touching = _log(mirrors, repository, [f"--max-count={COMMITS}", commit, "--", *names.values()])
    if not touching:  # no history, or they are not the repository's own (a submodule's)
        touching = _log(mirrors, repository, ["--no-walk", commit])
    if not touching:
        raise Failed(0, "a commit that is not shown")
    since, now = touching[0][1], None
    for changed, seconds in touching:
        texts: dict[str, bytes] = {}
        for file, name in names.items():
            with suppress(TooLarge):  # nothing that anybody reads
                try:
                    texts[file] = mirrors.local(repository, ["cat-file", "blob", f"{changed}:{name}"])
                except Failed as failed:
                    if not re.fullmatch(ABSENT, failed.stderr.strip()):
                        raise
        meant = meaning(texts)
        if now is not None and meant != now:
            break
        since, now = seconds, meant
    day = ""
    with suppress(ValueError, OverflowError, OSError):
        day = datetime.fromtimestamp(since, UTC).date().isoformat()
    return day if day > "2005" else ""  # what is not committed is of 1970


def _log(mirrors: Mirrors, repository: str, arguments: list[str]) -> list[tuple[str, int]]:
    """Return commits with their committer's time, 0 where a commit has none that can be read."""
    out = mirrors.local(repository, ["log", "--format=%H %ct", *arguments], None, GIT_LITERAL_PATHSPECS="1")
    found = []
    for line in out.decode(errors="replace").splitlines():
        commit, _, seconds = line.partition(" ")
        if not (timed := re.fullmatch(r"[0-9]{1,20}", seconds)):
            content = mirrors.local(repository, ["cat-file", "commit", commit])
            if object_id("commit", content, like=commit) != commit:
                raise Failed(0, "a commit without a time")
        found.append((commit, int(seconds) if timed else 0))
    return found


def object_id(kind: str, content: bytes, *, like: str) -> str:
    """Return the id of an object with this content, by the hash that the id `like` is of."""
    known = hashlib.sha256 if is_sha256(like) else hashlib.sha1
    return known(f"{kind} {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def _sound(what: str) -> Iterator[None]:
    """Raise Failed where git has printed what it never prints of a sound mirror."""
    try:
        yield
    except ValueError as error:
        raise Failed(0, what) from error
