"""Parsing of times that users type: words, ages, dates and date-times, in the given zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.schedules import parse_moment

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", "2026-03-01T23:30"),
        (" NOW ", "2026-03-01T23:30"),
        ("today", "2026-03-01T23:00"),
        ("yesterday", "2026-02-28T23:00"),
        ("tomorrow", "2026-03-02T23:00"),
        ("tomorrow 09:00", "2026-03-03T08:00"),
        ("today 9:30", "2026-03-02T08:30"),
        ("2h", "2026-03-01T21:30"),
        ("2h ago", "2026-03-01T21:30"),
        ("-2h", "2026-03-01T21:30"),
        ("now-2h", "2026-03-01T21:30"),
        ("+1d", "2026-03-02T23:30"),
        ("now + 1d", "2026-03-02T23:30"),
        ("in 90s", "2026-03-01T23:31:30"),
        ("2026-03-01", "2026-02-28T23:00"),
        ("2026-03-01T09:00", "2026-03-01T08:00"),
        ("2026-03-01T09:00Z", "2026-03-01T09:00"),
        ("2026-03-01 09:00 +05:00", "2026-03-01T04:00"),
    ],
)
def test_a_time_is_parsed_in_the_given_zone(text: str, instant: str) -> None:
    assert parse_moment(text, NOW, BERLIN) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


def test_the_sign_sets_the_direction_of_a_bare_duration() -> None:
    assert parse_moment("30m", NOW, UTC, sign=1) > NOW > parse_moment("30m", NOW, UTC)
    assert parse_moment("30m ago", NOW, UTC, sign=1) < NOW < parse_moment("in 30m", NOW, UTC)


@pytest.mark.parametrize("text", ["1M", "1M ago", "-1M", "in 1M", "now - 1M"])
def test_an_age_with_a_capital_m_is_rejected_because_it_could_mean_months(text: str) -> None:
    with pytest.raises(ScheduleError, match="could mean minutes or months") as raised:
        parse_moment(text, NOW, BERLIN)
    assert raised.value.hint == "write 1m for minutes, or 30d for 30 days"


def test_an_age_can_have_other_capitals() -> None:
    assert parse_moment("2H AGO", NOW, BERLIN) == parse_moment("Now-2h", NOW, BERLIN)


@given(st.text("nowtday+- 0123456789:hms", max_size=20) | st.text(max_size=20))
def test_any_text_is_an_instant_or_is_rejected_with_a_hint(text: str) -> None:
    try:
        assert parse_moment(text, NOW, BERLIN).tzinfo is UTC
    except ScheduleError as error:
        assert error.hint  # noqa: PT017
