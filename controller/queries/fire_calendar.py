"""When does a deployment fire in the next weeks, day by day? For a calendar; computed like every other fire time.

Days are those of one time zone. Of a day with very many times only the first are computed, so that a schedule of
every second costs as little as one of every hour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from controller.model.schedules import Schedule
from controller.schedules import next_fire_times, zone

WEEKS = 5
MOST_A_DAY = 24
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day: its fire times, the first `MOST_A_DAY` of them; `is_full` if there may be more."""

    date: date
    times: tuple[datetime, ...]
    is_past: bool
    is_today: bool
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FireCalendar:
    """Whole weeks from Monday on, the first one with today, of the days of `timezone`."""

    timezone: str
    weeks: tuple[tuple[Day, ...], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing fires in these weeks."""
        return not any(day.times for week in self.weeks for day in week)


def fire_calendar(schedules: Sequence[Schedule], now: datetime, after: datetime | None = None) -> FireCalendar:
    """The weeks from that of `now` on, in the first schedule's zone; what fires after `after`, by default now."""
    name = schedules[0].timezone if schedules else "UTC"
    here = zone(name)
    today = now.astimezone(here).date()
    monday = today - timedelta(days=today.weekday())
    end = _midnight(monday + timedelta(weeks=WEEKS), here)
    found: dict[date, list[datetime]] = {}
    full: set[date] = set()
    for moment in _times(schedules, after or now, end, here, full):
        found.setdefault(moment.astimezone(here).date(), []).append(moment)
    days = [monday + timedelta(days=index) for index in range(7 * WEEKS)]
    made = [
        Day(
            date=day,
            times=tuple(found.get(day, ())),
            is_past=day < today,
            is_today=day == today,
            is_full=day in full,
        )
        for day in days
    ]
    return FireCalendar(timezone=name, weeks=tuple(tuple(made[at : at + 7]) for at in range(0, len(made), 7)))


def _times(
    schedules: Sequence[Schedule], after: datetime, end: datetime, here: tzinfo, full: set[date]
) -> Iterator[datetime]:
    """The fire times up to `end`, at most so many a day; the days that have more go into `full`."""
    day, count = None, 0
    while True:
        chunk = next_fire_times(schedules, after, MOST_A_DAY + 1)
        for moment, _ in chunk:
            if moment >= end:
                return
            this = moment.astimezone(here).date()
            count = count + 1 if this == day else 1
            day = this
            if count > MOST_A_DAY:
                full.add(this)
                after = _midnight(this + timedelta(days=1), here) - _INSTANT
                break
            after = moment
            yield moment
        if not chunk:
            return


def _midnight(day: date, here: tzinfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=here).astimezone(UTC)
