"""Which parts of a schedule do other programs refuse, or read in another way?

Called by `manifests` for warnings. Each answer says how the part is read here, and what to write so that there is
one reading only.
"""

from datetime import UTC, date, datetime

from controller.model.schedules import Cron, RRule, Schedule
from controller.schedules import cron
from controller.schedules.dst import to_instant
from controller.schedules.rrule import parser, ruleset

_CLOCK_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
_DAY = 2


def ambiguities(schedule: Schedule) -> list[tuple[str, str]]:
    """The message and the hint for each ambiguous part of the schedule's rule.

    Raises:
        ScheduleError: the schedule can't be understood.
    """
    match schedule.rule:
        case Cron() as rule:
            return _of_cron(rule)
        case RRule() as rule:
            return [*_clock_of_a_date(rule.text), *_local_until(schedule, rule)]
        case _:
            return []


def _of_cron(rule: Cron) -> list[tuple[str, str]]:
    parts = cron.fields(rule)
    terms = parts[_DAY].split(",")
    odd = [term for term in terms if term.upper().startswith("L") and "/" in term]
    if not odd:
        return []
    plain = ",".join(dict.fromkeys(term.partition("/")[0] if term in odd else term for term in terms))
    written = " ".join([*parts[:_DAY], plain, *parts[_DAY + 1 :]])
    return [(f"the step in {odd[0]} has no effect: L is one day", f'write cron: "{written}"')]


def _clock_of_a_date(text: str) -> list[tuple[str, str]]:
    lines = parser.read(text)
    start = lines.start
    given = [name for name in _CLOCK_PARTS if any(name in parts for parts in lines.rules)]
    if not given or start is None or isinstance(start, datetime):
        return []
    zoned = f";TZID={lines.start_zone}" if lines.start_zone else ""
    message = f"RFC 5545 allows no {given[0]} with a DTSTART that is a date; it is read as midnight of that date"
    return [(message, f"write DTSTART{zoned}:{start:%Y%m%d}T000000")]


def _local_until(schedule: Schedule, rule: RRule) -> list[tuple[str, str]]:
    lines = parser.read(rule.text)
    if lines.start_zone is None:
        return []
    zone = ruleset.compiled(rule, schedule.timezone).zone
    found = []
    for parts in lines.rules:
        until: date | None = parser.moment(parts["UNTIL"]) if "UNTIL" in parts else None
        if isinstance(until, datetime) and until.tzinfo is None:
            instant = to_instant(until, zone, schedule.dst, latest=True).astimezone(UTC)
            message = (
                f"RFC 5545 wants UNTIL in UTC beside a TZID; {parts['UNTIL']} is read as a local time of {zone.key}"
            )
            found.append((message, f"write UNTIL={instant:%Y%m%dT%H%M%S}Z"))
    return found
