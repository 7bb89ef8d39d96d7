"""Formats times for people. All user interfaces and messages use `format_time`; JSON has its own format."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

TIME_IN_UTC = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) UTC\b")
"""A time as `in_utc` formats it."""

ZoneOf = Callable[[str], tzinfo | None]
"""Returns the time zone of the schedules of a deployment, by its name; None for the time zone of the machine."""


def format_time(moment: datetime, zone: tzinfo | None, *, timespec: str = "seconds") -> str:
    """Format a time as `2026-01-31 09:00:00+01:00`, or as `2026-01-31 09:00:00 UTC` if the zone is UTC.

    Args:
        moment: an aware datetime.
        zone: the time zone to convert to, None for that of the machine. UTC is used for instants in the first and last
            hours of the calendar that have no date in the zone.
        timespec: as for `datetime.isoformat`; `auto` adds microseconds if they are not zero.
    """
    try:
        local = moment.astimezone(zone)
    except (OverflowError, ValueError, OSError):
        local = moment.astimezone(UTC)
    text = local.isoformat(sep=" ", timespec=timespec)
    return f"{text[:-6]} UTC" if local.tzname() == "UTC" and text.endswith("+00:00") else text


def in_utc(moment: datetime) -> str:
    """Format a time in UTC, for texts that are recorded once and shown in any time zone."""
    return format_time(moment, UTC)


def convert_times(text: str, zone: tzinfo | None) -> str:
    """Return a text with the times that `in_utc` has formatted in it converted to this zone, None for the machine's."""
    return TIME_IN_UTC.sub(lambda match: _converted(match, zone), text)


def convert_times_of(name: str, text: str, zone_of: ZoneOf) -> str:
    """Return a text about the deployment `name` as `convert_times` does. The zone is looked up only if it is needed."""
    return convert_times(text, zone_of(name)) if TIME_IN_UTC.search(text) else text


def _converted(match: re.Match[str], zone: tzinfo | None) -> str:
    try:
        return format_time(datetime.fromisoformat(match[1]).replace(tzinfo=UTC), zone, timespec="auto")
    except ValueError:
        return match[0]


def format_span(duration: timedelta) -> str:
    """Return the two largest units of a duration; `0s` if it is negative because a clock was set back."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    filled = [f"{count}{unit}" for count, unit in parts if count]
    return "".join(filled[:2]) or "0s"
