"""Which schedule of a deployment can never be the one that counts?

Called by `manifests` for warnings. Where two schedules fire at the same instant, one run starts, by the more specific
schedule (`precedence`). This module looks at fire times of a whole year, some at each of many moments, and never walks
all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from controller.model.schedules import Schedule
from controller.schedules.fire_time_search import fire_times
from controller.schedules.precedence import by_precedence

_APART = timedelta(hours=149, minutes=37)
"""Between two moments that are looked at: they meet every weekday and most times of a day within a year."""
_MOMENTS = 60
_FIRES = 4
_MOST = 20
"""Schedules that are compared; a deployment has few, and no document may take long."""


def shadowed(schedules: Sequence[Schedule], after: datetime) -> Iterator[tuple[Schedule, Schedule]]:
    """Each schedule that fires only when another one does that takes precedence, and that other one.

    Suspended schedules, and those that do not fire after the aware `after`, are left out.

    Raises:
        ScheduleError: a schedule can't be understood.
    """
    active = [schedule for schedule in schedules if not schedule.suspend][:_MOST]
    ordered = by_precedence(active)
    for index, schedule in enumerate(ordered):
        if index and (other := _cover(schedule, ordered[:index], after)) is not None:
            yield schedule, other


def _cover(schedule: Schedule, others: Sequence[Schedule], after: datetime) -> Schedule | None:
    """The first of `others` that fires at every sampled fire time of `schedule`."""
    left = list(others)
    is_asked = False
    for moment in _sampled(schedule, after):
        is_asked = True
        left = [other for other in left if _fires_at(other, moment)]
        if not left:
            return None
    return left[0] if is_asked else None


def _sampled(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    last = after
    for number in range(_MOMENTS):
        for moment in islice(fire_times(schedule, max(last, after + number * _APART)), _FIRES):
            last = moment
            yield moment


def _fires_at(schedule: Schedule, moment: datetime) -> bool:
    return next(fire_times(schedule, moment - timedelta.resolution), None) == moment
