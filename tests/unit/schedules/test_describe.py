# ruff: noqa: DTZ001 - naive local times are what is tested here
"""Descriptions of schedules: the exact line for common rules, and one printable line for anything else."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.schedules import At, Cron, Interval, RRule, Rule, Schedule
from controller.schedules import check_schedule, describe
from tests.thoroughness import scaled

BERLIN = "Europe/Berlin"

CRONS = [
    ("30 2 * * mon-fri", "at 02:30, Monday to Friday"),
    ("30 2 * * 1-5", "at 02:30, Monday to Friday"),
    ("0 9 * * *", "every day at 09:00"),
    ("@daily", "every day at 00:00"),
    ("@weekly", "at 00:00 on Sunday"),
    ("@yearly", "at 00:00 on 1 January"),
    ("* * * * *", "every minute"),
    ("*/15 * * * *", "every 15 minutes"),
    ("0,30 * * * *", "every 30 minutes"),
    ("5-59/10 * * * *", "every 10 minutes from minute 5"),
    ("*/7 * * * *", "every 7 minutes from minute 0 to 56 of every hour"),
    ("5,20,21 * * * *", "at minutes 5, 20 and 21 of every hour"),
    ("@hourly", "every hour"),
    ("7 * * * *", "every hour at minute 7"),
    ("0 */2 * * *", "every 2 hours"),
    ("30 1-23/2 * * *", "every 2 hours from 01:30"),
    ("0 8-18/2 * * *", "every 2 hours from 08:00 to 18:00"),
    ("0 */6 * * *", "every day at 00:00, 06:00, 12:00 and 18:00"),
    ("0 0,3,7,9,12 * * *", "every day at 00:00, 03:00, 07:00, 09:00 and 12:00"),
    ("*/15 9-17 * * mon-fri", "every 15 minutes from 09:00 to 17:45, Monday to Friday"),
    ("0-10 11 * * *", "every minute from 11:00 to 11:10"),
    ("5,20 9-17 * * *", "at minutes 5 and 20 of hours 9 to 17"),
    ("*/5 2,4 * * *", "every 5 minutes of hours 2 and 4"),
    ("0 9 * * 1", "at 09:00 on Monday"),
    ("0 9 * * mon,fri", "at 09:00 on Monday and Friday"),
    ("0 9 * * 6,7", "at 09:00 on Saturday and Sunday"),
    ("0 9 * * 0-4", "at 09:00, Sunday to Thursday"),
    ("0 9 * * 0-6", "every day at 09:00"),
    ("0 9 * 6-8 1-5", "at 09:00, Monday to Friday, from June to August"),
    ("0 9 * 1,7 *", "every day in January and July at 09:00"),
    ("*/5 * * 12 *", "every 5 minutes in December"),
    ("0 0 1 * *", "at 00:00 on the 1st of the month"),
    ("0 0 1,15,22 * *", "at 00:00 on the 1st, 15th and 22nd of the month"),
    ("0 0 1-7 * *", "at 00:00 on the 1st to 7th of the month"),
    ("0 0 */2 * *", "at 00:00 on every second day from the 1st to the 31st of the month"),
    ("0 0 1 */3 *", "at 00:00 on the 1st of January, April, July and October"),
    ("0 0 L * *", "at 00:00 on the last day of the month"),
    ("0 0 1,L * *", "at 00:00 on the 1st and last day of the month"),
    ("0 0 LW 1 *", "at 00:00 on the last weekday of January"),
    ("0 0 1,LW * *", "at 00:00 on the 1st of the month and on the last weekday of the month"),
    ("0 0 * * 5#2", "at 00:00 on the second Friday of the month"),
    ("0 0 * * 1#1,5L", "at 00:00 on the first Monday and last Friday of the month"),
    ("0 0 13 * 5", "at 00:00 on the 13th of the month or on Friday"),
    ("0 0 13 6 5", "at 00:00 on the 13th of the month or on Friday, in June"),
    ("0 0 1-31 * 1", "every day at 00:00"),
    ("61 * * * *", "cron 61 * * * *"),
]

RRULES = [
    ("FREQ=DAILY", "every day at 00:00, Europe/Berlin"),
    ("FREQ=DAILY;BYHOUR=9,17;BYSECOND=30", "every day at 09:00:30 and 17:00:30, Europe/Berlin"),
    ("FREQ=DAILY;INTERVAL=3", "every 3 days at 00:00, Europe/Berlin, counted from 2020-01-01"),
    (
        "FREQ=DAILY;INTERVAL=2;BYDAY=MO",
        "every 2 days, but only on Monday, at 00:00, Europe/Berlin, counted from 2020-01-01",
    ),
    ("FREQ=DAILY;BYMONTH=6,7,8", "every day from June to August at 00:00, Europe/Berlin"),
    ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=2;BYMINUTE=30", "at 02:30, Monday to Friday, Europe/Berlin"),
    ("FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9", "weekly on Monday and Friday at 09:00, Europe/Berlin"),
    ("FREQ=WEEKLY;BYDAY=TU,WE,TH;BYHOUR=9", "weekly, Tuesday to Thursday, at 09:00, Europe/Berlin"),
    ("FREQ=WEEKLY;UNTIL=20261231", "weekly on Wednesday at 00:00, Europe/Berlin, until 2026-12-31"),
    ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18", "on the last Friday of the month at 18:00, Europe/Berlin"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-2,-1", "on the 1st, second to last and last day of the month at 00:00, Europe/Berlin"),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "on the last weekday of the month at 00:00, Europe/Berlin"),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1",
        "on Monday and Tuesday at 00:00, only the first of each month, Europe/Berlin",
    ),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "on the 13th of the month, but only on Friday, at 00:00, Europe/Berlin"),
    (
        "FREQ=MONTHLY;INTERVAL=3",
        "every 3 months on the 1st of the month at 00:00, Europe/Berlin, counted from 2020-01-01",
    ),
    ("FREQ=YEARLY", "yearly on 1 January at 00:00, Europe/Berlin"),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=2SU", "yearly on the second Sunday of March at 00:00, Europe/Berlin"),
    ("FREQ=YEARLY;BYDAY=20MO", "yearly on the 20th Monday of the year at 00:00, Europe/Berlin"),
    ("FREQ=YEARLY;BYYEARDAY=100,-1", "yearly on day 100 and the last day of the year at 00:00, Europe/Berlin"),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "yearly in week 20 on Monday at 00:00, Europe/Berlin"),
    ("FREQ=HOURLY", "every hour, Europe/Berlin"),
    ("FREQ=HOURLY;INTERVAL=3;BYMINUTE=30;BYDAY=MO", "every 3 hours at minute 30, on Monday, Europe/Berlin"),
    ("FREQ=HOURLY;BYHOUR=9,10,11", "every hour in hours 9 to 11, Europe/Berlin"),
    ("FREQ=MINUTELY;INTERVAL=7", "every 7 minutes, Europe/Berlin, counted from 2020-01-01"),
    (
        "DTSTART:20260101T090000\nRRULE:FREQ=DAILY;COUNT=10",
        "every day at 09:00, Europe/Berlin, from 2026-01-01 09:00, 10 times",
    ),
    (
        "RRULE:FREQ=DAILY;BYHOUR=9\nRRULE:FREQ=WEEKLY;BYDAY=SA;BYHOUR=12\nEXDATE:20261225",
        "every day at 09:00; also weekly on Saturday at 12:00, Europe/Berlin, but not on 2026-12-25",
    ),
    (
        "FREQ=DAILY;UNTIL=20261231T080000Z\nRDATE:20270101T100000",
        "every day at 00:00, Europe/Berlin, until 2026-12-31 09:00, also once at 2027-01-01 10:00",
    ),
    ("RDATE:20270101T100000,20270102", "once each at 2027-01-01 10:00 and 2027-01-02 00:00, Europe/Berlin"),
    ("FREQ=DAILYY", "rrule FREQ=DAILYY, Europe/Berlin"),
]


def every(hours: float, anchor: datetime | None = None) -> Interval:
    return Interval(every=timedelta(hours=hours), anchor=anchor)


TABLE: list[tuple[Rule, str]] = [
    (every(0.25), "every 15 minutes"),
    (every(1), "every hour"),
    (every(1.5), "every 1 hour 30 minutes"),
    (every(36), "every 36 hours, Europe/Berlin, counted from 2020-01-01 00:00"),
    (every(2, datetime(2026, 1, 1, 9, 5)), "every 2 hours, Europe/Berlin, counted from 2026-01-01 09:05"),
    (every(2, datetime(2026, 1, 1, 9, 5, tzinfo=UTC)), "every 2 hours, counted from 2026-01-01 09:05 UTC"),
    (every(24, datetime(2020, 1, 1, 9)), "every day at 09:00, Europe/Berlin"),
    (every(48), "every 2 days at 00:00, Europe/Berlin, counted from 2020-01-01"),
    (every(24 * 7), "every week on Wednesday at 00:00, Europe/Berlin"),
    (
        every(24 * 14, datetime(2026, 1, 5, 8, tzinfo=UTC)),
        "every 2 weeks on Monday at 09:00, Europe/Berlin, counted from 2026-01-05",
    ),
    (every(0), "interval 0:00:00, Europe/Berlin"),
    (At(times=(datetime(2026, 1, 1, 9),)), "once at 2026-01-01 09:00, Europe/Berlin"),
    (At(times=(datetime(2026, 1, 1, 9, tzinfo=UTC),)), "once at 2026-01-01 09:00 UTC"),
    (
        At(times=tuple(datetime(2026, 1, day) for day in range(1, 9))),
        "once each at 2026-01-01 00:00, 2026-01-02 00:00 and 6 more, Europe/Berlin",
    ),
    (At(times=()), "at no time"),
    (
        Cron(expression="0 0 13 * 5", day_or=False),
        "at 00:00 on the 13th of the month, but only on Friday, Europe/Berlin",
    ),
]


TABLE += [(Cron(expression=text), f"{words}, {BERLIN}") for text, words in CRONS]
TABLE += [(RRule(text=text), words) for text, words in RRULES]


@pytest.mark.parametrize(("rule", "words"), TABLE)
def test_a_schedule_is_described_in_english(rule: Rule, words: str) -> None:
    assert describe(Schedule(id="x", rule=rule, timezone=BERLIN)) == words


def test_start_end_and_suspension_are_described_with_their_zone() -> None:
    bounded = Schedule(
        id="x",
        rule=Cron(expression="0 9 * * *"),
        timezone=BERLIN,
        start=datetime(2026, 1, 1),
        end=datetime(2026, 12, 31, tzinfo=timezone(timedelta(hours=2))),
        suspend=True,
    )
    words = "every day at 09:00, Europe/Berlin, from 2026-01-01 00:00, until 2026-12-31 00:00+02:00 (suspended)"
    assert describe(bounded) == words
    absolute = Schedule(id="x", rule=every(1), timezone=BERLIN, end=datetime(2026, 12, 31, 8))
    assert describe(absolute) == "every hour, Europe/Berlin, until 2026-12-31 08:00"


@pytest.mark.parametrize(
    ("jitter", "words"),
    [
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(seconds=90), "1 minute 30 seconds"),
        (timedelta(days=1), "1 day"),
        (timedelta(milliseconds=1500), "1.5 seconds"),
    ],
)
def test_jitter_is_described_and_moves_no_time(jitter: timedelta, words: str) -> None:
    daily = Schedule(id="x", rule=Cron(expression="0 9 * * *"), timezone=BERLIN, jitter=jitter, suspend=True)
    assert describe(daily) == f"every day at 09:00, Europe/Berlin, up to {words} later (suspended)"
    hourly = Schedule(id="x", rule=every(1), jitter=jitter, end=datetime(2026, 12, 31, 8))
    assert describe(hourly) == f"every hour, UTC, up to {words} later, until 2026-12-31 08:00"


def test_the_zone_of_dtstart_is_shown() -> None:
    rule = RRule(text="DTSTART;TZID=America/New_York:20260106T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU")
    words = "every 2 weeks on Tuesday at 09:00, America/New_York, from 2026-01-06 09:00"
    assert describe(Schedule(id="x", rule=rule)) == words


FIELDS = st.text("0123456789*/-,#LW ", max_size=20) | st.sampled_from(["*", "*/5", "1-5", "mon-fri", "L", "LW", "1,9"])
PARTS = st.sampled_from(
    [
        *(
            "INTERVAL=2",
            "INTERVAL=7",
            "BYDAY=MO,SU",
            "BYDAY=MO,TU,WE,TH,FR",
            "BYDAY=-1FR,MO",
            "BYMONTH=2,3,4",
            "COUNT=3",
        ),
        *(
            "BYMONTHDAY=1,-1",
            "BYYEARDAY=-1,5",
            "BYWEEKNO=1,-1",
            "BYHOUR=1,2,3",
            "BYHOUR=0,6,12,18",
            "BYMINUTE=0,15,30,45",
        ),
        *("BYSECOND=0,1,2,3,4,5", "BYSETPOS=1,-1", "UNTIL=20300101", "WKST=SU", "BYMINUTE=7"),
    ]
)
FREQUENCIES = st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"])
TEXTS = st.tuples(FREQUENCIES, st.lists(PARTS, max_size=4)).map(lambda said: f"FREQ={said[0]};{';'.join(said[1])}")
RULES: st.SearchStrategy[Rule] = st.one_of(
    st.lists(FIELDS, min_size=5, max_size=5).map(lambda parts: Cron(expression=" ".join(parts))),
    st.text(max_size=40).map(lambda text: Cron(expression=text)),
    TEXTS.map(lambda text: RRule(text=text)),
    TEXTS.map(lambda text: RRule(text=f"DTSTART:20260101T093000\nRRULE:{text}\nEXDATE:20270101")),
    st.text(max_size=80).map(lambda text: RRule(text=text)),
    st.builds(
        Interval, every=st.timedeltas(), anchor=st.none() | st.datetimes() | st.datetimes(timezones=st.just(UTC))
    ),
    st.builds(At, times=st.lists(st.datetimes() | st.datetimes(timezones=st.just(UTC)), max_size=5).map(tuple)),
)


@settings(max_examples=scaled(400), deadline=None)
@given(
    rule=RULES,
    zone=st.sampled_from(["UTC", BERLIN, "Etc/GMT+12", "Nowhere"]) | st.text(max_size=10),
    suspend=st.booleans(),
)
def test_any_schedule_is_one_line_that_a_terminal_can_show(rule: Rule, zone: str, suspend: bool) -> None:
    said = describe(Schedule(id="x", rule=rule, timezone=zone, suspend=suspend, end=datetime(9999, 12, 31)))
    assert said.isprintable()
    assert 0 < len(said) <= 420
    assert "  " not in said


@settings(max_examples=scaled(200), deadline=None)
@given(text=TEXTS)
def test_any_valid_rule_has_a_description_with_clean_punctuation(text: str) -> None:
    schedule = Schedule(id="x", rule=RRule(text=f"DTSTART:20260101T093000\nRRULE:{text}"))
    try:
        check_schedule(schedule, datetime(2026, 1, 1, tzinfo=UTC))
    except ScheduleError:
        return
    said = describe(schedule)
    assert not said.startswith("rrule")
    assert not any(wrong in said for wrong in ("  ", ",,", " ,", "only,", "on,"))
