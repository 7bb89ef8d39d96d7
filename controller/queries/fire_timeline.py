"""The fire times of the next 24 hours: by half hour, and the names of the deployments that fire often.

A deployment that fires more than four times a day fires often. The fire times of each deployment are kept until its
schedules change or another fire time comes within 24 hours. With many deployments, all this is done in the background.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from controller.clock import Clock
from controller.model.schedules import Schedule
from controller.model.status import Hold
from controller.queries.next_starts import fires_after
from controller.records import dataclass
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
_OFTEN_FOR = timedelta(hours=1)
"""For this long, a deployment that fires often is not computed again."""

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


@dataclass(frozen=True, slots=True)
class _NextDay:
    """The fire times of a deployment in the 24 hours after the time at which they were computed.

    They are more than four only if it fires often, and then only the first of them. There are no others within 24 hours
    of any time before `until`, None for ever.
    """

    schedules: tuple[Schedule, ...]
    hold: Hold | None
    times: tuple[datetime, ...]
    until: datetime | None

    def is_current(self, schedules: tuple[Schedule, ...], hold: Hold | None, now: datetime) -> bool:
        """Return whether the times are those of these schedules, and complete."""
        is_same = self.schedules is schedules and self.hold is hold
        return (is_same or (self.schedules, self.hold) == (schedules, hold)) and (
            self.until is None or now < self.until
        )


NOTHING = Upcoming(rare={}, frequent=frozenset())


class Timeline:
    """The fire times, cached for a minute, or longer if computing them takes long. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._upcoming: Upcoming | None = None
        self._counted: Sequence[FiringDeployment] = ()
        self._days: dict[str, _NextDay] = {}
        self._begun: datetime | None = None
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
        at = self._clock.now()
        known, self._begun = ({} if self._begun is None or at < self._begun else self._days), at
        days = read_next_days(deployments, at, known, pause)
        upcoming = _by_slot(days, at)
        with self._lock:
            self._days = days
            now = self._clock.monotonic()
            self._upcoming, self._counted = upcoming, deployments
            self._fresh_until = now + _FRESH_SECONDS
            self._rest_until = now + (now - begin) * _REST_FACTOR if len(deployments) > _FEW else now


def floor(moment: datetime) -> datetime:
    """Return the beginning of the half hour that contains `moment`."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def find_upcoming(deployments: Iterable[FiringDeployment], now: datetime) -> Upcoming:
    """Return the fire times in the next 24 hours."""
    return _by_slot(read_next_days(deployments, now, {}), now)


def read_next_days(
    deployments: Iterable[FiringDeployment], now: datetime, known: Mapping[str, _NextDay], pause: float = 0
) -> dict[str, _NextDay]:
    """Return the next day of each deployment by name: that in `known` if it is current.

    It is computed once for deployments that share the object with their schedules, as most equal ones do. Between
    batches of those that are computed it sleeps for `pause` seconds, so that other threads can run.
    """
    days: dict[str, _NextDay] = {}
    new: dict[tuple[int, Hold | None], _NextDay] = {}
    idle, computed = threading.Event(), 0
    for name, schedules, hold in deployments:
        day = known.get(name)
        if day is None or not day.is_current(schedules, hold, now):
            day = new.get((id(schedules), hold))
        if day is None:
            day = new[id(schedules), hold] = _next_day(schedules, hold, now)
            computed += 1
            if pause and not computed % _DEPLOYMENTS_BETWEEN_PAUSES:
                idle.wait(pause)
        days[name] = day
    return days


def _by_slot(days: Mapping[str, _NextDay], now: datetime) -> Upcoming:
    fires: dict[datetime, list[tuple[datetime, str]]] = defaultdict(list)
    frequent = set()
    for name, day in days.items():
        if len(day.times) > _RARE:
            frequent.add(name)
            continue
        for time in day.times:
            if time > now:
                fires[floor(time)].append((time, name))
    rare = {
        slot: SlotFires(count=len(times), first=tuple(sorted(times)[:_MAX_NAMED]))
        for slot, times in sorted(fires.items())
    }
    return Upcoming(rare=rare, frequent=frozenset(frequent))


def _next_day(schedules: tuple[Schedule, ...], hold: Hold | None, now: datetime) -> _NextDay:
    begin, end = fires_after(hold, now), now + DAY
    times: set[datetime] = set()
    later: list[datetime] = []
    for schedule in schedules:
        if begin is not None and not schedule.suspend and len(times) <= _RARE:
            for time in islice(fire_times(schedule, begin), _RARE + 1):
                if time > end:
                    later.append(time)
                    break
                times.add(time)
    until = now + _OFTEN_FOR if len(times) > _RARE else min(later) - DAY if later else None
    return _NextDay(schedules, hold, tuple(sorted(times)), until)
