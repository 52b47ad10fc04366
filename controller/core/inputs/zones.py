"""The time zones of the IANA database, and which of them is meant by what people write instead."""

import re
from functools import cache
from importlib import resources

from controller.core.text import QUOTE_LIMIT, near

SHOWN = 3  # zones in a remedy
_OFFSET = re.compile(r"(UTC|GMT|)\s*([+-]?)\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
_WEST, _EAST = 12, 14  # whole hours that Etc/GMT+12 to Etc/GMT-14 reach
_PLACES = {210: "Asia/Tehran", 270: "Asia/Kabul", 330: "Asia/Kolkata", 345: "Asia/Kathmandu", 390: "Asia/Yangon",
           525: "Australia/Eucla", 570: "Australia/Darwin", -570: "Pacific/Marquesas"}  # fmt: skip
_LETTERS = {
    "PT": "America/Los_Angeles", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "MT": "America/Denver", "MST": "America/Denver", "MDT": "America/Denver",
    "CT": "America/Chicago", "CST": "America/Chicago", "CDT": "America/Chicago",
    "ET": "America/New_York", "EST": "America/New_York", "EDT": "America/New_York",
    "BST": "Europe/London", "WEST": "Europe/Lisbon", "CET": "Europe/Berlin", "CEST": "Europe/Berlin",
    "MEZ": "Europe/Berlin", "MESZ": "Europe/Berlin", "EET": "Europe/Athens", "EEST": "Europe/Athens",
    "MSK": "Europe/Moscow", "IST": "Asia/Kolkata", "SGT": "Asia/Singapore", "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo", "KST": "Asia/Seoul", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
}  # fmt: skip


@cache
def known() -> frozenset[str]:
    """Return the names of all zones, from the package tzdata: the same list on every machine."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def remedy(text: str) -> str:
    """Return what to write instead of a name that no zone has; the whole list would help nobody."""
    text = text.strip()[:QUOTE_LIMIT]
    offset = _OFFSET.fullmatch(text.replace("\N{MINUS SIGN}", "-"))
    if offset and (offset[1] or offset[2]):
        return _fixed((-1 if offset[2] == "-" else 1) * (int(offset[3]) * 60 + int(offset[4] or 0)))
    letters = re.split(r"[-+0-9]", text.upper())[0]
    if letters in _LETTERS:
        return f"abbreviations mean several zones: write a place, like {_LETTERS[letters]}"
    if meant := _meant(text):
        return f"did you mean {' or '.join(meant)}?"
    return "write a name like Europe/Paris, or remove it for UTC"


def _fixed(minutes: int) -> str:
    """Return the zone that is always so many minutes ahead of UTC."""
    hours, rest = divmod(abs(minutes), 60)
    where = f"{hours}:{rest:02} hours" if rest else f"{hours} hour{'' if hours == 1 else 's'}"
    offset = f"{where} {'ahead of' if minutes > 0 else 'behind'} UTC"
    if not minutes:
        return "write Etc/UTC, or remove it"
    if minutes in _PLACES:
        return f"for {offset} write {_PLACES[minutes]}"
    if rest or hours > (_EAST if minutes > 0 else _WEST):
        return f"no zone is always {offset}: write a place, like Europe/Paris"
    zone = f"Etc/GMT{'-' if minutes > 0 else '+'}{hours}"
    return (
        f"for {offset} write {zone} (its sign is the other way round), or a place like Europe/Paris, with summer time"
    )


def _meant(text: str) -> list[str]:
    """Return the zones whose name, or last part, this is or almost is; in whatever case, with spaces or without."""
    name = re.sub(r"[\s-]+", "_", text).lower()
    whole = {zone.lower(): [zone] for zone in known()}
    cities: dict[str, list[str]] = {}
    for zone in sorted(known()):
        if "/" in zone:
            cities.setdefault(zone.rpartition("/")[2].lower(), []).append(zone)
    for names in (whole, cities):
        if name in names:
            return names[name][:SHOWN]
    for names in (whole, cities):
        if close := near(name, names, cutoff=0.75):
            return names[close[0]][:SHOWN]
    return []
