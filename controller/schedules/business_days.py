"""Moves fire times to business days: each keeps its local time, and its day becomes the next or previous business day.

Called by `fire_time_search`. Fire times that move to the same instant become one. A fire time moves by at most a month;
one that has no business day within that distance is dropped.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice
from zoneinfo import ZoneInfo

from controller.model.calendars import Shift
from controller.model.schedules import Schedule
from controller.schedules.calendar_days import BusinessDays, day_zone
from controller.schedules.dst import LATEST, instants_of

LONGEST_SHIFT = timedelta(days=31)
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_MAX_SEARCH = timedelta(days=366 * 60)
_MAX_MOVED = 50_000
"""At most this many fire times move to one day; the later ones are dropped."""


def shift_instants(
    schedule: Schedule, instants: Callable[[datetime], Iterator[datetime]], after: datetime
) -> Iterator[datetime]:
    """Yield the moved fire times strictly after `after`, ascending and distinct, as aware UTC times.

    `instants` returns the fire times of the schedule after an instant, before they move. Ends when they end, or when
    none of them has a business day for 60 years.
    """
    search = _Search(schedule)
    begin: date | None = search.first_day(after.astimezone(search.zone).date())
    last, give_up_at = after, _limit(after)
    while begin is not None:
        start, begin = search.midnight(begin) - _TICK, None
        for target, group in groupby(
            _with_days(instants(start), search.zone), key=lambda entry: search.target(entry[1])
        ):
            if target is None:
                begin = search.after_gap(next(group)[1])
                break
            times = list(islice(group, _MAX_MOVED))
            if times[0][0] > give_up_at:
                return
            for instant in search.move(times, target, last):
                last, give_up_at = instant, _limit(instant)
                yield instant


def _with_days(instants: Iterator[datetime], local_zone: ZoneInfo) -> Iterator[tuple[datetime, date]]:
    return ((instant, instant.astimezone(local_zone).date()) for instant in instants)


class _Search:
    """The business days of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.zone: ZoneInfo = day_zone(schedule)
        self._dst = schedule.dst
        self._is_next = schedule.shift is Shift.NEXT
        self._days = BusinessDays(schedule.business)
        self._last: tuple[date, date | None] | None = None

    def first_day(self, day: date) -> date:
        """Return the first day whose fire times can move to `day` or later."""
        if not self._is_next or day - date.min <= LONGEST_SHIFT:
            return day
        first = day
        while first > day - LONGEST_SHIFT and not self._days.has(first - _DAY):
            first -= _DAY
        return first

    def target(self, day: date) -> date | None:
        """Return the business day to which the fire times of `day` move; None if it is too far away."""
        if self._last is None or self._last[0] != day:
            self._last = (day, self._scan(day, _DAY if self._is_next else -_DAY, LONGEST_SHIFT))
        return self._last[1]

    def after_gap(self, day: date) -> date | None:
        """Return the first day after `day` whose fire times have a business day; None if there is none for 60 years."""
        business = self._scan(day, _DAY, _MAX_SEARCH)
        if business is None or not self._is_next:
            return business
        return max(day + _DAY, business - LONGEST_SHIFT)

    def midnight(self, day: date) -> datetime:
        """Return the first instant of a day."""
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)

    def move(self, times: list[tuple[datetime, date]], target: date, after: datetime) -> Iterator[datetime]:
        """Yield the distinct instants at which these times, with their days, fire on the day `target`."""
        moved: set[datetime] = set()
        for instant, day in times:
            if day == target:
                moved.add(instant)
            else:
                wall = datetime.combine(target, instant.astimezone(self.zone).time().replace(fold=0))
                moved.update(instants_of(wall, self.zone, self._dst))
        yield from (instant for instant in sorted(moved) if instant > after)

    def _scan(self, day: date, step: timedelta, distance: timedelta) -> date | None:
        candidate = day
        while abs(candidate - day) <= distance and date.min + _DAY < candidate < LATEST.date():
            if self._days.has(candidate):
                return candidate
            candidate += step
        return None


def _limit(after: datetime) -> datetime:
    return min(after, LATEST - _MAX_SEARCH) + _MAX_SEARCH
