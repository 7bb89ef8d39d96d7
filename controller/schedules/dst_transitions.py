"""Finds the dates on which a declared local time does not exist or occurs twice because of a clock change.

Called by `manifests` for the warnings of `validate`. It examines only the hours around the clock changes of the zone,
usually two per year, and never iterates over the fire times of a schedule. As for every fire time, `dst` decides when
the schedule fires instead.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.records import dataclass
from controller.schedules import cron, intervals
from controller.schedules.dst import EARLIEST, LATEST, instants_of
from controller.schedules.fire_time_search import window
from controller.schedules.parsing import zone as zone_of

MAX_TRANSITIONS = 100
"""The maximum number of transitions returned; `* 2 * * *` alone has 120 per year."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_REACH = timedelta(hours=25)
"""The maximum distance of an affected local time from its clock change: Apia skipped a whole day in 2011."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DstTransition:
    """A declared local time that the clocks of `zone` skip (`gap`) or show twice (`repeat`).

    `local` is naive, as declared. `fires` are the UTC instants at which the schedule fires for it under its `dst`
    policy, in ascending order: none for `gap: skip`, two for `repeat: both`.
    """

    kind: Literal["gap", "repeat"]
    local: datetime
    fires: tuple[datetime, ...]
    zone: str


@dataclass(frozen=True, slots=True)
class _Transition:
    """A clock change of a zone at `instant`: the local times in [low, high) are skipped or occur twice."""

    instant: datetime
    kind: Literal["gap", "repeat"]
    low: datetime
    high: datetime


def find_dst_transitions(schedule: Schedule, after: datetime, until: datetime) -> list[DstTransition]:
    """Return the clock changes in (after, until] that affect a fixed local time of `schedule`, in order.

    The position of an entry is the first instant at which the schedule fires, or the clock change itself if it does
    not fire. Rules that follow real time (absolute intervals, a cron whose hour field begins with `*`, HOURLY and
    MINUTELY rules) and times with an offset are not affected. `start` and `end` are applied, `suspend` is not. There
    are at most `MAX_TRANSITIONS` entries.

    Raises:
        ScheduleError: the schedule is invalid.
        ValueError: a bound is naive.
    """
    if after.tzinfo is None or until.tzinfo is None:
        raise ValueError("after and until must be aware datetimes")
    after, until = max(after, EARLIEST), min(until, LATEST)
    _, end = window(schedule, after)
    start, _ = window(schedule, EARLIEST)
    zone = _zone(schedule)
    affected = []
    for transition in _transitions_between(zone, after - _REACH, min(until, end) + _REACH):
        for wall in sorted(set(islice(_wall_times(schedule, transition.low, transition.high), MAX_TRANSITIONS))):
            instants = instants_of(wall, zone, schedule.dst)
            fires = tuple(instant for instant in instants if start < instant <= end)
            moment = fires[0] if instants and fires else transition.instant
            if after < moment <= until and (fires or (not instants and start < moment <= end)):
                affected.append((moment, DstTransition(kind=transition.kind, local=wall, fires=fires, zone=zone.key)))
    return [change for _, change in sorted(affected, key=lambda pair: (pair[0], pair[1].local))[:MAX_TRANSITIONS]]


def describe_transition(change: DstTransition) -> str:
    """Return a sentence such as `2027-03-28 02:30 does not exist in Europe/Berlin: it fires at 03:00`."""
    clocks = [_format_local(instant, change) for instant in change.fires]
    local = change.local.isoformat(" ", "seconds" if change.local.second else "minutes")
    if change.kind == "gap":
        fires = f"it fires at {clocks[0]}" if clocks else "it does not fire"
        return f"{local} does not exist in {change.zone}: {fires}"
    which = "the second" if _is_second(change.fires[0], change) else "the first"
    fires = f"both, {clocks[0]} and {clocks[1]}" if len(clocks) > 1 else f"{which}, {clocks[0]}"
    return f"{local} happens twice in {change.zone}: it fires at {fires}"


def _format_local(instant: datetime, change: DstTransition) -> str:
    moment = instant.astimezone(zone_of(change.zone))
    day, _, clock = moment.isoformat(" ", "seconds" if moment.second else "minutes").partition(" ")
    return clock if moment.date() == change.local.date() else f"{day} {clock}"


def _is_second(instant: datetime, change: DstTransition) -> bool:
    return instant.astimezone(zone_of(change.zone)).fold == 1


def _zone(schedule: Schedule) -> ZoneInfo:
    """Return the zone of the declared times: a DTSTART may have its own."""
    if isinstance(schedule.rule, RRule):
        from controller.schedules.rrule import ruleset

        return ruleset.compile_rules(schedule.rule, schedule.timezone).zone
    return zone_of(schedule.timezone)


def _wall_times(schedule: Schedule, low: datetime, high: datetime) -> Iterable[datetime]:
    """Return the fixed local times of the schedule in [low, high)."""
    match schedule.rule:
        case Cron() as rule:
            return () if cron.follows_real_time(rule) else cron.wall_times_between(rule, low, high)
        case Interval() as rule:
            return _interval_days(rule, _zone(schedule), low, high) if intervals.keeps_clock_time(rule) else ()
        case RRule() as rule:
            from controller.schedules.rrule import ruleset

            return ruleset.fixed_wall_times(ruleset.compile_rules(rule, schedule.timezone), low, high)
        case At(times=times):
            return (moment for moment in times if moment.tzinfo is None and low <= moment < high)


def _interval_days(rule: Interval, zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[datetime]:
    for wall in intervals.wall_times(rule, zone, low - timedelta.resolution):
        if wall >= high:
            return
        yield wall


def _transitions_between(zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[_Transition]:
    low, high = max(low, EARLIEST), min(high, LATEST)
    for year in range(low.year, high.year + 1):
        yield from (transition for transition in _transitions(zone, year) if low < transition.instant <= high)


@lru_cache(maxsize=4096)
def _transitions(zone: ZoneInfo, year: int) -> tuple[_Transition, ...]:
    """Find the changes of the zone's offset in a UTC year: probe each day, then bisect for the second."""
    transitions = []
    day = max(datetime(year, 1, 1, tzinfo=UTC), EARLIEST)
    begin = day - _SECOND
    old = _offset(begin, zone)
    while day.year == year:
        end = day + _DAY - _SECOND
        new = _offset(end, zone)
        if new != old:
            instant = _first_change(begin, end, zone, old)
            local = instant.replace(tzinfo=None)
            low, high = sorted((local + old, local + new))
            transitions.append(_Transition(instant, "gap" if new > old else "repeat", low, high))
        begin, old, day = end, new, day + _DAY
    return tuple(transitions)


def _first_change(begin: datetime, end: datetime, zone: ZoneInfo, old: timedelta) -> datetime:
    """Return the first whole second in (begin, end] whose offset differs from `old`."""
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
