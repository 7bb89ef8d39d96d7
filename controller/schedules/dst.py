"""Converts naive local times of a time zone to UTC instants, following the DST policy of a schedule.

Called by `fire_time_search` and `ruleset`. The rules of a schedule yield naive local times in ascending order. This
module, which does not depend on the kind of rule, turns them into aware UTC instants, and sorts and de-duplicates them
*as instants*: Python compares two aware times of the same zone by their wall clock (PEP 495), and code that relies on
that loses an hour every autumn.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from controller.model.schedules import Dst, Gap, Repeat

REAL_TIME = Dst(gap=Gap.SKIP, repeat=Repeat.BOTH)
"""The policy of rules that follow real time: they fire as often as the clock shows a matching local time."""

EARLIEST = datetime(1, 1, 5, tzinfo=UTC)
LATEST = datetime(9989, 12, 31, tzinfo=UTC)
"""Fire times are searched for between these bounds, which leave room for offsets and for one step of any rule."""

_MAX_SEARCH = timedelta(days=366 * 60)
"""A rule ends when all its local times are skipped for this long, for example by `gap: skip`."""


def to_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive local time of `moment` in `zone`; a naive `moment` is taken as local already."""
    if moment.tzinfo is None:
        return moment.replace(fold=0)
    return _clamp(moment).astimezone(zone).replace(tzinfo=None, fold=0)


def instants_of(wall: datetime, zone: ZoneInfo, dst: Dst) -> tuple[datetime, ...]:
    """Return the instants at which a schedule fires for the naive local time `wall`: none, one or two, ascending."""
    local = _clamp(wall.replace(tzinfo=UTC)).replace(tzinfo=zone)
    first = local.astimezone(UTC)
    second = local.replace(fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return {Repeat.FIRST: (first,), Repeat.SECOND: (second,), Repeat.BOTH: (first, second)}[dst.repeat]
    # Inside a gap, `fold=0` uses the offset before the change, so `first` is later by the length of the gap.
    if dst.gap is Gap.NEXT_VALID:
        return (_transition_between(second, first, zone),)
    return (first,) if dst.gap is Gap.SHIFT else ()


def to_instant(moment: datetime, zone: ZoneInfo, dst: Dst, *, latest: bool = False) -> datetime:
    """Return the single instant of a bound or an anchor: the first one under the policy, or with `latest` the last.

    A bound needs an instant even inside a gap: under `gap: skip` it is the first instant after the gap.
    """
    if moment.tzinfo is not None:
        return _clamp(moment).astimezone(UTC)
    instants = instants_of(moment, zone, dst) or instants_of(moment, zone, Dst())
    return instants[-1 if latest else 0]


def first_wall_time(after: datetime, zone: ZoneInfo, dst: Dst) -> datetime:
    """Return a naive local time that is smaller than every local time whose instant is later than `after`."""
    local = after.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    offset = local.utcoffset() or timedelta()
    if local.fold == 0:
        repeated = offset - (local.replace(fold=1).utcoffset() or timedelta())
        if repeated > timedelta():  # earlier local times occur again after `after`
            return wall - repeated - timedelta(microseconds=1)
    if dst.gap is Gap.SHIFT:
        gap = offset - _offset(after - timedelta(hours=24), zone)
        if gap > timedelta() and _offset(after - gap, zone) < offset:  # some may be shifted past `after`
            return wall - 2 * gap - timedelta(microseconds=1)
    return wall


def resolve(walls: Iterable[datetime], zone: ZoneInfo, dst: Dst, after: datetime) -> Iterator[datetime]:
    """Yield the instants of the ascending local times `walls`: aware, UTC, strictly ascending, strictly after `after`.

    Reads `walls` lazily. Ends when `walls` ends, or when it yields no instant for 60 years.
    """
    pending: list[datetime] = []
    last = after
    give_up_at: datetime | None = None
    for wall in walls:
        if wall > (give_up_at := give_up_at or _search_limit(wall)):
            break
        earliest, latest = _both_readings(wall, zone)
        if earliest == latest and not pending:  # the common case: one local time, one instant
            if earliest > last:
                last = earliest
                give_up_at = _search_limit(last)
                yield last
            continue
        for instant in instants_of(wall, zone, dst):
            heapq.heappush(pending, instant)
        # Under any policy, later local times give no instant before this one.
        settled = earliest if earliest <= latest else _transition_between(latest, earliest, zone)
        while pending and pending[0] <= settled:
            instant = heapq.heappop(pending)
            if instant > last:
                last = instant
                give_up_at = _search_limit(last)
                yield last
    for instant in sorted(set(pending)):
        if instant > last:
            yield instant


def _search_limit(after: datetime) -> datetime:
    return min(after.replace(tzinfo=None), LATEST.replace(tzinfo=None) - _MAX_SEARCH) + _MAX_SEARCH


def _both_readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return `wall` in UTC by the offset before a clock change and by the offset after it."""
    if zone.key == "UTC":
        instant = wall.replace(tzinfo=UTC)
        return instant, instant
    local = wall.replace(tzinfo=zone)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _transition_between(before: datetime, since: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant in (before, since] at which the offset of `zone` changes."""
    old = _offset(before, zone)
    low, high = 0, -((before - since) // timedelta(seconds=1))
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == old:
            low = middle
        else:
            high = middle
    return (before + timedelta(seconds=high)).replace(microsecond=0)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def is_in_calendar(moment: datetime) -> bool:
    """Return whether a naive or aware time is within `EARLIEST` and `LATEST`; other bounds are clamped to these."""
    return EARLIEST.replace(tzinfo=None) <= moment.replace(tzinfo=None) <= LATEST.replace(tzinfo=None)


def _clamp(moment: datetime) -> datetime:
    if is_in_calendar(moment):
        return moment
    return EARLIEST if moment.replace(tzinfo=None) < EARLIEST.replace(tzinfo=None) else LATEST
