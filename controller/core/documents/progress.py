"""How far a build is, which its installer says in `progress.json`, and what else a stage waits for before its script.

What is built may write there, too: nothing is believed but what has the right shape, and is new.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.core import times
from controller.core.documents import codec
from controller.core.text import fit, format_size

LIMIT = 16 * 1024  # bytes of the file
ALIVE = timedelta(seconds=60)  # in which an installer at work writes again, whatever the clocks of two nodes say


@dataclass(frozen=True, slots=True)
class Download:
    """A package that is downloaded: how many bytes of it are there, and how many it has."""

    name: str = ""
    got: int = 0
    size: int = 0

    @property
    def words(self) -> str:
        """Return how much of it is there: `8.6 MiB of 33.7 MiB`."""
        return f"{format_size(self.got)} of {format_size(self.size)}"


@dataclass(frozen=True, slots=True)
class Progress:
    """What happens before a script runs: `step` in short, `doing` how far it is as well; `since` when it began."""

    step: str = ""
    doing: str = ""
    since: str = ""
    done: int = 0  # packages
    of: int = 0
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True, slots=True)
class _File(Progress):
    written: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What each stage and environment of a run is at, of those whose script does not run yet."""

    run: int = 0
    stages: Mapping[str, Progress] = field(default_factory=dict, hash=False)


def read(text: str, now: datetime) -> Progress | None:
    """Return how far a build is, None where nobody says so, or has said so for long."""
    file = codec.good(codec.from_json(_File, text, "what a build says of itself"))
    written = times.moment(file.written) if file else None
    if not file or not written or abs(now - written) > ALIVE:
        return None
    downloads = tuple(Download(fit(item.name), max(item.got, 0), max(item.size, 0)) for item in file.downloads)
    since = file.since if times.moment(file.since) else ""
    return Progress(fit(file.step), fit(file.doing), since, max(file.done, 0), max(file.of, 0), downloads)
