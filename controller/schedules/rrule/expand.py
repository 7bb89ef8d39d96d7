"""Expands one RFC 5545 recurrence rule to naive local times.

Called by `ruleset`, which parses the rule; `dst` handles clock changes. dateutil iterates from DTSTART and tests UNTIL
on matches only, so an impossible rule runs to the year 9999 inside one `next()` (dateutil#1441, #1393). Here the first
period is computed directly, each examined day counts as a step, and the number of steps is limited. The tests compare
the results with dateutil's.
"""

import itertools
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import IntEnum

from controller.records import dataclass

_STEPS = 20_000
"""A rule ends after this many days without a match: 55 years, longer than 29 February takes to repeat a weekday."""

_LAST_YEAR = 9989


class Frequency(IntEnum):
    """The FREQ part, from coarse to fine."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """One rule with all defaults filled in. An empty collection does not restrict.

    `weekdays` holds pairs (0 = Monday, n): n is 0 for every such weekday, otherwise it selects the n-th of the month or
    year. `start` and `until` are inclusive naive local times. `hours`, `minutes` and `seconds` are ascending.
    """

    frequency: Frequency
    start: datetime
    until: datetime | None = None
    interval: int = 1
    week_start: int = 0
    months: tuple[int, ...] = ()
    month_days: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    week_numbers: frozenset[int] = frozenset()
    weekdays: frozenset[tuple[int, int]] = frozenset()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: frozenset[int] = frozenset()


def wall_times(rule: Recurrence, after: datetime) -> Iterator[datetime]:
    """Yield the naive local times of `rule` strictly after `after`, in ascending order.

    The iterator ends with the rule, or after 20,000 steps without a match.
    """
    steps = 0
    begin = max(after, rule.start)
    for first, end in _periods(rule, begin):
        if rule.until is not None and first > rule.until.toordinal():
            return
        days = [day for day in _days(rule, first, end) if _matches(rule, day)]
        steps += 1 + (end - first)
        for wall in _times(rule, days, begin):
            steps += 1
            if rule.until is not None and wall > rule.until:
                return
            if wall > after and wall >= rule.start:
                steps = 0
                yield wall
        if days and rule.frequency is Frequency.MINUTELY:
            steps += len(rule.hours or range(24)) * 2
        if steps > _STEPS:
            return


def _periods(rule: Recurrence, begin: datetime) -> Iterator[tuple[int, int]]:
    """Yield the periods as proleptic day numbers (first, end), from the one that contains `begin` or an earlier one."""
    start, interval = rule.start, rule.interval
    if rule.frequency is Frequency.YEARLY:
        skipped = (begin.year - start.year) // interval * interval
        for year in range(start.year + skipped, _LAST_YEAR, interval):
            yield date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    elif rule.frequency is Frequency.MONTHLY:
        origin, target = (moment.year * 12 + moment.month - 1 for moment in (start, begin))
        for month in range(origin + (target - origin) // interval * interval, _LAST_YEAR * 12, interval):
            yield _month(month), _month(month + 1)
    else:
        length, step, origin = 1, 1, start.toordinal()
        if rule.frequency is Frequency.WEEKLY:
            length, step = 7, 7 * interval
            origin -= (start.weekday() - rule.week_start) % 7
        elif rule.frequency is Frequency.DAILY:
            step = interval
        skipped = max(0, (begin.toordinal() - origin) // step * step)
        for day in range(origin + skipped, date(_LAST_YEAR, 1, 1).toordinal(), step):
            yield day, day + length


def _month(number: int) -> int:
    return date(number // 12, number % 12 + 1, 1).toordinal()


def _days(rule: Recurrence, first: int, end: int) -> Iterator[date]:
    if rule.frequency is Frequency.YEARLY and rule.months:
        year = date.fromordinal(first).year
        months = [year * 12 + month - 1 for month in rule.months]
        ordinals = itertools.chain.from_iterable(range(_month(m), _month(m + 1)) for m in months)
        return map(date.fromordinal, ordinals)
    return map(date.fromordinal, range(first, end))


def _matches(rule: Recurrence, day: date) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not _is_selected(rule.month_days, day.day, _days_of_month(day)):
        return False
    if rule.weekdays and not _weekday_matches(rule, day):
        return False
    if rule.year_days and not _is_selected(rule.year_days, *_day_of_year(day)):
        return False
    return not rule.week_numbers or _is_selected(rule.week_numbers, *_week(day, rule.week_start))


def _is_selected(selection: frozenset[int], number: int, total: int) -> bool:
    """Return whether `selection` has the `number`-th of `total`, counted from the start or (negative) from the end."""
    return number in selection or number - total - 1 in selection


def _weekday_matches(rule: Recurrence, day: date) -> bool:
    weekday = day.weekday()
    if (weekday, 0) in rule.weekdays:
        return True
    if rule.frequency is Frequency.MONTHLY or rule.months:
        number, total = day.day, _days_of_month(day)
    else:
        number, total = _day_of_year(day)
    front, back = (number - 1) // 7 + 1, -((total - number) // 7 + 1)
    return (weekday, front) in rule.weekdays or (weekday, back) in rule.weekdays


def _days_of_month(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _day_of_year(day: date) -> tuple[int, int]:
    first = date(day.year, 1, 1).toordinal()
    return day.toordinal() - first + 1, date(day.year + 1, 1, 1).toordinal() - first


def _week(day: date, week_start: int) -> tuple[int, int]:
    """Return the week of the day, and the number of weeks in its year. Week 1 has at least four days in its year."""
    fourth = day + timedelta(days=3 - (day.weekday() - week_start) % 7)
    number, length = _day_of_year(fourth)
    return (number - 1) // 7 + 1, (number - 1) // 7 + 1 + (length - number) // 7


def _times(rule: Recurrence, days: list[date], begin: datetime) -> Iterator[datetime]:
    """Yield the local times of one period; those in hours before `begin` may be left out."""
    if rule.positions and rule.frequency <= Frequency.DAILY:
        yield from _select_positions(rule, days)
        return
    for day in days:
        from_hour = begin.hour if day == begin.date() else 0
        if rule.frequency <= Frequency.DAILY:
            hours = [hour for hour in rule.hours if hour >= from_hour]
            clock: Iterator[tuple[int, int, int]] = itertools.product(hours, rule.minutes, rule.seconds)
        else:
            clock = _select_by_phase(rule, day, from_hour)
            if rule.positions:
                clock = _select_clock_times(rule, clock)
        for hour, minute, second in clock:
            yield datetime.combine(day, time(hour, minute, second))


def _select_by_phase(rule: Recurrence, day: date, from_hour: int) -> Iterator[tuple[int, int, int]]:
    """Yield the clock times of a day for HOURLY and MINUTELY rules: every `interval` hours or minutes since `start`."""
    hourly = rule.frequency is Frequency.HOURLY
    passed = (day.toordinal() - rule.start.toordinal()) * 24 - rule.start.hour
    for hour in rule.hours or range(24):
        if hour < from_hour or (hourly and (passed + hour) % rule.interval):
            continue
        minutes: range | tuple[int, ...] = rule.minutes
        if not hourly:
            phased = range((rule.start.minute - (passed + hour) * 60) % rule.interval, 60, rule.interval)
            minutes = tuple(minute for minute in phased if minute in rule.minutes) if rule.minutes else phased
        yield from ((hour, minute, second) for minute in minutes for second in rule.seconds)


def _select_clock_times(rule: Recurrence, clock: Iterator[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Apply BYSETPOS of an HOURLY or MINUTELY rule: yield the n-th times of each hour or minute."""
    length = 1 if rule.frequency is Frequency.HOURLY else 2
    for _, group in itertools.groupby(clock, key=lambda moment: moment[:length]):
        times = list(group)
        for index in sorted({n - 1 if n > 0 else len(times) + n for n in rule.positions}):
            if 0 <= index < len(times):
                yield times[index]


def _select_positions(rule: Recurrence, days: list[date]) -> Iterator[datetime]:
    """Apply BYSETPOS: yield the n-th times of the period, counted from its start or its end."""
    per_minute = len(rule.seconds)
    per_hour = len(rule.minutes) * per_minute
    per_day = len(rule.hours) * per_hour
    total = len(days) * per_day
    for index in sorted({n - 1 if n > 0 else total + n for n in rule.positions}):
        if 0 <= index < total:
            hour, rest = divmod(index % per_day, per_hour)
            minute, second = divmod(rest, per_minute)
            clock = time(rule.hours[hour], rule.minutes[minute], rule.seconds[second])
            yield datetime.combine(days[index // per_day], clock)
