# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Reference fire times for every rule of the schedule contract, and for unusual days of the calendar."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
from controller.schedules import fire_times, next_fire_times

NEW_YORK = "America/New_York"


def fires(rule: Rule, zone: str, after: str, n: int, dst: Dst | None = None) -> list[str]:
    schedule = Schedule(id="x", rule=rule, timezone=zone, dst=dst or Dst())
    begin = datetime.fromisoformat(after).replace(tzinfo=UTC)
    return [f"{instant:%Y-%m-%dT%H:%M}" for instant in islice(fire_times(schedule, begin), n)]


def cron(expression: str) -> Cron:
    return Cron(expression=expression)


AUTUMN_HOURS = ["2021-11-07T04:00", "2021-11-07T05:00", "2021-11-07T06:00", "2021-11-07T07:00"]


@pytest.mark.parametrize(
    "rule",
    [
        Interval(every=timedelta(hours=1)),
        cron("0 * * * *"),
        cron("@hourly"),
        cron("0 *,5 * * *"),
        cron("0 */1 * * *"),
        RRule(text="FREQ=HOURLY"),
        RRule(text="FREQ=MINUTELY;INTERVAL=60"),
    ],
)
def test_no_real_hour_is_lost_or_doubled_in_autumn(rule: Rule) -> None:
    assert fires(rule, NEW_YORK, "2021-11-07T03:00", 4) == AUTUMN_HOURS


@pytest.mark.parametrize("rule", [cron("0 * * * *"), RRule(text="FREQ=HOURLY")])
def test_no_real_hour_is_lost_or_doubled_in_spring(rule: Rule) -> None:
    expected = ["2021-03-14T06:00", "2021-03-14T07:00", "2021-03-14T08:00"]
    assert fires(rule, NEW_YORK, "2021-03-14T05:00", 3) == expected


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("4 2-23/24 * * *", "2026-03-08T00:00", ["2026-03-08T07:00", "2026-03-09T06:04"]),
        ("15 1-23/24 * * *", "2026-11-01T00:00", ["2026-11-01T05:15", "2026-11-02T06:15"]),
        ("0 0-23 * * *", "2026-11-01T04:30", ["2026-11-01T05:00", "2026-11-01T07:00"]),
        ("30 1-23/2 * * *", "2026-11-01T04:30", ["2026-11-01T05:30", "2026-11-01T08:30"]),
        ("30 2,14 * * *", "2026-03-08T05:00", ["2026-03-08T07:00", "2026-03-08T18:30"]),
        ("*/30 2 * * *", "2026-03-08T05:00", ["2026-03-08T07:00", "2026-03-09T06:00"]),
    ],
)
def test_only_an_hour_field_that_begins_with_a_star_follows_real_time(
    expression: str, after: str, expected: list[str]
) -> None:
    assert fires(cron(expression), NEW_YORK, after, 2) == expected


def test_a_daily_interval_keeps_its_local_clock_time() -> None:
    rule = Interval(every=timedelta(days=1), anchor=datetime(2020, 1, 1, 9))
    expected = ["2021-03-13T14:00", "2021-03-14T13:00", "2021-03-15T13:00"]
    assert fires(rule, NEW_YORK, "2021-03-13T00:00", 3) == expected


def test_thirty_six_hours_are_absolute_time() -> None:
    rule = Interval(every=timedelta(hours=36), anchor=datetime(2021, 3, 13, 9))
    assert fires(rule, NEW_YORK, "2021-03-13T00:00", 2) == ["2021-03-13T14:00", "2021-03-15T02:00"]


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [
        (Repeat.FIRST, ["2021-11-07T05:30", "2021-11-08T06:30"]),
        (Repeat.SECOND, ["2021-11-07T06:30", "2021-11-08T06:30"]),
        (Repeat.BOTH, ["2021-11-07T05:30", "2021-11-07T06:30"]),
    ],
)
@pytest.mark.parametrize("rule", [cron("30 1 * * *"), RRule(text="FREQ=DAILY;BYHOUR=1;BYMINUTE=30")])
def test_a_repeated_local_time_follows_the_policy(repeat: Repeat, expected: list[str], rule: Rule) -> None:
    assert fires(rule, NEW_YORK, "2021-11-07T00:00", 2, Dst(repeat=repeat)) == expected


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (Gap.NEXT_VALID, "2021-03-14T07:00"),
        (Gap.SKIP, "2021-03-15T06:30"),
        (Gap.SHIFT, "2021-03-14T07:30"),
    ],
)
def test_a_missing_local_time_follows_the_policy(gap: Gap, expected: str) -> None:
    assert fires(cron("30 2 * * *"), NEW_YORK, "2021-03-14T00:00", 1, Dst(gap=gap)) == [expected]


