"""The list of all requests: those that need somebody first, searched and cut to one page."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controller.core import slots, times
from controller.core.documents.status import Brief
from controller.core.model import IN_NEED
from controller.core.pages.states import Tone, tone
from controller.core.text import visible

UNRECORDED: Final = "the controller has not noticed it yet"
PAGE: Final = 100  # rows


@dataclass(frozen=True, slots=True)
class Row:
    """One request in the list; times are RFC 3339, "" where there is none."""

    name: str
    phase: str
    tone: Tone
    message: str
    run: str
    commit: str
    active: bool
    changed: str  # when its run began, or ended
    schedule: tuple[str, str]  # and its time zone
    suspended: bool

    @property
    def words(self) -> str:
        """What a search finds it by."""
        return f"{self.name} {self.phase} {self.message} {self.commit}".lower()

    def next(self, now: datetime) -> str:
        """Return when its schedule comes next, "" where it does not."""
        slot = None if self.suspended else slots.following(*self.schedule, now)
        return times.text(slot) if slot else ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of the list shows: some of the `found`, and how many there are of each phase."""

    shown: tuple[Row, ...]
    found: int
    number: int
    pages: int
    phases: tuple[tuple[str, int], ...]


def row(name: str, data: Mapping[str, str], record: Brief | None) -> Row:
    """Return the row of a request with these keys, and its record."""
    said = record or Brief(message=UNRECORDED)
    return Row(
        name=name,
        phase=visible(said.phase),
        tone=tone(said.phase),
        message=visible(said.message),
        run=visible(said.run),
        commit=visible(said.commit),
        active=said.active,
        changed=visible(said.changed),
        schedule=(data.get("schedule", ""), data.get("time-zone", "")),
        suspended=slots.is_suspended(data),
    )


def page(rows: Iterable[Row], search: str, phase: str, number: int) -> Page:
    """Return a page of the rows whose name, phase, message or commit holds all words of `search`, and in that phase."""
    words = search.lower().split()
    matching = [item for item in rows if all(word in item.words for word in words)]
    counts = Counter(item.phase for item in matching)
    found = [item for item in matching if phase in ("", item.phase)]
    found.sort(key=lambda item: (item.phase not in IN_NEED, not item.active, item.name))
    pages = max(-(-len(found) // PAGE), 1)
    number = min(max(number, 1), pages)
    order = sorted(counts.items(), key=lambda pair: (pair[0] not in IN_NEED, pair[0]))
    return Page(tuple(found[PAGE * (number - 1) : PAGE * number]), len(found), number, pages, tuple(order))
