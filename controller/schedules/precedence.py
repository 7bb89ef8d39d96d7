"""Decides which schedule of a deployment applies when several fire at the same instant.

They start one run, with the parameters of the most specific schedule: `at` takes precedence over `rrule`, `rrule` over
`cron`, and `cron` over `interval`. Between two of the same kind, a schedule with its own parameters wins over one
without, and then the one that is declared first.
"""

from collections.abc import Iterable

from controller.model.schedules import At, Cron, Interval, RRule, Schedule

_KINDS: tuple[type[object], ...] = (At, RRule, Cron, Interval)


def by_precedence(schedules: Iterable[Schedule]) -> list[Schedule]:
    """Sort schedules, given in the order of their declaration, by precedence: the one that applies comes first."""
    return sorted(schedules, key=_rank)


def _rank(schedule: Schedule) -> tuple[int, bool]:
    return _KINDS.index(type(schedule.rule)), not schedule.parameters
