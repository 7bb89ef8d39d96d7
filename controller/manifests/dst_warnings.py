"""Warns about schedules with a fixed local time that a clock change skips or repeats within the next year.

`schedule_fields` calls it for every valid schedule. It does not warn about a kind of change (`gap`,
`repeat`) for which the document declares a policy under `dst`. Results are cached: identical schedules are evaluated
only once.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.findings import Severity
from controller.model.schedules import At, Dst, RRule, Rule, Schedule
from controller.schedules import MAX_TRANSITIONS, DstTransition, describe_transition, find_dst_transitions

_WARNING = Severity.WARNING
AHEAD = timedelta(days=365)
_NAMED = 3
"""Dates that a message lists: a zone usually has two changes a year, and the next 365 days may include a third."""


def warn_about_clock_changes(
    context: ValidationContext, path: Path, schedule: Schedule, decided: Collection[str], now: datetime
) -> None:
    """Add one warning at the schedule's rule, at `path`, if clock changes affect it within a year after `now`.

    `decided` are the kinds of change (`gap`, `repeat`) for which the document declares a policy.
    """
    if schedule.timezone == "UTC" and not isinstance(schedule.rule, RRule):
        return
    rule = schedule.rule
    affecting = _affecting_changes(rule, schedule.timezone, schedule.dst, schedule.start, schedule.end, now)
    changes = [change for change in affecting if change.kind not in decided]
    if changes:
        hint = f"choose another time, or set {_keys(changes)}"
        message = _message(changes, is_cut=len(affecting) >= MAX_TRANSITIONS)
        context.add("ClockChange", message, _place(context, path, rule, changes[0]), hint=hint, severity=_WARNING)


@lru_cache(maxsize=1024)
def _affecting_changes(
    rule: Rule, timezone: str, dst: Dst, start: datetime | None, end: datetime | None, now: datetime
) -> tuple[DstTransition, ...]:
    schedule = Schedule(id="", rule=rule, timezone=timezone, dst=dst, start=start, end=end)
    return tuple(find_dst_transitions(schedule, now, now + AHEAD))


def _message(changes: Sequence[DstTransition], *, is_cut: bool) -> str:
    """Return the first change on each date, and the number of further changes."""
    dates = {change.local.date(): change for change in reversed(changes)}
    named = [describe_transition(change) for change in list(dates.values())[::-1][:_NAMED]]
    more = len(changes) - len(named)
    if more:
        named.append(f"and {'at least ' if is_cut else ''}{more} more")
    return "; ".join(named)


def _keys(changes: Sequence[DstTransition]) -> str:
    return " and ".join(sorted({f"dst.{change.kind}" for change in changes}))


def _place(context: ValidationContext, path: Path, rule: Rule, change: DstTransition) -> Path:
    """Return the path of the affected time in a list of times, or else of the rule."""
    if isinstance(rule, At) and isinstance(context.root.at(path).value, list):
        return (*path, rule.times.index(change.local))
    return path
