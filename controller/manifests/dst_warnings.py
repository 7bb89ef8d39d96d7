"""Which schedule has a fixed time that the clocks leave out, or show twice, within a year?

`schedule_fields` asks about every sound schedule. Whoever declares the policy for gaps or for repeats has decided, and
is not told. Ten thousand schedules that say the same are looked at once.
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
"""Dates that a message names: a zone has two a year, and a year from now may hold one more."""


def warn_of_clock_changes(
    draft: ValidationContext, path: Path, schedule: Schedule, decided: Collection[str], now: datetime
) -> None:
    """Add one warning at the rule of the schedule, at `path`, if it meets changes in the year after `now`.

    `decided` are the kinds, `gap` and `repeat`, that the document declares a policy for.
    """
    if schedule.timezone == "UTC" and not isinstance(schedule.rule, RRule):
        return
    met = _met(schedule.rule, schedule.timezone, schedule.dst, schedule.start, schedule.end, now)
    found = [change for change in met if change.kind not in decided]
    if found:
        hint = f"choose another time, or say what is meant under {_keys(found)}"
        message = _message(found, is_cut=len(met) >= MAX_TRANSITIONS)
        draft.add("ClockChange", message, _place(draft, path, schedule.rule, found[0]), hint=hint, severity=_WARNING)


@lru_cache(maxsize=1024)
def _met(
    rule: Rule, timezone: str, dst: Dst, start: datetime | None, end: datetime | None, now: datetime
) -> tuple[DstTransition, ...]:
    schedule = Schedule(id="", rule=rule, timezone=timezone, dst=dst, start=start, end=end)
    return tuple(find_dst_transitions(schedule, now, now + AHEAD))


def _message(found: Sequence[DstTransition], *, is_cut: bool) -> str:
    """The first change of each date, and how many there are besides."""
    dates = {change.local.date(): change for change in reversed(found)}
    named = [describe_transition(change) for change in list(dates.values())[::-1][:_NAMED]]
    more = len(found) - len(named)
    if more:
        named.append(f"and {'at least ' if is_cut else ''}{more} more")
    return "; ".join(named)


def _keys(found: Sequence[DstTransition]) -> str:
    return " and ".join(sorted({f"dst.{change.kind}" for change in found}))


def _place(draft: ValidationContext, path: Path, rule: Rule, change: DstTransition) -> Path:
    """The rule itself; of a list of times, the one that is meant."""
    if isinstance(rule, At) and isinstance(draft.root.at(path).value, list):
        return (*path, rule.times.index(change.local))
    return path
