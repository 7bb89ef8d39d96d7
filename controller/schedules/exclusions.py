"""Says why a due time starts no run: a calendar of its schedule excludes its day, or it is outside of the windows.

Called by `fire_time_search` and `due_times`, and by `runs` for the reasons in the ledger. A skipped due time is still a
due time: only `shift` changes when a schedule is due.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from controller.model.calendars import Outside
from controller.model.schedules import Schedule
from controller.schedules.calendar_days import calendar_days, day_zone
from controller.schedules.dst import LATEST
from controller.schedules.windows import describe_windows, next_opening

CALENDAR = "calendar"
WINDOW = "window"
"""The first words of the reasons for which a due time is skipped."""
EXCLUSIONS = (f"{CALENDAR} ", f"{WINDOW}: ")
"""The prefixes of these reasons in the ledger."""

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_MAX_SEARCH = timedelta(days=366 * 60)
_MAX_STEPS = 50_000
_JUMP_AFTER = 10
"""After this many due times in a row that start no run, the search continues where the next one could."""


def can_exclude(schedule: Schedule) -> bool:
    """Return whether any due time of the schedule can be skipped because of a calendar or a window."""
    is_closed = bool(schedule.windows) and schedule.outside is Outside.SKIP
    return bool(schedule.exclude or schedule.only) or is_closed


def find_exclusion(schedule: Schedule, due_time: datetime) -> str | None:
    """Return the reason why this due time (aware) starts no run, such as `calendar de-by: Christmas Day`, or None."""
    if not can_exclude(schedule):
        return None
    local_zone = day_zone(schedule)
    by_day = _excluded_day(schedule, due_time.astimezone(local_zone).date())
    return by_day or window_exclusion(schedule, due_time)


def window_exclusion(schedule: Schedule, moment: datetime) -> str | None:
    """Return the reason why no run may start at this moment and none waits, such as `window: outside mon-fri`."""
    if not schedule.windows or schedule.outside is not Outside.SKIP:
        return None
    is_open = next_opening(schedule.windows, moment, day_zone(schedule)) == moment
    return None if is_open else f"{WINDOW}: outside {describe_windows(schedule.windows)}"


def window_opening(schedule: Schedule, moment: datetime) -> datetime | None:
    """Return the first instant not before `moment` at which a run of the schedule may start; None if it never may."""
    return next_opening(schedule.windows, moment, day_zone(schedule)) if schedule.windows else moment


def is_exclusion(reason: str) -> bool:
    """Return whether a reason in the ledger is that of a calendar or a window."""
    return reason.startswith(EXCLUSIONS)


def without_excluded(
    schedule: Schedule, after: datetime, due_times: Callable[[datetime], Iterator[datetime]]
) -> Iterator[datetime]:
    """Yield the due times after `after` that start a run. `due_times` returns all those after an instant.

    Ends after 60 years without one, or 50,000 skipped due times.
    """
    local_zone = day_zone(schedule)
    steps, limit = 0, min(after, LATEST - _MAX_SEARCH) + _MAX_SEARCH
    begin: datetime | None = after
    while begin is not None:
        start, begin, in_a_row = begin, None, 0
        for due_time in due_times(start):
            if find_exclusion(schedule, due_time) is None:
                steps, in_a_row = 0, 0
                limit = min(due_time, LATEST - _MAX_SEARCH) + _MAX_SEARCH
                yield due_time
                continue
            steps, in_a_row = steps + 1, in_a_row + 1
            if due_time > limit or steps > _MAX_STEPS:
                return
            if in_a_row > _JUMP_AFTER:
                chance = _next_chance(schedule, due_time, local_zone)
                begin = None if chance is None else max(due_time, chance - _TICK)
                break


def _next_chance(schedule: Schedule, due_time: datetime, local_zone: ZoneInfo) -> datetime | None:
    """Return an instant before which every due time after `due_time` is skipped; None if there is none for 60 years."""
    day = due_time.astimezone(local_zone).date()
    if not _is_excluded(schedule, day):
        return next_opening(schedule.windows, due_time, local_zone)
    last = min(min(day, LATEST.date() - _MAX_SEARCH) + _MAX_SEARCH, _last_day(schedule))
    while _is_excluded(schedule, day):
        day += _DAY
        if day > last:
            return None
    return datetime.combine(day, time(), tzinfo=local_zone).astimezone(UTC)


def _last_day(schedule: Schedule) -> date:
    """Return a day after which the `only` calendars of a schedule have none, so that its search ends at once."""
    if not schedule.only or any(calendar.holidays for calendar in schedule.only):
        return date.max
    dates = [each for calendar in schedule.only for each in calendar.dates]
    return date.max if any(each.rrule for each in dates) else max((each.last for each in dates), default=date.min)


def _is_excluded(schedule: Schedule, day: date) -> bool:
    if any(calendar_days(calendar).name(day) is not None for calendar in schedule.exclude):
        return True
    return bool(schedule.only) and all(calendar_days(calendar).name(day) is None for calendar in schedule.only)


def _excluded_day(schedule: Schedule, day: date) -> str | None:
    """Return the reason why the calendars leave out this day; None if they don't."""
    if not _is_excluded(schedule, day):
        return None
    for calendar in schedule.exclude:
        name = calendar_days(calendar).name(day)
        if name is not None:
            return f"{CALENDAR} {calendar.name}: {name or day.isoformat()}"
    names = ", ".join(calendar.name for calendar in schedule.only)
    return f"{CALENDAR} {names}: {day.isoformat()} is not one of its days"
