"""Reads the events of an iCalendar file (RFC 5545) as the dates of a calendar, with the `icalendar` package.

`calendar_files` calls it. An event counts for every day on which it takes place, by the local date in the file. The
result does not depend on the current time: rules stay rules.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from controller.errors import ScheduleError
from controller.text import shorten

MAX_DATES = 1000
"""The maximum number of dates of a calendar, like in the schema. Consecutive days of one name count once."""
MAX_BYTES = 256 << 10
"""The maximum size of a file: 1 MiB would take seconds to read."""
_DAY = timedelta(days=1)
_UNTIL = re.compile(r"(UNTIL=\d{8})T\d{6}Z?", re.ASCII)
_MAX_NAME = 200


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_dates(content: bytes) -> list[str | dict[str, Any]]:
    """Return the dates of all events that are not cancelled, as the values of `dates` in controller.yaml.

    Raises:
        ScheduleError: the content is not an iCalendar file, or it has too many dates.
    """
    # Imported here because it takes long, and few repositories have such a file.
    from icalendar import Calendar

    try:
        parsed = Calendar.from_ical(content.decode("utf-8-sig"), multiple=True)
        events = [event for calendar in parsed for event in calendar.walk("VEVENT")]
        dates = list(_dates(events))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        reason = shorten(str(error), 150) if isinstance(error, ValueError) else "an event can't be read"
        message = f"the file is not a valid iCalendar file: {reason}"
        raise ScheduleError(message, hint="export it again, or write dates instead") from error
    values: list[str | dict[str, Any]] = [*sorted(_merged([each for each in dates if isinstance(each, tuple)]))]
    values += [each for each in dates if isinstance(each, dict)]
    if not values:
        raise ScheduleError("the file has no event", hint="add a VEVENT for each day, or remove the calendar")
    if len(values) > MAX_DATES:
        hint = "leave out past events, or write rules"
        raise ScheduleError(f"the file has {len(values)} dates, more than {MAX_DATES}", hint=hint)
    return values


Span = tuple[date, date, str]
"""The first and last day, and the name."""


def _dates(events: Sequence[Mapping[str, Any]]) -> Iterator[Span | dict[str, Any]]:
    """Yield the spans of events and further dates, and the mappings of events that repeat."""
    changed: dict[str, set[date]] = defaultdict(set)
    for event in events:
        if "RECURRENCE-ID" in event:
            changed[str(event.get("UID"))].add(_date(event["RECURRENCE-ID"].dt))
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED" or "DTSTART" not in event:
            continue
        first, last = _span(event)
        name = " ".join("".join(char if char.isprintable() else " " for char in str(event.get("SUMMARY", ""))).split())
        name = shorten(name, _MAX_NAME) if name else ""
        rules = event.get("RRULE", ()) if isinstance(event.get("RRULE", ()), list | tuple) else [event["RRULE"]]
        exdates = {*_date_list(event.get("EXDATE")), *changed[str(event.get("UID"))]}
        for rule in rules:
            repeated: dict[str, Any] = {"date": _text(first, last)}
            text = _UNTIL.sub(r"\1", rule.to_ical().decode())
            repeated |= {"name": name} if name else {}
            repeated |= {"rrule": text}
            repeated |= {"except": [day.isoformat() for day in sorted(exdates)]} if exdates else {}
            yield repeated
        if not rules or "RECURRENCE-ID" in event:
            yield first, last, name
        for day in _date_list(event.get("RDATE")):
            if day not in exdates:
                yield day, day + (last - first), name


def _span(event: Mapping[str, Any]) -> tuple[date, date]:
    """Return the first and the last day of an event."""
    start = event["DTSTART"].dt
    end = event["DTEND"].dt if "DTEND" in event else None
    if end is None:
        length = event["DURATION"].dt if "DURATION" in event else None
        end = start + (length or (timedelta() if isinstance(start, datetime) else _DAY))
    last = _date(end)
    if last > _date(start) and (not isinstance(end, datetime) or end.time() == time()):
        last -= _DAY  # the end is exclusive
    return _date(start), max(last, _date(start))


def _date_list(value: Any) -> list[date]:
    lists = value if isinstance(value, list) else [] if value is None else [value]
    days = [entry.dt for each in lists for entry in each.dts]
    return [_date(day[0] if isinstance(day, tuple) else day) for day in days]


def _date(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _merged(spans: list[Span]) -> Iterator[str]:
    """Yield the spans in order; those of one name that follow each other become one."""
    last: Span | None = None
    for span in sorted(set(spans), key=lambda each: (each[2], each[0], each[1])):
        if last is not None and last[2] == span[2] and span[0] <= last[1] + _DAY:
            last = (last[0], max(last[1], span[1]), last[2])
            continue
        if last is not None:
            yield _text(*last)
        last = span
    if last is not None:
        yield _text(*last)


def _text(first: date, last: date, name: str = "") -> str:
    """Return the days and the name. A day whose name contains a date is written as a range, to be unambiguous."""
    is_day = first == last and not _DATE.search(name)
    return f"{first.isoformat() if is_day else f'{first.isoformat()}/{last.isoformat()}'} {name}".strip()
