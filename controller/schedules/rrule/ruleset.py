"""Interprets the text of an `rrule` and computes its instants.

Called by `fire_time_search`, `dst_transitions` and `description`. It fills in the defaults of RFC 5545 (3.3.10),
rejects rules that are ambiguous or can't be computed within bounds, and merges the local times from `expand`, which
does all of the expansion.
"""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from controller.errors import ScheduleError
from controller.model.schedules import Dst, RRule
from controller.records import dataclass
from controller.schedules.dst import REAL_TIME, first_wall_time, resolve, to_wall
from controller.schedules.intervals import DEFAULT_ANCHOR
from controller.schedules.messages import quote
from controller.schedules.parsing import zone as zone_of
from controller.schedules.rrule.expand import Frequency, Recurrence, wall_times
from controller.schedules.rrule.parser import Lines, numbers, parse_date, parse_lines, weekdays
from controller.text import did_you_mean

_DAY_PARTS = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")
_BEFORE = timedelta(microseconds=1)
_PRACTICALLY_FOREVER = timedelta(days=36525)
"""A COUNT that takes more than a century is treated as unlimited, so that it is not counted to the end."""

_EXPANDED = 20
"""At most this many rules of a text are expanded around a clock change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """A parsed rule text. All times are naive local times of `zone`; `excluded_days` exclude whole days."""

    zone: ZoneInfo
    rules: tuple[Recurrence, ...]
    added: tuple[datetime, ...]
    excluded: frozenset[datetime]
    excluded_days: frozenset[date]


def instants(rules: RuleSet, dst: Dst, after: datetime) -> Iterator[datetime]:
    """Yield the instants strictly after `after`, in ascending order. Instants of two lines that coincide occur twice.

    HOURLY and MINUTELY rules follow real time, like a cron with a wildcard hour; all others follow `dst`.
    """
    streams = []
    for rule in rules.rules:
        policy = REAL_TIME if rule.frequency > Frequency.DAILY else dst
        walls = _exclude(rules, wall_times(rule, first_wall_time(after, rules.zone, policy)))
        streams.append(resolve(walls, rules.zone, policy, after))
    if rules.added:
        streams.append(resolve(_exclude(rules, iter(rules.added)), rules.zone, dst, after))
    return streams[0] if len(streams) == 1 else heapq.merge(*streams)


def fixed_wall_times(rules: RuleSet, low: datetime, high: datetime) -> Iterator[datetime]:
    """Yield the naive local times in [low, high) that the `dst` policy applies to, unordered and with duplicates.

    Each rule is expanded from `low` on, and not at all if it has no hour or no month of the range. Rules after the
    twentieth are left out: the caller is a warning, which must not take long.
    """
    begin, end = low - _BEFORE, high - _BEFORE
    hours = {(low.hour + number) % 24 for number in range((high - low) // timedelta(hours=1) + 2)}
    months = {low.month, end.month}
    for rule in rules.rules[:_EXPANDED]:
        if rule.frequency > Frequency.DAILY or hours.isdisjoint(rule.hours):
            continue
        if rule.months and months.isdisjoint(rule.months):
            continue
        bounded = replace(rule, until=end if rule.until is None else min(end, rule.until))
        yield from _exclude(rules, wall_times(bounded, begin))
    yield from (wall for wall in _exclude(rules, iter(rules.added)) if low <= wall < high)


def _exclude(rules: RuleSet, walls: Iterator[datetime]) -> Iterator[datetime]:
    if not rules.excluded and not rules.excluded_days:
        return walls
    return (wall for wall in walls if wall not in rules.excluded and wall.date() not in rules.excluded_days)


@lru_cache(maxsize=4096)
def compile_rules(rule: RRule, timezone: str) -> RuleSet:
    """Return the parsed rule text in the time zone of its schedule.

    A DTSTART with a TZID sets the zone, as RFC 5545 requires; one with `Z` is converted to local time.

    Raises:
        ScheduleError: the rule is invalid, or can't be computed within bounds.
    """
    lines = parse_lines(rule.text)
    if not lines.rules and not lines.added:
        raise ScheduleError("an rrule needs an RRULE or RDATE line", hint="write a rule such as FREQ=WEEKLY;BYDAY=MO")
    if lines.start_zone is not None and timezone not in ("UTC", lines.start_zone):
        message = f"DTSTART is in {quote(lines.start_zone)} but the schedule's timezone is {quote(timezone)}"
        raise ScheduleError(message, hint="remove one of them")
    zone = zone_of(lines.start_zone or timezone)
    return RuleSet(
        zone=zone,
        rules=tuple(_recurrence(parts, lines, zone) for parts in lines.rules),
        added=tuple(sorted({_wall(day, zone) for day in lines.added})),
        excluded=frozenset(_wall(day, zone) for day in lines.excluded if isinstance(day, datetime)),
        excluded_days=frozenset(day for day in lines.excluded if not isinstance(day, datetime)),
    )


def _wall(day: date, zone: ZoneInfo, clock: time = time.min) -> datetime:
    return to_wall(day, zone) if isinstance(day, datetime) else datetime.combine(day, clock)


def _recurrence(parts: dict[str, str], lines: Lines, zone: ZoneInfo) -> Recurrence:
    frequency = _frequency(parts)
    start = DEFAULT_ANCHOR if lines.start is None else _wall(lines.start, zone)
    _check_combinations(parts, frequency, has_start=lines.start is not None)
    days = frozenset(numbers(parts, "BYMONTHDAY"))
    months, names = numbers(parts, "BYMONTH"), weekdays(parts, "BYDAY")
    if not any(name in parts for name in _DAY_PARTS):  # DTSTART sets the day
        if frequency is Frequency.YEARLY:
            months, days = months or (start.month,), frozenset({start.day})
        elif frequency is Frequency.MONTHLY:
            days = frozenset({start.day})
        elif frequency is Frequency.WEEKLY:
            names = frozenset({(start.weekday(), 0)})
    hours = () if frequency >= Frequency.HOURLY else (start.hour,)
    minutes = () if frequency >= Frequency.MINUTELY else (start.minute,)
    recurrence = Recurrence(
        frequency=frequency,
        start=start.replace(microsecond=0),
        until=_wall(parse_date(parts["UNTIL"]), zone, time.max) if "UNTIL" in parts else None,
        interval=(numbers(parts, "INTERVAL") or (1,))[0],
        week_start=min(weekdays(parts, "WKST"), default=(0, 0))[0],
        months=months,
        month_days=days,
        year_days=frozenset(numbers(parts, "BYYEARDAY")),
        week_numbers=frozenset(numbers(parts, "BYWEEKNO")),
        weekdays=names,
        hours=numbers(parts, "BYHOUR") or hours,
        minutes=numbers(parts, "BYMINUTE") or minutes,
        seconds=numbers(parts, "BYSECOND") or (start.second,),
        positions=frozenset(numbers(parts, "BYSETPOS")),
    )
    _check_positions(recurrence)
    return _apply_count(recurrence, numbers(parts, "COUNT"))


def _check_positions(rule: Recurrence) -> None:
    """Raise ScheduleError if BYSETPOS selects none of the times of an hour or a minute."""
    if rule.positions and rule.frequency > Frequency.DAILY:
        is_hourly = rule.frequency is Frequency.HOURLY
        times = len(rule.seconds) * (len(rule.minutes) if is_hourly else 1)
        if all(abs(number) > times for number in rule.positions):
            period = "an hour" if is_hourly else "a minute"
            message = f"the rrule has a BYSETPOS beyond the {times} {'time' if times == 1 else 'times'} of {period}"
            raise ScheduleError(message, hint="write BYSETPOS=1 for the first time, or BYSETPOS=-1 for the last")


def _apply_count(rule: Recurrence, count: tuple[int, ...]) -> Recurrence:
    """Convert COUNT to an UNTIL at the last local time, so that the times are counted only once."""
    if not count:
        return rule
    last = rule.start - _BEFORE
    for wall in islice(wall_times(rule, last), count[0]):
        last = wall
        if wall - rule.start > _PRACTICALLY_FOREVER:
            return rule
    return replace(rule, until=last)


def _frequency(parts: dict[str, str]) -> Frequency:
    name = parts.get("FREQ")
    if name == "SECONDLY":
        hint = "use FREQ=MINUTELY, or write an interval such as `interval: 30s`"
        raise ScheduleError("FREQ=SECONDLY is not supported", hint=hint)
    frequencies = Frequency.__members__
    if name is None:
        raise ScheduleError("the rrule has no FREQ", hint=f"add FREQ= with one of {', '.join(frequencies)}")
    if name not in frequencies:
        hint = did_you_mean(name, frequencies, 3) or f"valid values are {', '.join(frequencies)}"
        raise ScheduleError(f"unknown FREQ {quote(name)} in rrule", hint=hint)
    return frequencies[name]


def _check_combinations(parts: dict[str, str], frequency: Frequency, *, has_start: bool) -> None:
    """Raise ScheduleError for combinations of parts that RFC 5545 forbids or that are ambiguous."""
    ordinals = [n for _, n in weekdays(parts, "BYDAY") if n]
    other_parts = [name for name in parts if name.startswith("BY") and name != "BYSETPOS"]
    checks = (
        ("COUNT" in parts and not has_start, "COUNT without DTSTART", "add a DTSTART line, or use UNTIL or `end`"),
        ("COUNT" in parts and "UNTIL" in parts, "COUNT and UNTIL together", "remove one of them"),
        ("BYSETPOS" in parts and not other_parts, "BYSETPOS without another BY part", "add a part such as BYDAY=MO,TU"),
        (
            "BYWEEKNO" in parts and frequency is not Frequency.YEARLY,
            f"BYWEEKNO with FREQ={frequency.name}",
            "week numbers need FREQ=YEARLY",
        ),
        (
            bool(ordinals) and (frequency > Frequency.MONTHLY or "BYWEEKNO" in parts),
            f"a numbered weekday with {'BYWEEKNO' if 'BYWEEKNO' in parts else f'FREQ={frequency.name}'}",
            "write BYDAY=MO; 2MO needs FREQ=MONTHLY or FREQ=YEARLY",
        ),
    )
    for is_invalid, combination, hint in checks:
        if is_invalid:
            raise ScheduleError(f"the rrule has {combination}", hint=hint)
