"""When a schedule comes next, as a person is told."""

from datetime import UTC, datetime

import pytest

from controller.core.slots import following


@pytest.mark.parametrize(
    ("schedule", "zone", "now", "expected"),
    [
        ("0 6 * * *", "", "2026-11-23T05:00", "2026-11-23T06:00+00:00"),
        ("0 6 * * *", "", "2026-11-23T06:00", "2026-11-24T06:00+00:00"),
        ("0 6 * * 1-5", "Europe/Paris", "2026-11-27T12:00", "2026-11-30T06:00+01:00"),
        ("*/15 * * * *", "", "2026-12-31T23:59", "2027-01-01T00:00+00:00"),
        ("0 0 1 * 1", "", "2026-11-24T00:00", "2026-11-30T00:00+00:00"),  # either day is enough
        ("0 0 */10 * 1", "", "2026-11-24T00:00", "2026-11-30T00:00+00:00"),  # so it is with steps
        ("0 0 1 * *", "", "2026-11-24T00:00", "2026-12-01T00:00+00:00"),
        ("0 0 29 2 *", "", "2026-11-24T00:00", "2028-02-29T00:00+00:00"),
        ("@hourly", "", "2026-11-24T00:00", "2026-11-24T01:00+00:00"),
        ("@weekly", "", "2026-11-24T00:00", "2026-11-29T00:00+00:00"),
        (
            "30 2 * * *",
            "Europe/Paris",
            "2027-03-27T12:00",
            "2027-03-29T02:30+02:00",
        ),  # that hour is left out on the 28th
        ("30 2 * * *", "Europe/Paris", "2026-10-24T12:00", "2026-10-25T02:30+02:00"),  # the first of two
    ],
)
def test_the_next_time_is_the_first_after_now_in_the_schedule_s_own_zone(
    schedule: str, zone: str, now: str, expected: str
) -> None:
    found = following(schedule, zone, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found
    assert found.isoformat(timespec="minutes") == expected


@pytest.mark.parametrize(
    ("schedule", "zone"), [("0 0 31 2 *", ""), ("now", ""), ("@daily", "Mars/Base"), ("@daily", "../x")]
)
def test_what_never_comes_or_is_no_schedule_has_no_next_time(schedule: str, zone: str) -> None:
    assert following(schedule, zone, datetime(2026, 11, 23, tzinfo=UTC)) is None
