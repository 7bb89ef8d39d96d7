"""The fire times that move with other holidays are those that differ when everything is computed twice."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.calendars import Calendar, DateRange, HolidayData, Holidays, Shift
from controller.model.schedules import Cron, Interval, Schedule
from controller.schedules import fire_times
from controller.schedules.holiday_data import read_holidays
from controller.schedules.holiday_moves import find_moved_times, used_holidays
from tests.thoroughness import scaled

BAVARIA = Holidays(code="DE-BY")
CALENDAR = Calendar(name="de-by", holidays=BAVARIA)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
INSTALLED = read_holidays([BAVARIA], 2026)


def daily(**more: Any) -> Schedule:
    values = {"id": "s", "rule": Cron(expression="30 7 * * *"), "timezone": "Europe/Berlin"}
    return Schedule(**{**values, "exclude": (CALENDAR,), **more})


def earlier(*, without: Collection[str] = (), extra: Collection[str] = ()) -> HolidayData:
    """An earlier version of the data: without these days, and with others that are no holidays any more."""
    days = {day: name for day, name in INSTALLED.days[BAVARIA].items() if day.isoformat() not in without}
    days |= {date.fromisoformat(day): "Old Day" for day in extra}
    return HolidayData(version="0.1", first_year=2026, days={BAVARIA: days})


def moved(schedules: list[Schedule], before: HolidayData) -> tuple[list[str], list[str]]:
    found = find_moved_times(schedules, before, INSTALLED, NOW)
    return [time.isoformat()[:16] for time in found.before], [time.isoformat()[:16] for time in found.after]


def test_a_new_holiday_leaves_out_a_fire_time_and_one_less_adds_one() -> None:
    before = earlier(without={"2026-12-25"}, extra={"2026-07-07", "2026-01-02"})
    assert moved([daily()], before) == (["2026-12-25T06:30"], ["2026-07-07T05:30"])
    days = find_moved_times([daily()], before, INSTALLED, NOW).days
    assert [(each.action, each.calendar, each.day.isoformat(), each.name) for each in days] == [
        ("removed", "de-by", "2026-07-07", "Old Day"),
        ("added", "de-by", "2026-12-25", "Christmas Day"),
    ]


def test_a_shifted_fire_time_moves_to_another_day() -> None:
    last = daily(rule=Cron(expression="0 18 L * *"), exclude=(), shift=Shift.PREVIOUS, business=(CALENDAR,))
    assert moved([last], earlier(extra={"2026-06-30"})) == (["2026-06-29T16:00"], ["2026-06-30T16:00"])


def test_a_fire_time_of_another_schedule_at_the_same_instant_does_not_move() -> None:
    before = earlier(extra={"2026-07-07"})
    assert moved([daily(), daily(id="t", exclude=())], before) == ([], [])
    assert moved([daily(only=(CALENDAR,), exclude=())], before) == (["2026-07-07T05:30"], [])
    assert moved([daily(exclude=())], before) == ([], [])
    assert used_holidays([daily(exclude=()), daily()]) == {BAVARIA}


def test_the_number_of_compared_fire_times_is_limited() -> None:
    each_second = daily(rule=Interval(every=timedelta(seconds=1)))
    before, after = moved([each_second], earlier(extra={"2026-07-07"}))
    assert (len(before), len(after)) == (0, 5000)


@settings(max_examples=scaled(100), deadline=None)
@given(
    lost=st.sets(st.sampled_from(sorted(INSTALLED.days[BAVARIA])), max_size=3),
    extra=st.sets(st.dates(date(2026, 6, 2), date(2028, 11, 1)), max_size=3),
    expression=st.sampled_from(["30 7 * * *", "0 18 L * *", "0 9 * * mon-fri", "0 */6 1,15 * *"]),
    shift=st.sampled_from(Shift),
    is_excluded=st.booleans(),
)
def test_the_moved_times_are_those_that_differ_when_everything_is_computed_twice(
    lost: set[date], extra: set[date], expression: str, shift: Shift, is_excluded: bool
) -> None:
    business = (CALENDAR,) if shift is not Shift.NONE else ()
    schedule = daily(
        rule=Cron(expression=expression), shift=shift, business=business, exclude=(CALENDAR,) if is_excluded else ()
    )
    before = earlier(without={day.isoformat() for day in lost}, extra={day.isoformat() for day in extra})
    end = datetime(2028, 12, 1, tzinfo=UTC)
    old, new = (
        set(takewhile(lambda time: time < end, fire_times(with_days(schedule, data), NOW)))
        for data in (before, INSTALLED)
    )
    found = find_moved_times([schedule], before, INSTALLED, NOW)
    assert [time for time in found.before if time < end] == sorted(old - new)
    assert [time for time in found.after if time < end] == sorted(new - old)


def with_days(schedule: Schedule, data: HolidayData) -> Schedule:
    calendar = replace(
        CALENDAR, holidays=None, dates=tuple(DateRange(first=day, last=day) for day in sorted(data.days[BAVARIA]))
    )
    exclude = (calendar,) if schedule.exclude else ()
    return replace(schedule, exclude=exclude, business=(calendar,) if schedule.business else ())


@pytest.mark.parametrize("code", ["XX-YY", "DE-ZZ"])
def test_unknown_codes_have_no_holidays(code: str) -> None:
    holidays = Holidays(code=code)
    assert read_holidays([holidays], 2026).days == {holidays: {}}
