"""Quiet hours and digests, in time zones with clock changes."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.notifications import Channel, QuietHours
from controller.notify.sending_times import next_digest, quiet_end, sending_time

BERLIN = "Europe/Berlin"
NIGHT = QuietHours(start=time(22), end=time(7), timezone=BERLIN)
CHANNEL = Channel(name="ops", url="mailto://x", quiet=NIGHT)
MOMENTS = st.integers(0, 365 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-06-01T12:00Z", None),
        ("2026-06-01T19:59Z", None),
        ("2026-06-01T20:00Z", "2026-06-02T05:00Z"),  # 22:00 in Berlin
        ("2026-06-02T04:59Z", "2026-06-02T05:00Z"),
        ("2026-06-02T05:00Z", None),
        ("2026-03-28T21:30Z", "2026-03-29T05:00Z"),  # this night is an hour shorter
        ("2026-10-24T20:30Z", "2026-10-25T06:00Z"),  # this one an hour longer
    ],
)
def test_quiet_hours_end_on_the_next_morning(now: str, end: str | None) -> None:
    assert quiet_end(NIGHT, datetime.fromisoformat(now)) == (None if end is None else datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        # 02:30 does not exist on 29 March in Berlin: the clock goes from 02:00 to 03:00 at 01:00 UTC.
        ("01:00", "02:30", "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
        ("02:30", "05:00", "2026-03-29T01:00Z", "2026-03-29T03:00Z"),
        # 02:30 exists twice on 25 October: the first is at 00:30 UTC.
        ("01:00", "02:30", "2026-10-25T00:29Z", "2026-10-25T00:30Z"),
        ("01:00", "02:30", "2026-10-25T01:29Z", None),
        ("02:30", "02:45", "2026-10-25T01:35Z", None),
    ],
)
def test_quiet_hours_around_a_clock_change(start: str, end: str, now: str, until: str | None) -> None:
    quiet = QuietHours(start=time.fromisoformat(start), end=time.fromisoformat(end), timezone=BERLIN)
    assert quiet_end(quiet, datetime.fromisoformat(now)) == (None if until is None else datetime.fromisoformat(until))


def test_a_digest_is_due_once_a_day() -> None:
    eight = time(8)
    assert next_digest(eight, BERLIN, datetime(2026, 6, 1, 6, tzinfo=UTC)) == datetime(2026, 6, 1, 6, tzinfo=UTC)
    assert next_digest(eight, BERLIN, datetime(2026, 6, 1, 6, 0, 1, tzinfo=UTC)) == datetime(2026, 6, 2, 6, tzinfo=UTC)
    # In the gap of 29 March, it is due when the clock has gone forward.
    assert next_digest(time(2, 30), BERLIN, datetime(2026, 3, 29, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_digest_within_quiet_hours_waits_for_their_end() -> None:
    channel = Channel(name="ops", url="mailto://x", quiet=NIGHT, digest=time(6), timezone=BERLIN)
    noon = datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert sending_time(channel, noon, noon) == datetime(2026, 6, 2, 5, tzinfo=UTC)


@given(MOMENTS, MOMENTS)
def test_a_channel_is_never_used_in_its_quiet_hours(created: datetime, earliest: datetime) -> None:
    moment = sending_time(CHANNEL, created, earliest)
    assert moment >= earliest
    assert quiet_end(NIGHT, moment) is None
    assert moment - earliest <= timedelta(hours=10)


@given(MOMENTS, st.times().map(lambda value: value.replace(microsecond=0, second=0)))
def test_two_digests_are_a_day_apart(after: datetime, at: time) -> None:
    first = next_digest(at, BERLIN, after)
    second = next_digest(at, BERLIN, first + timedelta(seconds=1))
    assert after <= first
    assert timedelta(hours=22, minutes=59) <= second - first <= timedelta(hours=25)
