"""When a schedule comes next, for people to see. What starts runs is Kubernetes' CronJob controller, never this."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.core import cron

HORIZON = 8 * 366  # days: the 29th of February is left out for at most eight years


def following(schedule: str, zone: str, now: datetime) -> datetime | None:
    """Give the first time after `now`, in the zone (else UTC); None where there is none, or the schedule is not valid.

    An hour that daylight saving time leaves out has no slot; one that it repeats has its first.
    """
    try:
        cron.schedule(schedule)
        place = ZoneInfo(zone) if zone else UTC
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return None
    (minutes, hours, days, months, weekdays), both = cron.moments(schedule)
    first = now.astimezone(place).date()
    for day in (first + timedelta(days=number) for number in range(HORIZON)):
        if day.month not in months or not _fits(day, days, weekdays, both=both):
            continue
        times = (datetime(day.year, day.month, day.day, hour, minute, tzinfo=place)
                 for hour in sorted(hours) for minute in sorted(minutes))  # fmt: skip
        found = next((time for time in times if time > now and _exists(time)), None)
        if found:
            return found
    return None


def _fits(day: date, days: frozenset[int], weekdays: frozenset[int], *, both: bool) -> bool:
    fits = (day.day in days, day.isoweekday() % 7 in weekdays)
    return all(fits) if both else any(fits)


def _exists(time: datetime) -> bool:
    back = time.astimezone(UTC).astimezone(time.tzinfo)
    return (back.hour, back.minute) == (time.hour, time.minute)
