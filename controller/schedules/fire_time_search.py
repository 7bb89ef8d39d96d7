"""Computes the fire times of schedules.

Called by `scheduler`, `queries` and `manifests` through the package. Fire times are computed on demand from the rule
and the bounds of the caller: nothing is stored, and nothing depends on when a schedule was applied. This module must
not read the clock. It dispatches on the kind of rule and leaves the details to the module of each kind.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import takewhile

from controller.errors import ScheduleError
from controller.model.calendars import Shift
from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.schedules import cron, intervals
from controller.schedules.business_days import shift_instants
from controller.schedules.dst import (
    EARLIEST,
    LATEST,
    REAL_TIME,
    first_wall_time,
    instants_of,
    is_in_calendar,
    resolve,
    to_instant,
)
from controller.schedules.exclusions import can_exclude, without_excluded
from controller.schedules.parsing import zone
from controller.schedules.precedence import by_precedence

_TICK = timedelta(microseconds=1)


def fire_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Iterate lazily over the fire times of `schedule` strictly after the aware `after`, as ascending aware UTC times.

    `start`, `end`, calendars and windows are applied, `suspend` is not. The iterator ends at `end`, when the rule ends,
    or when nothing is found within the search limits (50 to 60 years, and 20,000 steps of a recurrence rule). One step
    takes about ten microseconds; the slowest rules end after about ten milliseconds.

    Raises:
        ScheduleError: the schedule is invalid; raised by the call, not by the iterator.
        ValueError: `after` is naive.
    """
    if not can_exclude(schedule):
        return due_times(schedule, after)
    all_times = due_times(schedule, after)  # raises what is invalid before the iterator starts
    return without_excluded(
        schedule, after, lambda moment: all_times if moment is after else due_times(schedule, moment)
    )


