"""Warns about deadlines in `expect` that can never be missed, or that are missed although all runs succeed in time.

`build` calls it for each valid document. Warnings do not prevent a document from being applied.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from controller.manifests.validation_context import ValidationContext
from controller.model.findings import Severity
from controller.model.notifications import Expectation
from controller.model.schedules import Interval, Schedule
from controller.schedules import next_fire_times, zone
from controller.time_format import format_span, format_time

MOST_TIMES = 500
"""How many due times are searched for a gap."""


def warn_about_deadlines(
    context: ValidationContext, expect: Expectation, schedules: Sequence[Schedule], now: datetime
) -> None:
    """Add a warning for each deadline of the document itself that is probably a mistake. `now` is aware."""
    active = [schedule for schedule in schedules if not schedule.suspend]
    if expect.start_within is not None and not schedules and not context.root.key_place(_path("start_within")).file:
        _warn(
            context,
            "UnusedDeadline",
            "start_within",
            "start_within has no effect: the deployment has no schedule, and so no due times",
            "add a schedule, or remove start_within; finish_within also applies to runs that are triggered",
        )
    if expect.start_within and expect.finish_within and expect.finish_within < expect.start_within:
        message = "finish_within is shorter than start_within: a run can be overdue before it is late"
        hint = f"write finish_within: {_yaml(expect.start_within)} or longer"
        _warn(context, "ConflictingDeadlines", "finish_within", message, hint)
    longest_jitter = max((schedule.jitter for schedule in active), default=timedelta(0))
    if expect.start_within and longest_jitter >= expect.start_within:
        message = f"jitter delays runs by up to {format_span(longest_jitter)}, so they can start after start_within"
        hint = f"write start_within: {_yaml(longest_jitter + expect.start_within)}, or a shorter jitter"
        _warn(context, "ConflictingDeadlines", "start_within", message, hint)
    if expect.success_every is not None and (gap := _longer_gap(active, expect.success_every, now)) is not None:
        begin, end = (format_time(time, zone(active[0].timezone)) for time in gap)
        length = gap[1] - gap[0]
        message = "success_every is missed although all runs succeed: "
        message += f"nothing is due for {format_span(length)}, from {begin} to {end}"
        hint = f"write success_every: {_yaml(length + timedelta(hours=1))} or longer, to allow for the run itself"
        _warn(context, "DeadlineBelowGap", "success_every", message, hint)


def _warn(context: ValidationContext, code: str, key: str, message: str, hint: str) -> None:
    context.add(code, message, _path(key), hint=hint, severity=Severity.WARNING)


def _path(key: str) -> tuple[str, str]:
    return ("expect", key)


def _longer_gap(schedules: Sequence[Schedule], limit: timedelta, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the longest time between two of the next 500 due times, if it is not shorter than `limit`."""
    intervals = [schedule.rule.every for schedule in schedules if isinstance(schedule.rule, Interval)]
    if not schedules or (intervals and min(intervals) < limit):  # an interval leaves no gap that is longer
        return None
    times = [time for time, _ in next_fire_times(schedules, now, MOST_TIMES)]
    longest = max(pairwise(times), key=lambda gap: gap[1] - gap[0], default=None)
    return longest if longest is not None and longest[1] - longest[0] >= limit else None


def _yaml(length: timedelta) -> str:
    """Return a duration that is not shorter, in whole hours, or else in whole minutes."""
    minutes = math.ceil(length.total_seconds() / 60)
    return f"{minutes}m" if minutes < 120 else f"{math.ceil(minutes / 60)}h"
