"""Which schedules and time zones a request may name: those that Kubernetes takes, judged before it is asked."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.inputs import cron

GOOD = (
    "* * * * *",
    "0 6 * * 1-5",
    "*/15 0-6/2,22,23 1,15 jan-MAR mon-FRI",
    "5/20 ? ? * ?",
    "  0\t6 * *  sun ",
    "0 0 29 2 *",
    "0 0 31 2 1",  # the 31st of February, or any Monday of it
    "0 0 31 * *",
    *cron.MACROS,
)
BAD = {
    "": "expected five fields",
    "0 6 * *": "expected five fields",
    "0 0 6 * * *": "expected five fields",
    "0 6 * * 1-5 # daily": "expected five fields",
    "60 * * * *": "minute: expected 0 to 59",
    "* 24 * * *": "hour: expected 0 to 23",
    "* * 0 * *": "day of month: expected 1 to 31",
    "* * * 13 *": "month: expected 1 to 12 or jan to dec",
    "* * * * 7": "day of week: expected 0 to 6 or sun to sat",
    "* * * * mo": "day of week: ",
    "-1 * * * *": "minute: ",
    "5-1 * * * *": "ends before it begins",
    "*/0 * * * *": "a step of 1 or more",
    "*/x * * * *": "a step of 1 or more",
    "1/2/3 * * * *": "a step of 1 or more",
    "1-2-3 * * * *": "minute: ",
    "1,,2 * * * *": "minute: ",
    ", * * * *": "minute: ",
    "+5 * * * *": "minute: ",
    "\u0665 * * * *": "minute: ",
    "* * * L *": "month: ",
    "0 0 30 2 *": "never comes",
    "0 0 31 4,6,9,11 ?": "never comes",
    "CRON_TZ=UTC 0 6 * * *": "write the zone in time-zone",
    "TZ=UTC 0 6 * * *": "write the zone in time-zone",
    "@every 5m": "write five fields",
    "@Daily": "did you mean @daily?",
    "@reboot": "unknown schedule",
    "* " * 200: "256 at most",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_kubernetes_takes_is_taken_as_it_stands(text: str) -> None:
    assert cron.schedule(text) == text


@pytest.mark.parametrize(("text", "said"), BAD.items())
def test_what_kubernetes_refuses_is_refused_with_the_field_that_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        cron.schedule(text)


@given(st.text("*/-,?0123456789 @abcdefghijklmnopqrstuvwxyzT", max_size=30) | st.text())
def test_any_text_is_taken_or_refused_with_one_printable_line(text: str) -> None:
    try:
        said = cron.schedule(text)
    except ValueError as error:
        said = str(error)
    assert said == text or said.isprintable()


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Europe/Paris", "America/Argentina/Buenos_Aires"])
def test_zones_of_the_iana_database_are_taken(zone: str) -> None:
    assert cron.time_zone(zone) == zone


@pytest.mark.parametrize(
    ("zone", "remedy"),
    [
        ("Europe/Pariss", "did you mean Europe/Paris?"),
        ("europe/paris", "did you mean Europe/Paris?"),
        ("Local", ""),
        ("", "Europe/Paris"),
        ("../etc/passwd", ""),
        ("+02:00", "Europe/Paris"),
    ],
)
def test_other_zones_are_refused_with_a_remedy(zone: str, remedy: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone") as refused:
        cron.time_zone(zone)
    assert remedy in str(refused.value)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("GMT+2", "for 2 hours ahead of UTC write Etc/GMT-2 (its sign is the other way round)"),
        ("UTC+2", "write Etc/GMT-2 "),
        ("utc +02:00", "write Etc/GMT-2 "),
        ("UTC2", "write Etc/GMT-2 "),
        ("+0200", "write Etc/GMT-2 "),
        ("GMT-1", "for 1 hour behind UTC write Etc/GMT+1 "),
        ("\N{MINUS SIGN}5", "for 5 hours behind UTC write Etc/GMT+5 "),
        ("UTC+14", "write Etc/GMT-14 "),
        ("UTC+15", "no zone is always 15 hours ahead of UTC: write a place"),
        ("UTC-13", "no zone is always 13 hours behind UTC: write a place"),
        ("UTC+05:30", "for 5:30 hours ahead of UTC write Asia/Kolkata"),
        ("UTC-3:30", "no zone is always 3:30 hours behind UTC: write a place"),
        ("+00:00", "write Etc/UTC"),
        ("PST", "abbreviations mean several zones: write a place, like America/Los_Angeles"),
        ("CET+1", "like Europe/Berlin"),
        ("CEST", "like Europe/Berlin"),
        ("ist", "like Asia/Kolkata"),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("Berln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        (" Europe/Berlin\n", "did you mean Europe/Berlin?"),
        ("New York", "did you mean America/New_York?"),
        ("America/New York", "did you mean America/New_York?"),
        ("Buenos Aires", "did you mean America/Argentina/Buenos_Aires or America/Buenos_Aires?"),
        ("Eastern Standard Time", "write a name like Europe/Paris"),
        ("9" * 10_000, "write a name like Europe/Paris"),
    ],
)
def test_what_people_write_for_a_time_zone_gets_the_name_that_they_mean(written: str, said: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone") as refused:
        cron.time_zone(written)
    assert said in str(refused.value)


@pytest.mark.parametrize("minutes", [*range(-12 * 60, 14 * 60 + 1, 60), 330, 345, 390, 210, 270, 525, 570, -570])
def test_a_zone_that_is_proposed_for_an_offset_has_it(minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    with pytest.raises(ValueError, match="unknown time zone") as refused:
        cron.time_zone(f"{sign}{hours:02}:{rest:02}")
    proposed = re.search(r"[A-Z][a-z]+/[A-Za-z0-9+-]+", str(refused.value))
    assert proposed
    for month in (1, 7):
        there = datetime(2026, month, 1, tzinfo=ZoneInfo(cron.time_zone(proposed[0])))
        assert there.utcoffset() == timedelta(minutes=minutes)


@given(st.text("UTCGMTZ+-0123456789: /_abeinr") | st.text())
def test_any_text_is_a_zone_or_gets_one_printable_line(text: str) -> None:
    try:
        said = cron.time_zone(text)
    except ValueError as error:
        said = str(error)
    assert said == text or said.isprintable()