@pytest.mark.parametrize("after", ["2021-11-07T05:40", "2021-11-07T06:10", "2021-11-07T06:29"])
def test_the_second_repeat_is_found_from_between_the_two(after: str) -> None:
    assert fires(cron("30 1 * * *"), NEW_YORK, after, 1, Dst(repeat=Repeat.SECOND)) == ["2021-11-07T06:30"]


@pytest.mark.parametrize("after", ["2021-03-14T06:59", "2021-03-14T07:00", "2021-03-14T07:29"])
def test_a_shifted_time_is_found_from_after_the_gap(after: str) -> None:
    assert fires(cron("30 2 * * *"), NEW_YORK, after, 1, Dst(gap=Gap.SHIFT)) == ["2021-03-14T07:30"]


def test_two_missing_times_of_one_gap_fire_once() -> None:
    expected = ["2021-03-14T07:00", "2021-03-15T06:10"]
    assert fires(cron("10,50 2 * * *"), NEW_YORK, "2021-03-14T00:00", 2) == expected


def test_shifted_times_are_ordered_with_the_hour_they_move_into() -> None:
    found = fires(cron("15,45 2,3 * * *"), NEW_YORK, "2021-03-14T06:00", 3, Dst(gap=Gap.SHIFT))
    assert found == ["2021-03-14T07:15", "2021-03-14T07:45", "2021-03-15T06:15"]


@pytest.mark.parametrize("zone", [NEW_YORK, "Europe/Berlin", "Europe/London"])
@pytest.mark.parametrize("expression", ["0 0 * * *", "30 0 * * *"])
def test_no_day_is_lost_around_a_spring_change(zone: str, expression: str) -> None:
    found = fires(cron(expression), zone, "2026-03-01T12:00", 40)
    days = [datetime.fromisoformat(f"{text}Z").astimezone(ZoneInfo(zone)).date() for text in found]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))


def test_the_first_of_april_is_not_lost() -> None:
    expected = ["2026-03-01T05:00", "2026-04-01T04:00", "2026-05-01T04:00"]
    assert fires(cron("0 0 1 * *"), NEW_YORK, "2026-02-20T00:00", 3) == expected


def test_one_to_five_is_monday_to_friday() -> None:
    found = fires(cron("0 9 * * 1-5"), "UTC", "2026-06-06T00:00", 5)
    assert [datetime.fromisoformat(text).weekday() for text in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("expression", ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "@weekly"])
def test_zero_and_seven_are_sunday(expression: str) -> None:
    assert fires(cron(expression), "UTC", "2026-06-01T00:00", 2) == ["2026-06-07T00:00", "2026-06-14T00:00"]


def test_day_of_month_and_weekday_are_alternatives() -> None:
    expected = ["2026-06-05T00:00", "2026-06-12T00:00", "2026-06-13T00:00", "2026-06-19T00:00"]
    assert fires(cron("0 0 13 * 5"), "UTC", "2026-06-01T00:00", 4) == expected


def test_day_of_month_and_weekday_can_both_be_required() -> None:
    rule = Cron(expression="0 0 13 * 5", day_or=False)
    expected = ["2026-02-13T00:00", "2026-03-13T00:00", "2026-11-13T00:00"]
    assert fires(rule, "UTC", "2026-01-01T00:00", 3) == expected


def test_a_rule_without_dtstart_does_not_depend_on_the_current_time() -> None:
    rule = RRule(text="FREQ=DAILY;INTERVAL=3")
    one, other = fires(rule, NEW_YORK, "2026-06-01T00:00", 4), fires(rule, NEW_YORK, "2026-06-02T00:00", 4)
    assert set(one[1:]) <= {*other, *one[:1]}
    assert one[-1] in other


def test_the_day_that_apia_skipped() -> None:
    # 2011-12-30 did not exist; the gap ends at 2011-12-31T00:00+14:00 = 10:00Z on the 30th.
    zone, after = "Pacific/Apia", "2011-12-29T12:00"
    daily = cron("0 9 * * *")
    assert fires(daily, zone, after, 3) == ["2011-12-29T19:00", "2011-12-30T10:00", "2011-12-30T19:00"]
    assert fires(daily, zone, after, 2, Dst(gap=Gap.SKIP)) == ["2011-12-29T19:00", "2011-12-30T19:00"]
    assert fires(daily, zone, after, 2, Dst(gap=Gap.SHIFT)) == ["2011-12-29T19:00", "2011-12-30T19:00"]
    assert fires(cron("0 * * * *"), zone, "2011-12-30T08:30", 2) == ["2011-12-30T09:00", "2011-12-30T10:00"]


