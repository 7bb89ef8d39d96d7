"""Finds the parts of a schedule that other programs reject or interpret differently.

Called by `manifests` for warnings. Each warning says how the controller interprets the part, and how to write it
unambiguously.
"""

from datetime import UTC, date, datetime

from controller.model.schedules import Cron, RRule, Schedule
from controller.schedules import cron
from controller.schedules.dst import to_instant

_TIME_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
_DAY = 2


def find_ambiguities(schedule: Schedule) -> list[tuple[str, str]]:
    """Return a message and a hint for each ambiguous part of the schedule's rule.

    Raises:
        ScheduleError: the schedule is invalid.
    """
    match schedule.rule:
        case Cron() as rule:
            return _steps_of_last_day(rule)
        case RRule() as rule:
            return [*_time_parts_with_date(rule.text), *_local_until(schedule, rule)]
        case _:
            return []


def _steps_of_last_day(rule: Cron) -> list[tuple[str, str]]:
    parts = cron.fields(rule)
    terms = parts[_DAY].split(",")
    stepped = [term for term in terms if term.upper().startswith("L") and "/" in term]
    if not stepped:
        return []
    plain = ",".join(dict.fromkeys(term.partition("/")[0] if term in stepped else term for term in terms))
    written = " ".join([*parts[:_DAY], plain, *parts[_DAY + 1 :]])
    return [(f"the step in {stepped[0]} has no effect: L is a single day", f'write cron: "{written}"')]


def _time_parts_with_date(text: str) -> list[tuple[str, str]]:
    from controller.schedules.rrule import parser

    lines = parser.parse_lines(text)
    start = lines.start
    time_parts = [name for name in _TIME_PARTS if any(name in parts for parts in lines.rules)]
    if not time_parts or start is None or isinstance(start, datetime):
        return []
    zoned = f";TZID={lines.start_zone}" if lines.start_zone else ""
    message = f"RFC 5545 does not allow {time_parts[0]} with a DTSTART that is a date; the date is read as midnight"
    return [(message, f"write DTSTART{zoned}:{start:%Y%m%d}T000000")]


def _local_until(schedule: Schedule, rule: RRule) -> list[tuple[str, str]]:
    from controller.schedules.rrule import parser, ruleset

    lines = parser.parse_lines(rule.text)
    if lines.start_zone is None:
        return []
    zone = ruleset.compile_rules(rule, schedule.timezone).zone
    warnings = []
    for parts in lines.rules:
        until: date | None = parser.parse_date(parts["UNTIL"]) if "UNTIL" in parts else None
        if isinstance(until, datetime) and until.tzinfo is None:
            instant = to_instant(until, zone, schedule.dst, latest=True).astimezone(UTC)
            rule_text = "RFC 5545 requires UNTIL in UTC if DTSTART has a TZID"
            message = f"{rule_text}; {parts['UNTIL']} is read as a local time in {zone.key}"
            warnings.append((message, f"write UNTIL={instant:%Y%m%dT%H%M%S}Z"))
    return warnings
