"""Calendars, shifts and windows agree with a naive search day by day, and no search hangs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.calendars import Calendar, DateRange, Holidays, Outside, Shift, Window
from controller.model.schedules import At, Cron, Interval, RRule, Rule, Schedule
from controller.schedules import (
    check_schedule,
    describe,
    find_due,
    find_due_up_to,
    find_exclusion,
    find_latest_due,
    find_skipped,
    fire_times,
    next_fire_times,
    parse_clock,
    parse_weekdays,
    window_opening,
)
from controller.schedules.fire_time_search import due_times
from controller.schedules.holiday_data import check_holidays, holiday_names
from tests.thoroughness import scaled

BAVARIA = Calendar(name="de-by", holidays=Holidays(code="DE-BY"))
DAY = timedelta(days=1)


def dates(name: str, *ranges: tuple[str, str], **more: Any) -> Calendar:
    """A calendar of these ranges of days."""
    found = tuple(DateRange(first=date.fromisoformat(first), last=date.fromisoformat(last)) for first, last in ranges)
    return Calendar(name=name, dates=found, **more)


def schedule(rule: Rule | str, **more: Any) -> Schedule:
    """A schedule in Berlin."""
    rule = Cron(expression=rule) if isinstance(rule, str) else rule
    return Schedule(**{"id": "s", "rule": rule, "timezone": "Europe/Berlin", **more})


def local(times: Any, number: int, zone: str = "Europe/Berlin") -> list[str]:
    """The first instants as local times."""
    return [f"{time.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for time in islice(times, number)]


def test_the_public_holidays_of_bavaria_in_2026_are_known() -> None:
    # https://www.stmi.bayern.de/service/feiertage
    assert [f"{day:%m-%d}" for day in holiday_names(Holidays(code="DE-BY"), 2026)] == [
        *("01-01", "01-06", "04-03", "04-06", "05-01", "05-14", "05-25", "06-04", "10-03", "11-01", "12-25", "12-26")
    ]
    catholic = holiday_names(Holidays(code="DE-BY", categories=("public", "catholic")), 2026)
    assert date(2026, 8, 15) in catholic


def test_the_last_business_day_of_the_month_is_right() -> None:
    last = schedule("0 18 L * *", shift=Shift.PREVIOUS, business=(BAVARIA,))
    assert local(fire_times(last, datetime(2026, 1, 1, tzinfo=UTC)), 12) == [
        *("2026-01-30 18:00", "2026-02-27 18:00", "2026-03-31 18:00", "2026-04-30 18:00", "2026-05-29 18:00"),
        *("2026-06-30 18:00", "2026-07-31 18:00", "2026-08-31 18:00", "2026-09-30 18:00", "2026-10-30 18:00"),
        *("2026-11-30 18:00", "2026-12-31 18:00"),
    ]


def test_a_due_time_on_a_holiday_moves_to_the_next_business_day() -> None:
    first = schedule("30 7 1 * *", shift=Shift.NEXT, business=(BAVARIA,))
    assert local(fire_times(first, datetime(2026, 1, 1, tzinfo=UTC)), 5) == [
        *("2026-01-02 07:30", "2026-02-02 07:30", "2026-03-02 07:30", "2026-04-01 07:30", "2026-05-04 07:30")
    ]


def test_due_times_that_move_to_the_same_instant_are_one() -> None:
    daily = schedule("0 9 * * *", shift=Shift.NEXT)
    assert local(fire_times(daily, datetime(2026, 6, 5, 12, tzinfo=UTC)), 2) == ["2026-06-08 09:00", "2026-06-09 09:00"]
    monday = schedule("0 9 * * mon", id="monday")
    entries = next_fire_times([daily, monday], datetime(2026, 6, 5, 12, tzinfo=UTC), 2)
    assert [f"{time:%m-%d}" for time, _ in entries] == ["06-08", "06-09"]


def test_an_excluded_day_is_due_but_does_not_fire() -> None:
    daily = schedule("0 9 * * *", exclude=(BAVARIA,))
    after = datetime(2026, 12, 24, 12, tzinfo=UTC)
    assert local(fire_times(daily, after), 2) == ["2026-12-27 09:00", "2026-12-28 09:00"]
    due = find_due([daily], after, after + 3 * DAY, 10).times
    assert [find_exclusion(owner, time) for time, owner in due] == [
        "calendar de-by: Christmas Day",
        "calendar de-by: Second Day of Christmas",
        None,
    ]
    assert find_due_up_to([daily], after, after + 3 * DAY, 10) == [due[2]]
    assert find_due_up_to([daily], after, after + 3 * DAY, 10, with_excluded=True) == list(due)


def test_the_latest_due_time_is_the_last_one_that_is_not_skipped() -> None:
    office = Window(weekdays=frozenset(range(5)), start=parse_clock("08:00"), end=parse_clock("18:00"))
    friday = datetime(2026, 6, 5, 18, tzinfo=UTC)
    for every in (timedelta(seconds=1), timedelta(minutes=15)):
        often = schedule(Interval(every=every), timezone="UTC", windows=(office,), outside=Outside.SKIP)
        monday = friday + 2.5 * DAY
        assert find_latest_due([often], friday - 400 * DAY, monday) == friday - every
        assert find_latest_due([often], friday, monday) is None
        assert find_latest_due([often, schedule("0 3 * * *", timezone="UTC")], friday, monday) == monday - DAY / 8
        assert find_latest_due([often], friday - DAY / 2, friday - DAY / 4) == friday - DAY / 4


def test_the_first_skipped_due_times_are_listed() -> None:
    daily = schedule("0 9 * * *", exclude=(BAVARIA,))
    after = datetime(2026, 12, 24, 12, tzinfo=UTC)
    holiday = schedule("0 9 26 * *", only=(BAVARIA,), id="holiday")
    assert [f"{time:%m-%d}" for time, _ in find_skipped([daily], after, after + 400 * DAY, 4)] == ["12-25", "12-26"]
    assert [f"{time:%m-%d}" for time, _ in find_skipped([daily, holiday], after, after + 3 * DAY, 9)] == ["12-25"]


def test_a_schedule_that_skips_an_instant_gives_way_to_another() -> None:
    usual = schedule("0 9 * * *", exclude=(BAVARIA,))
    holiday = schedule("0 9 * * *", only=(BAVARIA,), id="holiday")
    after = datetime(2026, 12, 24, tzinfo=UTC)
    due = find_due([usual, holiday], after, after + 4 * DAY, 10).times
    assert [owner.id for _, owner in due] == ["s", "holiday", "holiday", "s"]
    assert next_fire_times([usual, holiday], after, 4) == list(due)


def test_a_day_is_one_of_the_time_zone_of_the_schedule() -> None:
    new_year = dates("new-year", ("2027-01-01", "2027-01-01"))
    auckland = schedule("30 0 * * *", timezone="Pacific/Auckland", exclude=(new_year,))
    after = datetime(2026, 12, 30, 10, tzinfo=UTC)
    assert local(fire_times(auckland, after), 2, "Pacific/Auckland") == ["2026-12-31 00:30", "2027-01-02 00:30"]
    zoned = RRule(text="DTSTART;TZID=Pacific/Auckland:20260101T003000\nRRULE:FREQ=DAILY")
    assert list(islice(fire_times(replace(auckland, rule=zoned, timezone="UTC"), after), 2)) == list(
        islice(fire_times(auckland, after), 2)
    )


@pytest.mark.parametrize(
    ("outside", "expected"),
    [
        (Outside.WAIT, ["2026-06-05 17:00", "2026-06-05 23:00"]),
        (Outside.SKIP, ["2026-06-05 17:00", "2026-06-08 11:00"]),
    ],
)
def test_windows_leave_out_due_times_only_if_they_skip(outside: Outside, expected: list[str]) -> None:
    hours = Window(weekdays=parse_weekdays("mon-fri"), start=parse_clock("08:00"), end=parse_clock("18:00"))
    six = schedule("0 5,11,17,23 * * *", windows=(hours,), outside=outside)
    after = datetime(2026, 6, 5, 10, tzinfo=UTC)
    assert local(fire_times(six, after), 2) == expected
    opening = window_opening(six, datetime(2026, 6, 5, 21, tzinfo=UTC))
    assert opening == datetime(2026, 6, 8, 6, tzinfo=UTC)


def test_a_window_may_end_on_the_following_day() -> None:
    night = Window(weekdays=parse_weekdays("fri"), start=parse_clock("22:00"), end=parse_clock("06:00"))
    hourly = schedule("0 * * * *", windows=(night,), outside=Outside.SKIP)
    times = local(fire_times(hourly, datetime(2026, 6, 1, tzinfo=UTC)), 9)
    assert times[0] == "2026-06-05 22:00"
    assert times[7:] == ["2026-06-06 05:00", "2026-06-12 22:00"]
    whole = Window(weekdays=parse_weekdays("sat"), start=parse_clock("00:00"), end=parse_clock("24:00"))
    saturday = schedule("0 */12 * * *", windows=(whole,), outside=Outside.SKIP)
    assert local(fire_times(saturday, datetime(2026, 6, 1, tzinfo=UTC)), 3) == [
        *("2026-06-06 00:00", "2026-06-06 12:00", "2026-06-13 00:00")
    ]


FOREVER = (("0001-01-01", "9999-12-31"),)
MAKERS: list[Callable[[Schedule], Schedule]] = [
    lambda each: replace(each, exclude=(dates("ever", *FOREVER),)),
    lambda each: replace(each, only=(dates("none", ("1990-01-01", "1990-01-02")),)),
    lambda each: replace(each, shift=Shift.NEXT, business=(dates("ever", *FOREVER),)),
    lambda each: replace(each, shift=Shift.PREVIOUS, business=(dates("ever", *FOREVER),)),
]


@pytest.mark.parametrize(
    "rule", [Cron(expression="* * * * *"), Interval(every=timedelta(minutes=1)), RRule(text="FREQ=MINUTELY")]
)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_search_among_days_that_are_all_left_out_ends(rule: Rule, maker: Callable[[Schedule], Schedule]) -> None:
    never = maker(schedule(rule, timezone="UTC"))
    assert next(fire_times(never, datetime(2026, 1, 1, tzinfo=UTC)), None) is None


def test_a_schedule_whose_calendars_leave_out_everything_is_invalid() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ScheduleError, match="calendars and windows leave out all"):
        check_schedule(schedule("0 9 * * sat", exclude=(dates("ever", *FOREVER),)), now)
    ended = schedule("0 9 * * *", only=(dates("party", ("2020-06-01", "2020-06-01")),))
    assert check_schedule(ended, now) is False
    nowhere = At(times=(datetime(2026, 12, 25, 9),))  # noqa: DTZ001
    with pytest.raises(ScheduleError, match="calendars and windows leave out all"):
        check_schedule(schedule(nowhere, exclude=(BAVARIA,)), now)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("DE-BX", "write DE-BB, "),
        ("Germany", "write DE"),
        ("XNYZ", "did you mean"),
        ("XNYS-NY", "write XNYS"),
    ],
)
def test_unknown_holidays_have_a_hint(code: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        check_holidays(Holidays(code=code))
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_an_unknown_category_is_named() -> None:
    with pytest.raises(ScheduleError, match="bank"):
        check_holidays(Holidays(code="DE-BY", categories=("bank",)))


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "America/Sao_Paulo", "Africa/Casablanca")
CRONS = ("0 9 * * *", "30 2 * * *", "0 18 L * *", "15 0 1,15 * *", "0 6,12 * * mon,sat", "59 23 13 * *", "0 */6 * * *")


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Any calendar with days from 2025 to 2027."""
    if draw(st.booleans()):
        return BAVARIA
    days = st.dates(date(2025, 12, 1), date(2026, 12, 31))
    ranges = draw(st.lists(st.tuples(days, st.integers(0, 40)), max_size=6))
    weekend = draw(st.sampled_from([frozenset({5, 6}), frozenset({4, 5}), frozenset[int]()]))
    return Calendar(
        name="any", dates=tuple(DateRange(first=day, last=day + more * DAY) for day, more in ranges), weekend=weekend
    )


