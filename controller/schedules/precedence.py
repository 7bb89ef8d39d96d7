"""Which schedule of a deployment applies where several fire at the same instant. Pure.

They make one run, with the parameters of the most specific schedule: `at` before `rrule` before `cron` before
`interval`; of one class, a schedule with parameters of its own before one without; then the one declared first.
"""

from collections.abc import Iterable

from controller.model.schedules import At, Cron, Interval, RRule, Schedule

_CLASSES: tuple[type[object], ...] = (At, RRule, Cron, Interval)


def by_precedence(schedules: Iterable[Schedule]) -> list[Schedule]:
    """The schedules, given in the order of their declaration, with the one that counts at a common instant first."""
    return sorted(schedules, key=_rank)


def _rank(schedule: Schedule) -> tuple[int, bool]:
    return _CLASSES.index(type(schedule.rule)), not schedule.parameters
