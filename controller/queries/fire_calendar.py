"""The fire times of a deployment in the coming weeks, grouped by day, or their density if they are many.

The dashboard shows them as a calendar, or as a strip of 24 hours.

Days are those of one time zone. Only the first fire times of a busy day are computed, so that a schedule that fires
every second costs as little as an hourly one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, takewhile

from controller.model.schedules import Schedule
from controller.queries.fire_timeline import DAY, SLOT, floor
from controller.records import dataclass
from controller.schedules import find_skipped, fire_times, next_fire_times, zone

WEEKS = 5
MOST_PER_DAY = 24
_INSTANT = timedelta(microseconds=1)
_COMPUTED_TIMES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day with its first `MOST_PER_DAY` fire times. `is_full` is set if there may be more.

    `skip_reason` is the reason for which the last due time of a day without fire times is skipped; empty without one.
    """

    date: date
    times: tuple[datetime, ...]
    is_past: bool
    is_today: bool
    is_full: bool
    skip_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FireCalendar:
    """Whole weeks that start on Monday, beginning with the current week. Days are those of `timezone`."""

    timezone: str
    weeks: tuple[tuple[Day, ...], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing fires in these weeks."""
        return not any(day.times for week in self.weeks for day in week)

    @property
    def skips(self) -> tuple[tuple[str, tuple[date, ...]], ...]:
        """The reasons for which days without fire times are skipped, each with these days."""
        days: dict[str, list[date]] = defaultdict(list)
        for week in self.weeks:
            for day in week:
                if day.skip_reason:
                    days[day.skip_reason].append(day.date)
        return tuple((reason, tuple(dates)) for reason, dates in days.items())

    @property
    def is_dense(self) -> bool:
        """Whether some day has more fire times than are listed."""
        return any(day.is_full for week in self.weeks for day in week)


@dataclass(frozen=True, slots=True, kw_only=True)
class FireDensity:
    """The number of fire times in each half hour of 24 hours, extrapolated for schedules that fire very often."""

    start: datetime
    counts: tuple[int, ...]
    total: int


def fire_calendar(schedules: Sequence[Schedule], now: datetime, after: datetime | None = None) -> FireCalendar:
    """Build the calendar from the week of `now` on, in the time zone of the first schedule.

    It has the fire times after `after`, by default those after `now`.
    """
    name = schedules[0].timezone if schedules else "UTC"
    local_zone = zone(name)
    today = now.astimezone(local_zone).date()
    monday = today - timedelta(days=today.weekday())
    end = _midnight(monday + timedelta(weeks=WEEKS), local_zone)
    times: dict[date, list[datetime]] = {}
    full: set[date] = set()
    for moment in _times(schedules, after or now, end, local_zone, full):
        times.setdefault(moment.astimezone(local_zone).date(), []).append(moment)
    dates = [monday + timedelta(days=index) for index in range(7 * WEEKS)]
    days = [
        Day(
            date=day,
            times=tuple(times.get(day, ())),
            is_past=day < today,
            is_today=day == today,
            is_full=day in full,
            skip_reason="" if day in times else _skip_reason(schedules, day, after or now, local_zone),
        )
        for day in dates
    ]
    return FireCalendar(timezone=name, weeks=tuple(tuple(days[at : at + 7]) for at in range(0, len(days), 7)))


def fire_density(schedules: Sequence[Schedule], after: datetime) -> FireDensity | None:
    """Count the fire times in the 24 hours from the first one after `after`; None if there is none."""
    first = next((moment for moment, _ in next_fire_times(schedules, after, 1)), None)
    if first is None:
        return None
    start = floor(first)
    counts: dict[datetime, float] = defaultdict(float)
    for schedule in schedules:
        if not schedule.suspend:
            _count(schedule, start, counts)
    slots = [counts.get(start + index * SLOT, 0.0) for index in range(int(DAY / SLOT))]
    return FireDensity(start=start, counts=tuple(round(number) for number in slots), total=round(sum(slots)))


def _count(schedule: Schedule, start: datetime, counts: dict[datetime, float]) -> None:
    """Add the fire times in the 24 hours from `start` to the `counts` by slot.

    After the first `_COMPUTED_TIMES`, they are extrapolated from the rate of these.
    """
    end = start + DAY
    times = list(islice(takewhile(lambda time: time < end, fire_times(schedule, start - _INSTANT)), _COMPUTED_TIMES))
    for time_of_day in times:
        counts[floor(time_of_day)] += 1
    if len(times) < _COMPUTED_TIMES:
        return
    last = times[-1]
    rate = (_COMPUTED_TIMES - 1) * SLOT / (last - times[0])
    while last < end:
        stop = floor(last) + SLOT
        counts[floor(last)] += rate * ((stop - last) / SLOT)
        last = stop


def _times(
    schedules: Sequence[Schedule], after: datetime, end: datetime, local_zone: tzinfo, full: set[date]
) -> Iterator[datetime]:
    """Yield the fire times before `end`, at most `MOST_PER_DAY` per day; add days with more to `full`."""
    day, number = None, 0
    while True:
        chunk = next_fire_times(schedules, after, MOST_PER_DAY + 1)
        for moment, _ in chunk:
            if moment >= end:
                return
            this = moment.astimezone(local_zone).date()
            number = number + 1 if this == day else 1
            day = this
            if number > MOST_PER_DAY:
                full.add(this)
                after = _midnight(this + timedelta(days=1), local_zone) - _INSTANT
                break
            after = moment
            yield moment
        if not chunk:
            return


def _skip_reason(schedules: Sequence[Schedule], day: date, after: datetime, local_zone: tzinfo) -> str:
    """Return the reason for which the first due time of this day after `after` is skipped; empty without one."""
    begin, end = (_midnight(day + timedelta(days=number), local_zone) - _INSTANT for number in (0, 1))
    skipped = find_skipped(schedules, max(begin, after), end, 1) if after < end else []
    return skipped[0][1] if skipped else ""


def _midnight(day: date, local_zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=local_zone).astimezone(UTC)
