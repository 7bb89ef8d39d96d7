"""Finds the fire times of a deployment that came due in a time range.

Called by `runs` whenever a deployment may be due, including after a pause, a restart or a late wake-up, and for the
range of a backfill. The catch-up policy decides what happens to the due times, not this module. It stays fast even if
a one-second interval has been missed for a year.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile

from controller.model.calendars import Shift
from controller.model.schedules import Interval, Schedule
from controller.records import dataclass
from controller.schedules import intervals
from controller.schedules.exclusions import can_exclude, find_exclusion
from controller.schedules.fire_time_search import due_times as all_due_times
from controller.schedules.fire_time_search import fire_times, window
from controller.schedules.parsing import zone
from controller.schedules.precedence import by_precedence

_MAX_COUNTED = 100_000
"""At most this many fire times of one deployment are counted one by one."""

_MAX_CHECKED = 500
"""At most this many due times of a range are checked one by one to find the latest one that is not skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimes:
    """The latest fire times in a range, oldest first, each with its schedule.

    `dropped` is the number of earlier fire times that were left out. It is exact for absolute intervals, and for other
    rules up to 100,000 fire times; above that it is a lower bound. If another schedule coincides with an absolute
    interval that came due more than 10,000 times, each coincidence is counted twice. `first` is the earliest fire time
    in the range.
    """

    times: tuple[tuple[datetime, Schedule], ...]
    dropped: int
    first: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _SchedulePart:
    """The share of one schedule: its latest fire times, and how many came due before them."""

    first: datetime
    times: list[datetime]
    before: int


