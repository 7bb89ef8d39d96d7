"""Warns about valid schedules that may be mistakes: ended, uneven, ambiguous or shadowed by another schedule.

`schedule_fields` calls it for every valid schedule. Warnings do not prevent a document from being applied.
"""

from collections.abc import Mapping
from datetime import datetime

from controller import schedules
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.findings import Severity
from controller.model.schedules import Cron, RRule, Schedule

_WARNING = Severity.WARNING


def warn_about_unusual(context: ValidationContext, path: Path, rule_key: str, schedule: Schedule) -> None:
    """Add a warning for each uneven step and each ambiguous part of the schedule at `path`."""
    place = (*path, rule_key)
    if isinstance(schedule.rule, Cron):
        for step in schedules.find_suspicious_steps(schedule.rule):
            if step.is_beyond:
                context.add("StepBeyondField", step.message, place, hint=step.hint, severity=_WARNING)
            else:
                context.add("UnevenSteps", step.message, place, hint=step.hint, severity=_WARNING)
    if isinstance(schedule.rule, Cron | RRule):
        for message, hint in schedules.find_ambiguities(schedule):
            context.add("AmbiguousSchedule", message, place, hint=hint, severity=_WARNING)
    if context.root.find((*path, "timezone")) is not None:
        warn_about_fixed_zone(context, (*path, "timezone"), schedule.timezone)


def warn_about_fixed_zone(context: ValidationContext, path: Path, timezone: str) -> None:
    """Add a warning if the time zone at `path` has the same offset all year although its name suggests local time."""
    if (fixed := schedules.FIXED_ZONES.get(timezone)) is not None:
        offset, name = fixed
        message = f"{timezone} is {offset} all year, without daylight saving time"
        context.add("AmbiguousSchedule", message, path, hint=f"write {name} for local time", severity=_WARNING)


def warn_about_end(context: ValidationContext, path: Path, rule_key: str, schedule: Schedule) -> None:
    """Add a warning that the schedule at `path` will not fire again."""
    key, reason = rule_key, "its last due time has passed"
    if schedule.end is not None:
        key, reason = "end", "`end` has passed, or nothing is due before it"
    hint = "remove the schedule, or give it a time in the future"
    message = f"the schedule will not fire again: {reason}"
    context.add("ScheduleEnded", message, (*path, key), hint=hint, severity=_WARNING)


def warn_about_shadowed(
    context: ValidationContext, places: Mapping[str, Path], declared: tuple[Schedule, ...], now: datetime
) -> None:
    """Add a warning for each schedule that always coincides with one that takes precedence. `places` is by id."""
    for schedule, preferred in schedules.find_shadowed(declared, now):
        line = context.root.at(places[preferred.id]).place.line
        context.add(
            "ShadowedSchedule",
            f"this schedule never starts a run: the one on line {line} fires at all of its times and takes precedence",
            places[schedule.id],
            hint="remove it, or change its times",
            severity=_WARNING,
        )
