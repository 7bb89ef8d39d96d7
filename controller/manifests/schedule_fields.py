"""Reads the schedules of a document, and checks that each can be parsed and will fire again.

`build` calls `read_schedules`. The `schedules` package interprets the values; this module reads the keys and adds
positions to the problems. A fault in one key does not hide a fault in another.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from controller import schedules
from controller.errors import ScheduleError
from controller.manifests.calendar_fields import CalendarRules, read_calendars, read_rules
from controller.manifests.canonical_json import canonical_json
from controller.manifests.dst_warnings import warn_about_clock_changes
from controller.manifests.schedule_warnings import (
    warn_about_end,
    warn_about_fixed_zone,
    warn_about_shadowed,
    warn_about_unusual,
)
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.calendars import Shift
from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
from controller.schedules.messages import quote
from controller.text import shorten

Parsed = TypeVar("Parsed")

UTC = "UTC"
LONGEST_JITTER = timedelta(days=1)
_SHORTEST_SHIFTED = timedelta(minutes=1)
_RULES = ("cron", "interval", "rrule", "at")


def read_schedules(context: ValidationContext, now: datetime | None) -> tuple[Schedule, ...]:
    """Return the valid schedules of the document. Without `now`, it is not checked whether they fire again."""
    _read_timezone(context)
    valid: list[Schedule] = []
    places: dict[str, Path] = {}
    ids: set[str] = set()
    calendars = read_calendars(context, with_holidays=now is not None)
    for path, mapping in _declarations(context):
        fields = {key: value for key, value in mapping.items() if context.is_clean((*path, key))}
        rules = read_rules(context, path, fields, calendars)
        schedule = _schedule(context, path, fields, now, rules)
        identity = fields.get("id") if schedule is None else schedule.id
        if identity in ids:
            _duplicate(context, path, mapping, identity)
        elif schedule is not None:
            valid.append(schedule)
            places[schedule.id] = path
            if now is not None:
                warn_about_unusual(context, path, _rule_key(mapping), schedule)
                warn_about_clock_changes(context, (*path, _rule_key(mapping)), schedule, fields.get("dst", {}), now)
        if identity is not None:
            ids.add(identity)
    if now is not None and len(valid) > 1:
        warn_about_shadowed(context, places, tuple(valid), now)
    return tuple(valid)


def read_duration(context: ValidationContext, path: Path, value: Any) -> timedelta | None:
    """Return the positive duration at `path`, or add a problem and return None."""
    length = _parse(context, path, "InvalidDuration", schedules.parse_duration, value)
    if length is not None and length <= timedelta(0):
        context.add("InvalidDuration", "a duration must be greater than zero", path)
        return None
    return length


def _read_timezone(context: ValidationContext) -> None:
    """Check the time zone of the deployment, which is the default of its schedules."""
    timezone = context.get("timezone")
    if timezone is not None and _parse(context, ("timezone",), "InvalidTimezone", schedules.zone, timezone) is not None:
        warn_about_fixed_zone(context, ("timezone",), timezone)


def schedule_id(fields: dict[str, Any]) -> str:
    """Return the id of a schedule without one: a hash that changes only with its times or parameters."""
    meaning = {key: value for key, value in fields.items() if key not in ("suspend", "jitter", "run_name")}
    return hashlib.sha256(canonical_json(meaning)).hexdigest()[:8]


def _declarations(context: ValidationContext) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the mappings that declare schedules, with their paths. Add a problem for each string that is not one."""
    document = context.value
    listed = document.get("schedules")
    if not isinstance(listed, list) or not context.is_valid_at(("schedules",)):
        listed = []  # too many items, or not a list
    candidates: list[tuple[Path, Any]] = [(("schedule",), document.get("schedule"))]
    candidates += [(("schedules", i), item) for i, item in enumerate(listed)]
    for path, candidate in candidates:
        if isinstance(candidate, dict):
            yield path, candidate
        elif isinstance(candidate, str) and context.is_clean(path):
            _invalid_short_form(context, path, candidate)


def _invalid_short_form(context: ValidationContext, path: Path, text: str) -> None:
    """Add the problem of a string that `short_forms` could not expand to a schedule."""
    from controller.manifests.foreign_keys import SHORT_SCHEDULE_HINT, foreign_type_hint  # only problems need it

    message, hint = f"{quote(text)} is neither a cron expression nor an interval", foreign_type_hint(path, text)
    try:
        if re.fullmatch(r"\d\S*[A-Za-z]", text):
            hint = None  # it would be the same invalid duration
            schedules.parse_duration(text)
        elif text.startswith("@") or len(text.split()) > 1:
            schedules.find_suspicious_steps(Cron(expression=text))
    except ScheduleError as error:
        message, hint = error.message, hint or error.hint
    context.add("InvalidSchedule", shorten(message, 300), path, hint=shorten(hint or SHORT_SCHEDULE_HINT, 300))


