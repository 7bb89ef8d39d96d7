"""Parses and evaluates windows: the days and hours in which the runs of a schedule may start.

Called by `exclusions`, `describe` and `manifests`. Hours are local times of the schedule's time zone.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from controller.errors import ScheduleError
from controller.model.calendars import Window
from controller.schedules.messages import quote

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_DAY = timedelta(days=1)
_LONGEST_WAIT = 9
"""A window opens at least once in this many days, even if a clock change skips it once."""


def parse_weekdays(text: str | Iterable[str]) -> frozenset[int]:
    """Return the weekdays (Monday is 0) of `mon-fri`, `sat,sun`, `fri-mon` or a list of these.

    Raises:
        ScheduleError: a part is neither a day nor a range of days.
    """
    parts = [part.strip().lower() for item in ([text] if isinstance(text, str) else text) for part in item.split(",")]
    days: set[int] = set()
    for part in parts:
        first, separator, last = part.partition("-")
        if first not in DAYS or (separator and last not in DAYS):
            raise ScheduleError(f"{quote(part)} is not a day", hint="write mon-fri, or a list such as [mon, wed, fri]")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days.update((begin + number) % 7 for number in range((end - begin) % 7 + 1))
    return frozenset(days)


def parse_clock(text: str) -> time:
    """Return the time of day of `08:00`; `24:00` is 00:00. Raises ScheduleError."""
    match = _CLOCK.fullmatch(text.strip()) if len(text) <= 64 else None
    hours, minutes = (int(match[1]), int(match[2])) if match else (99, 0)
    if (hours, minutes) == (24, 0):
        return time()
    if hours > 23 or minutes > 59:
        raise ScheduleError(f"{quote(text)} is not a time of day", hint='write hours and minutes such as "08:00"')
    return time(hours, minutes)


def next_opening(windows: Sequence[Window], moment: datetime, local_zone: ZoneInfo) -> datetime | None:
    """Return the first instant not before the aware `moment` that is in a window, in UTC; `moment` if it is in one.

    Returns None if no window opens within nine days: each is inside an hour that a clock change skips.
    """
    today = moment.astimezone(local_zone).date()
    opening: datetime | None = None
    for number in range(-1, _LONGEST_WAIT):
        day = today + number * _DAY
        for window in windows:
            if day.weekday() in window.weekdays:
                start, end = _bounds(window, day, local_zone)
                if start <= moment < end:
                    return moment.astimezone(UTC)
                if moment < start < end and (opening is None or start < opening):
                    opening = start
        if opening is not None and number > 0:
            break
    return opening


def describe_windows(windows: Sequence[Window]) -> str:
    """Return the windows as they are written, such as `mon-fri 08:00-18:00 and sat 09:00-12:00`."""
    return " and ".join(_describe(window) for window in windows[:5]) + (" …" if len(windows) > 5 else "")


def _bounds(window: Window, day: date, local_zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if window.end > window.start else day + _DAY
    start = datetime.combine(day, window.start, tzinfo=local_zone).astimezone(UTC)
    return start, datetime.combine(last, window.end, tzinfo=local_zone).replace(fold=1).astimezone(UTC)


def _describe(window: Window) -> str:
    hours = f"{window.start:%H:%M}-{window.end:%H:%M}"
    if window.start == window.end == time():
        return _days(window.weekdays)
    if window.end == time():
        hours = f"{window.start:%H:%M}-24:00"
    return hours if window.weekdays == EVERY_DAY else f"{_days(window.weekdays)} {hours}"


def _days(weekdays: frozenset[int]) -> str:
    """Return `mon-fri` or `mon,wed`."""
    spans: list[list[int]] = []
    for day in sorted(weekdays):
        if spans and spans[-1][-1] == day - 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return ",".join(
        f"{DAYS[span[0]]}-{DAYS[span[-1]]}" if len(span) > 2 else ",".join(DAYS[day] for day in span) for span in spans
    )
