"""What does the text of an `rrule` mean, and when does it fire?

Called by `fire_time_search`, `dst_transitions` and `description`. It fills in the defaults of RFC 5545 (3.3.10),
refuses what is ambiguous or can't be computed within bounds, and merges what `expand` expands. It must not expand
anything itself.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from controller.errors import ScheduleError
from controller.model.schedules import Dst, RRule
from controller.schedules.dst import REAL_TIME, first_wall, resolve, to_wall
from controller.schedules.intervals import DEFAULT_ANCHOR
from controller.schedules.messages import did_you_mean, quoted
from controller.schedules.parsing import zone as zone_of
from controller.schedules.rrule.expand import Frequency, Recurrence, walls
from controller.schedules.rrule.parser import Lines, moment, numbers, read, weekdays

_DAY_PARTS = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")
_BEFORE = timedelta(microseconds=1)
_PRACTICALLY_FOREVER = timedelta(days=36525)
"""A COUNT that is not used up in a century is not walked through any further."""

_EXPANDED = 20
"""Rules of one text that are looked at around a clock change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """A parsed text: all times are naive local times of `zone`; an excluded date excludes its whole day."""

    zone: ZoneInfo
    rules: tuple[Recurrence, ...]
    added: tuple[datetime, ...]
    excluded: frozenset[datetime]
    excluded_days: frozenset[date]


def instants(rules: RuleSet, dst: Dst, after: datetime) -> Iterator[datetime]:
    """The instants strictly after `after`, ascending; one that two lines give comes twice.

    HOURLY and MINUTELY rules follow real time, as a cron with a wildcard hour does; all others follow `dst`.
    """
    found = [
        resolve(_kept(rules, walls(rule, first_wall(after, rules.zone, policy))), rules.zone, policy, after)
        for rule in rules.rules
        for policy in (REAL_TIME if rule.frequency > Frequency.DAILY else dst,)
    ]
    if rules.added:
        found.append(resolve(_kept(rules, iter(rules.added)), rules.zone, dst, after))
    return found[0] if len(found) == 1 else heapq.merge(*found)


def fixed_walls(rules: RuleSet, low: datetime, high: datetime) -> Iterator[datetime]:
    """The naive local times in [low, high) that the `dst` policy applies to, in no order; one may come twice.

    Each rule is expanded for the one period that holds `low`, and not at all when it names no hour or no month of this
    stretch. Rules after the twentieth are left out: what asks is a warning, and may not take long.
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
        yield from _kept(rules, walls(bounded, begin))
    yield from (wall for wall in _kept(rules, iter(rules.added)) if low <= wall < high)


def _kept(rules: RuleSet, found: Iterator[datetime]) -> Iterator[datetime]:
    if not rules.excluded and not rules.excluded_days:
        return found
    return (wall for wall in found if wall not in rules.excluded and wall.date() not in rules.excluded_days)


@lru_cache(maxsize=4096)
def compiled(rule: RRule, timezone: str) -> RuleSet:
    """The meaning of a rule text in the zone of its schedule.

    A DTSTART with a TZID says the zone itself, as RFC 5545 has it; one with `Z` is converted to local time.

    Raises:
        ScheduleError: it can't be understood, or not be computed within bounds.
    """
    lines = read(rule.text)
    if not lines.rules and not lines.added:
        raise ScheduleError("an rrule needs an RRULE or RDATE line", hint="write FREQ=WEEKLY;BYDAY=MO, say")
    if lines.start_zone is not None and timezone not in ("UTC", lines.start_zone):
        message = f"DTSTART is in {quoted(lines.start_zone)} but the schedule's timezone is {quoted(timezone)}"
        raise ScheduleError(message, hint="leave out one of them")
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
    _refuse(parts, frequency, has_start=lines.start is not None)
    days = frozenset(numbers(parts, "BYMONTHDAY"))
    months, names = numbers(parts, "BYMONTH"), weekdays(parts, "BYDAY")
    if not any(name in parts for name in _DAY_PARTS):  # DTSTART says which day
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
        until=_wall(moment(parts["UNTIL"]), zone, time.max) if "UNTIL" in parts else None,
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
    _refuse_positions(recurrence)
    return _counted(recurrence, numbers(parts, "COUNT"))


def _refuse_positions(rule: Recurrence) -> None:
    """Raise ScheduleError if BYSETPOS names none of the times of an hour or a minute."""
    if rule.positions and rule.frequency > Frequency.DAILY:
        is_hourly = rule.frequency is Frequency.HOURLY
        times = len(rule.seconds) * (len(rule.minutes) if is_hourly else 1)
        if all(abs(number) > times for number in rule.positions):
            what = f"BYSETPOS beyond the {times} times of {'an hour' if is_hourly else 'a minute'}"
            hint = "write BYSETPOS=1 for the first or -1 for the last of them"
            raise ScheduleError(f"the rrule has {what}", hint=hint)


def _counted(rule: Recurrence, count: tuple[int, ...]) -> Recurrence:
    """COUNT becomes the UNTIL of its last local time, so that it is walked through once and not at each question."""
    if not count:
        return rule
    last = rule.start - _BEFORE
    for wall in islice(walls(rule, last), count[0]):
        last = wall
        if wall - rule.start > _PRACTICALLY_FOREVER:
            return rule
    return replace(rule, until=last)


def _frequency(parts: dict[str, str]) -> Frequency:
    name = parts.get("FREQ")
    if name == "SECONDLY":
        hint = "use `interval: 30s`; RRULE goes down to MINUTELY"
        raise ScheduleError("FREQ=SECONDLY is not supported", hint=hint)
    known = Frequency.__members__
    if name is None:
        raise ScheduleError("the rrule has no FREQ", hint=f"write FREQ= with {', '.join(known)}")
    if name not in known:
        hint = did_you_mean(name, known) or f"known are {', '.join(known)}"
        raise ScheduleError(f"unknown FREQ {quoted(name)} in rrule", hint=hint)
    return known[name]


def _refuse(parts: dict[str, str], frequency: Frequency, *, has_start: bool) -> None:
    """Combinations that RFC 5545 forbids, or that have no one meaning."""
    ordinals = [n for _, n in weekdays(parts, "BYDAY") if n]
    others = [name for name in parts if name.startswith("BY") and name != "BYSETPOS"]
    checks = (
        ("COUNT" in parts and not has_start, "COUNT without DTSTART", "add a DTSTART line, or use UNTIL or `end`"),
        ("COUNT" in parts and "UNTIL" in parts, "COUNT and UNTIL together", "leave out one of them"),
        ("BYSETPOS" in parts and not others, "BYSETPOS without another BY part", "add BYDAY=MO,TU,WE,TH,FR, say"),
        (
            "BYWEEKNO" in parts and frequency is not Frequency.YEARLY,
            f"BYWEEKNO with FREQ={frequency.name}",
            "week numbers go with FREQ=YEARLY",
        ),
        (
            bool(ordinals) and (frequency > Frequency.MONTHLY or "BYWEEKNO" in parts),
            f"a numbered weekday with {'BYWEEKNO' if 'BYWEEKNO' in parts else f'FREQ={frequency.name}'}",
            "write BYDAY=MO; 2MO goes with FREQ=MONTHLY or FREQ=YEARLY",
        ),
    )
    for wrong, what, hint in checks:
        if wrong:
            raise ScheduleError(f"the rrule has {what}", hint=hint)
