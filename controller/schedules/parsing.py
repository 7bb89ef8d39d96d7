"""Parses ISO 8601 dates such as `2026-01-01T09:00` and time zone names such as `Europe/Berlin`.

Called by `manifests` and by the rest of this package. It must not read the clock, the host's own time zone, or any
file outside the time zone database.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from controller.errors import ScheduleError
from controller.schedules.messages import quote
from controller.schedules.zone_names import zone_hint
from controller.text import did_you_mean

_TIME_HINT = "write a date or date-time such as 2026-01-31, 2026-01-31T09:00 or 2026-01-31T09:00:00+02:00"
_ZONE_HINT = "write a name of the IANA time zone database, such as Europe/Berlin or UTC"
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?) ?([Zz]|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Files of the time zone database that are not zones: their meaning depends on the host."""


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 date (read as midnight) or date-time.

    The result is aware if the text ends in `Z` or an offset, otherwise naive.

    Raises:
        ScheduleError: the text is neither, or the day or time does not exist.
    """
    match = _TIME.fullmatch(text.strip()) if len(text) <= 64 else None
    if match is None:
        raise ScheduleError(f"{quote(text)} is not a date or date-time", hint=_TIME_HINT)
    day, clock, offset = match.groups(default="")
    try:
        return datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset.upper()}")
    except ValueError as error:
        raise ScheduleError(f"{quote(text)} is not a date-time: {error}", hint=_TIME_HINT) from error


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name, from the system's database or else from the `tzdata` package.

    Raises:
        ScheduleError: the zone does not exist; the hint lists the closest names. Paths, `localtime`, and the copies
            below `posix/` and `right/` are rejected, because their meaning depends on the host.
    """
    if _ZONE.fullmatch(name) and len(name) <= 64 and name not in _NOT_ZONES:
        if name.startswith(("posix/", "right/")):
            raise ScheduleError(f"unknown time zone {quote(name)}", hint=f"write {name.split('/', 1)[1]}")
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory such as `America`
            pass
    hint = zone_hint(name, _zone_names()) or did_you_mean(name, _zone_names(), 3) or _ZONE_HINT
    raise ScheduleError(f"unknown time zone {quote(name)}", hint=hint)


def shared_zone(names: Iterable[str]) -> ZoneInfo | None:
    """Return the time zone that all of `names` refer to; None if they differ or are empty. Raises ScheduleError."""
    distinct = set(names)
    return zone(distinct.pop()) if len(distinct) == 1 else None


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_ZONES)
