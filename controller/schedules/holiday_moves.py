"""Finds the fire times that move when other holidays are known than before. Pure. `reconcile` calls it.

Both versions of the holidays are dates here: nothing is read from the package.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile

from controller.model.calendars import Calendar, DateRange, HolidayData, Holidays, Shift
from controller.model.schedules import Schedule
from controller.records import dataclass
from controller.schedules.business_days import LONGEST_SHIFT
from controller.schedules.calendar_days import day_zone
from controller.schedules.fire_time_search import fire_times
from controller.schedules.holiday_data import YEARS

MAX_DAYS = 100
"""Maximum number of days that are compared."""
MAX_TIMES = 5000
"""Maximum number of fire times of a schedule that are compared around a day."""
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayDay:
    """A day that was `added` to the holidays of a calendar, or `removed`, with the name of the holiday."""

    action: str
    calendar: str
    day: date
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedTimes:
    """The fire times that are left out from now on (`before`), those that are new (`after`), and the days that differ.

    Times are aware UTC datetimes. All are sorted.
    """

    days: tuple[HolidayDay, ...]
    before: tuple[datetime, ...]
    after: tuple[datetime, ...]


def used_holidays(schedules: Iterable[Schedule]) -> set[Holidays]:
    """Return the holidays that the calendars of these schedules consist of."""
    return {each.holidays for schedule in schedules for each in _calendars(schedule) if each.holidays is not None}


def find_moved_times(
    schedules: Sequence[Schedule], before: HolidayData, after: HolidayData, now: datetime
) -> MovedTimes:
    """Return the fire times after `now` that differ, around the first `MAX_DAYS` days that differ."""
    days = tuple(islice(_differing_days(schedules, before, after, now.date()), MAX_DAYS))
    old, new = ({*_times(schedules, data, days, now)} for data in (before, after))
    return MovedTimes(days=days, before=tuple(sorted(old - new)), after=tuple(sorted(new - old)))


def _calendars(schedule: Schedule) -> tuple[Calendar, ...]:
    return (*schedule.exclude, *schedule.only, *schedule.business)


def _differing_days(
    schedules: Iterable[Schedule], before: HolidayData, after: HolidayData, today: date
) -> Iterator[HolidayDay]:
    calendars = {each.name: each.holidays for schedule in schedules for each in _calendars(schedule)}
    days = []
    for name, holidays in calendars.items():
        if holidays is None or holidays not in before.days:
            continue
        old, new = before.days[holidays], after.days.get(holidays, {})
        for action, some, others in (("removed", old, new), ("added", new, old)):
            days += [
                HolidayDay(action=action, calendar=name, day=day, name=some[day]) for day in some if day not in others
            ]
    # A shift near the end may depend on holidays of the year after the data.
    end = date(before.first_year + YEARS, 1, 1) - LONGEST_SHIFT
    return iter(sorted((each for each in days if today <= each.day < end), key=lambda each: (each.day, each.calendar)))


def _times(
    schedules: Sequence[Schedule], data: HolidayData, days: Iterable[HolidayDay], now: datetime
) -> Iterator[datetime]:
    """Yield the fire times with these holidays around these days."""
    margin = LONGEST_SHIFT if any(schedule.shift is not Shift.NONE for schedule in schedules) else timedelta()
    ranges = list(_merged((each.day - margin, each.day + margin + _DAY) for each in days))
    for schedule in schedules:
        dated, zone = _with_dates(schedule, data), day_zone(schedule)
        for first, last in ranges:
            begin, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, last))
            times = fire_times(dated, max(begin - _TICK, now))
            yield from islice(takewhile(lambda moment, end=end: moment < end, times), MAX_TIMES)  # type: ignore[misc]


def _merged(ranges: Iterable[tuple[date, date]]) -> Iterator[tuple[date, date]]:
    """Yield ranges of days, which are sorted, without overlaps."""
    last: tuple[date, date] | None = None
    for begin, end in ranges:
        if last is not None and begin <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (begin, end)
    if last is not None:
        yield last


def _with_dates(schedule: Schedule, data: HolidayData) -> Schedule:
    """Return the schedule with dates in place of the holidays of its calendars."""
    exclude, only, business = (
        tuple(_dated(calendar, data) for calendar in calendars)
        for calendars in (schedule.exclude, schedule.only, schedule.business)
    )
    return replace(schedule, exclude=exclude, only=only, business=business)


def _dated(calendar: Calendar, data: HolidayData) -> Calendar:
    if calendar.holidays is None:
        return calendar
    days = data.days.get(calendar.holidays, {})
    return replace(calendar, holidays=None, dates=tuple(DateRange(first=day, last=day) for day in days))
