"""Formats the fire times that move with another version of the `holidays` package. `plan_report` calls it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from controller.reconcile.holiday_changes import HolidayChange
from controller.text import join_first
from controller.time_format import format_time

_MOST_DEPLOYMENTS = 20
_MOST = 5


def holiday_lines(changes: Sequence[HolidayChange]) -> Iterator[str]:
    """Yield lines for each deployment: the versions, the days, and the fire times before and after, indented."""
    for change in changes[:_MOST_DEPLOYMENTS]:
        yield f"~ fire times of {change.deployment} move: holidays {change.before} -> {change.after}"
        days = [f"{'+' if day.action == 'added' else '-'} {day.day} {day.name}" for day in change.days]
        calendars = dict.fromkeys(day.calendar for day in change.days)
        yield f"    calendar {', '.join(calendars)}: {join_first(days, _MOST)}"
        yield f"    fires before: {_times(change.fire_times.before)}"
        yield f"    fires after:  {_times(change.fire_times.after)}"
    more = len(changes) - _MOST_DEPLOYMENTS
    if more > 0:
        yield f"~ fire times of {more} more deployments move: `controller plan -o json`"


def _times(times: Sequence[datetime]) -> str:
    return join_first([format_time(time, time.tzinfo) for time in times], _MOST) or "not at these times"
