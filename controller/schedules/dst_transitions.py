"""At which dates does a declared local time not exist, or happen twice?

Called by `manifests` for the warnings of `validate`. It looks only around the clock changes of the zone, two a year for
most, and never walks the fire times of a schedule. What then happens is decided by `dst`, as for every fire time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.schedules import cron, intervals
from controller.schedules.dst import EARLIEST, LATEST, instants_of
from controller.schedules.fire_time_search import window
from controller.schedules.parsing import zone as zone_of
from controller.schedules.rrule import ruleset

MOST = 100
"""Changes of one answer; `* 2 * * *` alone has 120 a year."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_REACH = timedelta(hours=25)
"""The longest that a local time lies from the clock change it falls into: Apia left out a day in 2011."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DstTransition:
    """A declared local time that the clocks of `zone` leave out (`gap`) or show twice (`repeat`).

    `local` is naive, as declared. `fires` are the UTC instants that it gives under the schedule's `dst` policy,
    ascending: none for `gap: skip`, two for `repeat: both`.
    """

    kind: Literal["gap", "repeat"]
    local: datetime
    fires: tuple[datetime, ...]
    zone: str


@dataclass(frozen=True, slots=True)
class _Transition:
    """The clocks turn at `instant`; the local times in [low, high) are left out, or come twice."""

    instant: datetime
    kind: Literal["gap", "repeat"]
    low: datetime
    high: datetime


def clock_changes(schedule: Schedule, after: datetime, until: datetime) -> list[DstTransition]:
    """The clock changes in (after, until] that meet a fixed local time of `schedule`, in order; at most `MOST`.

    One counts at the first instant at which it fires, and at the change itself when it does not. Rules that follow
    real time (absolute intervals, a cron whose hour field begins with `*`, HOURLY and MINUTELY) and times with an
    offset meet none. `start` and `end` are honoured, `suspend` is not.

    Raises:
        ScheduleError: the schedule can't be understood.
        ValueError: a bound is naive.
    """
    if after.tzinfo is None or until.tzinfo is None:
        raise ValueError("an aware datetime is needed")
    after, until = max(after, EARLIEST), min(until, LATEST)
    _, end = window(schedule, after)
    start, _ = window(schedule, EARLIEST)
    zone = _zone(schedule)
    found = []
    for turn in _transitions_between(zone, after - _REACH, min(until, end) + _REACH):
        for wall in sorted(set(islice(_walls(schedule, turn.low, turn.high), MOST))):
            instants = instants_of(wall, zone, schedule.dst)
            fires = tuple(instant for instant in instants if start < instant <= end)
            moment = fires[0] if instants and fires else turn.instant
            if after < moment <= until and (fires or (not instants and start < moment <= end)):
                found.append((moment, DstTransition(kind=turn.kind, local=wall, fires=fires, zone=zone.key)))
    return [change for _, change in sorted(found, key=lambda pair: (pair[0], pair[1].local))[:MOST]]


def describe_change(change: DstTransition) -> str:
    """One sentence with the exact date, such as `2027-03-28 02:30 does not exist in Europe/Berlin: it fires at …`."""
    shown = [_shown(instant, change) for instant in change.fires]
    local = change.local.isoformat(" ", "seconds" if change.local.second else "minutes")
    if change.kind == "gap":
        fires = f"it fires at {shown[0]}" if shown else "it does not fire"
        return f"{local} does not exist in {change.zone}: {fires}"
    which = "the second" if _is_second(change.fires[0], change) else "the first"
    fires = f"both, {shown[0]} and {shown[1]}" if len(shown) > 1 else f"{which}, {shown[0]}"
    return f"{local} happens twice in {change.zone}: it fires at {fires}"


def _shown(instant: datetime, change: DstTransition) -> str:
    moment = instant.astimezone(zone_of(change.zone))
    day, _, clock = moment.isoformat(" ", "seconds" if moment.second else "minutes").partition(" ")
    return clock if moment.date() == change.local.date() else f"{day} {clock}"


def _is_second(instant: datetime, change: DstTransition) -> bool:
    return instant.astimezone(zone_of(change.zone)).fold == 1


def _zone(schedule: Schedule) -> ZoneInfo:
    """The zone of the declared times: a DTSTART may name its own."""
    if isinstance(schedule.rule, RRule):
        return ruleset.compiled(schedule.rule, schedule.timezone).zone
    return zone_of(schedule.timezone)


def _walls(schedule: Schedule, low: datetime, high: datetime) -> Iterable[datetime]:
    """The fixed local times of the schedule in [low, high)."""
    match schedule.rule:
        case Cron() as rule:
            return () if cron.follows_real_time(rule) else cron.walls_between(rule, low, high)
        case Interval() as rule:
            return _days(rule, _zone(schedule), low, high) if intervals.keeps_clock_time(rule) else ()
        case RRule() as rule:
            return ruleset.fixed_walls(ruleset.compiled(rule, schedule.timezone), low, high)
        case At(times=times):
            return (moment for moment in times if moment.tzinfo is None and low <= moment < high)


def _days(rule: Interval, zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[datetime]:
    for wall in intervals.walls(rule, zone, low - timedelta.resolution):
        if wall >= high:
            return
        yield wall


def _transitions_between(zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[_Transition]:
    low, high = max(low, EARLIEST), min(high, LATEST)
    for year in range(low.year, high.year + 1):
        yield from (turn for turn in _transitions(zone, year) if low < turn.instant <= high)


@lru_cache(maxsize=4096)
def _transitions(zone: ZoneInfo, year: int) -> tuple[_Transition, ...]:
    """The changes of the zone's offset in a UTC year: each day is probed, and the second sought by bisection."""
    found = []
    day = max(datetime(year, 1, 1, tzinfo=UTC), EARLIEST)
    begin = day - _SECOND
    old = _offset(begin, zone)
    while day.year == year:
        end = day + _DAY - _SECOND
        new = _offset(end, zone)
        if new != old:
            instant = _turn(begin, end, zone, old)
            local = instant.replace(tzinfo=None)
            low, high = sorted((local + old, local + new))
            found.append(_Transition(instant, "gap" if new > old else "repeat", low, high))
        begin, old, day = end, new, day + _DAY
    return tuple(found)


def _turn(begin: datetime, end: datetime, zone: ZoneInfo, old: timedelta) -> datetime:
    """The first whole second in (begin, end] with another offset than `old`."""
    low, high = 0, (end - begin) // _SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(begin + middle * _SECOND, zone) == old:
            low = middle
        else:
            high = middle
    return begin + high * _SECOND


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
