"""Counts the fire times in each half hour of the next 24 hours; with many deployments, in the background.

The count of a schedule that fires very often is extrapolated from its next 200 fire times. Once the budget of computed
times is used up, it is extrapolated from the next 4.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from controller.clock import Clock
from controller.model.schedules import Schedule
from controller.model.status import Hold
from controller.queries.deployments import fires_after
from controller.schedules import fire_times

DAY = timedelta(hours=24)
SLOT = timedelta(minutes=30)
_COMPUTED_TIMES = 200
_COMPUTED_OVER_BUDGET = 4
_BUDGET = 20_000
_DEPLOYMENTS_BETWEEN_PAUSES = 50
_PAUSE_SECONDS = 0.01
_FRESH_SECONDS = 60.0
_REST_FACTOR = 10
"""After a count in the background, the next one starts no sooner than this multiple of its duration."""
_FEW = 500

FiringDeployment = tuple[tuple[Schedule, ...], Hold | None]
"""The schedules of a deployment, and its hold."""


class Timeline:
    """The counts, cached for a minute, or longer if counting takes long. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Mapping[datetime, float] | None = None
        self._counted: Sequence[FiringDeployment] = ()
        self._fresh_until = self._rest_until = 0.0
        self._is_counting = False

    def upcoming(self, deployments: Sequence[FiringDeployment]) -> Mapping[datetime, float]:
        """Return the number of fire times of these schedules by half hour.

        With more than `_FEW` deployments, this is the last count while a new one is made in the background.
        """
        with self._lock:
            now = self._clock.monotonic()
            is_current = now < self._rest_until or (now < self._fresh_until and self._counted == deployments)
            if self._counts is not None and (is_current or self._is_counting):
                return self._counts
            in_background = self._counts is not None and len(deployments) > _FEW
            self._is_counting = self._is_counting or in_background
        if in_background:
            arguments = (deployments,)
            threading.Thread(target=self._count_in_background, args=arguments, name="timeline", daemon=True).start()
        else:
            self._count(deployments, 0)
        with self._lock:
            return self._counts or {}

    def _count_in_background(self, deployments: Sequence[FiringDeployment]) -> None:
        try:
            self._count(deployments, _PAUSE_SECONDS)
        finally:
            with self._lock:
                self._is_counting = False

    def _count(self, deployments: Sequence[FiringDeployment], pause: float) -> None:
        begin = self._clock.monotonic()
        counts = count(deployments, self._clock.now(), pause)
        with self._lock:
            now = self._clock.monotonic()
            self._counts, self._counted = counts, deployments
            self._fresh_until = now + _FRESH_SECONDS
            self._rest_until = now + (now - begin) * _REST_FACTOR if len(deployments) > _FEW else now


def floor(moment: datetime) -> datetime:
    """Return the beginning of the half hour that contains `moment`."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def count(deployments: Iterable[FiringDeployment], now: datetime, pause: float = 0) -> Mapping[datetime, float]:
    """Count the fire times in the next 24 hours by half hour.

    Between batches of deployments it sleeps for `pause` seconds, so that other threads can run.
    """
    counts: dict[datetime, float] = defaultdict(float)
    budget, idle = _BUDGET, threading.Event()
    end = now + DAY
    for number, (schedules, hold) in enumerate(deployments, 1):
        begin = fires_after(hold, now)
        for schedule in schedules:
            if begin is not None and not schedule.suspend:
                most = _COMPUTED_TIMES if budget > 0 else _COMPUTED_OVER_BUDGET
                budget -= _count_schedule(schedule, begin, end, counts, most=most)
        if pause and not number % _DEPLOYMENTS_BETWEEN_PAUSES:
            idle.wait(pause)
    return counts


def _count_schedule(
    schedule: Schedule, begin: datetime, end: datetime, counts: dict[datetime, float], *, most: int
) -> int:
    """Add the fire times of one schedule to `counts`, and return how many were computed."""
    times = list(islice(takewhile(lambda time: time <= end, fire_times(schedule, begin)), most))
    for time in times:
        counts[floor(time)] += 1
    if len(times) == most:
        rate = (most - 1) * SLOT / (times[-1] - times[0])
        last = times[-1]
        while last < end:
            stop = min(floor(last) + SLOT, end)
            counts[floor(last)] += rate * ((stop - last) / SLOT)
            last = stop
    return len(times)
