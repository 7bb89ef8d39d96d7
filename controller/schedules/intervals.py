"""Which times lie a whole number of intervals from the anchor?

Called by `fire_time_search`. Whole days keep the local clock time, any other length is absolute time. An anchor is a
phase and not a start: there are fire times before it. Everything is arithmetic, so a year that was missed costs no
more than a second that was.
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
    """Whether the rule counts local days; otherwise it counts absolute time.

    Raises:
        ScheduleError: the interval is below one second or above ten years.
    """
    if not timedelta(seconds=1) <= rule.every <= LONGEST:
        hint = "write a length such as 90s, 15m, 1h30m or 2d"
        raise ScheduleError(f"interval {rule.every} is not between one second and ten years", hint=hint)
    return not rule.every % _DAY


def walls(rule: Interval, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """The naive local times of a rule of whole days after the naive `start`, ascending."""
    anchor = to_wall(rule.anchor or DEFAULT_ANCHOR, zone)
    wall = anchor + ((start - anchor) // rule.every + 1) * rule.every
    while wall < LATEST.replace(tzinfo=None):
        yield wall
        wall += rule.every


def instants(rule: Interval, zone: ZoneInfo, dst: Dst, after: datetime) -> Iterator[datetime]:
    """The instants of an absolute rule strictly after `after`, ascending."""
    anchor = to_instant(rule.anchor or DEFAULT_ANCHOR, zone, dst)
    instant = anchor + ((after - anchor) // rule.every + 1) * rule.every
    while instant < LATEST:
        yield instant
        instant += rule.every


def count(rule: Interval, zone: ZoneInfo, dst: Dst, after: datetime, until: datetime) -> int:
    """How many instants of an absolute rule lie in (after, until]."""
    anchor = to_instant(rule.anchor or DEFAULT_ANCHOR, zone, dst)
    return max(0, (until - anchor) // rule.every - (after - anchor) // rule.every)