def find_due(schedules: Sequence[Schedule], after: datetime, until: datetime, limit: int) -> DueTimes:
    """Return the last `limit` due times in (after, until] of all schedules together; both bounds are aware.

    Due times that a calendar or a window skips are included (see `exclusions`). Suspended schedules are left out. If
    several schedules are due at the same instant, there is one entry, for the schedule that takes precedence (see
    `precedence`); one that skips the instant gives way to one that does not.

    Raises:
        ScheduleError: a schedule is invalid.
    """
    active = by_precedence(schedule for schedule in schedules if not schedule.suspend)
    owners: dict[datetime, Schedule] = {}
    before = 0
    firsts = []
    for schedule in active:
        part = _due_part(schedule, after, until, limit, _MAX_COUNTED // len(active))
        if part is not None:
            firsts.append(part.first)
            before += part.before
            for instant in part.times:
                _claim(owners, instant, schedule)
    ordered = sorted(owners)
    latest = ordered[max(0, len(ordered) - limit) :]
    times = tuple((instant, owners[instant]) for instant in latest)
    return DueTimes(times=times, dropped=before + len(ordered) - len(latest), first=min(firsts, default=None))


def find_due_up_to(
    schedules: Sequence[Schedule], after: datetime, until: datetime, most: int, *, with_excluded: bool = False
) -> list[tuple[datetime, Schedule]] | None:
    """Return all due times in (after, until], oldest first; None if there are more than `most`.

    Entries are as for `find_due`, without those that a calendar or a window skips unless `with_excluded`. At most
    `most` + 1 fire times of each schedule are computed, however long the range.

    Raises:
        ScheduleError: a schedule is invalid.
    """
    owners: dict[datetime, Schedule] = {}
    for schedule in by_precedence(schedules):
        search = all_due_times if with_excluded else fire_times
        times = [] if schedule.suspend else _until(search(schedule, after), until, most + 1)
        for instant in times:
            _claim(owners, instant, schedule)
        if len(owners) > most:
            return None
    return sorted(owners.items())


def find_latest_due(schedules: Sequence[Schedule], after: datetime, until: datetime) -> datetime | None:
    """Return the latest due time in (after, until] that no calendar or window skips; None if there is none.

    If there are many due times, it is searched backwards in ever longer ranges.

    Raises:
        ScheduleError: a schedule is invalid.
    """
    due = find_due_up_to(schedules, after, until, _MAX_CHECKED, with_excluded=True)
    if due is not None:
        return next((time for time, schedule in reversed(due) if find_exclusion(schedule, time) is None), None)
    end, span = until, timedelta(minutes=1)
    has_any = find_due_up_to(schedules, after, until, 0) is None
    while has_any and end > after:
        begin = max(after, until - span) if until - after > span else after
        latest = _latest_in(schedules, begin, end)
        if latest is not None:
            return latest
        end, span = begin, 2 * span
    return None


def _latest_in(schedules: Sequence[Schedule], after: datetime, until: datetime) -> datetime | None:
    """Return the latest due time in (after, until] that is not skipped; bisect the range while it has many."""
    begin, end = after, until
    due = find_due_up_to(schedules, begin, end, _MAX_CHECKED)
    while due is None:
        middle = begin + (end - begin) / 2
        due = find_due_up_to(schedules, middle, end, _MAX_CHECKED)
        if due is None:
            begin = middle
        elif not due:
            due, end = None, middle
    return due[-1][0] if due else None


def find_skipped(
    schedules: Sequence[Schedule], after: datetime, until: datetime, limit: int
) -> list[tuple[datetime, str]]:
    """Return due times in (after, until] that a calendar or a window skips, each with its reason, oldest first.

    They are among the first `limit` due times of the range.
    """
    if not any(can_exclude(schedule) for schedule in schedules):
        return []
    owners: dict[datetime, Schedule] = {}
    for schedule in by_precedence(schedule for schedule in schedules if not schedule.suspend):
        for instant in _until(all_due_times(schedule, after), until, limit):
            _claim(owners, instant, schedule)
    reasons = ((instant, find_exclusion(owners[instant], instant)) for instant in sorted(owners)[:limit])
    return [(instant, reason) for instant, reason in reasons if reason is not None]


def _claim(owners: dict[datetime, Schedule], instant: datetime, schedule: Schedule) -> None:
    """Assign the instant to this schedule, unless one that takes precedence already has it and does not skip it."""
    owner = owners.setdefault(instant, schedule)
    if owner is schedule or not can_exclude(owner) or find_exclusion(owner, instant) is None:
        return
    if not can_exclude(schedule) or find_exclusion(schedule, instant) is None:
        owners[instant] = schedule


def _due_part(schedule: Schedule, after: datetime, until: datetime, limit: int, share: int) -> _SchedulePart | None:
    first = next(all_due_times(schedule, after), None)
    if first is None or first > until:
        return None
    rule = schedule.rule
    if isinstance(rule, Interval) and schedule.shift is Shift.NONE and not intervals.keeps_clock_time(rule):
        return _absolute_part(schedule, rule, after, until, max(limit, min(share, 10_000)))
    times = _between(schedule, after, until, share + 1)
    if len(times) <= share:
        return _SchedulePart(first=first, times=times, before=0)
    times += _last_times(schedule, times[-1], until, limit)
    latest = times[max(0, len(times) - limit) :]
    return _SchedulePart(first=first, times=latest, before=len(times) - len(latest))


def _absolute_part(schedule: Schedule, rule: Interval, after: datetime, until: datetime, keep: int) -> _SchedulePart:
    low, high = window(schedule, after)
    high = min(high, until)
    total = intervals.count(rule, zone(schedule.timezone), schedule.dst, low, high)
    # Going back `keep` intervals from the end leaves exactly the last `keep` fire times, or all of them.
    times = _between(schedule, max(low, high - keep * rule.every), high, keep)
    first = next(all_due_times(schedule, after))
    return _SchedulePart(first=first, times=times, before=total - len(times))


def _between(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    return _until(all_due_times(schedule, after), until, most)


def _until(instants: Iterator[datetime], until: datetime, most: int) -> list[datetime]:
    return list(islice(takewhile(lambda instant: instant <= until, instants), most))


def _last_times(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """Return the last `limit` fire times in (after, until] of a range with too many to enumerate.

    Doubles the distance from the end until it holds `limit` fire times, and bisects if it then holds too many.
    """
    most = max(10_000, 10 * limit)
    too_late, too_early = until, None
    begin = until - timedelta(seconds=max(limit, 1))
    times: list[datetime] = []
    for _ in range(64):
        begin = max(begin, after)
        times = _between(schedule, begin, until, most + 1)
        if len(times) > most:
            too_early = begin
        elif len(times) >= limit or begin == after:
            break
        else:
            too_late = begin
        begin = until - 2 * (until - begin) if too_early is None else too_early + (too_late - too_early) / 2
    return times[max(0, len(times) - limit) :]
