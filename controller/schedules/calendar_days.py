"""Answers whether a day is in a calendar, and whether it is a business day.

Called by `business_days` and `exclusions`. Days are plain dates: the caller converts instants to the time zone of the
schedule. Days are computed per year and cached, so that a search over many years stays fast.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from controller.errors import ScheduleError
from controller.model.calendars import WEEKEND, Calendar, DateRange
from controller.model.schedules import Dst, RRule, Schedule
from controller.schedules.holiday_data import holiday_names
from controller.schedules.parsing import zone

LONGEST_RANGE = timedelta(days=3660)
"""The longest range of a calendar that does not repeat."""
LONGEST_REPEATED = timedelta(days=31)
"""The longest range of a calendar that repeats."""
_DAY = timedelta(days=1)
_WITHIN_A_DAY = re.compile(r"FREQ\s*=\s*(HOURLY|MINUTELY|SECONDLY)|BY(HOUR|MINUTE|SECOND)|[\r\n]")


class CalendarDays:
    """The days of one calendar, with their names, by year. Thread-safe: threads may compute a year twice."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._years: dict[int, Mapping[date, str]] = {}

    def name(self, day: date) -> str | None:
        """Return the name of a day of the calendar, empty if it has none; None if the day is not in the calendar.

        Holidays that the installed version of the `holidays` package does not have (any more) have no days: validation
        reports them, and schedules continue.
        """
        days = self._years.get(day.year)
        if days is None:
            days = self._years[day.year] = self._in_year(day.year)
        return days.get(day)

    def _in_year(self, year: int) -> Mapping[date, str]:
        if self.calendar.holidays is not None:
            with suppress(ScheduleError):
                return holiday_names(self.calendar.holidays, year)
            return {}
        first, last = date(year, 1, 1), date(year, 12, 31)
        days: dict[date, str] = {}
        for dates in self.calendar.dates:
            for begin, end in _ranges(dates, first, last):
                day = max(begin, first)
                while day <= min(end, last):
                    days.setdefault(day, dates.name)
                    day += _DAY
        return days


@lru_cache(maxsize=1024)
def calendar_days(calendar: Calendar) -> CalendarDays:
    """Return the days of this calendar; equal calendars share them."""
    return CalendarDays(calendar)


class BusinessDays:
    """The business days of several calendars: days that none of them has, and on no weekend of theirs.

    Without a calendar, Saturday and Sunday are the only days that are not business days.
    """

    def __init__(self, calendars: Sequence[Calendar]) -> None:
        self._calendars = [calendar_days(calendar) for calendar in calendars]
        self._weekend = WEEKEND if not calendars else frozenset().union(*(each.weekend for each in calendars))

    def has(self, day: date) -> bool:
        """Return whether this is a business day."""
        return day.weekday() not in self._weekend and all(days.name(day) is None for days in self._calendars)


def day_zone(schedule: Schedule) -> ZoneInfo:
    """Return the time zone of a schedule's days: that of its DTSTART, if its rule has one. Raises ScheduleError."""
    if isinstance(schedule.rule, RRule):
        from controller.schedules.rrule import ruleset

        return ruleset.compile_rules(schedule.rule, schedule.timezone).zone
    return zone(schedule.timezone)


def check_rule(text: str, first: date) -> None:
    """Raise ScheduleError if this rule of a calendar is invalid, or repeats within a day."""
    if _WITHIN_A_DAY.search(text.upper()):
        raise ScheduleError("a calendar has whole days, so its rule can't have times", hint="write FREQ=DAILY")
    if next(_rule_days(text, first, first), None) is None:
        raise ScheduleError("the rule of the calendar has no day", hint="remove it, or correct UNTIL or its parts")


def _ranges(dates: DateRange, first: date, last: date) -> Iterator[tuple[date, date]]:
    """Yield the ranges that have a day from `first` to `last`."""
    if not dates.rrule:
        yield dates.first, dates.last
        return
    length = dates.last - dates.first
    for begin in takewhile(lambda day: day <= last, _rule_days(dates.rrule, dates.first, first - length)):
        if begin not in dates.exdates:
            yield begin, begin + length


def _rule_days(text: str, start: date, since: date) -> Iterator[date]:
    """Yield the days of a rule from `since` on."""
    from controller.schedules.rrule import ruleset

    rule = RRule(text=f"DTSTART;VALUE=DATE:{start:%Y%m%d}\nRRULE:{text}")
    compiled = ruleset.compile_rules(rule, "UTC")
    after = datetime(max(since.year, 2), since.month, since.day, tzinfo=UTC) - timedelta(microseconds=1)
    return (instant.date() for instant in ruleset.instants(compiled, Dst(), after))
