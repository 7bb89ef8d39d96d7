"""Which instant does somebody mean who writes `now`, `yesterday`, `2h` or `2026-03-01`?

Called by `cli` and `api` for every time that is typed as text. It must not look at the clock: the present comes as an
argument.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from controller.errors import ScheduleError
from controller.schedules.durations import parse_duration
from controller.schedules.messages import quoted
from controller.schedules.parsing import parse_time

_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WORDED = re.compile(r"(yesterday|today|tomorrow)(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?", re.ASCII)
_SIGNED = re.compile(r"(?:now)?\s*([+-])\s*(.+)|(.+) ago|in (.+)", re.ASCII)
_UTC = re.compile(r"(.*\d) ?utc", re.ASCII | re.IGNORECASE)
"""How the controller writes a time in UTC; ISO 8601 says `Z`."""
_FIRST = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Between these, an instant has a local time in every time zone."""
_HINT = "write now, today, yesterday, tomorrow, 2h, 2026-01-31 or 2026-01-31T09:00"
_RANGE_HINT = "write a year from 2 to 9998"


def parse_moment(text: str, now: datetime, zone: tzinfo | None, *, sign: int = -1) -> datetime:
    """The instant that `text` says, aware and in UTC.

    Args:
        text: `now`; `today`, `yesterday` or `tomorrow` (midnight, or with a clock time as in `today 09:00`); a
            duration before `now`, or after it if `sign` is 1; one with a sign of its own, such as `+2h`, `-2h`,
            `2h ago` or `in 2h`; a date; a date-time, also as the controller writes it.
        now: the present instant, aware.
        zone: where dates and times without an offset are local; None is the zone of the machine.
        sign: -1 if a bare duration is an age, 1 if it is a time to come.

    Raises:
        ScheduleError: it is none of these, or lies outside of the calendar.
    """
    said = text.strip().lower() if len(text) <= 64 else ""
    try:
        if said == "now":
            return now.astimezone(UTC)
        if worded := _WORDED.fullmatch(said):
            day = now.astimezone(zone).date() + timedelta(days=_DAYS[worded[1]])
            clock = (worded[2] or "00:00").zfill(5)
            return _instant(parse_time(f"{day.isoformat()}T{clock}"), zone)
        if (length := _length(said, sign)) is not None:
            return (now + length).astimezone(UTC)
        return _instant(parse_time(_UTC.sub(r"\1Z", text.strip()) if said else text), zone)
    except OverflowError as error:
        raise ScheduleError(f"{quoted(text)} is out of range", hint=_RANGE_HINT) from error
    except ScheduleError as error:
        raise ScheduleError(f"{quoted(text)} is not a time", hint=_HINT) from error


def _length(said: str, sign: int) -> timedelta | None:
    """How far from now; None for what is no duration."""
    signed = _SIGNED.fullmatch(said)
    if signed is not None:
        sign = -1 if signed[1] == "-" or signed[3] else 1
    try:
        return sign * parse_duration(next(filter(None, signed.groups()[1:])).strip() if signed else said)
    except ScheduleError:
        return None


def _instant(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    found = moment.astimezone(UTC)
    if not _FIRST <= found <= _LAST:
        raise OverflowError
    return found
