"""The signs of requests for who scrapes: out of the watch caches, and computed again only where something changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.adapters.web.ports import Live
from controller.core import signs, slots
from controller.core.signs import Signs


@dataclass(slots=True)
class Known:
    """What was made of a request at a version of it."""

    version: int
    signs: Signs


class Signals:
    """Remembers the signs of living requests."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._known: dict[str, Known] = {}

    def of(self, names: Iterable[str]) -> Mapping[str, Signs]:
        """Return the signs of these requests; those of others are forgotten."""
        now, found = datetime.now(UTC), dict[str, Known]()
        for name in names:
            known = self._known.get(name)
            if (known is None or known.version != self._live.version(name)) and (request := self._live.request(name)):
                known = Known(request.version, signs.of_request(request.config_map, request.record))
            if known:
                found[name] = replace(known, signs=_with_slot(known.signs, now))
        self._known = found
        return {name: known.signs for name, known in found.items()}


def _with_slot(known: Signs, now: datetime) -> Signs:
    """Return the signs with the next slot after `now`."""
    if known.schedule is None or (known.next_slot or 0.0) > now.timestamp():
        return known
    following = slots.following(*known.schedule, now)
    return replace(known, next_slot=following.timestamp() if following else None)
