# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Brute force: every minute around the clock changes of sampled zones, against the calendar."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.calendar import fire_times
from controller.model.schedules import Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule

MINUTE = timedelta(minutes=1)
POLICIES = [Dst(gap=gap, repeat=repeat) for gap, repeat in zip(Gap, Repeat, strict=True)] + [
    Dst(gap=Gap.SHIFT, repeat=Repeat.FIRST),
    Dst(gap=Gap.NEXT_VALID, repeat=Repeat.BOTH),
]
NAMED = [
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "America/New_York",
    "Africa/Casablanca",
    "Antarctica/Troll",
]
ZONES = sorted({*NAMED, *sorted(available_timezones())[::24]})
TIMES = [("30", "1"), ("0,10,59", "0-3"), ("*/7", "22-23"), ("0", "2,3"), ("45", "*"), ("*/20", "*/2"), ("5", "0-22")]


def numbers(field: str, size: int) -> set[int]:
    if field.startswith("*"):
        return set(range(0, size, int(field[2:] or 1)))
    bounds = [[int(end) for end in part.split("-")] for part in field.split(",")]
    return {number for low, *high in bounds for number in range(low, (high or [low])[0] + 1)}


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


@cache
def changes(name: str, year: int) -> tuple[datetime, ...]:
    zone, found = ZoneInfo(name), []
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year:
        if offset(day, zone) != offset(day + timedelta(days=1), zone):
            found.append(
                next(
                    day + (minute + 1) * MINUTE
                    for minute in range(1440)
                    if offset(day + minute * MINUTE, zone) != offset(day + (minute + 1) * MINUTE, zone)
                )
            )
        day += timedelta(days=1)
    return tuple(found)


def expected(
    zone: ZoneInfo, minutes: set[int], hours: set[int], dst: Dst, begin: datetime, end: datetime
) -> set[datetime]:
    """What fires in (begin, end], by looking at every minute: what the clock shows, and what it leaves out."""
    found = set()
    instant = begin
    while instant < end:
        before, instant = instant, instant + MINUTE
        local = instant.astimezone(zone)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        wanted = not twice or dst.repeat is Repeat.BOTH or local.fold == (dst.repeat is Repeat.SECOND)
        if wanted and local.minute in minutes and local.hour in hours:
            found.add(instant)
        gap = offset(instant, zone) - offset(before, zone)
        missing = before.astimezone(zone).replace(tzinfo=None) + MINUTE
        for number in range(gap // MINUTE):
            wall = missing + number * MINUTE
            if wall.minute in minutes and wall.hour in hours and dst.gap is not Gap.SKIP:
                found.add(instant if dst.gap is Gap.NEXT_VALID else instant + number * MINUTE)
    return found


def cases() -> Iterator[tuple[str, datetime]]:
    for name in ZONES:
        for year in (2011, 2026, 2037):
            for change in changes(name, year)[:3]:
                yield name, change


@pytest.mark.parametrize(("name", "change"), list(cases()))
def test_every_minute_around_a_clock_change(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    turn = ZONES.index(name) + change.year + change.month
    minute, hour = TIMES[turn % len(TIMES)]
    dst = POLICIES[turn % len(POLICIES)]
    schedule = Schedule(id="x", rule=Cron(expression=f"{minute} {hour} * * *"), timezone=name, dst=dst)
    real = Dst(gap=Gap.SKIP, repeat=Repeat.BOTH) if hour.startswith("*") else dst
    begin, end = change - timedelta(hours=27), change + timedelta(hours=27)
    wanted = expected(zone, numbers(minute, 60), numbers(hour, 24), real, begin - timedelta(hours=25), end)
    for after in (begin, *(change + number * 11 * MINUTE for number in range(-7, 8))):
        found = list(takewhile(lambda instant: instant <= end, fire_times(schedule, after)))
        assert found == sorted(instant for instant in wanted if after < instant <= end)


RULES: list[Rule] = [
    Cron(expression="*/5 * * * *"),
    Cron(expression="20,40 1-2 * * *"),
    Interval(every=timedelta(minutes=50)),
    Interval(every=timedelta(days=3), anchor=datetime(2020, 1, 1, 2, 30)),
    RRule(text="FREQ=HOURLY;INTERVAL=3;BYMINUTE=0,30"),
    RRule(text="FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=15"),
]


@settings(max_examples=150, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    zone=st.sampled_from(NAMED),
    dst=st.sampled_from(POLICIES),
    after=st.datetimes(datetime(2009, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC)),
)
def test_asking_later_gives_the_rest_of_the_same_answer(rule: Rule, zone: str, dst: Dst, after: datetime) -> None:
    schedule = Schedule(id="x", rule=rule, timezone=zone, dst=dst)
    times = fire_times(schedule, after)
    found = [next(times) for _ in range(12)]
    assert found[0] > after
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(instant.tzinfo is UTC for instant in found)
    for index in (0, 5, 10):
        assert next(fire_times(schedule, found[index])) == found[index + 1]
        assert next(fire_times(schedule, found[index] - timedelta(microseconds=1))) == found[index]
