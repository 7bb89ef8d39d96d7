# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Fire times around clock changes, compared with a scan of every minute and with each other."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.schedules import Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
from controller.schedules import fire_times
from tests.thoroughness import scaled
from tests.unit.schedules import oracle
from tests.unit.schedules.oracle import POLICIES, TIMES

ODD = [
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "America/New_York",
    "Africa/Casablanca",
    "Antarctica/Troll",
]
EACH = oracle.one_of_each(oracle.zones(2026), 2026)
"""One zone of each kind whose clocks change in 2026; `python -m tests.unit.schedules.full` takes every zone."""

OTHER_YEARS = [(name, change) for name in ODD for year in (2011, 2037) for change in oracle.changes(name, year)[:3]]


@pytest.mark.parametrize("name", EACH)
def test_every_minute_around_the_changes_of_every_kind_of_zone(name: str) -> None:
    for index, change in enumerate(oracle.changes(name, 2026)):
        around = oracle.stretch(name, change)
        for number, dst in enumerate(POLICIES):
            # One rule with fixed times is tested with each policy; the other rules alternate.
            for minute, hour in (TIMES[1], TIMES[(number + index) % len(TIMES)]):
                assert list(oracle.disagreements(around, minute, hour, dst)) == []


@pytest.mark.parametrize(("name", "change"), OTHER_YEARS)
def test_every_minute_around_unusual_changes_of_other_years(name: str, change: datetime) -> None:
    around = oracle.stretch(name, change)
    for number, dst in enumerate(POLICIES):
        minute, hour = TIMES[(number + change.month) % len(TIMES)]
        assert list(oracle.disagreements(around, minute, hour, dst)) == []


@pytest.mark.parametrize("name", ["America/New_York", "Europe/Berlin", "Africa/Cairo"])
@pytest.mark.parametrize(("minute", "hour"), [times for times in TIMES if not times[0].startswith("*")])
def test_around_a_change_a_cron_fires_as_in_cronsim(name: str, minute: str, hour: str) -> None:
    for change in oracle.changes(name, 2026):
        begin, end = change - timedelta(hours=30), change + timedelta(hours=30)
        simulated = CronSim(f"{minute} {hour} * * *", begin.astimezone(ZoneInfo(name)))
        schedule = Schedule(id="x", rule=Cron(expression=f"{minute} {hour} * * *"), timezone=name)
        assert until(end, fire_times(schedule, begin)) == sorted(set(until(end, simulated)))


def until(end: datetime, moments: Iterator[datetime]) -> list[datetime]:
    return [moment.astimezone(UTC) for moment in takewhile(lambda moment: moment <= end, moments)]


def test_the_scan_covers_gaps_and_repeats_under_every_policy() -> None:
    met: Counter[Gap | Repeat] = Counter()
    for name in EACH:
        for change in oracle.changes(name, 2026):
            around = oracle.stretch(name, change)
            for dst in POLICIES:
                found = oracle.expected_changes(around, *TIMES[1], dst)
                met.update(dst.gap if one.kind == "gap" else dst.repeat for one in found)
    assert set(met) == {*Gap, *Repeat}
    assert min(met.values()) > 50
    assert len(EACH) > 20


RULES: list[Rule] = [
    Cron(expression="*/5 * * * *"),
    Cron(expression="20,40 1-2 * * *"),
    Interval(every=timedelta(minutes=50)),
    Interval(every=timedelta(days=3), anchor=datetime(2020, 1, 1, 2, 30)),
    RRule(text="FREQ=HOURLY;INTERVAL=3;BYMINUTE=0,30"),
    RRule(text="FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=15"),
]


@settings(max_examples=scaled(150), deadline=None)
@given(
    rule=st.sampled_from(RULES),
    zone=st.sampled_from(ODD),
    dst=st.sampled_from(POLICIES),
    after=st.datetimes(datetime(2009, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC)),
)
def test_a_later_start_gives_the_rest_of_the_same_fire_times(rule: Rule, zone: str, dst: Dst, after: datetime) -> None:
    schedule = Schedule(id="x", rule=rule, timezone=zone, dst=dst)
    times = fire_times(schedule, after)
    found = [next(times) for _ in range(12)]
    assert found[0] > after
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(instant.tzinfo is UTC for instant in found)
    for index in (0, 5, 10):
        assert next(fire_times(schedule, found[index])) == found[index + 1]
        assert next(fire_times(schedule, found[index] - timedelta(microseconds=1))) == found[index]
