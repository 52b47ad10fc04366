"""When a schedule comes next, for people. Runs are started by Kubernetes' CronJob controller, never by this.

It walks as robfig/cron v3 does, which Kubernetes uses: field by field from the month down, in steps of elapsed time.
So both agree about what becomes of a slot when clocks change, down to the oddities.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.core.inputs import cron

YEARS = 5  # that are searched, as there
STEPS = 10_000  # several times as many as any walk takes; on a day that its zone left out, robfig's never ends
NOON = 12


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of time: `begin` goes back to its start, `advance` to the next one; at `first` it has wrapped around."""

    value: Callable[[datetime], int]
    begin: Callable[[datetime], datetime]
    advance: Callable[[datetime], datetime]
    first: int


def of_trigger(name: str, trigger: str) -> int:
    """Return the slot of a request that a trigger is of, in minutes since 1970; 0 where it is of none.

    Kubernetes names the Job of a CronJob so, and that is the trigger.
    """
    found = re.fullmatch(rf"{re.escape(name)}-([0-9]{{1,12}})", trigger)
    return int(found[1]) if found else 0


def following(schedule: str, zone: str, now: datetime) -> datetime | None:
    """Return the first time after `now`, in the zone (else UTC); None without one, or a valid schedule.

    A time that the clocks leave out has no slot, one that they repeat has two.
    """
    try:
        cron.schedule(schedule)
        place: tzinfo = ZoneInfo(zone) if zone.strip() else UTC
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return None
    (minutes, hours, days, months, weekdays), both = cron.moments(schedule)

    def takes_day(time: datetime) -> bool:
        fits = (time.day in days, time.isoweekday() % 7 in weekdays)
        return all(fits) if both else any(fits)

    return _walk(
        _later(now.astimezone(place), seconds=1).replace(microsecond=0),
        (
            lambda time: time.month in months,
            takes_day,
            lambda time: time.hour in hours,
            lambda time: time.minute in minutes,
            lambda time: time.second == 0,
        ),
    )


def is_suspended(data: Mapping[str, str]) -> bool:
    """Return whether a request with these keys starts nothing new; one whose other keys are invalid may say so, too."""
    return data.get("suspend", "").lower() == "true"


def of_request(data: Mapping[str, str], now: datetime) -> datetime | None:
    """Return when the schedule of a request with these keys comes next; None without a valid one, or if suspended."""
    runs = data.get("schedule") and not is_suspended(data)
    return following(data["schedule"], data.get("time-zone", ""), now) if runs else None


def _walk(time: datetime, takes: tuple[Callable[[datetime], bool], ...]) -> datetime | None:
    """Return the first time from `time` on that all fields accept; where one wraps, the larger ones are tried again."""
    last, level, advanced = time.year + YEARS, 0, False
    for _ in range(STEPS):
        if level == len(takes):
            return time
        if takes[level](time):
            level += 1
            continue
        unit = _FIELDS[level]
        time = unit.advance(time if advanced else unit.begin(time))
        advanced = True
        if unit.value(time) == unit.first:
            level = 0
            if time.year > last:
                return None
    return None


def _later(time: datetime, **passed: int) -> datetime:
    """Return the time when so much has elapsed, whatever the clocks do meanwhile."""
    return (time.astimezone(UTC) + timedelta(**passed)).astimezone(time.tzinfo)


def _at(wall: datetime) -> datetime:
    """Return the time when the clocks show `wall`; of those that they leave out or repeat, the one that Go takes."""
    guess = wall.replace(tzinfo=UTC)
    utc = guess - ((guess.astimezone(wall.tzinfo).utcoffset()) or timedelta())
    offset = utc.astimezone(wall.tzinfo).utcoffset() or timedelta()
    return (guess - offset).astimezone(wall.tzinfo)


def _month(time: datetime) -> datetime:
    """Return the same day of the next month; the 31st may be one of the month after it."""
    year, month = (time.year + 1, 1) if time.month == 12 else (time.year, time.month + 1)  # noqa: PLR2004
    return _at(time.replace(year=year, month=month, day=1, fold=0) + timedelta(days=time.day - 1))


def _day(time: datetime) -> datetime:
    """Return the next day's midnight, or what stands for it where the clocks leave that out."""
    time = _at(time.replace(fold=0) + timedelta(days=1))
    if not time.hour:
        return time
    return _later(time, hours=24 - time.hour if time.hour > NOON else -time.hour)


_FIELDS = (
    _Unit(lambda time: time.month, lambda time: _at(time.replace(day=1, hour=0, minute=0, second=0)), _month, 1),
    _Unit(lambda time: time.day, lambda time: _at(time.replace(hour=0, minute=0, second=0)), _day, 1),
    _Unit(
        lambda time: time.hour,
        lambda time: _at(time.replace(minute=0, second=0)),
        lambda time: _later(time, hours=1),
        0,
    ),
    _Unit(lambda time: time.minute, lambda time: time.replace(second=0), lambda time: _later(time, minutes=1), 0),
    _Unit(lambda time: time.second, lambda time: time, lambda time: _later(time, seconds=1), 0),
)
