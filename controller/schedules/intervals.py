"""Computes the times that are a whole number of intervals away from an anchor.

Called by `fire_time_search`. Whole days keep the local clock time; any other length is absolute time. The anchor sets
the phase, not the start: there are fire times before it. All functions use arithmetic instead of iteration, so a gap
of a year costs no more than a gap of a second.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from controller.errors import ScheduleError
from controller.model.schedules import Dst, Interval
from controller.schedules.dst import LATEST, to_instant, to_wall
from controller.schedules.durations import LONGEST

DEFAULT_ANCHOR = datetime(2020, 1, 1)  # noqa: DTZ001 - a local time of the schedule's zone
_DAY = timedelta(days=1)


def keeps_clock_time(rule: Interval) -> bool:
    """Return whether the rule counts local days rather than absolute time.

    Raises:
        ScheduleError: the interval is shorter than one second or longer than ten years.
    """
    if not timedelta(seconds=1) <= rule.every <= LONGEST:
        hint = "write a length such as 90s, 15m, 1h30m or 2d"
        raise ScheduleError(f"interval {rule.every} is not between one second and ten years", hint=hint)
    return not rule.every % _DAY


def wall_times(rule: Interval, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Yield the naive local times of a whole-day rule after the naive `start`, in ascending order."""
    anchor = to_wall(rule.anchor or DEFAULT_ANCHOR, zone)
    wall = anchor + ((start - anchor) // rule.every + 1) * rule.every
    while wall < LATEST.replace(tzinfo=None):
        yield wall
        wall += rule.every


def instants(rule: Interval, zone: ZoneInfo, dst: Dst, after: datetime) -> Iterator[datetime]:
    """Yield the instants of an absolute rule strictly after `after`, in ascending order."""
    anchor = to_instant(rule.anchor or DEFAULT_ANCHOR, zone, dst)
    instant = anchor + ((after - anchor) // rule.every + 1) * rule.every
    while instant < LATEST:
        yield instant
        instant += rule.every


def count(rule: Interval, zone: ZoneInfo, dst: Dst, after: datetime, until: datetime) -> int:
    """Return the number of instants of an absolute rule in (after, until]."""
    anchor = to_instant(rule.anchor or DEFAULT_ANCHOR, zone, dst)
    return max(0, (until - anchor) // rule.every - (after - anchor) // rule.every)
