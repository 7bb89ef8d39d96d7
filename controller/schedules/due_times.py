"""Which fire times of a deployment came due in a stretch of time?

Called by `runs` whenever a deployment may be due: also after a pause, a restart or a late wake-up; and for a range that
somebody asks for. It must not decide what to do about them (that is the catch-up policy's), and stays fast when a 1 s
interval has been missed for a year.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from controller.model.schedules import Interval, Schedule
from controller.schedules import intervals
from controller.schedules.fire_time_search import fire_times, window
from controller.schedules.parsing import zone
from controller.schedules.precedence import by_precedence

_COUNTED = 100_000
"""Fire times of one deployment that are counted one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimes:
    """What came due: the last fire times, oldest first, each with the schedule it belongs to.

    `dropped` is how many earlier ones were left out. It is exact for an absolute interval, and for anything else up to
    100,000 fire times; past these it is a lower bound. Where a schedule coincides with an absolute interval that came
    due more than 10,000 times, a coincidence counts twice. `first` is the very first one that came due.
    """

    times: tuple[tuple[datetime, Schedule], ...]
    dropped: int
    first: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One schedule's share: its last times, and how many came due before these."""

    first: datetime
    times: list[datetime]
    before: int


def due(schedules: Sequence[Schedule], after: datetime, until: datetime, limit: int) -> DueTimes:
    """The last `limit` fire times in (after, until] of all schedules together, both bounds aware.

    Suspended schedules are left out. Where several fire at one instant there is one entry, of the one that
    `precedence` puts first.

    Raises:
        ScheduleError: a schedule can't be understood.
    """
    active = by_precedence(schedule for schedule in schedules if not schedule.suspend)
    owners: dict[datetime, Schedule] = {}
    before = 0
    firsts = []
    for schedule in active:
        part = _part(schedule, after, until, limit, _COUNTED // len(active))
        if part is not None:
            firsts.append(part.first)
            before += part.before
            for instant in part.times:
                owners.setdefault(instant, schedule)
    ordered = sorted(owners)
    kept = ordered[max(0, len(ordered) - limit) :]
    times = tuple((instant, owners[instant]) for instant in kept)
    return DueTimes(times=times, dropped=before + len(ordered) - len(kept), first=min(firsts, default=None))


def due_if_few(
    schedules: Sequence[Schedule], after: datetime, until: datetime, most: int
) -> list[tuple[datetime, Schedule]] | None:
    """All fire times in (after, until], oldest first, as `due` has them; None if they are more than `most`.

    Looks at no more than `most` of each schedule and one, however long the stretch is.

    Raises:
        ScheduleError: a schedule can't be understood.
    """
    owners: dict[datetime, Schedule] = {}
    for schedule in by_precedence(schedules):
        times = [] if schedule.suspend else _between(schedule, after, until, most + 1)
        for instant in times:
            owners.setdefault(instant, schedule)
        if len(owners) > most:
            return None
    return sorted(owners.items())


def _part(schedule: Schedule, after: datetime, until: datetime, limit: int, share: int) -> _Part | None:
    first = next(fire_times(schedule, after), None)
    if first is None or first > until:
        return None
    rule = schedule.rule
    if isinstance(rule, Interval) and not intervals.keeps_clock_time(rule):
        return _arithmetic(schedule, rule, after, until, max(limit, min(share, 10_000)))
    times = _between(schedule, after, until, share + 1)
    if len(times) <= share:
        return _Part(first=first, times=times, before=0)
    times += _last(schedule, times[-1], until, limit)
    kept = times[max(0, len(times) - limit) :]
    return _Part(first=first, times=kept, before=len(times) - len(kept))


def _arithmetic(schedule: Schedule, rule: Interval, after: datetime, until: datetime, keep: int) -> _Part:
    low, high = window(schedule, after)
    high = min(high, until)
    total = intervals.count(rule, zone(schedule.timezone), schedule.dst, low, high)
    # The last `keep` of them start after the one that is `keep` intervals before the first past the end.
    times = _between(schedule, max(low, high - keep * rule.every), high, keep)
    first = next(fire_times(schedule, after))
    return _Part(first=first, times=times, before=total - len(times))


def _between(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    return list(islice(takewhile(lambda instant: instant <= until, fire_times(schedule, after)), most))


def _last(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The last `limit` times in (after, until], where there are too many to walk through.

    It looks back twice as far each time, and half-way between when that was too far.
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
