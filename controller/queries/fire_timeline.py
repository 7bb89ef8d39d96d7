"""The fire times of the next 24 hours: by half hour, and the names of the deployments that fire often.

A deployment that fires more than four times a day fires often. The fire times of a deployment stay valid until its
schedules change, or another of its fire times is less than 24 hours away. Then they alone are computed again, in the
background if many deployments need that at once.
"""

import heapq
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import itemgetter

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
_FEW = 500
_AFTER_NAMES = chr(0x10FFFF)
_OFTEN_FOR = timedelta(hours=1)
"""How long the fire times of a deployment that fires often stay valid."""

FireSource = tuple[tuple[Schedule, ...], Hold | None]
"""The schedules and the hold of a deployment, on which its fire times depend."""


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

    If it fires often, `times` has only the first five. Until `until`, no other fire time is less than 24 hours away;
    None: this does not change.
    """

    schedules: tuple[Schedule, ...]
    hold: Hold | None
    times: tuple[datetime, ...]
    until: datetime | None

    @property
    def is_frequent(self) -> bool:
        """Whether the deployment fires often."""
        return len(self.times) > _RARE


NOTHING = Upcoming(rare={}, frequent=frozenset())


class _Days:
    """The next days of deployments, and their fire times by half hour. An update touches only the changed days."""

    def __init__(self) -> None:
        self._days: dict[str, _NextDay] = {}
        self._slots: dict[datetime, list[tuple[datetime, str]]] = {}
        self._frequent: set[str] = set()
        self._named: frozenset[str] | None = None
        self._ends: list[tuple[datetime, str]] = []
        self._at: datetime | None = None

    def has(self, name: str, source: FireSource) -> bool:
        """Return whether the day of this deployment is present, and was computed from this source."""
        day = self._days.get(name)
        if day is None:
            return False
        return (day.schedules is source[0] and day.hold is source[1]) or (day.schedules, day.hold) == source

    def put(self, name: str, day: _NextDay) -> None:
        """Add or replace the day of a deployment."""
        self.remove(name)
        self._days[name] = day
        if day.until is not None:
            heapq.heappush(self._ends, (day.until, name))
        if day.is_frequent:
            self._frequent.add(name)
            self._named = None
            return
        for time in day.times:
            insort(self._slots.setdefault(floor(time), []), (time, name))

    def remove(self, name: str) -> None:
        """Remove the day of a deployment, if there is one."""
        day = self._days.pop(name, None)
        if day is None:
            return
        if day.is_frequent:
            self._frequent.discard(name)
            self._named = None
            return
        for time in day.times:
            fires = self._slots.get(floor(time), [])
            index = bisect_left(fires, (time, name))
            if fires[index : index + 1] == [(time, name)]:  # otherwise it has passed
                del fires[index]

    def take_outdated(self, now: datetime) -> dict[str, FireSource]:
        """Return the deployments whose days must be computed again, because they became incomplete since the last call.

        Returns all deployments if the clock was set back.
        """
        if self._at is not None and now < self._at:
            names = set(self._days)
        else:
            names = set()
            while self._ends and self._ends[0][0] <= now:
                until, name = heapq.heappop(self._ends)
                if name in self._days and self._days[name].until == until:
                    names.add(name)
        self._at = now
        return {name: (self._days[name].schedules, self._days[name].hold) for name in names}

    def upcoming(self, now: datetime) -> Upcoming:
        """Return the fire times after `now`."""
        for slot in [slot for slot in self._slots if slot <= now]:
            fires = self._slots[slot]
            del fires[: bisect_right(fires, (now, _AFTER_NAMES))]
        self._slots = {slot: fires for slot, fires in self._slots.items() if fires}
        if self._named is None:
            self._named = frozenset(self._frequent)
        rare = {
            slot: SlotFires(count=len(fires), first=tuple(fires[:_MAX_NAMED]))
            for slot, fires in sorted(self._slots.items(), key=itemgetter(0))
        }
        return Upcoming(rare=rare, frequent=self._named)


class Timeline:
    """The fire times of deployments. `change` announces new and changed ones. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue_lock = threading.Lock()
        self._queue: dict[str, FireSource | None] = {}
        self._lock = threading.Lock()
        self._days = _Days()
        self._pending: dict[str, FireSource] = {}
        self._has_counted = self._is_counting = False

    def change(self, changes: Mapping[str, FireSource | None]) -> None:
        """Announce the sources of new and changed deployments; None for those that do not fire."""
        with self._queue_lock:
            self._queue.update(changes)

    def upcoming(self) -> Upcoming:
        """Return the fire times.

        If more than `_FEW` deployments must be computed, a thread does this in the background, except in the first
        call. Until it has finished, these deployments keep their previous fire times.
        """
        with self._lock:
            now = self._clock.now()
            self._take_changes(now)
            in_background = self._has_counted and len(self._pending) > _FEW
            if in_background and not self._is_counting:
                self._is_counting = True
                threading.Thread(target=self._count_in_background, name="timeline", daemon=True).start()
            elif not self._is_counting:
                self._compute(now, len(self._pending))
                self._has_counted = True
            return self._days.upcoming(now)

    def _take_changes(self, now: datetime) -> None:
        with self._queue_lock:
            changes, self._queue = self._queue, {}
        for name, source in changes.items():
            if source is None:
                self._pending.pop(name, None)
                self._days.remove(name)
            elif name in self._pending or not self._days.has(name, source):  # a day that waits may be incomplete
                self._pending[name] = source
        self._pending = self._days.take_outdated(now) | self._pending

    def _count_in_background(self) -> None:
        idle, is_done = threading.Event(), False
        try:
            while not is_done:
                with self._lock:
                    self._compute(self._clock.now(), _DEPLOYMENTS_BETWEEN_PAUSES)
                    is_done = not self._pending
                    self._is_counting = not is_done
                idle.wait(_PAUSE_SECONDS)
        except BaseException:
            with self._lock:
                self._is_counting = False
            raise

    def _compute(self, now: datetime, most: int) -> None:
        """Compute the days of up to `most` pending deployments."""
        names = list(islice(self._pending, most))
        for name, day in _read_next_days(((name, self._pending.pop(name)) for name in names), now):
            self._days.put(name, day)


def floor(moment: datetime) -> datetime:
    """Return the beginning of the half hour that contains `moment`."""
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def find_upcoming(deployments: Iterable[tuple[str, FireSource]], now: datetime) -> Upcoming:
    """Return the fire times in the next 24 hours."""
    days = _Days()
    for name, day in _read_next_days(deployments, now):
        days.put(name, day)
    return days.upcoming(now)


def _read_next_days(deployments: Iterable[tuple[str, FireSource]], now: datetime) -> Iterator[tuple[str, _NextDay]]:
    """Yield the next day of each deployment.

    Deployments that share one `schedules` object, as most with equal schedules do, share one computation.
    """
    shared: dict[tuple[int, Hold | None], _NextDay] = {}
    for name, (schedules, hold) in deployments:
        day = shared.get((id(schedules), hold))
        if day is None:
            day = shared[id(schedules), hold] = _next_day(schedules, hold, now)
        yield name, day


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
