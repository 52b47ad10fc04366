"""When files were last changed in meaning: along the commits that touched them, newest first, bounded.

It reads the mirror alone. A commit's day is its committer's, in UTC. Of a folder as it stands, what is not committed
has no day; where the mirror lacks the history (a shallow clone), the commit's own day stands in.
"""

import posixpath
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from controller.adapters.git.command import Failed, TooLarge
from controller.adapters.git.mirror import Mirrors

COMMITS = 100  # looked at: a bodywork.yaml may be touched often before its requirements are
Meaning = Callable[[Mapping[str, bytes]], Hashable]


def last_change(
    mirrors: Mirrors, repository: str, commit: str, path: str, files: tuple[str, ...], meaning: Meaning
) -> str:
    """Return the day (2021-03-05) since which these files of the project mean what they mean; "" for none.

    Raises Failed, TimedOut, TooLarge where not even the commit can be read.
    """
    names = {file: posixpath.normpath(posixpath.join(path, file)) for file in files}
    try:
        touching = _log(mirrors, repository, [f"--max-count={COMMITS}", commit, "--", *names.values()])
    except Failed:
        touching = []
    if not touching:  # no history, or they are not the repository's own (a submodule's)
        touching = _log(mirrors, repository, ["--no-walk", commit])
    since, now = touching[0][1], None
    for changed, seconds in touching:
        told = meaning(dict(_texts(mirrors, repository, changed, names)))
        if now is not None and told != now:
            break
        since, now = seconds, told
    return _day(since)


def _log(mirrors: Mirrors, repository: str, arguments: Sequence[str]) -> list[tuple[str, int]]:
    """Return commits with their committer's time."""
    out = mirrors.local(repository, ["log", "--format=%H %ct", *arguments], None, GIT_LITERAL_PATHSPECS="1")
    lines = (line.split() for line in out.decode().splitlines())
    return [(commit, int(seconds)) for commit, seconds in lines]


def _texts(mirrors: Mirrors, repository: str, commit: str, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files that a commit has; `names` are their names in the repository."""
    for file, name in names.items():
        try:
            yield file, mirrors.local(repository, ["cat-file", "blob", f"{commit}:{name}"])
        except (Failed, TooLarge):  # it was not there yet, or was nothing that anybody reads
            continue


def _day(seconds: int) -> str:
    """Return a time's day in UTC, "" for one that can't be meant: what is not committed is of 1970."""
    try:
        day = datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
    return day if day > "2005" else ""
