"""The fire times of the next 24 hours: by half hour, and the names of the deployments that fire often.

A deployment that fires more than four times a day fires often. With many deployments, all this is computed in the
background.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from controller.clock import Clock
from controller.model.schedules import Schedule
from controller.model.status import Hold
from controller.queries.next_starts import fires_after
from controller.schedules import fire_times

DAY = timedelta(hours=24)
SLOT = timedelta(minutes=30)
_RARE = 4
_MAX_NAMED = 5
_DEPLOYMENTS_BETWEEN_PAUSES = 50
_PAUSE_SECONDS = 0.01
_FRESH_SECONDS = 60.0
_REST_FACTOR = 10
"""After a count in the background, the next one starts no sooner than this multiple of its duration."""
_FEW = 500

FiringDeployment = tuple[str, tuple[Schedule, ...], Hold | None]
"""The name of a deployment, its schedules, and its hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFires:
    """The fire times of rare deployments in one half hour: how many, and the first five with their deployments."""

    count: int
    first: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """The fire times of the next 24 hours by half hour, and the names of the deployments that fire often."""

    rare: Mapping[datetime, SlotFires]
    frequent: frozenset[str]


NOTHING = Upcoming(rare={}, frequent=frozenset())


class Timeline:
    """The fire times, cached for a minute, or longer if computing them takes long. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._upcoming: Upcoming | None = None
        self._counted: Sequence[FiringDeployment] = ()
        self._fresh_until = self._rest_until = 0.0
        self._is_counting = False

    def upcoming(self, deployments: Sequence[FiringDeployment]) -> Upcoming:
        """Return the fire times of these deployments.

        With more than `_FEW` deployments, these are the last ones while new ones are computed in the background.
        """
        with self._lock:
            now = self._clock.monotonic()
            is_current = now < self._rest_until or (now < self._fresh_until and self._counted == deployments)
            if self._upcoming is not None and (is_current or self._is_counting):
                return self._upcoming
            in_background = self._upcoming is not None and len(deployments) > _FEW
            self._is_counting = self._is_counting or in_background
        if in_background:
            arguments = (deployments,)
            threading.Thread(target=self._count_in_background, args=arguments, name="timeline", daemon=True).start()
        else:
            self._count(deployments, 0)
        with self._lock:
            return self._upcoming or NOTHING

    def _count_in_background(self, deployments: Sequence[FiringDeployment]) -> None:
        try:
            self._count(deployments, _PAUSE_SECONDS)
        finally:
            with self._lock:
                self._is_counting = False

    def _count(self, deployments: Sequence[FiringDeployment], pause: float) -> None:
        begin = self._clock.monotonic()
        upcoming = find_upcoming(deployments, self._clock.now(), pause)
        with self._lock:
            now = self._clock.monotonic()
            self._upcoming, self._counted = upcoming, deployments
            self._fresh_until = now + _FRESH_SECONDS
            self._rest_until = now + (now - begin) * _REST_FACTOR if len(deployments) > _FEW else now


def floor(moment: datetime) -> datetime:
    """Return the beginning of the half hour that contains `moment`."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def find_upcoming(deployments: Iterable[FiringDeployment], now: datetime, pause: float = 0) -> Upcoming:
    """Return the fire times in the next 24 hours.

    Between batches of deployments it sleeps for `pause` seconds, so that other threads can run.
    """
    fires: dict[datetime, list[tuple[datetime, str]]] = defaultdict(list)
    frequent, idle = set(), threading.Event()
    for number, (name, schedules, hold) in enumerate(deployments, 1):
        times = _next_day(schedules, hold, now)
        if len(times) > _RARE:
            frequent.add(name)
        else:
            for time in times:
                fires[floor(time)].append((time, name))
        if pause and not number % _DEPLOYMENTS_BETWEEN_PAUSES:
            idle.wait(pause)
    rare = {
        slot: SlotFires(count=len(times), first=tuple(sorted(times)[:_MAX_NAMED]))
        for slot, times in sorted(fires.items())
    }
    return Upcoming(rare=rare, frequent=frozenset(frequent))


def _next_day(schedules: Iterable[Schedule], hold: Hold | None, now: datetime) -> list[datetime]:
    """Return the fire times in the next 24 hours; if they are more than a few, only the first of them."""
    begin, end = fires_after(hold, now), now + DAY
    times: set[datetime] = set()
    for schedule in schedules:
        if begin is not None and not schedule.suspend and len(times) <= _RARE:
            times.update(islice(takewhile(lambda time: time <= end, fire_times(schedule, begin)), _RARE + 1))
    return sorted(times)
