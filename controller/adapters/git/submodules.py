"""What a commit says of its submodules, read as data.

`git submodule` is never run: it would obey `update = !command`. Refuses addresses that we would refuse of a request.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.adapters.git.address import Remote, check_opened, check_repository, relative
from controller.adapters.git.command import Failed
from controller.adapters.git.faults import clean
from controller.adapters.git.mirror import Mirrors

LINK = "160000"  # mode of a submodule's entry in a tree


@dataclass(frozen=True, slots=True)
class Entry:
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


def entries(mirrors: Mirrors, url: str, commit: str) -> list[Entry]:
    """List all files and submodules of a commit in the mirror. Raises Failed, TimedOut, TooLarge."""
    out = mirrors.local(url, ["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit])
    return [_entry(line) for line in out.decode(errors="surrogateescape").split("\0") if line]


def _entry(line: str) -> Entry:
    facts, _, path = line.partition("\t")
    mode, _, name, size = facts.split()
    return Entry(mode, name, 0 if size == "-" else int(size), path)


def submodules(mirrors: Mirrors, url: str, commit: str, listed: Iterable[Entry]) -> list[Submodule]:
    """Give the submodules of a commit with their absolute addresses, not yet judged."""
    links = [entry for entry in listed if entry.mode == LINK]
    if not links:
        return []
    urls = _urls(mirrors, url, commit)
    return [Submodule(link.path, link.object, relative(url, urls.get(link.path, ""))) for link in links]


def check(module: Submodule, remote: Remote, *, allow_file: bool) -> None:
    """Raise Invalid where a submodule's address is none that git may be given, or needs a key that is not sent there.

    RepositoryRefused, GitSecretRequired.
    """
    where = f'.gitmodules: submodule "{clean(module.path)}"'
    check_repository(module.url, allow_file=allow_file, where=where)
    check_opened(remote, where=where)


def _urls(mirrors: Mirrors, url: str, commit: str) -> dict[str, str]:
    """Give each submodule's address by its path, as .gitmodules of the commit has it, by git's own parser."""
    query = ["config", "--blob", f"{commit}:.gitmodules", "--no-includes", "-z", "--get-regexp", r"^submodule\."]
    try:
        out = mirrors.local(url, query).decode(errors="replace")
    except Failed:  # there is no such file, or it is no configuration
        return {}
    sections: dict[str, dict[str, str]] = {}
    for line in out.split("\0"):
        key, _, value = line.partition("\n")
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    wanted = [section for section in sections.values() if section.get("update") != "none"]
    return {section["path"].rstrip("/"): section["url"] for section in wanted if {"path", "url"} <= set(section)}
