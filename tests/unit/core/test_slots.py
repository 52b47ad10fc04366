"""When a schedule comes next."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.cli.status import shown_slot
from controller.core.pages import listing
from controller.core.slots import following, of_request

# What Kubernetes' own library answers around changes of the clocks: slots.go, in the same folder, writes it.
PLACE = Path(__file__).parents[2] / "support" / "slots.txt"
TABLE = [line.split("|") for line in PLACE.read_text(encoding="ascii").splitlines()]


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
def test_a_malformed_schedule_or_one_that_never_comes_has_no_next_time(schedule: str, zone: str) -> None:
    assert following(schedule, zone, datetime(2026, 11, 23, tzinfo=UTC)) is None


@pytest.mark.parametrize("zone", sorted({row[0] for row in TABLE}))
def test_slots_are_those_that_kubernetes_starts_whatever_the_clocks_do(zone: str) -> None:
    for _, schedule, now, *slots in (row for row in TABLE if row[0] == zone):
        at = datetime.fromisoformat(now)
        for slot in slots:
            found = following(schedule, zone, at)
            assert found
            assert found.astimezone(UTC) == datetime.fromisoformat(slot), f"{schedule} after {at}"
            at = found


@pytest.mark.parametrize(
    ("schedule", "now", "slots"),
    [
        ("0 2 * * *", "2025-10-25T12:00", ["26 02:00 CEST", "26 02:00 CET", "27 02:00 CET"]),
        ("*/15 2 * * *", "2025-10-26T00:40", ["26 02:45 CEST", "26 02:00 CET", "26 02:15 CET"]),
        ("30 2 * * *", "2025-03-29T12:00", ["31 02:30 CEST", "01 02:30 CEST"]),
        ("30 * * * *", "2025-03-30T00:00", ["30 01:30 CET", "30 03:30 CEST"]),
    ],
)
def test_a_slot_in_an_hour_that_is_repeated_comes_twice_and_in_one_that_is_left_out_not_at_all(
    schedule: str, now: str, slots: list[str]
) -> None:
    found, at = [], datetime.fromisoformat(now).replace(tzinfo=UTC)
    for _ in slots:
        at = following(schedule, "Europe/Berlin", at) or at
        found.append(f"{at:%d %H:%M %Z}")
    assert found == slots


def test_a_day_that_its_zone_left_out_ends_the_search() -> None:
    assert following("@weekly", "Pacific/Apia", datetime(2011, 12, 29, 8, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("suspend", "comes"), [("", True), ("false", True), ("true", False), ("True", False), ("TRUE", False)]
)
def test_a_request_that_is_suspended_has_no_next_slot_in_whatever_case_it_says_so(suspend: str, comes: bool) -> None:
    data, now = {"schedule": "0 6 * * *", "suspend": suspend}, datetime(2026, 1, 1, tzinfo=UTC)
    assert (of_request(data, now) is not None) is comes
    assert (shown_slot(data, now) == "suspended") is not comes
    assert listing.row("iris", data, None).suspended is not comes
