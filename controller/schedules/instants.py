"""Parses the times that users type, such as `now`, `yesterday`, `2h` or `2026-03-01`.

Called by `cli` and `api` for every option or query parameter that takes a time. It must not read the clock; the
current time is an argument.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from controller.errors import AmbiguousDurationError, ScheduleError
from controller.schedules.durations import parse_duration
from controller.schedules.messages import quote
from controller.schedules.parsing import parse_time

_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_DAY_AND_CLOCK = re.compile(r"(yesterday|today|tomorrow)(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?", re.ASCII)
_SIGNED = re.compile(r"(?:now)?\s*([+-])\s*(.+)|(.+) ago|in (.+)", re.ASCII | re.IGNORECASE)
_UTC = re.compile(r"(.*\d) ?utc", re.ASCII | re.IGNORECASE)
"""The controller writes UTC times with the suffix `UTC`; ISO 8601 uses `Z`."""
_FIRST = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Every instant between these two has a local time in every time zone."""
_HINT = "write now, today, yesterday, tomorrow, 2h, 2026-01-31 or 2026-01-31T09:00"
_RANGE_HINT = "write a year from 2 to 9998"


def parse_moment(text: str, now: datetime, zone: tzinfo | None, *, sign: int = -1) -> datetime:
    """Return the instant that `text` describes, as an aware UTC datetime.

    Args:
        text: `now`; `today`, `yesterday` or `tomorrow` (midnight, or with a clock time as in `today 09:00`); a
            duration before `now`, or after it if `sign` is 1; a duration with an explicit direction, such as `+2h`,
            `-2h`, `2h ago` or `in 2h`; a date; a date-time, also in the controller's own output format.
        now: the current time, aware.
        zone: the time zone of dates and times without an offset; None is the machine's own.
        sign: the direction of a bare duration: -1 for the past, 1 for the future.

    Raises:
        ScheduleError: the text has none of these forms, or the time is outside the supported range.
    """
    normalized = text.strip().lower() if len(text) <= 64 else ""
    try:
        if normalized == "now":
            return now.astimezone(UTC)
        if match := _DAY_AND_CLOCK.fullmatch(normalized):
            day = now.astimezone(zone).date() + timedelta(days=_DAYS[match[1]])
            clock = (match[2] or "00:00").zfill(5)
            return _instant(parse_time(f"{day.isoformat()}T{clock}"), zone)
        if (offset := _offset(text.strip() if normalized else "", sign)) is not None:
            return (now + offset).astimezone(UTC)
        return _instant(parse_time(_UTC.sub(r"\1Z", text.strip()) if normalized else text), zone)
    except OverflowError as error:
        raise ScheduleError(f"{quote(text)} is out of range", hint=_RANGE_HINT) from error
    except AmbiguousDurationError:
        raise
    except ScheduleError as error:
        raise ScheduleError(f"{quote(text)} is not a time", hint=_HINT) from error


def _offset(text: str, sign: int) -> timedelta | None:
    """Return the distance from now, or None if the text is not a duration. Raises AmbiguousDurationError."""
    signed = _SIGNED.fullmatch(text)
    if signed is not None:
        sign = -1 if signed[1] == "-" or signed[3] else 1
    try:
        return sign * parse_duration(next(filter(None, signed.groups()[1:])).strip() if signed else text)
    except AmbiguousDurationError:
        raise
    except ScheduleError:
        return None


def _instant(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    instant = moment.astimezone(UTC)
    if not _FIRST <= instant <= _LAST:
        raise OverflowError
    return instant
