# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Due times in a range, and the validation of schedules."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.schedules import At, Cron, Dst, Gap, Interval, Rule, Schedule
from controller.schedules import check_schedule, due_times, find_due, fire_time_search, next_fire_times
from tests.thoroughness import scaled

NOW = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


def schedule(rule: Rule, name: str = "x", zone: str = "UTC") -> Schedule:
    return Schedule(id=name, rule=rule, timezone=zone)


def every(seconds: float) -> Interval:
    return Interval(every=timedelta(seconds=seconds))


def cron(expression: str) -> Cron:
    return Cron(expression=expression)


def test_a_one_second_interval_missed_for_a_year_is_counted_by_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    instants = fire_time_search._instants

    def counting(schedule: Schedule, after: datetime) -> object:
        nonlocal steps
        for instant in instants(schedule, after):
            steps += 1
            yield instant

    monkeypatch.setattr(fire_time_search, "_instants", counting)
    found = find_due([schedule(every(1))], NOW - YEAR, NOW, 100)
    assert found.dropped == 365 * 86_400 - 100
    assert found.first == NOW - YEAR + timedelta(seconds=1)
    assert [instant for instant, _ in found.times] == [NOW - timedelta(seconds=99 - n) for n in range(100)]
    assert steps <= 20_000


def test_a_cron_missed_for_long_is_counted_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_times, "_MAX_COUNTED", 1000)
    found = find_due([schedule(cron("* * * * *"))], NOW - YEAR, NOW, 5)
    assert [instant for instant, _ in found.times] == [NOW - timedelta(minutes=4 - n) for n in range(5)]
    assert 1000 <= found.dropped <= 365 * 1440 - 5
    assert found.first == NOW - YEAR + timedelta(minutes=1)


def test_a_burst_long_ago_is_found_by_searching_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_times, "_MAX_COUNTED", 1000)
    found = find_due([schedule(cron("* * * 1 *"))], NOW - YEAR, NOW, 3)
    assert [instant for instant, _ in found.times] == [datetime(2026, 1, 31, 23, 57 + n, tzinfo=UTC) for n in range(3)]


@settings(max_examples=scaled(125), deadline=None)
@given(
    seconds=st.sampled_from([600, 3600, 5400, 86_400, 129_600]),
    expression=st.sampled_from(["*/30 * * * *", "15 2 * * *", "0 */2 * * *"]),
    hours=st.integers(1, 200),
    limit=st.integers(0, 30),
)
def test_due_times_are_the_last_of_all_fire_times(seconds: int, expression: str, hours: int, limit: int) -> None:
    schedules = [
        schedule(every(seconds), "a", "Europe/Berlin"),
        schedule(cron("* * * * *"), "off"),
        schedule(cron(expression), "b", "Europe/Berlin"),
    ]
    schedules[1] = Schedule(id="off", rule=cron("* * * * *"), suspend=True)
    after = datetime(2026, 3, 28, tzinfo=UTC)
    until = after + timedelta(hours=hours)
    walked = [pair for pair in next_fire_times(schedules, after, 1500) if pair[0] <= until]
    found = find_due(schedules, after, until, limit)
    assert list(found.times) == walked[max(0, len(walked) - limit) :]
    assert found.dropped == len(walked) - len(found.times)
    assert found.first == (walked[0][0] if walked else None)


def test_nothing_due_is_empty() -> None:
    found = find_due([schedule(cron("0 0 1 1 *"))], NOW, NOW + timedelta(hours=1), 10)
    assert (found.times, found.dropped, found.first) == ((), 0, None)
    assert find_due([], NOW, NOW + YEAR, 10).times == ()


def test_due_times_respect_start_and_end() -> None:
    bounded = Schedule(id="x", rule=every(60), start=NOW, end=NOW + timedelta(minutes=3))
    found = find_due([bounded], NOW - YEAR, NOW + YEAR, 10)
    assert [instant for instant, _ in found.times] == [NOW + timedelta(minutes=n) for n in range(4)]
    assert found.dropped == 0


@pytest.mark.parametrize(
    "ended",
    [
        schedule(At(times=(datetime(2020, 1, 1),))),
        Schedule(id="x", rule=cron("0 9 * * *"), end=datetime(2020, 1, 1)),
        Schedule(id="x", rule=every(60), end=datetime(2020, 1, 1)),
        Schedule(id="x", rule=cron("0 9 * * *"), start=datetime(2019, 1, 1), end=datetime(2020, 1, 1)),
        Schedule(id="x", rule=cron("0 9 * * *"), end=datetime(9999, 12, 31)),
        Schedule(id="x", rule=cron("0 9 * * *"), start=datetime(1, 1, 1), timezone="Asia/Tokyo"),
    ],
)
def test_an_ended_schedule_stays_valid(ended: Schedule) -> None:
    check_schedule(ended, NOW)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (schedule(At(times=())), "never fires"),
        (schedule(cron("0 9 * * *"), zone="Europe/Berln"), "unknown time zone"),
        (schedule(every(0)), "interval"),
        (schedule(every(-60)), "interval"),
        (schedule(every(0.25)), "interval"),
        (schedule(Interval(every=timedelta(days=4000))), "interval"),
        (Schedule(id="x", rule=cron("0 9 * * *"), start=datetime(2026, 2, 1), end=datetime(2026, 1, 1)), "before"),
        (Schedule(id="x", rule=cron("0 9 1 1 *"), start=datetime(2026, 2, 1), end=datetime(2026, 3, 1)), "between"),
        (
            Schedule(
                id="x",
                rule=cron("30 2 8-14 3 0#2"),
                timezone="America/New_York",
                dst=Dst(gap=Gap.SKIP),
                start=datetime(2026, 3, 8, 1),
                end=datetime(2026, 3, 8, 5),
            ),
            "never fires",
        ),
        (
            Schedule(
                id="x",
                rule=At(times=(datetime(2026, 3, 8, 2, 30),)),
                timezone="America/New_York",
                dst=Dst(gap=Gap.SKIP),
            ),
            "never fires",
        ),
    ],
)
def test_a_schedule_that_never_fires_is_rejected(wrong: Schedule, says: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_schedule(wrong, NOW)
    assert says in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("time", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)])
def test_a_time_beyond_the_supported_range_is_not_clamped_into_it(zone: str, time: datetime) -> None:
    for moment in (time, time.replace(tzinfo=timezone(timedelta(hours=-12))), time.replace(tzinfo=UTC)):
        with pytest.raises(ScheduleError, match="never fires"):
            check_schedule(schedule(At(times=(moment,)), zone=zone), NOW)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_there_are_no_fire_times_after_the_supported_range(zone: str) -> None:
    for rule in (cron("0 0 * * *"), every(60), every(86_400), At(times=(NOW,))):
        after = datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12)))
        assert next_fire_times([schedule(rule, zone=zone)], after, 1) == []
