"""The format of times in texts: one form, with the offset of a zone or `UTC`."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from controller.schedules import parse_moment
from controller.time_format import convert_times, format_time, in_utc

WINTER = datetime(2026, 1, 31, 8, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone is that of Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2026-01-31 09:00:00+01:00"),
        ("Europe/London", "2026-01-31 08:00:00+00:00"),
        ("Asia/Kolkata", "2026-01-31 13:30:00+05:30"),
        ("America/New_York", "2026-01-31 03:00:00-05:00"),
        ("UTC", "2026-01-31 08:00:00 UTC"),
        ("Etc/UTC", "2026-01-31 08:00:00 UTC"),
    ],
)
def test_a_time_has_the_offset_of_its_zone(zone: str, text: str) -> None:
    assert format_time(WINTER, ZoneInfo(zone)) == text
    assert parse_moment(text, WINTER, None) == WINTER.replace(microsecond=0)


@pytest.mark.usefixtures("in_tokyo")
def test_without_a_zone_times_are_in_the_zone_of_the_machine() -> None:
    assert format_time(WINTER, None) == "2026-01-31 17:00:00+09:00"
    assert in_utc(WINTER) == "2026-01-31 08:00:00 UTC"


def test_recorded_times_in_a_text_are_converted_to_a_zone() -> None:
    text = f"waits for ingest (due {in_utc(WINTER)}), 2026-99-01 00:00:00 UTC and 2026-01-31"
    expected = "waits for ingest (due 2026-01-31 09:00:00+01:00), 2026-99-01 00:00:00 UTC and 2026-01-31"
    assert convert_times(text, ZoneInfo("Europe/Berlin")) == expected
    assert convert_times(text, UTC) == text


def test_fractions_of_a_second_are_shown_where_they_matter() -> None:
    assert format_time(WINTER, UTC, timespec="auto") == "2026-01-31 08:00:00.250000 UTC"
    assert format_time(WINTER.replace(microsecond=0), UTC, timespec="auto") == "2026-01-31 08:00:00 UTC"
    assert format_time(WINTER, UTC, timespec="milliseconds") == "2026-01-31 08:00:00.250 UTC"


@pytest.mark.parametrize("hours", [-14, 14])
def test_an_instant_that_has_no_date_in_the_zone_is_shown_in_utc(hours: int) -> None:
    edge = datetime(1, 1, 1, tzinfo=UTC) if hours < 0 else datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert format_time(edge, timezone(timedelta(hours=hours))).endswith(" UTC")
