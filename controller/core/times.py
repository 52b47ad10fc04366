"""Points in time as the API writes them: RFC 3339, UTC, whole seconds."""

from datetime import UTC, datetime, timedelta


def text(moment: datetime) -> str:
    """Return `moment` (aware) as `2026-11-22T06:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(written: str) -> datetime | None:
    """Return the time that `written` states, None if it is not a time."""
    try:
        parsed = datetime.fromisoformat(written)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def seconds(started: str, finished: str) -> float | None:
    """Return the seconds between two written times, None where one of them is not a time."""
    start, end = moment(started), moment(finished)
    return max((end - start).total_seconds(), 0.0) if start and end else None


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the first of the times that are known, None if none is."""
    return min(filter(None, moments), default=None)


def after(written: str, seconds: float) -> datetime | None:
    """Return the time `seconds` after the written one, None if that is not a time."""
    start = moment(written)
    try:
        return start + timedelta(seconds=seconds) if start else None
    except OverflowError:  # a stage's own words may name the year 9999
        return None
