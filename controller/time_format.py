"""How a time is written in text for people. Every surface and every message calls `shown`; JSON has its own form.

The clock is not read here.
"""

from datetime import UTC, datetime, tzinfo


def shown(moment: datetime, zone: tzinfo | None, *, timespec: str = "seconds") -> str:
    """Return `2026-01-31 09:00:00+01:00`, or `2026-01-31 09:00:00 UTC` where the zone is UTC.

    Args:
        moment: an aware instant.
        zone: the zone that it is shown in, None for that of the machine. Near the ends of the calendar, where the
            instant has no date in that zone, it is shown in UTC.
        timespec: as that of `datetime.isoformat`; `auto` adds microseconds where there are any.
    """
    try:
        local = moment.astimezone(zone)
    except (OverflowError, ValueError, OSError):
        local = moment.astimezone(UTC)
    text = local.isoformat(sep=" ", timespec=timespec)
    return f"{text[:-6]} UTC" if local.tzname() == "UTC" and text.endswith("+00:00") else text


def in_utc(moment: datetime) -> str:
    """The same in UTC: for what is recorded once and shown to people in any zone."""
    return shown(moment, UTC)