def _schedule(
    context: ValidationContext, path: Path, fields: dict[str, Any], now: datetime | None, rules: CalendarRules
) -> Schedule | None:
    """Return the schedule at `path` from those of its keys that are valid so far; None after any problem."""
    timezone = fields.get("timezone") or context.get("timezone") or UTC
    zone = _parse(context, (*path, "timezone"), "InvalidTimezone", schedules.zone, timezone)
    rule = _rule(context, path, fields)
    start, end = (_time(context, (*path, key), fields.get(key)) for key in ("start", "end"))
    jitter = _jitter(context, (*path, "jitter"), fields.get("jitter"))
    if rule is None:
        return None
    place = (*path, _rule_key(fields))
    if rules["shift"] is not Shift.NONE and isinstance(rule, Interval) and rule.every < _SHORTEST_SHIFTED:
        hint = "write except, or an interval of at least a minute"
        context.add(
            "InvalidSchedule", "an interval of less than a minute can't be shifted", (*path, "shift"), hint=hint
        )
    if not context.is_clean(path):
        if context.is_clean(place):
            _will_fire(context, place, Schedule(id="", rule=rule, timezone=zone.key if zone else "UTC"), now)
        return None
    dst = fields.get("dst", {})
    schedule = Schedule(
        id=fields.get("id") or schedule_id({**fields, **({} if timezone == UTC else {"timezone": timezone})}),
        rule=rule,
        timezone=timezone,
        dst=Dst(gap=Gap(dst.get("gap", "next_valid")), repeat=Repeat(dst.get("repeat", "first"))),
        start=start,
        end=end,
        jitter=jitter,
        suspend=fields.get("suspend", False),
        parameters=fields.get("parameters", {}),
        run_name=fields.get("run_name"),
        **rules,
    )
    if not _will_fire(context, place, schedule, now) and context.is_clean(place):
        warn_about_end(context, path, _rule_key(fields), schedule)
    return schedule if context.is_clean(place) else None


def _will_fire(context: ValidationContext, path: Path, schedule: Schedule, now: datetime | None) -> bool:
    """Return whether the schedule fires after `now` (True if that is None); add an error if it can never fire."""
    try:
        return now is None or schedules.check_schedule(schedule, now)
    except ScheduleError as error:
        context.add_error("InvalidSchedule", error, path)
        return False


def _rule_key(fields: dict[str, Any]) -> str:
    return next(key for key in _RULES if key in fields)


def _rule(context: ValidationContext, path: Path, fields: dict[str, Any]) -> Rule | None:
    anchor = _time(context, (*path, "anchor_date"), fields.get("anchor_date"))
    if "cron" in fields:
        return Cron(expression=fields["cron"], day_or=fields.get("day_or", True))
    if "interval" in fields:
        every = read_duration(context, (*path, "interval"), fields["interval"])
        return None if every is None else Interval(every=every, anchor=anchor)
    if "rrule" in fields:
        return RRule(text=fields["rrule"])
    return _at(context, (*path, "at"), fields["at"]) if "at" in fields else None


def _at(context: ValidationContext, path: Path, value: str | list[str]) -> At:
    if isinstance(value, str):
        places: list[tuple[Path, str]] = [(path, value)]
    else:
        places = [((*path, index), item) for index, item in enumerate(value)]
    times = [_time(context, place, item) for place, item in places]
    return At(times=tuple(time for time in times if time is not None))


def _jitter(context: ValidationContext, path: Path, value: Any) -> timedelta:
    length = None if value is None else read_duration(context, path, value)
    if length is not None and length > LONGEST_JITTER:
        context.add("InvalidDuration", "jitter must be at most one day", path)
    return length or timedelta()


def _time(context: ValidationContext, path: Path, value: str | None) -> datetime | None:
    return None if value is None else _parse(context, path, "InvalidTime", schedules.parse_time, value)


def _parse(
    context: ValidationContext, path: Path, code: str, parse: Callable[[Any], Parsed], value: Any
) -> Parsed | None:
    try:
        return parse(value)
    except ScheduleError as error:
        context.add_error(code, error, path)
        return None


def _duplicate(context: ValidationContext, path: Path, fields: dict[str, Any], schedule_id: str) -> None:
    if "id" in fields:
        context.add("DuplicateScheduleId", f"id {schedule_id} is already used by an earlier schedule", (*path, "id"))
        return
    message = "this schedule is identical to an earlier one"
    context.add("DuplicateScheduleId", message, path, hint="remove one of them, or give each an id")
