"""How templates write times, durations and numbers."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from controller.core import numbers, times
from controller.core.model import Attempt
from controller.core.pages.states import tone
from controller.core.text import MINUTE, format_duration


def moment(written: str) -> str:
    """Return a point in time as `2026-11-22 06:00:00`, in UTC as everything here is."""
    found = times.moment(written)
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if found else ""


def age(written: str) -> str:
    """Return how long ago a point in time was."""
    found = times.moment(written)
    return format_duration((datetime.now(UTC) - found).total_seconds()) if found else ""


def ahead(written: str) -> str:
    """Return how long it is until a point in time."""
    found = times.moment(written)
    return format_duration((found - datetime.now(UTC)).total_seconds()) if found else ""


def exact(length: float) -> str:
    """Return a duration with tenths of a second where these matter."""
    return f"{length:.1f} s" if length < MINUTE else format_duration(length)


def length_of(attempt: Attempt) -> str:
    """Return how long an attempt took, "" of one that goes on."""
    took = times.seconds(attempt.started, attempt.finished)
    return "" if took is None else exact(took)


def figure(value: float | None) -> str:
    """Return a number of a stage, "" where there is none."""
    return "" if value is None else numbers.shown(value)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "moment": moment,
    "age": age,
    "ahead": ahead,
    "duration": format_duration,
    "exact": exact,
    "length_of": length_of,
    "figure": figure,
    "tone": tone,
}
