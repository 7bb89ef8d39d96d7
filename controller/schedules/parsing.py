"""Which moment is `2026-01-01T09:00`, and which zone is `Europe/Berlin`?

Called by `manifests` for dates and zone names, and by the rest of this package. It must not look at the clock, at
the host's own zone or at any file outside the time zone database.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from controller.errors import ScheduleError
from controller.schedules.messages import did_you_mean, quoted
from controller.schedules.zone_names import zone_hint

_TIME_HINT = "write a date or date-time such as 2026-01-31, 2026-01-31T09:00 or 2026-01-31T09:00:00+02:00"
_ZONE_HINT = "write a name of the IANA time zone database, such as Europe/Berlin or UTC"
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?) ?([Zz]|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Files of a time zone database that name no place: what they mean depends on the host."""


def parse_time(text: str) -> datetime:
    """An ISO 8601 date (midnight) or date-time; naive without an offset, aware with `Z` or one.

    Raises:
        ScheduleError: it is neither, or no such day or time exists.
    """
    found = _TIME.fullmatch(text.strip()) if len(text) <= 64 else None
    if found is None:
        raise ScheduleError(f"{quoted(text)} is not a date or date-time", hint=_TIME_HINT)
    day, clock, offset = found.groups(default="")
    try:
        return datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset.upper()}")
    except ValueError as error:
        raise ScheduleError(f"{quoted(text)} is not a date-time: {error}", hint=_TIME_HINT) from error


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of that name, from the system or else from the `tzdata` package.

    Raises:
        ScheduleError: there is no such zone; the hint names the closest ones. Paths, `localtime`, and the `posix/`
            and `right/` copies are refused, since their meaning depends on the host.
    """
    if _ZONE.fullmatch(name) and len(name) <= 64 and name not in _NOT_ZONES:
        if name.startswith(("posix/", "right/")):
            raise ScheduleError(f"unknown time zone {quoted(name)}", hint=f"write {name.split('/', 1)[1]}")
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory such as `America`
            pass
    hint = zone_hint(name, _names()) or did_you_mean(name, _names()) or _ZONE_HINT
    raise ScheduleError(f"unknown time zone {quoted(name)}", hint=hint)


def one_zone(names: Iterable[str]) -> ZoneInfo | None:
    """The time zone, if all these are names of the same one; None for several and for none. Raises ScheduleError."""
    found = set(names)
    return zone(found.pop()) if len(found) == 1 else None


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_ZONES)
