"""Finds schedules that never start a run, because another schedule takes precedence whenever they fire.

Called by `manifests` for warnings. When two schedules fire at the same instant, the more specific one starts the run
(`precedence`). This module samples the fire times of one year instead of computing all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from controller.model.schedules import Schedule
from controller.schedules.fire_time_search import fire_times
from controller.schedules.precedence import by_precedence

_SAMPLE_STEP = timedelta(hours=149, minutes=37)
"""The distance between two samples: over a year they cover every weekday and most times of day."""
_SAMPLES = 60
_FIRES_PER_SAMPLE = 4
_MAX_SCHEDULES = 20
"""At most this many schedules are compared, so that a document with many of them stays fast to validate."""


def find_shadowed(schedules: Sequence[Schedule], after: datetime) -> Iterator[tuple[Schedule, Schedule]]:
    """Yield each schedule that fires only together with one that takes precedence, and that other schedule.

    Suspended schedules, and those that do not fire after the aware `after`, are left out.

    Raises:
        ScheduleError: a schedule is invalid.
    """
    active = [schedule for schedule in schedules if not schedule.suspend][:_MAX_SCHEDULES]
    ordered = by_precedence(active)
    for index, schedule in enumerate(ordered):
        if index and (covering := _find_covering(schedule, ordered[:index], after)) is not None:
            yield schedule, covering


def _find_covering(schedule: Schedule, candidates: Sequence[Schedule], after: datetime) -> Schedule | None:
    """Return the first candidate that fires at every sampled fire time of `schedule`; None if there is none."""
    remaining = list(candidates)
    has_fired = False
    for moment in _sample(schedule, after):
        has_fired = True
        remaining = [candidate for candidate in remaining if _fires_at(candidate, moment)]
        if not remaining:
            return None
    return remaining[0] if has_fired else None


def _sample(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    last = after
    for number in range(_SAMPLES):
        for moment in islice(fire_times(schedule, max(last, after + number * _SAMPLE_STEP)), _FIRES_PER_SAMPLE):
            last = moment
            yield moment


def _fires_at(schedule: Schedule, moment: datetime) -> bool:
    return next(fire_times(schedule, moment - timedelta.resolution), None) == moment
