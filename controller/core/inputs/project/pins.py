"""Pins that no longer work with the newest versions of what they need: a warning, and the day that mends them.

Refuses to guess: a stage that bounds the dependency itself, or whose Python can't have the version that breaks, is not
warned. A day has to suit every pin of all stages that run; whether all else was released by then, only an index
knows: a `Judge` asks it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.version import Version

from controller.core.inputs.project.breaks import BREAKS, DISTUTILS, RELEASED, USES, WITHOUT_DISTUTILS, Break
from controller.core.inputs.requirements import RequirementLine

LONGEST = 40  # characters of a version that is known


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage requires, and the Python that it runs on; "": not known."""

    entries: Sequence[RequirementLine]
    python: str = ""
    scripts: Mapping[str, bytes] = field(default_factory=dict)  # the stage's own, by their paths


@dataclass(frozen=True, slots=True)
class Pin:
    """A package at exactly one version, or, without one, what a script uses; and where that is written."""

    place: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A day as it may be proposed, "" where it may not; `remark` says what is to be known of it, or why not."""

    day: str
    remark: str = ""


Judge = Callable[[str, Mapping[str, Need]], Judged]
"""Judges a day for the requirements of stages."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The pins that no longer work, the last day on which they did, and whether all other pins were there by then."""

    broken: Mapping[Pin, tuple[Break, ...]]
    day: str
    fits: bool


def unasked(day: str, _needs: Mapping[str, Need]) -> Judged:
    """Propose a day as it is: where nobody asks the index."""
    return Judged(day, " (not tried against the package index: `coachwork validate` does)")


def propose(needs: Mapping[str, Need]) -> Proposal:
    """Return what is known of the pins of these stages."""
    broken: dict[Pin, tuple[Break, ...]] = {}
    for need in needs.values():
        for pin in _pins(need.entries):
            if breaks := _breaks(pin, need):
                broken[pin] = breaks
    for need in needs.values():  # and what its own scripts use that the newest version of a package no longer has
        named = {one.item.name for one in need.entries if one.item.versions is not None} - _bounded(need.entries)
        for path, text in need.scripts.items():
            for pattern, one in USES:
                if one.dependency in named and pattern.search(text):
                    broken[Pin(path, one.package, "")] = (one,)
    day = min((one.last for breaks in broken.values() for one in breaks), default="")
    fits = all(_released(pin) <= day for need in needs.values() for pin in _pins(need.entries))
    return Proposal(broken, day, fits)


def warnings(needs: Mapping[str, Need], line: str, judge: Judge = unasked) -> tuple[str, ...]:
    """Return a warning for each pin that no longer works. `line` is what to write, with `{}` for the day."""
    found = propose(needs)
    late = [need for need in needs.values() if need.python and _version(need.python) >= _version(WITHOUT_DISTUTILS)]
    pins = dict.fromkeys(pin for need in late for pin in _pins(need.entries))
    gone = tuple(  # what no day mends
        f"{pin.place}: {pin.name}=={pin.version} imports distutils, which Python {WITHOUT_DISTUTILS} no longer has: "
        f"write PYTHON = 3.11, or a version from {DISTUTILS[pin.name]} on"
        for pin in pins
        if pin.name in DISTUTILS and _version(pin.version) < _version(DISTUTILS[pin.name])
    )
    if not found.broken:
        return gone
    judged = judge(found.day, needs) if found.fits else Judged("", "no day has versions for all pins of this project")
    return (*gone, *(_sentence(pin, breaks, judged, line) for pin, breaks in found.broken.items()))


def _sentence(pin: Pin, breaks: Sequence[Break], judged: Judged, line: str) -> str:
    first = min(breaks, key=lambda one: one.last)
    bounds = "pin " + ", ".join(f"{one.dependency}<{one.bound}" for one in breaks) + " too"
    remedy = (
        f"write {line.format(judged.day)}{judged.remark}, or {bounds}" if judged.day else f"{bounds} ({judged.remark})"
    )
    if not pin.version:
        return f"{pin.place}: {pin.name} is not in {first.dependency} {first.bound} and later: {remedy}"
    what = f"{pin.name}=={pin.version} does not work with {first.dependency} {first.bound} and later ({first.why})"
    return f"{pin.place}: {what}: {remedy}"


def _pins(entries: Iterable[RequirementLine]) -> list[Pin]:
    """Return the exact pins of released versions."""
    exact = ((one, next(iter(one.item.versions or ()))) for one in entries if one.item.is_pinned)
    return [
        Pin(one.place, one.item.name, pin.version)
        for one, pin in exact
        if pin.operator == "==" and len(pin.version) <= LONGEST  # `===` takes any text
        if not (_version(pin.version).is_prerelease or _version(pin.version).local)
    ]


def _bounded(entries: Iterable[RequirementLine]) -> frozenset[str]:
    """Return the packages that the lines keep from being the newest, or take from elsewhere."""
    upper = {"==", "===", "<", "<=", "~="}
    return frozenset(
        one.item.name
        for one in entries
        if one.item.name and (one.item.versions is None or any(each.operator in upper for each in one.item.versions))
    )


def _breaks(pin: Pin, need: Need) -> tuple[Break, ...]:
    version, bounded = _version(pin.version), _bounded(need.entries)
    return tuple(
        one
        for one in BREAKS
        if one.package == pin.name
        and _version(one.since) <= version < _version(one.below)
        and one.dependency not in bounded
        and (not need.python or _version(need.python) >= _version(one.python))
    )


def _released(pin: Pin) -> str:
    """Return a day on which the version was there, "" where it was there before all breaks, or is not known."""
    days, version = RELEASED.get(pin.name, {}), _version(pin.version)
    earlier = [(_version(other), day) for other, day in days.items() if _version(other) <= version]
    return max(earlier, default=(version, ""))[1]


@lru_cache(1000)
def _version(text: str) -> Version:
    return Version(text)
