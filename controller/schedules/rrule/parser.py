"""Which properties, parts and dates does the text of an `rrule` hold?

Called by `ruleset`, which gives them their meaning. It reads the grammar of RFC 5545 (3.1, 3.3.10, 3.8.5) and checks
the range of each number; it must not compute any fire time.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from controller.errors import ScheduleError
from controller.schedules.messages import did_you_mean, quoted
from controller.schedules.parsing import parse_time, zone

LONGEST = 6500
"""Characters of one rule text."""

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
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
"""Blanks that people put around the punctuation of a rule, as in `BYDAY=MO, WE`; a line may follow on a blank."""
_NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
_WEEKDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)


@dataclass(slots=True, kw_only=True)
class Lines:
    """The properties of a text. A date without a time stays a `date`; `Z` and TZID make a date-time aware."""

    start: date | None = None
    start_zone: str | None = None
    rules: list[dict[str, str]] = field(default_factory=list)
    added: list[date] = field(default_factory=list)
    excluded: list[date] = field(default_factory=list)


def read(text: str) -> Lines:
    """The lines of a rule text, long lines unfolded.

    Raises:
        ScheduleError: it is too long, has an unknown property or parameter, or a bad date.
    """
    if len(text) > LONGEST:
        raise ScheduleError(f"an rrule of {len(text)} characters is too long", hint=f"at most {LONGEST}")
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
        raise ScheduleError("EXRULE is not supported", hint="RFC 5545 dropped it; list the times in EXDATE")
    elif name not in _PROPERTIES:
        hint = did_you_mean(name, _PROPERTIES) or f"known are {', '.join(_PROPERTIES)}"
        raise ScheduleError(f"unknown property {quoted(name)} in rrule", hint=hint)
    else:
        zone_name = _zone_of(name, parameters)
        found = [moment(part, zone_name) for part in value.split(",")]
        if name == "RDATE":
            lines.added += found
        elif name == "EXDATE":
            lines.excluded += found
        elif len(found) != 1 or lines.start is not None:
            raise ScheduleError("an rrule has one DTSTART", hint="write further times as RDATE")
        else:
            lines.start, lines.start_zone = found[0], zone_name


def _zone_of(name: str, parameters: list[str]) -> str | None:
    found = None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.upper() == "TZID":
            found = value.strip('"')
        elif parameter.upper() not in ("VALUE=DATE", "VALUE=DATE-TIME"):
            hint = "allowed are TZID=…, VALUE=DATE and VALUE=DATE-TIME"
            raise ScheduleError(f"unknown parameter {quoted(parameter)} of {name} in rrule", hint=hint)
    return found


def moment(text: str, zone_name: str | None = None) -> date:
    """A date, or a date-time that is aware when it ends in `Z` or has a zone; RFC 5545 or ISO 8601 spelling.

    Raises:
        ScheduleError: it is neither, or says two zones.
    """
    found = _BASIC_TIME.fullmatch(text)
    if found is None:
        parsed: date = parse_time(text)
        if len(text) == len("2026-01-31") and isinstance(parsed, datetime):
            return parsed.date()
    else:
        parsed = _basic(text, found)
    if zone_name is not None and isinstance(parsed, datetime):
        if parsed.tzinfo is not None:
            raise ScheduleError(f"{quoted(text)} has both an offset and a TZID", hint="leave out one of them")
        return parsed.replace(tzinfo=zone(zone_name))
    return parsed


def _basic(text: str, found: re.Match[str]) -> date:
    year, month, day = (int(part) for part in found.groups()[:3])
    try:
        if found[4] is None:
            return date(year, month, day)
        hour, minute, second = (int(part) for part in found.groups()[3:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC if found[7] else None)
    except ValueError as error:
        hint = "write 20260131T090000 or 20260131T090000Z"
        raise ScheduleError(f"{quoted(text)} is not a date: {error}", hint=hint) from error


def _parts(text: str) -> dict[str, str]:
    """The NAME=value parts of one RRULE, upper-cased; each name is known and stands once."""
    parts: dict[str, str] = {}
    for part in text.strip(";").split(";"):
        name, equals, value = part.upper().partition("=")
        if not equals or name not in {*_LISTS, *_SINGLES, *_WORDS}:
            hint = did_you_mean(name, [*_LISTS, *_SINGLES, *_WORDS]) or "write it as FREQ=WEEKLY;BYDAY=MO,FR"
            raise ScheduleError(f"unknown part {quoted(part)} in rrule", hint=hint)
        if name in parts:
            raise ScheduleError(f"{name} stands twice in rrule", hint="join the values with commas")
        parts[name] = value
    return parts


def numbers(parts: dict[str, str], name: str) -> tuple[int, ...]:
    """The distinct numbers of a part, ascending; none when the part is absent.

    Raises:
        ScheduleError: one is no number or out of its range.
    """
    if name not in parts:
        return ()
    low, high = _LISTS[name] if name in _LISTS else _SINGLES[name]
    hint = f"{name} takes {low} to {high}" + (", but not 0" if low < 0 else "")
    found = set()
    for text in parts[name].split(","):
        value = int(text) if _NUMBER.fullmatch(text) else None
        if value is None or not low <= value <= high or (low < 0 and value == 0):
            raise ScheduleError(f"bad {name} {quoted(text)} in rrule", hint=hint)
        found.add(value)
    if name in _SINGLES and "," in parts[name]:
        raise ScheduleError(f"bad {name} {quoted(parts[name])} in rrule", hint=hint)
    return tuple(sorted(found))


def weekdays(parts: dict[str, str], name: str) -> frozenset[tuple[int, int]]:
    """The weekdays of BYDAY or WKST as (0 = Monday, n); n is 0 where no ordinal is written.

    Raises:
        ScheduleError: one is no weekday.
    """
    found = set()
    for text in parts[name].split(",") if name in parts else ():
        match = _WEEKDAY.fullmatch(text)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            hint = "weekdays are MO, TU, WE, TH, FR, SA and SU; 2FR is the second Friday, -1FR the last"
            raise ScheduleError(f"bad {name} {quoted(text)} in rrule", hint=hint)
        found.add((WEEKDAYS.index(match[2]), int(match[1] or 0)))
    return frozenset(found)