def due_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Iterate over the fire times as `fire_times` does, and over the due times that a calendar or a window skips.

    Raises:
        ScheduleError: the schedule is invalid; raised by the call, not by the iterator.
        ValueError: `after` is naive.
    """
    low, high = window(schedule, after)
    if low >= LATEST:
        return iter(())
    if schedule.shift is Shift.NONE:
        instants = _instants(schedule, low)
    else:
        _instants(schedule, low)
        instants = shift_instants(schedule, partial(_instants, schedule), low)
    return takewhile(lambda instant: instant <= high, instants) if schedule.end else instants


def next_fire_times(
    schedules: Sequence[Schedule], after: datetime, n: int, *, with_excluded: bool = False
) -> list[tuple[datetime, Schedule]]:
    """Return the next `n` fire times of several schedules after the aware `after`; fewer if the schedules end.

    With `with_excluded`, also the due times that a calendar or a window skips.

    Suspended schedules are left out. If several schedules fire at the same instant, there is one entry, for the
    schedule that takes precedence (see `precedence`).

    Raises:
        ScheduleError: a schedule is invalid.
    """
    active = by_precedence(schedule for schedule in schedules if not schedule.suspend)
    entries: list[tuple[datetime, Schedule]] = []
    if n <= 0:
        return entries
    search = due_times if with_excluded else fire_times
    streams = (_with_index(search(schedule, after), index) for index, schedule in enumerate(active))
    for instant, index in heapq.merge(*streams):
        if not entries or entries[-1][0] != instant:
            entries.append((instant, active[index]))
            if len(entries) >= n:
                break
    return entries


def check_schedule(schedule: Schedule, after: datetime) -> bool:
    """Return whether the schedule fires after the aware `after`.

    A schedule that has ended (`at`, `end`, UNTIL or COUNT in the past) returns False: a document must not become
    invalid as time passes.

    Raises:
        ScheduleError: the schedule is invalid or can never fire; the hint says what to change.
    """
    if next(fire_times(schedule, after), None) is not None:
        return True
    rule = schedule.rule
    begin = EARLIEST
    if schedule.start is None and isinstance(
        rule, Cron | Interval
    ):  # these have no beginning, so search forward from `after`, or from the first day on which they can fire
        begin = min(after, _first_day(schedule) or after)
    bounded = replace(schedule, end=None) if begin is after else schedule
    if next(fire_times(bounded, begin), None) is None:
        message, hint = _never(schedule)
        raise ScheduleError(message, hint=hint)
    return False


def window(schedule: Schedule, after: datetime) -> tuple[datetime, datetime]:
    """Return the bounds of the fire times after `after`, given `start` and `end`: (exclusive, inclusive), aware UTC."""
    if after.tzinfo is None:
        raise ValueError("after must be an aware datetime")
    local_zone = zone(schedule.timezone)
    low, high = to_instant(after, local_zone, schedule.dst), LATEST
    if schedule.start is not None:
        low = max(low, to_instant(schedule.start, local_zone, schedule.dst) - _TICK)
    if schedule.end is not None:
        high = to_instant(schedule.end, local_zone, schedule.dst, latest=True)
    return low, high


def _with_index(instants: Iterator[datetime], index: int) -> Iterator[tuple[datetime, int]]:
    return ((instant, index) for instant in instants)


def _instants(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    local_zone, dst = zone(schedule.timezone), schedule.dst
    match schedule.rule:
        case Cron() as rule:
            policy = REAL_TIME if cron.follows_real_time(rule) else dst
            return resolve(cron.wall_times(rule, first_wall_time(after, local_zone, policy)), local_zone, policy, after)
        case Interval() as rule if intervals.keeps_clock_time(rule):
            return resolve(
                intervals.wall_times(rule, local_zone, first_wall_time(after, local_zone, dst)), local_zone, dst, after
            )
        case Interval() as rule:
            return intervals.instants(rule, local_zone, dst, after)
        case RRule() as rule:
            from controller.schedules.rrule import ruleset

            return _distinct(ruleset.instants(ruleset.compile_rules(rule, schedule.timezone), dst, after))
        case At(times=times):
            distinct = {
                instant
                for moment in times
                if is_in_calendar(moment)
                for instant in (
                    instants_of(moment, local_zone, dst)
                    if moment.tzinfo is None
                    else [to_instant(moment, local_zone, dst)]
                )
            }
            return iter(sorted(instant for instant in distinct if instant > after))


def _distinct(instants: Iterator[datetime]) -> Iterator[datetime]:
    last = EARLIEST
    for instant in instants:
        if instant > last:
            last = instant
            yield instant


def _first_day(schedule: Schedule) -> datetime | None:
    """Return an instant before the first day of its `only` calendars; None if they have no first day."""
    dates = [dates.first for calendar in schedule.only for dates in calendar.dates]
    if not dates or any(calendar.holidays for calendar in schedule.only):
        return None
    return max(EARLIEST, datetime.combine(max(min(dates), EARLIEST.date()), time(), tzinfo=UTC) - timedelta(days=1))


def _never(schedule: Schedule) -> tuple[str, str]:
    if schedule.start is not None and schedule.end is not None:
        low, high = window(schedule, EARLIEST)
        if high <= low:
            return "the schedule never fires: `end` is before `start`", "swap `start` and `end`"
    if schedule.shift is not Shift.NONE or can_exclude(schedule):
        plain = replace(schedule, exclude=(), only=(), shift=Shift.NONE, windows=())
        if next(fire_times(plain, _first_day(schedule) or EARLIEST), None) is not None:
            message = "the schedule never fires: its calendars and windows leave out all of its due times"
            return message, "remove or change `except`, `only`, `shift` or `windows`"
    hints: dict[type[object], str] = {
        Cron: "no date within 50 years matches all its fields; for the last day of a month write L",
        Interval: "move `start` or `end`",
        RRule: "no date within 55 years matches all its parts, UNTIL is before DTSTART, or EXDATE excludes every date",
        At: "list a time that exists, between `start` and `end`",
    }
    bounded = schedule.start is not None or schedule.end is not None
    within = " between `start` and `end`" if bounded else ""
    return f"the schedule never fires{within}", hints[type(schedule.rule)]
