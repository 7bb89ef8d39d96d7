"""Reads the calendars of a document, and what its schedules say about calendars and windows.

`schedule_fields` calls it for documents, and `project_file` for controller.yaml. A document that was rendered contains
the calendars that its schedules use, so a stored document is complete.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, TypedDict

from controller import schedules
from controller.errors import ScheduleError
from controller.manifests.field_rules import has_control
from controller.manifests.merge import with_field
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Node, Path
from controller.model.calendars import WEEKEND, Calendar, DateRange, Holidays, Outside, Shift, Window
from controller.schedules.calendar_days import LONGEST_RANGE, LONGEST_REPEATED, check_rule
from controller.schedules.holiday_data import check_holidays
from controller.schedules.windows import DAYS
from controller.text import did_you_mean, shorten

CALENDARS = "calendars"
REFERENCES = ("except", "only", "calendar")
"""The keys of a schedule that name calendars."""
_INVALID = "InvalidCalendar"
_DATES = re.compile(r"(\d{4}-\d{2}-\d{2})(?:/(\d{4}-\d{2}-\d{2}))?(?:\s+(\S.*))?", re.ASCII)
_TWO_DATES = re.compile(r"(\d{4}-\d{2}-\d{2})\s*(?:[^\w\s]{1,3}|to|until|till|through|and)?\s*(\d{4}-\d{2}-\d{2})\b.*")
"""Two dates in other spellings than that of a range, such as `2026-12-24 to 2026-12-27`."""
_HINT = "write a day such as 2026-12-24, or a range such as 2026-12-27/2027-01-03, and then its name"
_MAX_NAME = 200
_MAX_REPEATED = 200


class CalendarRules(TypedDict):
    """The fields of a Schedule that this module reads."""

    exclude: tuple[Calendar, ...]
    only: tuple[Calendar, ...]
    shift: Shift
    business: tuple[Calendar, ...]
    windows: tuple[Window, ...]
    outside: Outside


def read_calendars(context: ValidationContext, *, with_holidays: bool = True) -> dict[str, Calendar]:
    """Return the valid calendars of the document by name. The codes of holidays are checked if `with_holidays`."""
    declared = context.value.get(CALENDARS)
    calendars: dict[str, Calendar] = {}
    for name, definition in declared.items() if isinstance(declared, dict) else ():
        path = (CALENDARS, name)
        if context.is_clean(path) and context.is_valid_at((CALENDARS,)):
            calendar = _calendar(context, path, name, definition, with_holidays)
            if context.is_clean(path):
                calendars[name] = _shared(calendar)
    return calendars


def read_rules(
    context: ValidationContext, path: Path, fields: Mapping[str, Any], calendars: Mapping[str, Calendar]
) -> CalendarRules:
    """Return what the schedule at `path` says about calendars and windows, from those of its keys that are valid."""
    exclude, only, business = (
        tuple(_references(context, (*path, key), fields.get(key), calendars)) for key in REFERENCES
    )
    windows = tuple(_windows(context, (*path, "windows"), fields.get("windows", ())))
    return CalendarRules(
        exclude=exclude,
        only=only,
        shift=Shift(fields.get("shift", Shift.NONE)),
        business=business,
        windows=windows,
        outside=Outside(fields.get("outside", Outside.WAIT)),
    )


def with_calendars(document: Node, calendars: Mapping[str, Node]) -> Node:
    """Return the document with the calendars that its schedules use and it does not declare itself.

    If it uses one that does not exist, it gets all of them, for the hint of the problem.
    """
    own = document.child(CALENDARS) if calendars else None
    if not calendars or (own is not None and not isinstance(own.value, dict)):
        return document
    names = _used_names(document) - (own.fields.keys() if own else set())
    for name in sorted(names & calendars.keys() if names <= calendars.keys() else calendars):
        document = with_field(document, (CALENDARS, name), calendars[name])
    return document


@lru_cache(maxsize=1024)
def _shared(calendar: Calendar) -> Calendar:
    """Return the same object for equal calendars, because many deployments may use a calendar with many dates."""
    return calendar


def _used_names(document: Node) -> set[str]:
    """Return the names of the calendars that the schedules of a document use."""
    listed = document.fields.get("schedules")
    nodes = [document.fields.get("schedule"), *(listed.items if listed else ())]
    names: set[str] = set()
    for node in nodes:
        for key in REFERENCES if node is not None and isinstance(node.value, dict) else ():
            value = node.value.get(key) if node is not None else None
            names.update(each for each in ([value] if isinstance(value, str) else value or ()) if isinstance(each, str))
    return names


def _references(
    context: ValidationContext, path: Path, value: str | list[str] | None, calendars: Mapping[str, Calendar]
) -> Iterator[Calendar]:
    places: Iterable[tuple[Path, str]] = ()
    if value is not None:
        places = [(path, value)] if isinstance(value, str) else [((*path, i), name) for i, name in enumerate(value)]
    declared = context.value.get(CALENDARS)
    names = declared.keys() if isinstance(declared, dict) else ()
    for place, name in places:
        if name in calendars:
            yield calendars[name]
        elif name not in names:  # an invalid calendar has a problem of its own
            hint = did_you_mean(name, names) or "declare it in controller.yaml: calendars: {de-by: {holidays: DE-BY}}"
            context.add("UnknownCalendar", f"calendar {shorten(name)} is not declared", place, hint=hint)


def _calendar(
    context: ValidationContext, path: Path, name: str, definition: Mapping[str, Any], with_holidays: bool
) -> Calendar:
    weekend = definition.get("weekend")
    days = WEEKEND if weekend is None else frozenset(DAYS.index(day) for day in weekend)
    if "holidays" not in definition:
        items = definition.get("dates", ())
        if sum(isinstance(item, dict) and "rrule" in item for item in items) > _MAX_REPEATED:
            context.add(
                _INVALID, f"more than {_MAX_REPEATED} dates have an rrule", (*path, "dates"), hint="write dates"
            )
        ranges = [_range(context, (*path, "dates", index), item) for index, item in enumerate(items)]
        return Calendar(name=name, dates=tuple(each for each in ranges if each is not None), weekend=days)
    holidays = Holidays(code=definition["holidays"], categories=tuple(definition.get("categories", ())))
    if with_holidays:
        try:
            check_holidays(holidays)
        except ScheduleError as error:
            key = "categories" if "category" in error.message else "holidays"
            context.add_error(_INVALID, error, (*path, key))
    return Calendar(name=name, holidays=holidays, weekend=days)


def _range(context: ValidationContext, path: Path, item: str | Mapping[str, Any]) -> DateRange | None:
    """Return the range of days at `path`, or add a problem and return None."""
    fields: Mapping[str, Any] = {"date": item} if isinstance(item, str) else item
    match = _DATES.fullmatch(fields["date"].strip())
    first = None if match is None else _day(match[1])
    last = first if match is None or match[2] is None else _day(match[2])
    name = fields.get("name") or (match and match[3]) or ""
    exdates = [_day(text) for text in fields.get("except", ())]
    two = _TWO_DATES.fullmatch(fields["date"].strip()) if match is None or match[2] is None else None
    if first is None or last is None or None in exdates or two is not None:
        hint = _HINT if two is None else f"write {two[1]}/{two[2]} for a range, or each day as an item of its own"
        context.add(_INVALID, f"{shorten(fields['date'])} is not a day or a range of days", path, hint=hint)
        return None
    rrule = fields.get("rrule", "")
    longest = LONGEST_REPEATED if rrule else LONGEST_RANGE
    if not timedelta() <= last - first < longest:
        hint = f"write a range of at most {longest.days} days, which ends after it begins"
        context.add(_INVALID, f"{match and match[0].partition(' ')[0]} is not a range", path, hint=hint)
    elif has_control(name) or len(name) > _MAX_NAME:
        context.add("ControlCharacter", "the name of a day can't contain control characters", path)
    try:
        if rrule:
            check_rule(rrule, first)
    except ScheduleError as error:
        context.add_error(_INVALID, error, (*path, "rrule"))
    days = tuple(day for day in exdates if day is not None)
    return DateRange(first=first, last=last, name=name, rrule=rrule, exdates=days)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 <= day.year <= 9000 else None


def _windows(context: ValidationContext, path: Path, values: Iterable[Mapping[str, Any]]) -> Iterator[Window]:
    for index, value in enumerate(values):
        parts: dict[str, Any] = {}
        for key, default, parse in (
            ("days", "mon-sun", schedules.parse_weekdays),
            ("from", "00:00", schedules.parse_clock),
            ("to", "24:00", schedules.parse_clock),
        ):
            try:
                parts[key] = parse(value.get(key, default))
            except ScheduleError as error:
                context.add_error("InvalidWindow", error, (*path, index, key))
        if len(parts) == 3:
            yield Window(weekdays=parts["days"], start=parts["from"], end=parts["to"])
