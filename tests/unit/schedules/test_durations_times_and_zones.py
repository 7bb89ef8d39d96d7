# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Parsing of durations, date-times and zone names."""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.schedules import parse_duration, parse_time, zone
from controller.schedules.natural_language import parse_natural_duration, parse_natural_schedule
from controller.schedules.parsing import zone as cached_zone


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1.5h", 5400),
        ("PT15M", 900),
        ("P1DT2H", 93_600),
        ("P2W", 1_209_600),
        ("PT1,5H", 5400),
        ("PT0.5S", 0.5),
        ("01:30:00", 5400),
        (" 5m ", 300),
        ("36h", 129_600),
    ],
)
def test_a_duration_is_parsed(value: str | float, seconds: float) -> None:
    assert parse_duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "0",
        0,
        -1,
        "-5m",
        "1:30",
        "1h30",
        "30m1h",
        "P1M",
        "P1Y",
        "1e3",
        "nan",
        "inf",
        float("nan"),
        float("inf"),
        "9999w",
        10**400,
        True,
        "9" * 200,
        "00:00:00",
        "٣s",
        1e-9,
    ],
)
def test_anything_else_is_rejected_with_examples(value: str | float) -> None:
    with pytest.raises(ScheduleError) as raised:
        parse_duration(value)
    assert "1h30m" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1M", "write 1m for minutes, or 30d for 30 days"),
        (" 15M ", "write 15m for minutes, or 450d for 450 days"),
        ("0.5M", "write 0.5m for minutes, or 15d for 15 days"),
        ("1H30M", "write 1H30m for minutes"),
        ("1d 2M 3s", "write 1d 2m 3s for minutes"),
    ],
)
def test_a_capital_m_is_rejected_because_it_could_mean_months(text: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        parse_duration(text)
    assert "could mean minutes or months" in raised.value.message
    assert raised.value.hint == hint


def test_no_hint_takes_a_capital_m_for_minutes() -> None:
    assert parse_natural_duration("1 m") == "1m"
    assert parse_natural_schedule("every 1m") == {"interval": "1m"}
    assert parse_natural_duration("1 M") is None
    assert parse_natural_schedule("every 1M") is None


def test_the_other_units_can_be_capitals() -> None:
    assert parse_duration("1W2D3H4m5S") == timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)
    assert parse_duration("pt1m") == parse_duration("PT1M") == timedelta(minutes=1)


def test_a_number_too_long_to_print_is_rejected() -> None:
    with pytest.raises(ScheduleError, match="a huge int"):
        parse_duration(10**5000)


@given(st.text(max_size=80) | st.text("0123456789.wdhmsPT: ", max_size=20) | st.floats() | st.integers())
def test_a_duration_is_positive_and_limited_or_rejected(value: str | float) -> None:
    try:
        found = parse_duration(value)
    except ScheduleError:
        return
    assert timedelta(0) < found <= timedelta(days=3653)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-01-31T09:00", datetime(2026, 1, 31, 9)),
        ("2026-01-31 09:00:30", datetime(2026, 1, 31, 9, 0, 30)),
        ("2026-01-31T09:00:00Z", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("2026-01-31t09:00:00z", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("2026-01-31 09:00 +02:00", datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=2)))),
        ("2026-01-31T09:00:00.25-0530", datetime(2026, 1, 31, 9, 0, 0, 250_000, timezone(-timedelta(hours=5.5)))),
    ],
)
def test_a_date_time_is_parsed(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert (parse_time(text).tzinfo is None) == (moment.tzinfo is None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-02-30",
        "2026-01-31x09:00",
        "31.1.2026",
        "2026-01-31T25:00",
        "2026",
        "0000-01-01",
        "2026-01-31T09:00+99:00",
    ],
)
def test_an_invalid_date_time_is_rejected_with_examples(text: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        parse_time(text)
    assert "2026-01-31" in (raised.value.hint or "")


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"])
def test_a_zone_is_found(name: str) -> None:
    assert zone(name).key == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("posix/Europe/Berlin", "write Europe/Berlin"),
        ("America", "America/"),
        ("/usr/share/zoneinfo/UTC", ""),
        ("../UTC", ""),
        ("Europe//Berlin", "Europe/Berlin"),
        ("localtime", ""),
        ("", "IANA"),
        ("UTC\0", ""),
        ("x" * 5000, "IANA"),
        ("Europe/Berlin ", "Europe/Berlin"),
    ],
)
def test_an_unknown_zone_is_rejected_with_the_closest_names(name: str, hint: str) -> None:
    with pytest.raises(ScheduleError, match="unknown time zone") as raised:
        zone(name)
    assert hint in (raised.value.hint or "")


def test_zones_come_from_the_package_when_the_system_has_none() -> None:
    cached_zone.cache_clear()
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        assert zone("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)
        with pytest.raises(ScheduleError):
            zone("America")
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
        cached_zone.cache_clear()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("PST", "America/Los_Angeles"),
        ("EDT", "America/New_York"),
        ("CST", "America/Chicago"),
        ("CEST", "Europe/Berlin"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("UTC+2", "Europe/Athens"),
        ("UTC+2", "Etc/GMT-2"),
        ("GMT+1", "Europe/Berlin"),
        ("GMT-5", "Etc/GMT+5"),
        ("+05:30", "Asia/Kolkata"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_the_hint_for_an_abbreviation_or_an_offset_names_a_zone_that_exists(name: str, written: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        zone(name)
    assert re.search(rf"\b{re.escape(written)}\b", raised.value.hint or "")
    assert zone(written).key == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("5 minutes", "5m"),
        ("10 min", "10m"),
        ("1 hour", "1h"),
        ("1 hour and 30 minutes", "1h30m"),
        ("30 minutes 2 days", "2d30m"),
        ("timedelta(hours=1)", "1h"),
        ("datetime.timedelta(minutes=5, seconds=2)", "5m2s"),
        ("1 h", "1h"),
    ],
)
def test_a_duration_in_words_gets_its_short_form_as_a_hint(said: str, written: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        parse_duration(said)
    assert raised.value.hint == f"write {written}"
    assert parse_duration(written)
