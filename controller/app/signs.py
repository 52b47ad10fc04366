"""The signs of requests for who scrapes: out of the watch caches, and computed again only where something changed."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.adapters.web.ports import Live
from controller.core import signs, slots
from controller.core.signs import Signs

SECONDS = 1.0  # of a scrape, for records that changed: after a start all have; the rest of them come with the next


@dataclass(frozen=True, slots=True)
class Known:
    """What was made of a request at a version of it."""

    version: int
    signs: Signs


class LiveSigns:
    """Remembers the signs of living requests. Safe to use from many threads."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._known: Mapping[str, Known] = {}

    def of(self, names: Collection[str]) -> Mapping[str, Signs]:
        """Return the signs of these requests; those of others are forgotten."""
        until, now, known = time.thread_time() + SECONDS, datetime.now(UTC), dict(self._known)
        versions = {name: known[name].version if name in known else -1 for name in names}
        changed = [name for name in names if versions[name] != self._live.version(name)]
        for name in sorted(changed, key=versions.__getitem__):  # those that have waited longest
            if request := self._live.request(name):
                known[name] = Known(request.version, signs.of_request(request.config_map, request.record))
            if time.thread_time() > until:
                break
        found = {name: _with_slot(known[name], now) for name in names if name in known}
        self._known = found
        return {name: each.signs for name, each in found.items()}


def _with_slot(known: Known, now: datetime) -> Known:
    """Return what is known with the next slot after `now`."""
    if known.signs.schedule is None or (known.signs.next_slot or 0.0) > now.timestamp():
        return known
    following = slots.following(*known.signs.schedule, now)
    return replace(known, signs=replace(known.signs, next_slot=following.timestamp() if following else None))
