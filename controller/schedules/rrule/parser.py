"""Parses the text of an `rrule` into its properties, parts and dates.

Called by `ruleset`, which interprets them. The grammar is that of RFC 5545 (3.1, 3.3.10, 3.8.5). This module checks
the range of each number, but computes no fire times.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from controller.errors import ScheduleError
from controller.schedules.messages import quote
from controller.schedules.parsing import parse_time, zone
from controller.text import did_you_mean

MAX_LENGTH = 6500
"""The maximum number of characters of a rule text."""

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
_PROPERTIES = ("DTSTART", "RRULE", "RDATE", "EXDATE")
_LISTS = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYSETPOS": (-366, 366),
}
_SINGLES = {"INTERVAL": (1, 10_000), "COUNT": (1, 10_000)}
_WORDS = ("FREQ", "UNTIL", "WKST", "BYDAY")
_BASIC_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?", re.ASCII | re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]*([,;=:])[ \t]*(?!(?:DTSTART|RRULE|RDATE|EXDATE|EXRULE)\b)", re.IGNORECASE)
"""Spaces around the punctuation of a rule, as in `BYDAY=MO, WE`; but a space may also separate two lines."""
_NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
_WEEKDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)


@dataclass(slots=True, kw_only=True)
class Lines:
    """The properties of a rule text. A date without a time stays a `date`; `Z` or a TZID makes a date-time aware."""

    start: date | None = None
    start_zone: str | None = None
    rules: list[dict[str, str]] = field(default_factory=list)
    added: list[date] = field(default_factory=list)
    excluded: list[date] = field(default_factory=list)


def parse_lines(text: str) -> Lines:
    """Parse the lines of a rule text, after unfolding long lines.

    Raises:
        ScheduleError: the text is too long, or has an unknown property or parameter, or an invalid date.
    """
    if len(text) > MAX_LENGTH:
        message = f"an rrule of {len(text)} characters is too long"
        raise ScheduleError(message, hint=f"write at most {MAX_LENGTH} characters")
    lines = Lines()
    unfolded = re.sub(r"\r?\n[ \t](?=\S)", "", text.strip())
    for line in _BLANKS.sub(r"\1", unfolded).split():
        head, colon, value = line.partition(":")
        name, *parameters = head.split(";") if colon else ["RRULE"]
        _read_line(lines, name.upper(), parameters, value if colon else line)
    return lines


def _read_line(lines: Lines, name: str, parameters: list[str], value: str) -> None:
    if name == "RRULE":
        lines.rules.append(_parts(value))
    elif name == "EXRULE":
        raise ScheduleError("EXRULE is not supported", hint="RFC 5545 removed it; list the excluded times in EXDATE")
    elif name not in _PROPERTIES:
        hint = did_you_mean(name, _PROPERTIES, 3) or f"valid properties are {', '.join(_PROPERTIES)}"
        raise ScheduleError(f"unknown property {quote(name)} in rrule", hint=hint)
    else:
        zone_name = _zone_parameter(name, parameters)
        dates = [parse_date(part, zone_name) for part in value.split(",")]
        if name == "RDATE":
            lines.added += dates
        elif name == "EXDATE":
            lines.excluded += dates
        elif len(dates) != 1 or lines.start is not None:
            raise ScheduleError("an rrule can have only one DTSTART", hint="write additional times as RDATE")
        else:
            lines.start, lines.start_zone = dates[0], zone_name


def _zone_parameter(name: str, parameters: list[str]) -> str | None:
    zone_name = None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.upper() == "TZID":
            zone_name = value.strip('"')
        elif parameter.upper() not in ("VALUE=DATE", "VALUE=DATE-TIME"):
            hint = "valid parameters are TZID=…, VALUE=DATE and VALUE=DATE-TIME"
            raise ScheduleError(f"unknown parameter {quote(parameter)} of {name} in rrule", hint=hint)
    return zone_name


def parse_date(text: str, zone_name: str | None = None) -> date:
    """Parse a date, or a date-time, in the format of RFC 5545 or ISO 8601.

    A date-time is aware if it ends in `Z` or an offset, or if `zone_name` is given.

    Raises:
        ScheduleError: the text is neither, or has both an offset and a zone.
    """
    match = _BASIC_TIME.fullmatch(text)
    if match is None:
        parsed: date = parse_time(text)
        if len(text) == len("2026-01-31") and isinstance(parsed, datetime):
            return parsed.date()
    else:
        parsed = _parse_basic(text, match)
    if zone_name is not None and isinstance(parsed, datetime):
        if parsed.tzinfo is not None:
            raise ScheduleError(f"{quote(text)} has both an offset and a TZID", hint="remove one of them")
        return parsed.replace(tzinfo=zone(zone_name))
    return parsed


def _parse_basic(text: str, match: re.Match[str]) -> date:
    year, month, day = (int(part) for part in match.groups()[:3])
    try:
        if match[4] is None:
            return date(year, month, day)
        hour, minute, second = (int(part) for part in match.groups()[3:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC if match[7] else None)
    except ValueError as error:
        hint = "write 20260131T090000 or 20260131T090000Z"
        raise ScheduleError(f"{quote(text)} is not a date: {error}", hint=hint) from error


def _parts(text: str) -> dict[str, str]:
    """Return the NAME=value parts of one RRULE in upper case. Unknown and duplicate names are rejected."""
    parts: dict[str, str] = {}
    for part in text.strip(";").split(";"):
        name, equals, value = part.upper().partition("=")
        if not equals or name not in {*_LISTS, *_SINGLES, *_WORDS}:
            hint = did_you_mean(name, [*_LISTS, *_SINGLES, *_WORDS], 3) or "write parts such as FREQ=WEEKLY;BYDAY=MO,FR"
            hint = f"write FREQ={name}" if name in _FREQUENCIES else hint
            raise ScheduleError(f"unknown part {quote(part)} in rrule", hint=hint)
        if name in parts:
            raise ScheduleError(f"duplicate {name} in rrule", hint="write it once, with the values separated by commas")
        parts[name] = value
    return parts


def numbers(parts: dict[str, str], name: str) -> tuple[int, ...]:
    """Return the distinct numbers of a part in ascending order; empty if the part is absent.

    Raises:
        ScheduleError: a value is not a number, or is out of range.
    """
    if name not in parts:
        return ()
    low, high = _LISTS[name] if name in _LISTS else _SINGLES[name]
    hint = f"{name} takes {low} to {high}" + (", but not 0" if low < 0 else "")
    distinct = set()
    for text in parts[name].split(","):
        value = int(text) if _NUMBER.fullmatch(text) else None
        if value is None or not low <= value <= high or (low < 0 and value == 0):
            raise ScheduleError(f"invalid {name} {quote(text)} in rrule", hint=hint)
        distinct.add(value)
    if name in _SINGLES and "," in parts[name]:
        raise ScheduleError(f"invalid {name} {quote(parts[name])} in rrule", hint=hint)
    return tuple(sorted(distinct))


def weekdays(parts: dict[str, str], name: str) -> frozenset[tuple[int, int]]:
    """Return the weekdays of BYDAY or WKST as pairs (0 = Monday, n), where n is 0 without an ordinal.

    Raises:
        ScheduleError: a value is not a weekday.
    """
    pairs = set()
    for text in parts[name].split(",") if name in parts else ():
        match = _WEEKDAY.fullmatch(text)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            hint = "weekdays are MO, TU, WE, TH, FR, SA and SU; 2FR is the second Friday, -1FR the last one"
            raise ScheduleError(f"invalid {name} {quote(text)} in rrule", hint=hint)
        pairs.add((WEEKDAYS.index(match[2]), int(match[1] or 0)))
    return frozenset(pairs)
