"""The fire calendar of a deployment: its days, its fire times, and the limit per day."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.manifests.build import build_deployment
from controller.model.schedules import Schedule
from controller.queries.fire_calendar import MOST_PER_DAY, WEEKS, fire_calendar, fire_density
from controller.schedules import next_fire_times

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday


def schedules(*declared: dict[str, object]) -> tuple[Schedule, ...]:
    document = {"name": "a", "command": ["true"], "schedules": list(declared)}
    return build_deployment(document, "a.yaml", 1).schedules


def test_weeks_begin_on_monday_and_the_first_contains_today() -> None:
    calendar = fire_calendar(schedules({"cron": "0 9 * * *", "timezone": "America/New_York"}), NOW)
    days = [day for week in calendar.weeks for day in week]
    assert [len(week) for week in calendar.weeks] == [7] * WEEKS
    assert [day.date.isoweekday() for day in days] == [1, 2, 3, 4, 5, 6, 7] * WEEKS
    assert [day.date for day in days if day.is_today] == [date(2026, 3, 4)]
    assert [day.is_past for day in days[:4]] == [True, True, False, False]
    assert calendar.timezone == "America/New_York"


@pytest.mark.parametrize(
    "declared",
    [
        {"cron": "0 9 * * mon-fri", "timezone": "America/New_York"},
        {"cron": "30 23 * * *", "timezone": "Asia/Tokyo"},
        {"cron": "0 */2 * * *", "timezone": "Europe/Berlin"},
        {"cron": "0 0 1 * *", "timezone": "Europe/Berlin"},
    ],
)
def test_every_fire_time_is_on_its_local_day(declared: dict[str, object]) -> None:
    parsed = schedules(declared)
    calendar = fire_calendar(parsed, NOW)
    zone = ZoneInfo(str(declared["timezone"]))
    end = calendar.weeks[-1][-1].date + timedelta(days=1)
    expected = [time for time, _ in next_fire_times(parsed, NOW, 1000) if time.astimezone(zone).date() < end]
    listed = [(day.date, time) for week in calendar.weeks for day in week for time in day.times]
    assert [time for _, time in listed] == expected
    assert all(time.astimezone(zone).date() == day for day, time in listed)
    assert not any(day.is_full for week in calendar.weeks for day in week)


def test_a_busy_day_is_full_and_the_next_day_is_complete_from_midnight() -> None:
    calendar = fire_calendar(schedules({"interval": "20s"}, {"cron": "0 9 * * *"}), NOW)
    days = [day for week in calendar.weeks for day in week if not day.is_past]
    assert {len(day.times) for day in days} == {MOST_PER_DAY}
    assert all(day.is_full for day in days)
    assert days[1].times[0] == datetime(2026, 3, 5, tzinfo=UTC)


def test_fire_times_begin_after_the_hold() -> None:
    calendar = fire_calendar(schedules({"cron": "0 9 * * *"}), NOW, NOW + timedelta(days=3))
    assert next(time for week in calendar.weeks for day in week for time in day.times) == datetime(
        2026, 3, 8, 9, tzinfo=UTC
    )


def test_the_calendar_is_empty_without_active_schedules() -> None:
    assert fire_calendar((), NOW).is_empty
    assert fire_calendar(schedules({"cron": "0 9 * * *", "suspend": True}), NOW).is_empty


def test_the_density_counts_the_fire_times_of_24_hours_from_the_first_one() -> None:
    often = schedules({"cron": "*/10 8-9 * * mon-fri", "timezone": "Europe/Berlin"})
    assert not fire_calendar(often, NOW).is_dense
    saturday = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
    density = fire_density(often, saturday)
    assert density is not None
    assert density.start == datetime(2026, 3, 9, 7, tzinfo=UTC)
    assert (density.counts[:5], density.total) == ((3, 3, 3, 3, 0), 12)
    assert len(density.counts) == 48


def test_the_density_of_a_schedule_that_fires_very_often_is_extrapolated() -> None:
    density = fire_density(schedules({"interval": "20s"}), NOW)
    assert density is not None
    assert density.total == pytest.approx(24 * 180, rel=0.02)
    assert fire_calendar(schedules({"interval": "20s"}), NOW).is_dense
    assert fire_density(schedules({"cron": "0 9 * * *", "suspend": True}), NOW) is None


def test_a_day_on_which_a_calendar_skips_everything_has_the_reason() -> None:
    document = {
        "name": "a",
        "command": ["true"],
        "schedule": {"cron": "0 9,10 * * *", "except": "x"},
        "calendars": {"x": {"dates": ["2026-03-10/2026-03-11 Party", "2026-03-04"]}},
    }
    calendar = fire_calendar(build_deployment(document, "a.yaml", 1).schedules, NOW)
    assert calendar.skips == (("calendar x: Party", (date(2026, 3, 10), date(2026, 3, 11))),)
    assert [day.times for week in calendar.weeks for day in week if day.skip_reason] == [(), ()]
    usual = fire_calendar(schedules({"cron": "0 9 * * mon"}), NOW)
    assert usual.skips == ()
