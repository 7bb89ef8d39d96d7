"""When does a schedule fire?

Called by `scheduler`, `queries` and `manifests` through the package. Each answer is computed on demand from the
rule and the instants it is asked about: nothing is stored, nothing depends on when a schedule was applied. It must
not look at the clock. It knows each kind of rule, and no rule's insides.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from controller.errors import ScheduleError
from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.schedules import cron, intervals
from controller.schedules.dst import (
    EARLIEST,
    LATEST,
    REAL_TIME,
    first_wall,
    instants_of,
    is_in_calendar,
    resolve,
    to_instant,
)
from controller.schedules.parsing import zone
from controller.schedules.precedence import by_precedence
from controller.schedules.rrule import ruleset

_TICK = timedelta(microseconds=1)


def fire_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All fire times of `schedule`, lazily: aware, UTC, strictly ascending and strictly after the aware `after`.

    `start` and `end` are honoured, `suspend` is not. It ends where the calendar ends: at `end`, with the rule, or
    when nothing is found within bounds (50 to 60 years, and 20,000 steps of a recurrence rule). One step costs
    some ten microseconds; the worst rules end after some ten milliseconds.

    Raises:
        ScheduleError: the schedule can't be understood; raised by the call, not by the iterator.
        ValueError: `after` is naive.
    """
    low, high = window(schedule, after)
    found = _instants(schedule, low) if low < LATEST else iter(())
    return takewhile(lambda instant: instant <= high, found) if schedule.end else found


def next_fire_times(schedules: Sequence[Schedule], after: datetime, n: int) -> list[tuple[datetime, Schedule]]:
    """The next `n` fire times of several schedules after the aware `after`, fewer when they end.

    Suspended schedules are left out. Where several fire at one instant there is one entry, of the one that
    `precedence` puts first.

    Raises:
        ScheduleError: a schedule can't be understood.
    """
    active = by_precedence(schedule for schedule in schedules if not schedule.suspend)
    found: list[tuple[datetime, Schedule]] = []
    if n <= 0:
        return found
    for instant, index in heapq.merge(*(_tagged(schedule, after, i) for i, schedule in enumerate(active))):
        if not found or found[-1][0] != instant:
            found.append((instant, active[index]))
            if len(found) >= n:
                break
    return found


def check(schedule: Schedule, after: datetime) -> bool:
    """Whether it fires after the aware `after`; refuse a schedule that can't be understood or never fires.

    One that has ended (`at`, `end`, UNTIL or COUNT in the past) is fine: a file must not become invalid because
    time goes by.

    Raises:
        ScheduleError: what is wrong, with a hint what to do.
    """
    if next(fire_times(schedule, after), None) is not None:
        return True
    rule = schedule.rule
    begin = EARLIEST
    if schedule.start is None and isinstance(rule, Cron | Interval):  # these have no beginning: look on from here
        begin = after
    bounded = replace(schedule, end=None) if begin is after else schedule
    if next(fire_times(bounded, begin), None) is None:
        message, hint = _never(schedule)
        raise ScheduleError(message, hint=hint)
    return False


def window(schedule: Schedule, after: datetime) -> tuple[datetime, datetime]:
    """What (after, end] leaves of the calendar, `start` included: exclusive from, inclusive to; both aware UTC."""
    if after.tzinfo is None:
        raise ValueError("an aware datetime is needed")
    zoned = zone(schedule.timezone)
    low, high = to_instant(after, zoned, schedule.dst), LATEST
    if schedule.start is not None:
        low = max(low, to_instant(schedule.start, zoned, schedule.dst) - _TICK)
    if schedule.end is not None:
        high = to_instant(schedule.end, zoned, schedule.dst, latest=True)
    return low, high


def _tagged(schedule: Schedule, after: datetime, index: int) -> Iterator[tuple[datetime, int]]:
    return ((instant, index) for instant in fire_times(schedule, after))


def _instants(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    zoned, dst = zone(schedule.timezone), schedule.dst
    match schedule.rule:
        case Cron() as rule:
            policy = REAL_TIME if cron.follows_real_time(rule) else dst
            return resolve(cron.walls(rule, first_wall(after, zoned, policy)), zoned, policy, after)
        case Interval() as rule if intervals.keeps_clock_time(rule):
            return resolve(intervals.walls(rule, zoned, first_wall(after, zoned, dst)), zoned, dst, after)
        case Interval() as rule:
            return intervals.instants(rule, zoned, dst, after)
        case RRule() as rule:
            return _distinct(ruleset.instants(ruleset.compiled(rule, schedule.timezone), dst, after))
        case At(times=times):
            found = {
                instant
                for moment in times
                if is_in_calendar(moment)
                for instant in (
                    instants_of(moment, zoned, dst) if moment.tzinfo is None else [to_instant(moment, zoned, dst)]
                )
            }
            return iter(sorted(instant for instant in found if instant > after))


def _distinct(instants: Iterator[datetime]) -> Iterator[datetime]:
    last = EARLIEST
    for instant in instants:
        if instant > last:
            last = instant
            yield instant


def _never(schedule: Schedule) -> tuple[str, str]:
    if schedule.start is not None and schedule.end is not None:
        low, high = window(schedule, EARLIEST)
        if high <= low:
            return "the schedule never fires: `end` is before `start`", "swap them"
    hints: dict[type[object], str] = {
        Cron: "no date matches all its fields within 50 years; for the last day of a month write L",
        Interval: "move `start` or `end`",
        RRule: "no date matches all its parts within 55 years, or UNTIL is before DTSTART, or EXDATE leaves none",
        At: "list a time that exists, between `start` and `end`",
    }
    bounded = schedule.start is not None or schedule.end is not None
    within = " between `start` and `end`" if bounded else ""
    return f"the schedule never fires{within}", hints[type(schedule.rule)]