def test_the_half_hour_change_of_lord_howe() -> None:
    zone = "Australia/Lord_Howe"  # 2026-04-05 02:00 +11:00 becomes 01:30 +10:30 at 15:00Z; 1:45 happens twice
    rule = cron("45 1 * * *")
    assert fires(rule, zone, "2026-04-04T12:00", 2) == ["2026-04-04T14:45", "2026-04-05T15:15"]
    both = fires(rule, zone, "2026-04-04T12:00", 2, Dst(repeat=Repeat.BOTH))
    assert both == ["2026-04-04T14:45", "2026-04-04T15:15"]
    spring = fires(cron("15 2 * * *"), zone, "2026-10-03T12:00", 1)
    assert spring == ["2026-10-03T15:30"]


def test_the_negative_summer_time_of_dublin() -> None:
    assert fires(cron("30 1 * * *"), "Europe/Dublin", "2026-03-28T12:00", 1) == ["2026-03-29T01:00"]
    assert fires(cron("30 1 * * *"), "Europe/Dublin", "2026-10-24T12:00", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]


def test_clock_changes_continue_after_2038() -> None:
    assert fires(cron("14 3 19 1 *"), "UTC", "2038-01-01T00:00", 1) == ["2038-01-19T03:14"]
    assert fires(cron("30 2 * * *"), "Europe/Berlin", "2040-03-24T12:00", 1) == ["2040-03-25T01:00"]


@pytest.mark.parametrize(
    "rule",
    [
        cron("0 0 29 2 *"),
        RRule(text="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"),
        RRule(text="FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29"),
    ],
)
def test_leap_days_skip_the_year_2100(rule: Rule) -> None:
    expected = ["2092-02-29T00:00", "2096-02-29T00:00", "2104-02-29T00:00"]
    assert fires(rule, "UTC", "2090-01-01T00:00", 3) == expected


def test_dates_fire_once_each_in_order_and_local_to_the_zone() -> None:
    times = (datetime(2026, 7, 1, 9), datetime(2026, 1, 1, 9), datetime(2026, 7, 1, 7, tzinfo=UTC))
    found = fires(At(times=times), "Europe/Berlin", "2025-01-01T00:00", 5)
    assert found == ["2026-01-01T08:00", "2026-07-01T07:00"]


def test_start_and_end_are_inclusive_and_local() -> None:
    schedule = Schedule(
        id="x",
        rule=cron("0 9 * * *"),
        timezone="Europe/Berlin",
        start=datetime(2026, 7, 1, 9),
        end=datetime(2026, 7, 2, 9),
    )
    found = list(fire_times(schedule, datetime(2026, 1, 1, tzinfo=UTC)))
    assert found == [datetime(2026, 7, 1, 7, tzinfo=UTC), datetime(2026, 7, 2, 7, tzinfo=UTC)]


def test_an_anchor_is_a_phase_and_not_a_start() -> None:
    rule = Interval(every=timedelta(hours=5), anchor=datetime(2030, 1, 1, 3))
    assert fires(rule, "UTC", "2029-12-31T20:00", 3) == ["2029-12-31T22:00", "2030-01-01T03:00", "2030-01-01T08:00"]
    days = Interval(every=timedelta(days=2), anchor=datetime(2030, 1, 3, 9))
    assert fires(days, "UTC", "2029-12-30T00:00", 2) == ["2029-12-30T09:00", "2030-01-01T09:00"]


def test_an_aware_anchor_gives_the_local_clock_time() -> None:
    rule = Interval(every=timedelta(days=1), anchor=datetime(2020, 1, 1, 14, tzinfo=UTC))
    assert fires(rule, NEW_YORK, "2021-03-14T00:00", 1) == ["2021-03-14T13:00"]


def test_schedules_at_one_instant_give_one_entry_of_the_first_declared() -> None:
    schedules = [
        Schedule(id="off", rule=cron("* * * * *"), suspend=True),
        Schedule(id="a", rule=cron("0 */2 * * *")),
        Schedule(id="b", rule=cron("0 * * * *")),
    ]
    found = next_fire_times(schedules, datetime(2026, 1, 1, 0, 30, tzinfo=UTC), 4)
    assert [(instant.hour, schedule.id) for instant, schedule in found] == [(1, "b"), (2, "a"), (3, "b"), (4, "a")]
    assert next_fire_times(schedules, datetime(2026, 1, 1, tzinfo=UTC), 0) == []
    assert next_fire_times([], datetime(2026, 1, 1, tzinfo=UTC), 3) == []


def test_a_naive_start_is_rejected() -> None:
    with pytest.raises(ValueError, match="aware"):
        fire_times(Schedule(id="x", rule=cron("* * * * *")), datetime(2026, 1, 1))
