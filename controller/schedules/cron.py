"""Which local times does a cron expression name?

Called by `fire_time_search`, `dst_transitions` and `cron_description`. Fields mean what cronsim says (crontab(5) with
names, `L`, `LW` and `#`); this module adds the `@` names, insists on five fields, and says what is wrong. It yields
naive local times only: clock changes are `dst`'s.
"""

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from controller.errors import ScheduleError
from controller.model.schedules import Cron
from controller.schedules.foreign_crons import explain_foreign, foreign_field
from controller.schedules.messages import did_you_mean, quoted

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
_LONGEST = 1000
_TO_SUNDAY = re.compile(r"(?<![\w#/])(MON|TUE|WED|THU|FRI|SAT|[1-6])-(?:SUN|0)(?![\w#])", re.ASCII | re.IGNORECASE)
_WRAPPING = re.compile(r"(\w+)-(\w+)(/\d+)?", re.ASCII)
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_HINTS = (
    "0-59, such as 0, */15 or 5,35",
    "0-23, such as 9, */2 or 8-18",
    "1-31, L (last day) or LW (last weekday)",
    "1-12 or jan-dec",
    "0-7 (Sunday is 0 and 7) or sun-sat, such as mon-fri, 5#2 (second Friday) or 5L; ranges may not wrap",
)
_FIRST_AND_LAST = (("0", "59"), ("0", "23"), ("1", "31"), ("jan", "dec"), ("sun", "sat"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an expression names, whatever way it is written.

    `days` are days of the month, -1 the last; `last_weekday` is `LW`. `weekdays` holds (0 = Monday, n) with n = 0 for
    every such day, otherwise the n-th of the month, -1 the last. Empty `days` or `weekdays` do not restrict. A day
    must match both, or one of them with `either`.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    last_weekday: bool
    months: tuple[int, ...]
    weekdays: frozenset[tuple[int, int]]
    either: bool


def walls(rule: Cron, start: datetime) -> Iterator[datetime]:
    """The naive local times of `rule` after the naive `start`, ascending; ends after 50 years without one.

    Raises:
        ScheduleError: it is no cron expression, on the first step.
    """
    simulation = copy(compiled(rule))
    simulation.dt = start.replace(microsecond=0)
    while True:
        try:
            wall = next(simulation)
        except (StopIteration, OverflowError):
            return
        yield wall


def named(rule: Cron) -> Named:
    """The numbers that the expression names.

    Raises:
        ScheduleError: it is no cron expression.
    """
    found = compiled(rule)
    last_weekday = found.LAST_WEEKDAY in found.days
    days = {-1 if day == found.LAST else day for day in found.days if day != found.LAST_WEEKDAY}
    pairs = ((item, 0) if isinstance(item, int) else item for item in found.weekdays)
    weekdays = {((day - 1) % 7, -1 if n == found.LAST else n) for day, n in pairs}
    any_day, any_weekday = days.issuperset(range(1, 32)), weekdays.issuperset((day, 0) for day in range(7))
    if any_day or (any_weekday and not found.day_and):
        days, last_weekday = set(), False
    if any_weekday or (any_day and not found.day_and):
        weekdays = set()
    return Named(
        minutes=tuple(sorted(found.minutes)),
        hours=tuple(sorted(found.hours)),
        days=tuple(sorted(days, key=lambda day: day % 100)),
        last_weekday=last_weekday,
        months=tuple(sorted(found.months)),
        weekdays=frozenset(weekdays),
        either=not found.day_and,
    )


def walls_between(rule: Cron, low: datetime, high: datetime) -> Iterator[datetime]:
    """The naive local times of `rule` in [low, high), ascending; it looks at these days only, not for the next match.

    Raises:
        ScheduleError: it is no cron expression, on the first step.
    """
    simulation = compiled(rule)
    for day in map(date.fromordinal, range(low.toordinal(), (high - timedelta.resolution).toordinal() + 1)):
        if day.month not in simulation.months or not simulation.match_day(day):
            continue
        for hour in sorted(simulation.hours):
            for minute in sorted(simulation.minutes):
                wall = datetime.combine(day, time(hour, minute))
                if low <= wall < high:
                    yield wall


def follows_real_time(rule: Cron) -> bool:
    """Whether the rule follows real time instead of naming clock times: its hour field begins with `*`.

    This is the rule of Vixie cron, but for one thing: there a minute field that begins with `*` is enough. Such a
    rule fires whenever the clock shows a time it names: never for one left out, twice for one shown twice. So
    `0 * * * *` is every real hour, and `0 */2 * * *` is the even hours that the clock shows: after a change three
    hours or one may lie between two. Every other hour field, `0-23` and `2-23/24` too, names clock times.
    """
    return fields(rule)[1].startswith("*")


def fields(rule: Cron) -> list[str]:
    """The five fields, `@` names expanded.

    Raises:
        ScheduleError: there are not five, or the `@` name is unknown.
    """
    text = rule.expression.strip()
    if len(text) > _LONGEST:
        raise ScheduleError(f"a cron expression of {len(text)} characters is too long", hint="at most 1000")
    known = ALIASES.get(text.lower())
    parts = (known or text).split()
    if len(parts) == len(_FIELDS) and not text.startswith("@") and "=" not in text and "(" not in text:
        return parts
    if known is not None:
        return parts
    if (foreign := explain_foreign(text) if text else None) is not None:
        raise foreign
    if len(parts) == len(_FIELDS):
        return parts
    if text.startswith("@"):
        hint = did_you_mean(text, ALIASES) or f"known are {', '.join(ALIASES)}"
        raise ScheduleError(f"unknown cron name {quoted(text)}", hint=hint)
    hint = "write minute, hour, day of month, month and weekday, such as '30 2 * * mon-fri'"
    counted = "1 field" if len(parts) == 1 else f"{len(parts)} fields"
    raise ScheduleError(f"cron {quoted(text)} has {counted}, not 5", hint=hint)


@lru_cache(maxsize=2048)
def compiled(rule: Cron) -> "CronSim":
    """The parsed expression, to be copied before it is advanced.

    Raises:
        ScheduleError: a field is wrong, or no month has such a day.
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
    """Try each field by itself, to say which one is wrong and what it may be."""
    from cronsim import CronSim, CronSimError

    for index, part in enumerate(parts):
        alone = ["*"] * len(_FIELDS)
        alone[index] = part
        try:
            CronSim(" ".join(alone), datetime(2020, 1, 1))  # noqa: DTZ001 - a local time has no zone
        except (CronSimError, ValueError, OverflowError, AssertionError):
            message = f"cron {quoted(rule.expression)}: bad {_FIELDS[index]} {quoted(part)}"
            return ScheduleError(message, hint=foreign_field(parts) or _wrapped(parts, index) or _hint(index))
    return ScheduleError(
        f"cron {quoted(rule.expression)} never fires: no such day in month {quoted(parts[3])}",
        hint="for the last day of a month write L as the day of month",
    )


def _hint(index: int) -> str:
    return f"{_FIELDS[index]} is {_HINTS[index]}"


def _wrapped(parts: list[str], index: int) -> str | None:
    """The hint for a range that wraps, such as `22-2` or `fri-mon`: the same as two ranges."""
    found = _WRAPPING.fullmatch(parts[index])
    if found is None or found[3]:
        return None
    first, last = _FIRST_AND_LAST[index]
    field = f"{found[1]}-{last},{first}-{found[2]}"
    expression = " ".join([*parts[:index], field, *parts[index + 1 :]])
    try:
        compiled(Cron(expression=expression))
    except ScheduleError:
        return None
    return f'a range may not wrap: write cron: "{expression}"'
