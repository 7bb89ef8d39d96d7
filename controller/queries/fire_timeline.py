"""How many fire times there are in each half hour of the next day, counted in the background where there are many.

A schedule that fires very often is not counted out, but at the rate of its next few hundred times; where very much is
counted already, at that of its next few.
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
_COUNTED = 200
_COUNTED_THEN = 4
_BUDGET = 20_000
_AT_ONCE = 50
_REST_SECONDS = 0.01
_FRESH_SECONDS = 60.0
_REST_FACTOR = 10
_FEW = 500

Awake = tuple[tuple[Schedule, ...], Hold | None]
"""The schedules of a deployment, and its hold."""


class Timeline:
    """Up to a minute old, and older where counting takes long. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: Mapping[datetime, float] | None = None
        self._of: Sequence[Awake] = ()
        self._fresh_until = self._rest_until = 0.0
        self._is_counting = False

    def upcoming(self, awake: Sequence[Awake]) -> Mapping[datetime, float]:
        """The fire times of these schedules by half hours; of many it is the last count, while a new one is made."""
        with self._lock:
            now = self._clock.monotonic()
            is_good = now < self._rest_until or (now < self._fresh_until and self._of == awake)
            if self._found is not None and (is_good or self._is_counting):
                return self._found
            self._is_counting = is_aside = self._found is not None and len(awake) > _FEW
        if is_aside:
            threading.Thread(target=self._count, args=(awake, _REST_SECONDS), name="timeline", daemon=True).start()
        else:
            self._count(awake, 0)
        with self._lock:
            return self._found or {}

    def _count(self, awake: Sequence[Awake], pause: float) -> None:
        begin = self._clock.monotonic()
        try:
            found = count(awake, self._clock.now(), pause)
            with self._lock:
                now = self._clock.monotonic()
                self._found, self._of = found, awake
                self._fresh_until = now + _FRESH_SECONDS
                self._rest_until = now + (now - begin) * _REST_FACTOR if len(awake) > _FEW else now
        finally:
            self._is_counting = False


def floor(moment: datetime) -> datetime:
    """The beginning of its half hour."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def count(awake: Iterable[Awake], now: datetime, pause: float = 0) -> Mapping[datetime, float]:
    """The fire times in the next day by half hours; it rests for so many seconds now and then, to leave others room."""
    found: dict[datetime, float] = defaultdict(float)
    left, idle = _BUDGET, threading.Event()
    end = now + DAY
    for number, (schedules, hold) in enumerate(awake, 1):
        begin = fires_after(hold, now)
        for schedule in schedules:
            if begin is not None and not schedule.suspend:
                left -= _count(schedule, begin, end, found, most=_COUNTED if left > 0 else _COUNTED_THEN)
        if pause and not number % _AT_ONCE:
            idle.wait(pause)
    return found


def _count(schedule: Schedule, begin: datetime, end: datetime, found: dict[datetime, float], *, most: int) -> int:
    """Add the fire times of one schedule to their slots; returns how many were computed."""
    times = list(islice(takewhile(lambda time: time <= end, fire_times(schedule, begin)), most))
    for time in times:
        found[floor(time)] += 1
    if len(times) == most:
        rate = (most - 1) * SLOT / (times[-1] - times[0])
        last = times[-1]
        while last < end:
            stop = min(floor(last) + SLOT, end)
            found[floor(last)] += rate * ((stop - last) / SLOT)
            last = stop
    return len(times)
