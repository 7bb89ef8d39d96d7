# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Cron fields: the same as cronsim in UTC, and clear words for what is wrong."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.calendar import check, fire_times
from controller.errors import ScheduleError
from controller.model.schedules import Cron, Schedule

NOW = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)


def field(low: int, high: int, *extra: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    step = st.integers(1, high).map(lambda size: f"*/{size}")
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda ends: f"{min(ends)}-{max(ends)}")
    several = st.lists(number | span, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), number, step, span, several, *(st.just(text) for text in extra))


EXPRESSIONS = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31, "L", "LW"),
    field(1, 12, "jan", "feb-apr"),
    field(0, 7, "mon-fri", "5#2", "0L"),
).map(" ".join)


@settings(max_examples=250, deadline=None)
@given(expression=EXPRESSIONS, after=st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))
def test_in_utc_a_cron_is_what_cronsim_says(expression: str, after: datetime) -> None:
    schedule = Schedule(id="x", rule=Cron(expression=expression))
    try:
        wanted = list(islice(CronSim(expression, after), 6))
    except CronSimError:
        with pytest.raises(ScheduleError):
            check(schedule, after)
        return
    assert list(islice(fire_times(schedule, after), 6)) == wanted


@settings(max_examples=100, deadline=None)
@given(expression=EXPRESSIONS)
def test_with_day_or_off_both_day_fields_must_match(expression: str) -> None:
    minute, hour, day, month, weekday = expression.split()
    schedule = Schedule(id="x", rule=Cron(expression=expression, day_or=False))
    try:
        found = list(islice(fire_times(schedule, NOW), 3))
        by_day = CronSim(f"{minute} {hour} {day} {month} *", NOW)
        by_weekday = CronSim(f"{minute} {hour} * {month} {weekday}", NOW)
    except (ScheduleError, CronSimError):
        return
    for instant in found:
        assert by_day.match_dom(instant)
        assert by_weekday.match_dow(instant)


@pytest.mark.parametrize(
    ("expression", "says", "hint"),
    [
        ("* * * * * *", "6 fields", "interval"),
        ("", "0 fields", "minute"),
        ("0 9 * *", "4 fields", "weekday"),
        ("61 * * * *", "minute '61'", "0-59"),
        ("0 24 * * *", "hour '24'", "0-23"),
        ("0 9 * * mno", "day-of-week 'mno'", "Sunday is 0 and 7"),
        ("0 9 * * mon-sun", "day-of-week", "may not wrap"),
        ("0 9 * foo *", "month 'foo'", "jan-dec"),
        ("0 9 32 * *", "day-of-month '32'", "1-31"),
        ("*/0 * * * *", "minute '*/0'", "0-59"),
        (f"{'9' * 900} * * * *", "minute", "0-59"),
        ("0 " * 600, "too long", "1000"),
        ("@dialy", "unknown cron name", "@daily"),
        ("@reboot", "unknown cron name", "@hourly"),
        ("0 0 30 2 *", "never fires", "L"),
        ("0 0 31 2,4,6,9,11 *", "never fires", "L"),
    ],
)
def test_what_is_wrong_is_named_with_a_hint(expression: str, says: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    assert says in raised.value.message
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize("expression", ["0 0 30 2 1", "0 0 31 * 1#1"])
def test_days_that_never_coincide_are_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match="never fires"):
        check(Schedule(id="x", rule=Cron(expression=expression, day_or=False)), NOW)


@settings(max_examples=150, deadline=None)
@given(expression=st.text("0123456789*/-,#LW @monfri", max_size=40) | st.text(max_size=30))
def test_any_text_either_fires_or_is_refused(expression: str) -> None:
    refusal = None
    try:
        check(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    except ScheduleError as error:
        refusal = error
    assert refusal is None or refusal.hint
