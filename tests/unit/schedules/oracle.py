"""Finds the fire times around a clock change by scanning every minute, which is slow but simple enough to trust.

The expected times are computed with `zoneinfo` alone, which gives the local time of a UTC instant; they are then
compared with those of `controller.schedules`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, product, takewhile
from zoneinfo import ZoneInfo, available_timezones

from controller.model.schedules import Cron, Dst, Gap, Repeat, Schedule
from controller.schedules import DstTransition, find_dst_transitions, fire_times

MINUTE = timedelta(minutes=1)
REACH = timedelta(hours=27)
POLICIES = [Dst(gap=gap, repeat=repeat) for gap, repeat in product(Gap, Repeat)]
REAL_TIME = Dst(gap=Gap.SKIP, repeat=Repeat.BOTH)
TIMES = [
    ("30", "1"),
    ("0,10,59", "0-3"),
    ("*/7", "22-23"),
    ("0", "2,3"),
    ("45", "*"),
    ("*/20", "*/2"),
    ("5", "0-22"),
    ("4", "2-23/24"),
    ("15", "1-23/2"),
    ("30", "0-23"),
    ("*/30", "0-3/3,23"),
    ("59", "*/24"),
]
"""Minute and hour fields; those whose hour begins with `*` follow real time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A skipped local time, the first instant after it, and its instant by the offset before the change."""

    wall: datetime
    after: datetime
    shifted: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The days around `change`: the instants at which the clock shows each local minute, and the skipped minutes."""

    zone: str
    change: datetime
    shown: dict[datetime, list[datetime]]
    missing: list[Missing]

    @property
    def begin(self) -> datetime:
        """The first instant that is sure: a shifted time may come from a day before."""
        return self.change - REACH

    @property
    def end(self) -> datetime:
        return self.change + REACH


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


@cache
def changes(name: str, year: int) -> tuple[datetime, ...]:
    """Return the first whole minutes with a new offset. Only the days and the hours with another offset are scanned."""
    zone = ZoneInfo(name)
    found = [datetime(year, 1, 1, tzinfo=UTC)]
    lasts = datetime(year + 1, 1, 1, tzinfo=UTC) - found[0]
    for step in (timedelta(days=1), timedelta(hours=1), MINUTE):
        found = [begin for start in found for begin in _steps_with_a_change(start, lasts, step, zone)]
        lasts = step
    return tuple(begin + MINUTE for begin in found)


def _steps_with_a_change(start: datetime, lasts: timedelta, step: timedelta, zone: ZoneInfo) -> Iterator[datetime]:
    instants = [start + number * step for number in range(lasts // step + 1)]
    for (earlier, before), (_, after) in pairwise((instant, offset(instant, zone)) for instant in instants):
        if before != after:
            yield earlier


@cache
def stretch(name: str, change: datetime) -> Stretch:
    zone = ZoneInfo(name)
    shown: dict[datetime, list[datetime]] = {}
    missing = []
    previous: datetime | None = None
    instant = change - REACH - timedelta(hours=25)
    while instant <= change + REACH + timedelta(hours=25):
        wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        shown.setdefault(wall, []).append(instant)
        absent = wall if previous is None else previous + MINUTE
        for number in range((wall - absent) // MINUTE):
            missing.append(Missing(wall=absent + number * MINUTE, after=instant, shifted=instant + number * MINUTE))
        previous, instant = wall, instant + MINUTE
    return Stretch(zone=name, change=change, shown=shown, missing=missing)


def numbers(field: str, size: int) -> set[int]:
    return {number for part in field.split(",") for number in range(size) if _names(part, number, size)}


def _names(part: str, number: int, size: int) -> bool:
    span, _, step = part.partition("/")
    low, _, high = ("0", "-", str(size - 1)) if span == "*" else span.partition("-")
    return int(low) <= number <= int(high or low) and (number - int(low)) % int(step or 1) == 0


def of_repeat(instants: list[datetime], repeat: Repeat) -> list[datetime]:
    return {Repeat.FIRST: instants[:1], Repeat.SECOND: instants[-1:], Repeat.BOTH: instants}[repeat]


def of_gap(missing: Missing, gap: Gap) -> list[datetime]:
    return {Gap.NEXT_VALID: [missing.after], Gap.SHIFT: [missing.shifted], Gap.SKIP: []}[gap]


def expected_fires(around: Stretch, minute: str, hour: str, dst: Dst) -> list[datetime]:
    """Return the fire times of `minute hour * * *` in the range, in ascending order."""
    minutes, hours = numbers(minute, 60), numbers(hour, 24)
    policy = REAL_TIME if hour.startswith("*") else dst
    found = {
        instant
        for wall, instants in around.shown.items()
        if wall.minute in minutes and wall.hour in hours
        for instant in of_repeat(instants, policy.repeat)
    }
    for missing in around.missing:
        if missing.wall.minute in minutes and missing.wall.hour in hours:
            found.update(of_gap(missing, policy.gap))
    return sorted(found)


def expected_changes(around: Stretch, minute: str, hour: str, dst: Dst) -> list[DstTransition]:
    """Return the declared local times of `minute hour * * *` that are skipped or occur twice in the range."""
    minutes, hours = numbers(minute, 60), numbers(hour, 24)
    found = [
        DstTransition(kind="gap", local=missing.wall, fires=tuple(of_gap(missing, dst.gap)), zone=around.zone)
        for missing in around.missing
    ]
    found += [
        DstTransition(kind="repeat", local=wall, fires=tuple(of_repeat(instants, dst.repeat)), zone=around.zone)
        for wall, instants in around.shown.items()
        if len(instants) > 1
    ]
    found = [change for change in found if change.local.minute in minutes and change.local.hour in hours]
    return sorted(found, key=lambda change: change.local)


def disagreements(around: Stretch, minute: str, hour: str, dst: Dst) -> Iterator[str]:
    """Yield the differences between the scan and `fire_times`, started before, during and after the change."""
    schedule = Schedule(id="x", rule=Cron(expression=f"{minute} {hour} * * *"), timezone=around.zone, dst=dst)
    asked = f"{minute} {hour} in {around.zone} around {around.change:%F %R}, {dst.gap} {dst.repeat}"
    wanted = expected_fires(around, minute, hour, dst)
    for after in (around.begin, *(around.change + number * 22 * MINUTE for number in range(-3, 4, 2))):
        found = list(takewhile(lambda instant: instant <= around.end, fire_times(schedule, after)))
        if found != [instant for instant in wanted if after < instant <= around.end]:
            yield f"{asked}: fire times after {after:%F %R}"
    if not hour.startswith("*"):
        warned = find_dst_transitions(schedule, around.begin, around.end)
        if sorted(warned, key=lambda change: change.local) != expected_changes(around, minute, hour, dst):
            yield f"{asked}: clock changes"


def zones(year: int) -> list[str]:
    """Return every zone of the database with a clock change in that year."""
    return sorted(name for name in available_timezones() if changes(name, year))


def one_of_each(names: Iterable[str], year: int) -> list[str]:
    """Return one zone, the first by name, of each group with the same clock changes."""
    found: dict[tuple[tuple[datetime, timedelta, timedelta], ...], str] = {}
    for name in names:
        zone = ZoneInfo(name)
        turns = changes(name, year)
        found.setdefault(tuple((turn, offset(turn - MINUTE, zone), offset(turn, zone)) for turn in turns), name)
    return list(found.values())
