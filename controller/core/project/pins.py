"""Pins that no longer work with the newest versions of what they need: a warning, and the day that mends them.

Knows few cases, each tried: installed with the newest dependencies its import fails (or its first use, where that is
said), and with those of the given day it works. Refuses to guess: a stage that bounds the dependency itself, or a
project that has set its day, is not warned.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Version = tuple[int, ...]
Lines = Mapping[str, str]
"""Requirement lines in normal form, each with its place."""


@dataclass(frozen=True, slots=True)
class Break:
    """Versions from `since` to below `below` do not work with `dependency` from `bound` on, released after `last`."""

    package: str
    since: str
    below: str
    dependency: str
    bound: str
    last: str  # the last day on which the newest dependency worked
    why: str


_REMOVED = "it removed what {} imports"
_BINARY = "its binary interface is another one"
_NUMPY = ("numpy", "2", "2024-06-15")  # https://numpy.org/doc/stable/release/2.0.0-notes.html
BREAKS = tuple(
    Break(package, since, below, dependency, bound, last, why.format(package))
    for (package, since, below), (dependency, bound, last), why in (
        # https://itsdangerous.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (json), released 2022-02-18
        (("flask", "1.0", "1.1.3"), ("itsdangerous", "2.1", "2022-02-17"), _REMOVED),
        # https://jinja.palletsprojects.com/en/3.1.x/changes/#version-3-1-0 (Markup, escape), released 2022-03-24
        (("flask", "1.0", "1.1.3"), ("jinja2", "3.1", "2022-03-23"), _REMOVED),
        # https://werkzeug.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (BaseResponse), released 2022-03-28
        (("flask", "1.0", "1.1.3"), ("werkzeug", "2.1", "2022-03-27"), _REMOVED),
        # https://markupsafe.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (soft_unicode), released 2022-02-18
        (("jinja2", "2.10", "3.0"), ("markupsafe", "2.1", "2022-02-17"), _REMOVED),
        (("flask", "1.1.3", "2.0"), ("markupsafe", "2.1", "2022-02-17"), "it removed what its Jinja2 imports"),
        # https://werkzeug.palletsprojects.com/en/3.0.x/changes/#version-3-0-0 (url_quote), released 2023-09-30
        (("flask", "2.0", "2.2.4"), ("werkzeug", "3", "2023-09-29"), _REMOVED),
        # https://docs.sqlalchemy.org/en/20/changelog/changelog_20.html, released 2023-01-26; fails at its first use
        (("flask-sqlalchemy", "2.5", "3.0"), ("sqlalchemy", "2", "2023-01-25"), "it removed what {} uses"),
        (("pandas", "1.2", "2.1.2"), _NUMPY, _BINARY),
        (("scikit-learn", "0.24", "1.3.1"), _NUMPY, _BINARY),
        # https://docs.scipy.org/doc/scipy/release/1.13.0-notes.html (linalg.triu), released 2024-04-02
        (("gensim", "4.3", "4.3.3"), ("scipy", "1.13", "2024-04-01"), _REMOVED),
        # https://github.com/tensorflow/tensorflow/issues/56077: protobuf 4.21 (the files that protoc made before)
        (("tensorflow", "2.5", "2.6.5"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.7", "2.7.3"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.8", "2.8.2"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.9.0", "2.9.1"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
    )
)
# First versions after the days above, in each series that had earlier ones, and first ones of later series: the days of
# upload that PyPI tells. A version is there from the day of the greatest one that is not above it.
RELEASED: Mapping[str, Mapping[str, str]] = {
    "flask": {
        "2.1": "2022-03-28", "2.1.3": "2022-07-13", "2.2": "2022-08-02", "2.2.3": "2023-02-15", "2.3": "2023-04-25",
        "3.0": "2023-09-30", "3.0.3": "2024-04-07", "3.1": "2024-11-13",
    },
    "werkzeug": {
        "2.1": "2022-03-28", "2.2": "2022-07-23", "2.2.3": "2023-02-14", "2.3": "2023-04-25", "2.3.8": "2023-11-08",
        "3.0": "2023-09-30", "3.0.3": "2024-05-05", "3.0.4": "2024-08-21",
    },
    "jinja2": {
        "3.1": "2022-03-24", "3.1.2": "2022-04-28", "3.1.3": "2024-01-10", "3.1.4": "2024-05-05", "3.1.5": "2024-12-21",
    },
    "pandas": {
        "1.4.2": "2022-04-02", "1.4.3": "2022-06-23", "1.5": "2022-09-19", "2.0": "2023-04-03", "2.1": "2023-08-30",
        "2.1.2": "2023-10-26", "2.2": "2024-01-20", "2.2.2": "2024-04-10", "2.2.3": "2024-09-20",
    },
    "scikit-learn": {
        "1.1": "2022-05-12", "1.1.2": "2022-08-05", "1.2": "2022-12-08", "1.2.2": "2023-03-09", "1.3": "2023-06-30",
        "1.3.2": "2023-10-23", "1.4": "2024-01-18", "1.4.2": "2024-04-09", "1.5": "2024-05-21", "1.5.1": "2024-07-03",
    },
    "numpy": {
        "1.21.6": "2022-04-12", "1.22": "2021-12-31", "1.22.3": "2022-03-07", "1.22.4": "2022-05-20",
        "1.23": "2022-06-22", "1.24": "2022-12-18", "1.24.2": "2023-02-05", "1.25": "2023-06-17",
        "1.26": "2023-09-16", "1.26.1": "2023-10-14", "2.0": "2024-06-16",
    },
    "scipy": {
        "1.8.1": "2022-05-18", "1.9": "2022-07-29", "1.10": "2023-01-03", "1.10.1": "2023-02-19", "1.11": "2023-06-25",
        "1.11.4": "2023-11-18", "1.12": "2024-01-20", "1.13": "2024-04-02", "1.14": "2024-06-24",
    },
    "flask-sqlalchemy": {"3.0": "2022-10-04", "3.0.3": "2023-01-31", "3.1": "2023-09-11"},
    "gensim": {"4.2": "2022-05-01", "4.3": "2022-12-21", "4.3.1": "2023-03-10", "4.3.3": "2024-07-19"},
    "tensorflow": {
        "2.6.4": "2022-05-16", "2.7": "2021-11-04", "2.7.2": "2022-05-16", "2.7.4": "2022-09-02", "2.8": "2022-02-02",
        "2.8.1": "2022-05-16", "2.8.3": "2022-09-02", "2.9": "2022-05-16", "2.9.2": "2022-09-03", "2.10": "2022-09-06",
        "2.11": "2022-11-18", "2.12": "2023-03-22", "2.13": "2023-07-05", "2.14": "2023-09-26", "2.14.1": "2023-11-14",
        "2.16": "2024-03-09", "2.16.2": "2024-06-28",
    },
}  # fmt: skip
_NAMED = re.compile(r"(?P<name>[a-z0-9-]+)(?:\[[^\]]*\])?(?P<clauses>[=<>!~][^ ;]*)")
_EXACT = re.compile(r"==(?P<version>[0-9]{1,6}(?:\.[0-9]{1,6}){0,4})(?:\.post[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Pin:
    """A package at exactly one version, and where it is written."""

    place: str
    name: str
    version: str


def warnings(stages: Iterable[Lines], line: str) -> tuple[str, ...]:
    """Give a warning for each pin that no longer works. `line` is what to write, with `{}` for the day."""
    every = [(_pins(lines), _bounded(lines)) for lines in stages]
    broken = {pin: breaks for pins, bounded in every for pin in pins if (breaks := _breaks(pin, bounded))}
    if not broken:
        return ()
    day = min(one.last for breaks in broken.values() for one in breaks)
    fits = all(_released(pin) <= day for pins, _ in every for pin in pins)
    return tuple(_sentence(pin, breaks, line.format(day) if fits else "") for pin, breaks in broken.items())


def _sentence(pin: Pin, breaks: Sequence[Break], line: str) -> str:
    first = min(breaks, key=lambda one: one.last)
    bounds = ", ".join(f"{one.dependency}<{one.bound}" for one in breaks)
    remedy = f"write {line}, or pin {bounds} too" if line else f"pin {bounds} too (no day has all pins of this project)"
    what = f"{pin.name}=={pin.version} does not work with {first.dependency} {first.bound} and later ({first.why})"
    return f"{pin.place}: {what}: {remedy}"


def _pins(lines: Lines) -> list[Pin]:
    """Give the exact pins."""
    found = ((place, _NAMED.match(text)) for text, place in lines.items())
    exact = ((place, named["name"], _EXACT.fullmatch(named["clauses"])) for place, named in found if named)
    return [Pin(place, name, pin["version"]) for place, name, pin in exact if pin]


def _bounded(lines: Lines) -> frozenset[str]:
    """Give the packages that the lines keep from being the newest, or take from elsewhere."""
    named = filter(None, (_NAMED.match(text) for text in lines))
    upper = {one["name"] for one in named if re.search(r"(?:^|,)(?:==|<|~=)", one["clauses"])}
    return frozenset(upper | {text.split(" @ ")[0].split("[")[0] for text in lines if " @ " in text})


def _breaks(pin: Pin, bounded: frozenset[str]) -> tuple[Break, ...]:
    version = _version(pin.version)
    return tuple(
        one
        for one in BREAKS
        if one.package == pin.name
        and _version(one.since) <= version < _version(one.below)
        and one.dependency not in bounded
    )


def _released(pin: Pin) -> str:
    """Give a day on which the version was there, "" where it was there before all breaks, or is not known."""
    days = RELEASED.get(pin.name, {})
    version = _version(pin.version)
    return max(((_version(other), day) for other, day in days.items() if _version(other) <= version), default=((), ""))[
        1
    ]


def _version(text: str) -> Version:
    """Give a version as numbers that compare; zeros at the end count nothing."""
    return tuple(int(part) for part in re.sub(r"(?:\.0+)+$", "", text).split("."))