def is_in(calendar: Calendar, day: date) -> bool:
    """Whether the day is in the calendar, without any cache or index."""
    if calendar.holidays:
        return day in holiday_names(calendar.holidays, day.year)
    return any(each.first <= day <= each.last for each in calendar.dates)


def oracle(plain: list[datetime], each: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """The fire times in (after, until], from those without calendars: each is looked at on its own."""
    zone, step = ZoneInfo(each.timezone), DAY if each.shift is Shift.NEXT else -DAY

    def is_business(day: date) -> bool:
        return (
            day.weekday() not in (5, 6) and True
            if not each.business
            else all(not is_in(calendar, day) and day.weekday() not in calendar.weekend for calendar in each.business)
        )

    moved = set()
    for instant in plain:
        wall = instant.astimezone(zone)
        day = wall.date()
        if each.shift is not Shift.NONE:
            while not is_business(day) and abs(day - wall.date()) <= 31 * DAY:
                day += step
            if abs(day - wall.date()) > 31 * DAY:
                continue
        if day != wall.date():
            [instant] = list(
                fire_times(schedule(At(times=(datetime.combine(day, wall.time()),)), timezone=each.timezone), EARLY)
            )
        excluded = any(is_in(calendar, day) for calendar in each.exclude)
        if not excluded and (not each.only or any(is_in(calendar, day) for calendar in each.only)):
            moved.add(instant)
    return sorted(instant for instant in moved if after < instant <= until)


EARLY = datetime(2020, 1, 1, tzinfo=UTC)


@settings(max_examples=scaled(300), deadline=None)
@given(
    st.sampled_from(CRONS),
    st.sampled_from(ZONES),
    st.sampled_from(Shift),
    st.lists(calendars(), max_size=2),
    st.lists(calendars(), max_size=1),
    st.lists(calendars(), max_size=1),
    st.integers(0, 8000),
)
def test_fire_times_are_those_of_a_search_day_by_day(
    text: str,
    zone: str,
    shift: Shift,
    business: list[Calendar],
    exclude: list[Calendar],
    only: list[Calendar],
    hours: int,
) -> None:
    each = schedule(
        text, timezone=zone, shift=shift, business=tuple(business), exclude=tuple(exclude), only=tuple(only)
    )
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    until = after + 20 * DAY
    plain = replace(each, shift=Shift.NONE, business=(), exclude=(), only=())
    near = [each for each in islice(fire_times(plain, after - 33 * DAY), 400) if each <= until + 33 * DAY]
    expected = oracle(near, each, after, until)
    actual = []
    for instant in fire_times(each, after):
        if instant > until:
            break
        actual.append(instant)
    assert actual == expected
    times = find_due([each], after, until, 1000).times
    assert [instant for instant, _ in times if find_exclusion(each, instant) is None] == expected
    for instant in expected[:3]:  # the answer does not depend on where the search begins
        assert next(due_times(each, instant - timedelta(microseconds=1))) == instant


def test_words_name_calendars_and_windows() -> None:
    hours = Window(weekdays=parse_weekdays("mon-fri"), start=parse_clock("08:00"), end=parse_clock("18:00"))
    freeze = dates("freeze", ("2026-12-24", "2026-12-24"))
    last = schedule("0 18 L * *", shift=Shift.PREVIOUS, business=(BAVARIA,), exclude=(freeze, BAVARIA))
    assert describe(last) == (
        "at 18:00 on the last day of the month, Europe/Berlin, moved to the previous business day of de-by, "
        "except freeze and de-by"
    )
    assert describe(schedule("0 * * * *", only=(freeze,), windows=(hours,))) == (
        "every hour, Europe/Berlin, only on days of freeze, starts only in mon-fri 08:00-18:00"
    )
    hourly = Schedule(id="x", rule=Interval(every=timedelta(hours=1)), timezone="Europe/Berlin", windows=(hours,))
    assert describe(hourly) == "every hour, Europe/Berlin, starts only in mon-fri 08:00-18:00"


def test_holidays_that_the_package_does_not_have_any_more_have_no_days() -> None:
    gone = Calendar(name="gone", holidays=Holidays(code="ZZ"))
    daily = schedule("0 9 * * *", exclude=(gone,), shift=Shift.NEXT, business=(gone,))
    assert local(fire_times(daily, datetime(2026, 12, 24, 12, tzinfo=UTC)), 1) == ["2026-12-25 09:00"]
