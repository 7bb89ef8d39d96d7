"""When, in UTC, does a clock on the wall of some zone show a given time?

Called by `fire_time_search` and `ruleset`. The rules of a schedule yield naive local times in ascending order; here
they become aware UTC instants by the DST policy, ordered and de-duplicated *as instants*: two local times of one zone
compare by their wall clock in Python (PEP 495), which is how an hour gets lost every autumn. It knows nothing of
rules.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from controller.model.schedules import Dst, Gap, Repeat

REAL_TIME = Dst(gap=Gap.SKIP, repeat=Repeat.BOTH)
"""What rules that run through the hours follow: each local time as often as the clock shows it."""

EARLIEST = datetime(1, 1, 5, tzinfo=UTC)
LATEST = datetime(9989, 12, 31, tzinfo=UTC)
"""No fire time is looked for outside of these; they leave room for offsets and for a step of any rule."""

_FRUITLESS = timedelta(days=366 * 60)
"""A rule whose local times are all skipped for this long (by `gap: skip`, say) ends."""


def to_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """The naive local time of `moment` in `zone`; a naive one is that already."""
    if moment.tzinfo is None:
        return moment.replace(fold=0)
    return _clamped(moment).astimezone(zone).replace(tzinfo=None, fold=0)


def instants_of(wall: datetime, zone: ZoneInfo, dst: Dst) -> tuple[datetime, ...]:
    """The instants, ascending, at which the naive local time `wall` counts as reached: none, one or two."""
    local = _clamped(wall.replace(tzinfo=UTC)).replace(tzinfo=zone)
    first = local.astimezone(UTC)
    second = local.replace(fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return {Repeat.FIRST: (first,), Repeat.SECOND: (second,), Repeat.BOTH: (first, second)}[dst.repeat]
    # In a gap `fold=0` reads the wall clock by the offset before it: later by the length of the gap.
    if dst.gap is Gap.NEXT_VALID:
        return (_change(second, first, zone),)
    return (first,) if dst.gap is Gap.SHIFT else ()


def to_instant(moment: datetime, zone: ZoneInfo, dst: Dst, *, latest: bool = False) -> datetime:
    """One instant for a bound or an anchor: the first that the policy gives, or the `latest`.

    A bound has to be somewhere: under `gap: skip` it is the first instant after the gap.
    """
    if moment.tzinfo is not None:
        return _clamped(moment).astimezone(UTC)
    found = instants_of(moment, zone, dst) or instants_of(moment, zone, Dst())
    return found[-1 if latest else 0]


def first_wall(after: datetime, zone: ZoneInfo, dst: Dst) -> datetime:
    """A naive local time; every local time whose instant lies after the instant `after` is greater than it."""
    local = after.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    offset = local.utcoffset() or timedelta()
    if local.fold == 0:
        repeated = offset - (local.replace(fold=1).utcoffset() or timedelta())
        if repeated > timedelta():  # earlier local times come a second time, after `after`
            return wall - repeated - timedelta(microseconds=1)
    if dst.gap is Gap.SHIFT:
        gap = offset - _offset(after - timedelta(hours=24), zone)
        if gap > timedelta() and _offset(after - gap, zone) < offset:  # some may have been shifted past `after`
            return wall - 2 * gap - timedelta(microseconds=1)
    return wall


def resolve(walls: Iterable[datetime], zone: ZoneInfo, dst: Dst, after: datetime) -> Iterator[datetime]:
    """The instants of ascending local times: aware, UTC, strictly ascending and strictly after `after`.

    It reads no more of `walls` than it must, and ends when they end or are fruitless for 60 years.
    """
    waiting: list[datetime] = []
    last = after
    patience: datetime | None = None
    for wall in walls:
        if wall > (patience := patience or _patience(wall)):
            break
        earliest, latest = _both(wall, zone)
        if earliest == latest and not waiting:  # the plain case: one clock reading, one instant
            if earliest > last:
                last = earliest
                patience = _patience(last)
                yield last
            continue
        for instant in instants_of(wall, zone, dst):
            heapq.heappush(waiting, instant)
        # No later local time gives an instant before this, whatever the policy.
        settled = earliest if earliest <= latest else _change(latest, earliest, zone)
        while waiting and waiting[0] <= settled:
            instant = heapq.heappop(waiting)
            if instant > last:
                last = instant
                patience = _patience(last)
                yield last
    for instant in sorted(set(waiting)):
        if instant > last:
            yield instant


def _patience(after: datetime) -> datetime:
    return min(after.replace(tzinfo=None), LATEST.replace(tzinfo=None) - _FRUITLESS) + _FRUITLESS


def _both(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """What `wall` is in UTC by the offset before a clock change, and by the one after it."""
    if zone.key == "UTC":
        instant = wall.replace(tzinfo=UTC)
        return instant, instant
    local = wall.replace(tzinfo=zone)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _change(before: datetime, since: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the offset of `zone` changes, after `before` and not after `since`."""
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
    """Whether a naive or aware time is one at which anything can fire; bounds beyond are those of the calendar."""
    return EARLIEST.replace(tzinfo=None) <= moment.replace(tzinfo=None) <= LATEST.replace(tzinfo=None)


def _clamped(moment: datetime) -> datetime:
    if is_in_calendar(moment):
        return moment
    return EARLIEST if moment.replace(tzinfo=None) < EARLIEST.replace(tzinfo=None) else LATEST
