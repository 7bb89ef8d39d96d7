"""Parses cron expressions and computes the local times that they match.

Called by `fire_time_search`, `dst_transitions` and `describe`. cronsim defines the meaning of the fields
(crontab(5) with names, `L`, `LW` and `#`). This module adds the `@` names, requires exactly five fields, and explains
errors. It yields naive local times; `dst` handles clock changes.
"""

import re
from collections.abc import Iterator
from copy import copy
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from controller.errors import ScheduleError
from controller.model.schedules import Cron
from controller.records import dataclass
from controller.schedules.messages import quote
from controller.text import did_you_mean

if TYPE_CHECKING:
    from cronsim import CronSim

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MAX_LENGTH = 1000
_TO_SUNDAY = re.compile(r"(?<![\w#/])(MON|TUE|WED|THU|FRI|SAT|[1-6])-(?:SUN|0)(?![\w#])", re.ASCII | re.IGNORECASE)
_WRAPPING = re.compile(r"(\w+)-(\w+)(/\d+)?", re.ASCII)
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_HINTS = (
    "0-59, such as 0, */15 or 5,35",
    "0-23, such as 9, */2 or 8-18",
    "1-31, L (last day) or LW (last weekday)",
    "1-12 or jan-dec",
    "0-7 (Sunday is 0 or 7) or sun-sat, such as mon-fri, 5#2 (second Friday) or 5L; a range cannot wrap",
)
_FIRST_AND_LAST = (("0", "59"), ("0", "23"), ("1", "31"), ("jan", "dec"), ("sun", "sat"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """The values that a cron expression matches, independent of how it is written.

    `days` are days of the month, where -1 is the last day; `last_weekday` is `LW`. `weekdays` holds pairs
    (0 = Monday, n): n is 0 for every such weekday, otherwise it selects the n-th of the month, and -1 the last. An
    empty `days` or `weekdays` matches every day. A day must match both fields, or only one of them if `either` is set.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    last_weekday: bool
    months: tuple[int, ...]
    weekdays: frozenset[tuple[int, int]]
    either: bool


def wall_times(rule: Cron, start: datetime) -> Iterator[datetime]:
    """Yield the naive local times of `rule` after the naive `start`, in ascending order.

    The iterator ends after 50 years without a match.

    Raises:
        ScheduleError: the expression is invalid; raised by the first `next()`.
    """
    simulation = copy(compile_cron(rule))
    simulation.dt = start.replace(microsecond=0)
    while True:
        try:
            wall = next(simulation)
        except (StopIteration, OverflowError):
            return
        yield wall


def matched_fields(rule: Cron) -> CronFields:
    """Return the values that the expression matches.

    Raises:
        ScheduleError: the expression is invalid.
    """
    simulation = compile_cron(rule)
    last_weekday = simulation.LAST_WEEKDAY in simulation.days
    days = {-1 if day == simulation.LAST else day for day in simulation.days if day != simulation.LAST_WEEKDAY}
    pairs = ((item, 0) if isinstance(item, int) else item for item in simulation.weekdays)
    weekdays = {((day - 1) % 7, -1 if n == simulation.LAST else n) for day, n in pairs}
    any_day, any_weekday = days.issuperset(range(1, 32)), weekdays.issuperset((day, 0) for day in range(7))
    if any_day or (any_weekday and not simulation.day_and):
        days, last_weekday = set(), False
    if any_weekday or (any_day and not simulation.day_and):
        weekdays = set()
    return CronFields(
        minutes=tuple(sorted(simulation.minutes)),
        hours=tuple(sorted(simulation.hours)),
        days=tuple(sorted(days, key=lambda day: day % 100)),
        last_weekday=last_weekday,
        months=tuple(sorted(simulation.months)),
        weekdays=frozenset(weekdays),
        either=not simulation.day_and,
    )


def wall_times_between(rule: Cron, low: datetime, high: datetime) -> Iterator[datetime]:
    """Yield the naive local times of `rule` in [low, high), in ascending order.

    Only the days of that range are examined: unlike `wall_times`, this does not search for the next match.

    Raises:
        ScheduleError: the expression is invalid; raised by the first `next()`.
    """
    simulation = compile_cron(rule)
    for day in map(date.fromordinal, range(low.toordinal(), (high - timedelta.resolution).toordinal() + 1)):
        if day.month not in simulation.months or not simulation.match_day(day):
            continue
        for hour in sorted(simulation.hours):
            for minute in sorted(simulation.minutes):
                wall = datetime.combine(day, time(hour, minute))
                if low <= wall < high:
                    yield wall


def follows_real_time(rule: Cron) -> bool:
    """Return whether the rule follows real time, which is the case if its hour field begins with `*`.

    Vixie cron has the same rule, except that there a minute field that begins with `*` is enough. Such a rule fires
    whenever the clock shows a time that it matches: never for a time that is skipped, twice for one that repeats. So
    `0 * * * *` fires every real hour. `0 */2 * * *` fires at the even hours that the clock shows; around a clock
    change, two of them can be one or three hours apart. Any other hour field, including `0-23` and `2-23/24`,
    specifies fixed clock times.
    """
    return fields(rule)[1].startswith("*")


def fields(rule: Cron) -> list[str]:
    """Return the five fields, with `@` names expanded.

    Raises:
        ScheduleError: there are more or fewer than five fields, or the `@` name is unknown.
    """
    text = rule.expression.strip()
    if len(text) > _MAX_LENGTH:
        message = f"a cron expression of {len(text)} characters is too long"
        raise ScheduleError(message, hint=f"write at most {_MAX_LENGTH} characters")
    alias = ALIASES.get(text.lower())
    parts = (alias or text).split()
    if len(parts) == len(_FIELDS) and not text.startswith("@") and "=" not in text and "(" not in text:
        return parts
    if alias is not None:
        return parts
    from controller.schedules.foreign_crons import explain_foreign

    if (foreign := explain_foreign(text) if text else None) is not None:
        raise foreign
    if len(parts) == len(_FIELDS):
        return parts
    if text.startswith("@"):
        hint = did_you_mean(text, ALIASES, 3) or f"valid names are {', '.join(ALIASES)}"
        raise ScheduleError(f"unknown cron name {quote(text)}", hint=hint)
    hint = "write minute, hour, day of month, month and weekday, such as '30 2 * * mon-fri'"
    count = "1 field" if len(parts) == 1 else f"{len(parts)} fields"
    raise ScheduleError(f"cron {quote(text)} has {count}, not 5", hint=hint)


@lru_cache(maxsize=2048)
def compile_cron(rule: Cron) -> "CronSim":
    """Return the parsed expression. The result is cached, so callers must copy it before they advance it.

    Raises:
        ScheduleError: a field is invalid, or none of the months has such a day.
    """
    from cronsim import CronSim, CronSimError

    parts = fields(rule)
    moment = datetime(2020, 1, 1)  # noqa: DTZ001 - a local time has no zone
    try:
        simulation = CronSim(" ".join([*parts[:-1], _TO_SUNDAY.sub(r"\1-7", parts[-1])]), moment)
    except (CronSimError, ValueError, OverflowError, AssertionError) as error:
        raise _error(rule, parts) from error
    if not rule.day_or:
        simulation.day_and = True
    return simulation


def _error(rule: Cron, parts: list[str]) -> ScheduleError:
    """Find the invalid field by parsing each one separately, and explain what it accepts."""
    from cronsim import CronSim, CronSimError

    from controller.schedules.foreign_crons import foreign_field

    for index, part in enumerate(parts):
        alone = ["*"] * len(_FIELDS)
        alone[index] = part
        try:
            CronSim(" ".join(alone), datetime(2020, 1, 1))  # noqa: DTZ001 - a local time has no zone
        except (CronSimError, ValueError, OverflowError, AssertionError):
            message = f"cron {quote(rule.expression)}: invalid {_FIELDS[index]} {quote(part)}"
            return ScheduleError(message, hint=foreign_field(parts) or _range_hint(parts, index) or _hint(index))
    return ScheduleError(
        f"cron {quote(rule.expression)} never fires: month {quote(parts[3])} has no such day",
        hint="for the last day of a month, write L as the day of month",
    )


def _hint(index: int) -> str:
    return f"{_FIELDS[index]} is {_HINTS[index]}"


def _range_hint(parts: list[str], index: int) -> str | None:
    """Return the hint that splits a wrapping range such as `22-2` or `fri-mon` into two ranges."""
    match = _WRAPPING.fullmatch(parts[index])
    if match is None or match[3]:
        return None
    first, last = _FIRST_AND_LAST[index]
    field = f"{match[1]}-{last},{first}-{match[2]}"
    expression = " ".join([*parts[:index], field, *parts[index + 1 :]])
    try:
        compile_cron(Cron(expression=expression))
    except ScheduleError:
        return None
    return f'a range cannot wrap: write cron: "{expression}"'
