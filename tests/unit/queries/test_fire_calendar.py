"""The calendar of a deployment: which days, which times, and how much it costs."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.manifests import build_deployment
from controller.model.schedules import Schedule
from controller.queries.fire_calendar import MOST_PER_DAY, WEEKS, fire_calendar
from controller.schedules import next_fire_times

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday


def schedules(*declared: dict[str, object]) -> tuple[Schedule, ...]:
    document = {"name": "a", "command": ["true"], "schedules": list(declared)}
    return build_deployment(document, "a.yaml", 1).schedules


def test_weeks_begin_on_monday_and_the_first_has_today() -> None:
    found = fire_calendar(schedules({"cron": "0 9 * * *", "timezone": "America/New_York"}), NOW)
    days = [day for week in found.weeks for day in week]
    assert [len(week) for week in found.weeks] == [7] * WEEKS
    assert [day.date.isoweekday() for day in days] == [1, 2, 3, 4, 5, 6, 7] * WEEKS
    assert [day.date for day in days if day.is_today] == [date(2026, 3, 4)]
    assert [day.is_past for day in days[:4]] == [True, True, False, False]
    assert found.timezone == "America/New_York"


@pytest.mark.parametrize(
    "declared",
    [
        {"cron": "0 9 * * mon-fri", "timezone": "America/New_York"},
        {"cron": "30 23 * * *", "timezone": "Asia/Tokyo"},
        {"cron": "0 */2 * * *", "timezone": "Europe/Berlin"},
        {"cron": "0 0 1 * *", "timezone": "Europe/Berlin"},
    ],
)
def test_it_has_exactly_the_fire_times_of_these_weeks_each_on_its_day(declared: dict[str, object]) -> None:
    known = schedules(declared)
    found = fire_calendar(known, NOW)
    here = ZoneInfo(str(declared["timezone"]))
    end = found.weeks[-1][-1].date + timedelta(days=1)
    wanted = [time for time, _ in next_fire_times(known, NOW, 1000) if time.astimezone(here).date() < end]
    shown = [(day.date, time) for week in found.weeks for day in week for time in day.times]
    assert [time for _, time in shown] == wanted
    assert all(time.astimezone(here).date() == day for day, time in shown)
    assert not any(day.is_full for week in found.weeks for day in week)


def test_a_day_with_very_many_times_is_full_and_the_next_one_begins_anew() -> None:
    found = fire_calendar(schedules({"interval": "20s"}, {"cron": "0 9 * * *"}), NOW)
    days = [day for week in found.weeks for day in week if not day.is_past]
    assert {len(day.times) for day in days} == {MOST_PER_DAY}
    assert all(day.is_full for day in days)
    assert days[1].times[0] == datetime(2026, 3, 5, tzinfo=UTC)


def test_what_is_held_fires_after_the_hold() -> None:
    found = fire_calendar(schedules({"cron": "0 9 * * *"}), NOW, NOW + timedelta(days=3))
    assert next(time for week in found.weeks for day in week for time in day.times) == datetime(
        2026, 3, 8, 9, tzinfo=UTC
    )


def test_without_schedules_it_is_empty() -> None:
    assert fire_calendar((), NOW).is_empty
    assert fire_calendar(schedules({"cron": "0 9 * * *", "suspend": True}), NOW).is_empty
