# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Cron expressions match cronsim in UTC, and errors have clear messages and working hints."""

import re
from datetime import UTC, datetime
from itertools import islice

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.schedules import Cron, Schedule
from controller.schedules import check_schedule, find_suspicious_steps, fire_times, parse_duration
from tests.thoroughness import scaled

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


@settings(max_examples=scaled(250), deadline=None)
@given(expression=EXPRESSIONS, after=st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))
def test_in_utc_a_cron_fires_as_in_cronsim(expression: str, after: datetime) -> None:
    schedule = Schedule(id="x", rule=Cron(expression=expression))
    try:
        wanted = list(islice(CronSim(expression, after), 6))
    except CronSimError:
        with pytest.raises(ScheduleError):
            check_schedule(schedule, after)
        return
    assert list(islice(fire_times(schedule, after), 6)) == wanted


@settings(max_examples=scaled(100), deadline=None)
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
        ("0 9 * * mno", "day-of-week 'mno'", "Sunday is 0 or 7"),
        ("0 9 * * mon#9", "day-of-week", "cannot wrap"),
        ("0 9 * foo *", "month 'foo'", "jan-dec"),
        ("0 9 32 * *", "day-of-month '32'", "1-31"),
        ("*/0 * * * *", "minute '*/0'", "0-59"),
        (f"{'9' * 900} * * * *", "minute", "0-59"),
        ("0 " * 600, "too long", "1000"),
        ("@dialy", "unknown cron name", "@daily"),
        ("@reboot", "start runs at boot", "controller trigger NAME"),
        ("0 0 30 2 *", "never fires", "L"),
        ("0 0 31 2,4,6,9,11 *", "never fires", "L"),
    ],
)
def test_an_error_is_reported_with_a_hint(expression: str, says: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_schedule(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    assert says in raised.value.message
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize("expression", ["0 0 30 2 1", "0 0 31 * 1#1"])
def test_days_that_never_coincide_are_rejected(expression: str) -> None:
    with pytest.raises(ScheduleError, match="never fires"):
        check_schedule(Schedule(id="x", rule=Cron(expression=expression, day_or=False)), NOW)


@settings(max_examples=scaled(150), deadline=None)
@given(expression=st.text("0123456789*/-,#LW @monfri", max_size=40) | st.text(max_size=30))
def test_any_text_either_fires_or_is_rejected(expression: str) -> None:
    refusal = None
    try:
        check_schedule(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    except ScheduleError as error:
        refusal = error
    assert refusal is None or refusal.hint


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("CRON_TZ=Europe/Berlin 0 9 * * *", 'write timezone: Europe/Berlin and cron: "0 9 * * *"'),
        ("TZ=Asia/Tokyo @daily", 'write timezone: Asia/Tokyo and cron: "@daily"'),
        ("TZ=UTC 0 0 12 * * ?", 'write timezone: UTC and cron: "0 12 * * *"'),
        ("0 9 * * * Europe/Berlin", 'write timezone: Europe/Berlin and cron: "0 9 * * *"'),
        ("0 9 * * ?", 'use `*` instead of `?`: write cron: "0 9 * * *"'),
        ("0 9 ? * mon-fri", 'use `*` instead of `?`: write cron: "0 9 * * mon-fri"'),
        ("0 0 12 * * ?", 'remove the seconds: write cron: "0 12 * * *"'),
        ("0 0 12 ? * 2-6", 'remove the seconds: write cron: "0 12 * * mon-fri"'),
        ("0 15 10 ? * 6L", 'remove the seconds: write cron: "15 10 * * 5L"'),
        ("0 15 10 ? * 6#3 *", 'remove the seconds: write cron: "15 10 * * 5#3"'),
        ("0 30 9 * * 1-5", 'remove the seconds: write cron: "30 9 * * 1-5"'),
        ("cron(15 10 ? * 6L *)", 'remove `cron( )` and the year: write cron: "15 10 * * 5L"'),
        ("0 9 * * * root /usr/bin/backup", 'write cron: "0 9 * * *", and put the program under command'),
        ("0 9 * * fri-mon", 'a range cannot wrap: write cron: "0 9 * * fri-sat,sun-mon"'),
        ("0 22-2 * * *", 'a range cannot wrap: write cron: "0 22-23,0-2 * * *"'),
        ("0 9 * * monday-friday", 'use three-letter names: write cron: "0 9 * * mon-fri"'),
        ("H/15 * * * *", '`H` is not supported: write cron: "*/15 * * * *" and jitter: 10m to spread the starts'),
        (
            "H(0-29)/10 * * * *",
            '`H` is not supported: write cron: "0-29/10 * * * *" and jitter: 10m to spread the starts',
        ),
        ("CRON_TZ=PST 0 9 * * *", 'write timezone: America/Los_Angeles and cron: "0 9 * * *"'),
        ("0 9 * * * # every morning", 'write cron: "0 9 * * *"'),
        ("every monday", 'write cron: "0 0 * * mon"'),
        ("every weekday at 9am", 'write cron: "0 9 * * mon-fri"'),
        ("daily at 09:30", 'write cron: "30 9 * * *"'),
        ("12:30 pm", 'write cron: "30 12 * * *"'),
        ("hourly", 'write cron: "@hourly"'),
        ("@minutely", 'write cron: "* * * * *"'),
        ("@quarterly", 'write cron: "0 0 1 */3 *"'),
        ("@weekdays", 'write cron: "0 0 * * mon-fri"'),
        ("Mon..Fri 09:00", 'write cron: "0 9 * * mon-fri"'),
        ("Mon,Wed *-*-* 18:30:00", 'write cron: "30 18 * * mon,wed"'),
        ("*-*-01 04:00:00", 'write cron: "0 4 1 * *"'),
        ("*:0/15", 'write cron: "0/15 * * * *"'),
        (
            "Mon *-*-1..7 18:00 Europe/Berlin",
            'write cron: "0 18 1-7 * mon" and timezone: Europe/Berlin and day_or: false',
        ),
        ("0 0 9 * * * 2027", 'write cron: "0 9 * * *", with start: 2027-01-01 and end: 2027-12-31T23:59:59'),
    ],
)
def test_the_cron_in_a_hint_for_a_foreign_notation_fires(expression: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_schedule(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    assert hint in (raised.value.hint or "")
    (written,) = re.findall(r'cron: "([^"]+)"', hint)
    assert check_schedule(Schedule(id="x", rule=Cron(expression=written)), NOW)


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("@every 1h30m", "1h30m"),
        ("@every 5 minutes", "5m"),
        ("every 10 seconds", "10s"),
        ("rate(1 hour)", "1h"),
        ("*/15 * * * * *", "15s"),
        ("* * * * * *", "1s"),
    ],
)
def test_expressions_that_are_not_clock_times_become_intervals(expression: str, interval: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_schedule(Schedule(id="x", rule=Cron(expression=expression)), NOW)
    assert f"write interval: {interval} instead of cron" in (raised.value.hint or "")
    assert parse_duration(interval)


@pytest.mark.parametrize(
    ("written", "same"),
    [("sat-sun", "0,6"), ("fri-0", "5,6,0"), ("mon-sun", "*"), ("sat-sun/2", "6"), ("tue-0,mon", "*")],
)
def test_a_range_of_weekdays_may_end_on_sunday(written: str, same: str) -> None:
    found, wanted = (
        list(islice(fire_times(Schedule(id="x", rule=Cron(expression=f"0 9 * * {days}")), NOW), 20))
        for days in (written, same)
    )
    assert found == wanted


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("*/70 * * * *", "minute 0 only", "interval: 70m"),
        ("0 */24 * * *", "hour 0 only", 'cron: "0 0 * * *"'),
        ("0-59/60 * * * *", "minute 0 only", 'cron: "0 * * * *"'),
        ("40/30 * * * *", "minute 40 only", 'cron: "40 * * * *"'),
        ("*/7 * * * *", "again after 4, not 7", "interval: 7m"),
        ("0 */5 * * *", "again after 4, not 5", "interval: 5h"),
        ("30 2 */2 * *", "again after 1 in the longest months", "interval: 2d and anchor_date: 2020-01-01T02:30"),
        ("0 9 * * */2", "again after 1, not 2", "interval: 2d and anchor_date: 2020-01-01T09:00"),
        ("0 0 1 */5 *", "again after 2, not 5", 'cron: "0 0 1 1,6,11 *"'),
        ("*/7 9-17 * * *", "again after 4, not 7", 'cron: "0,7,14,21,28,35,42,49,56 9-17 * * *"'),
    ],
)
def test_a_suspicious_step_is_reported_and_its_hint_has_none(expression: str, message: str, hint: str) -> None:
    (found,) = find_suspicious_steps(Cron(expression=expression))
    assert message in found.message
    assert hint in found.hint
    (written,) = re.findall(r'cron: "([^"]+)"', found.hint)
    assert find_suspicious_steps(Cron(expression=written)) == []
    wanted, same = (
        list(islice(fire_times(Schedule(id="x", rule=Cron(expression=text)), NOW), 20))
        for text in (expression, written)
    )
    assert same == wanted


@pytest.mark.parametrize(
    "expression", ["*/15 * * * *", "0 */6 * * *", "4 2-23/24 * * *", "5/15 * * * *", "0 16 */2 * sat", "@daily"]
)
def test_even_steps_and_explicit_ranges_cause_no_warning(expression: str) -> None:
    assert find_suspicious_steps(Cron(expression=expression)) == []
