"""What is odd about a schedule that is valid: it has ended, is uneven, ambiguous, or never the one that counts.

`schedule_fields` asks about every sound schedule. Warnings only: none of this keeps a document from being applied.
"""

from collections.abc import Mapping
from datetime import datetime

from controller import schedules
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.findings import Severity
from controller.model.schedules import Cron, RRule, Schedule

_WARNING = Severity.WARNING


def warn_of_oddities(draft: ValidationContext, path: Path, rule_key: str, schedule: Schedule) -> None:
    """Add a warning for each odd step and each ambiguous part of the schedule at `path`."""
    place = (*path, rule_key)
    if isinstance(schedule.rule, Cron):
        for step in schedules.find_suspicious_steps(schedule.rule):
            if step.is_beyond:
                draft.add("StepBeyondField", step.message, place, hint=step.hint, severity=_WARNING)
            else:
                draft.add("UnevenSteps", step.message, place, hint=step.hint, severity=_WARNING)
    if isinstance(schedule.rule, Cron | RRule):
        for message, hint in schedules.find_ambiguities(schedule):
            draft.add("AmbiguousSchedule", message, place, hint=hint, severity=_WARNING)
    if (fixed := schedules.FIXED_ZONES.get(schedule.timezone)) is not None:
        offset, name = fixed
        message = f"{schedule.timezone} is {offset} the whole year, without summer time"
        hint = f"write {name} for local time there"
        draft.add("AmbiguousSchedule", message, (*path, "timezone"), hint=hint, severity=_WARNING)


def warn_of_an_end(draft: ValidationContext, path: Path, rule_key: str, schedule: Schedule) -> None:
    """Add a warning that the schedule at `path` does not fire any more."""
    key, why = rule_key, "its last time has passed"
    if schedule.end is not None:
        key, why = "end", "`end` has passed, or nothing is due before it"
    hint = "remove the schedule, or give it a time that is still to come"
    message = f"the schedule does not fire any more: {why}"
    draft.add("ScheduleEnded", message, (*path, key), hint=hint, severity=_WARNING)


def warn_of_shadowed(
    draft: ValidationContext, places: Mapping[str, Path], declared: tuple[Schedule, ...], now: datetime
) -> None:
    """Add a warning for each schedule that only fires together with one that takes precedence; `places` by id."""
    for schedule, other in schedules.find_shadowed(declared, now):
        line = draft.root.at(places[other.id]).place.line
        draft.add(
            "ShadowedSchedule",
            f"never the one that counts: the schedule in line {line} fires at all of its times and takes precedence",
            places[schedule.id],
            hint="remove it, or give it other times",
            severity=_WARNING,
        )
