"""Which schedules and time zones a request may name: those that Kubernetes takes, told before it is asked."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import cron

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
    "@reboot": "is unknown",
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
    with pytest.raises(ValueError, match="is no time zone") as refused:
        cron.time_zone(zone)
    assert remedy in str(refused.value)
