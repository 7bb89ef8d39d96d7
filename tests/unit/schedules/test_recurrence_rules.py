# ruff: noqa: DTZ001 - naive local times are what is tested here
"""RRULE matches dateutil where dateutil is correct, and the search for fire times is limited."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.schedules import Dst, Gap, RRule, Schedule
from controller.schedules import check_schedule, fire_times
from controller.schedules.rrule import expand
from tests.thoroughness import scaled

NOW = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
EVERY = ",".join(str(number) for number in range(60))


def schedule(text: str, zone: str = "UTC") -> Schedule:
    return Schedule(id="x", rule=RRule(text=text), timezone=zone)


def fires(text: str, after: datetime = NOW, n: int = 3, zone: str = "UTC") -> list[str]:
    return [f"{instant:%Y-%m-%dT%H:%M}" for instant in islice(fire_times(schedule(text, zone), after), n)]


def some(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high).filter(bool) if low < 0 else st.integers(low, high)
    return st.lists(numbers.map(str), min_size=1, max_size=4, unique=True).map(",".join)


NAMES = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=4, unique=True)
NUMBERED = st.lists(st.sampled_from(["1MO", "-1FR", "2SU", "3WE", "-2TU"]), min_size=1, max_size=2, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]
    optional = {"BYMONTH": some(1, 12), "BYHOUR": some(0, 23), "BYMINUTE": some(0, 59)}
    optional["BYDAY"] = (NUMBERED if frequency in ("YEARLY", "MONTHLY") and draw(st.booleans()) else NAMES).map(
        ",".join
    )
    optional["BYMONTHDAY"] = some(-28, 28)
    if frequency == "YEARLY":
        optional["BYYEARDAY"] = some(-300, 300)
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True)):
        parts.append(f"{name}={draw(optional[name])}")
    if len(parts) > 2 and frequency in ("YEARLY", "MONTHLY", "DAILY") and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(st.sampled_from(['1', '-1', '1,-1']))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}")
    return ";".join(parts)


@settings(max_examples=scaled(200), deadline=None)
@given(text=rules(), start=st.datetimes(datetime(2020, 1, 1), datetime(2020, 12, 31)))
def test_a_rule_fires_as_in_dateutil(text: str, start: datetime) -> None:
    start = start.replace(microsecond=0)
    until = start + timedelta(days=2000 if "LY;INTERVAL" in text and "MINUTELY" not in text else 300)
    begin = f"DTSTART:{start:%Y%m%dT%H%M%S}"
    ours = schedule(f"{begin}\nRRULE:{text}")
    found = list(islice(fire_times(ours, datetime(2020, 1, 1, tzinfo=UTC) - timedelta(days=1)), 16))
    bounded = f"{begin}\nRRULE:{text};UNTIL={until:%Y%m%dT%H%M%S}"
    if not found or found[0].replace(tzinfo=None) > until:
        return  # rare or impossible: dateutil would walk to the year 9999
    try:
        wanted: Iterator[datetime] = iter(rrulestr(bounded))
        naive = [instant.replace(tzinfo=None) for instant in found if instant.replace(tzinfo=None) <= until]
        assert naive == list(islice(wanted, len(naive)))
    except ValueError as error:  # dateutil refuses phases that its own BYHOUR or BYMINUTE never meets
        assert "empty" in str(error)  # noqa: PT017
        return
    late = found[len(found) // 2]
    assert list(islice(fire_times(ours, late), 3)) == found[len(found) // 2 + 1 :][:3] or len(found) < 5


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=HOURLY;BYMINUTE=0,15,30,45;BYSETPOS=-1",
        "FREQ=HOURLY;INTERVAL=3;BYMINUTE=5,10,50;BYSETPOS=1,-1",
        "FREQ=HOURLY;BYHOUR=9,10;BYMINUTE=5,10;BYSETPOS=2",
        "FREQ=MINUTELY;INTERVAL=7;BYSECOND=0,20,40;BYSETPOS=2",
    ],
)
def test_positions_in_an_hour_or_a_minute_match_dateutil(text: str) -> None:
    begin = "DTSTART:20260101T000000"
    wanted = list(islice(iter(rrulestr(f"{begin}\nRRULE:{text}")), 40))
    found = islice(fire_times(schedule(f"{begin}\nRRULE:{text}"), datetime(2025, 12, 31, tzinfo=UTC)), 40)
    assert [instant.replace(tzinfo=None) for instant in found] == wanted


@pytest.mark.parametrize(
    ("spaced", "same"),
    [
        ("FREQ=WEEKLY;BYDAY=MO, WE", "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("FREQ = WEEKLY ; BYDAY = MO , WE", "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE: FREQ=DAILY; BYHOUR=9", "RRULE:FREQ=DAILY;BYHOUR=9"),
        (
            "DTSTART:20260101T090000 RRULE:FREQ=DAILY; EXDATE:20260506",
            "DTSTART:20260101T090000\nRRULE:FREQ=DAILY\nEXDATE:20260506",
        ),
    ],
)
def test_spaces_around_the_punctuation_of_a_rule_are_ignored(spaced: str, same: str) -> None:
    assert fires(spaced) == fires(same) != []


@pytest.mark.parametrize("week_start", ["MO", "SU", "TH"])
@pytest.mark.parametrize("weeks", ["1", "20", "1,30"])
def test_week_numbers_match_dateutil(week_start: str, weeks: str) -> None:
    text = f"DTSTART:20200101T000000\nRRULE:FREQ=YEARLY;BYWEEKNO={weeks};BYDAY=TU,FR;WKST={week_start}"
    wanted = [moment.replace(tzinfo=UTC) for moment in islice(rrulestr(text), 20)]
    assert list(islice(fire_times(schedule(text), datetime(2019, 1, 1, tzinfo=UTC)), 20)) == wanted


@pytest.mark.parametrize("week", [1, 2, 26, 52, 53])
def test_week_numbers_match_iso_8601(week: int) -> None:
    # Not compared with dateutil: for days of the last week in January, it uses the length of the wrong year.
    text = f"DTSTART:20200101T000000\nRRULE:FREQ=YEARLY;BYWEEKNO={week};BYDAY=MO,TU,WE,TH,FR,SA,SU"
    days = (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(366 * 40))
    wanted = [day for day in days if day.isocalendar().week == week]
    found = fire_times(schedule(text), datetime(2019, 1, 1, tzinfo=UTC))
    assert list(islice(found, len(wanted))) == wanted


def test_the_last_week_is_counted_from_the_end_of_its_year() -> None:
    found = islice(fire_times(schedule("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=FR"), NOW), 8)
    assert [moment.isocalendar()[:2] for moment in found] == [
        (year, datetime(year, 12, 28).isocalendar().week) for year in range(2026, 2034)
    ]


def test_a_position_counts_in_the_whole_week_of_dtstart() -> None:
    # 2020-01-01 is a Wednesday. In dateutil the first week begins there, so it fires on that day.
    text = "DTSTART:20200101T000000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1"
    assert fires(text, datetime(2019, 12, 1, tzinfo=UTC), 1) == ["2020-01-06T00:00"]


HOSTILE = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;UNTIL=20300101T000000Z",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=31",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=HOURLY;INTERVAL=2;BYHOUR=3",
    "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=3",
    "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=3;BYHOUR=3",
    "FREQ=DAILY;BYDAY=MO;BYSETPOS=2",
    "FREQ=YEARLY;BYSETPOS=366;BYMONTHDAY=1",
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29;BYYEARDAY=1",
    f"FREQ=DAILY;BYMINUTE={EVERY};BYSECOND={EVERY};BYMONTH=2;BYMONTHDAY=30",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_impossible_rule_ends_within_the_step_limit(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examined = 0
    matches = expand._matches

    def counting(rule: expand.Recurrence, day: object) -> bool:
        nonlocal examined
        examined += 1
        return matches(rule, day)  # type: ignore[arg-type]

    monkeypatch.setattr(expand, "_matches", counting)
    assert next(fire_times(schedule(text), NOW), None) is None
    assert examined <= 21_000
    with pytest.raises(ScheduleError, match="never fires"):
        check_schedule(schedule(text), NOW)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL '0'", "1 to 10000"),
        ("FREQ=SECONDLY", "SECONDLY", "interval"),
        ("FREQ=DAILY;BYSETPOS=2", "BYSETPOS without", "BYDAY"),
        ("FREQ=HOURLY;BYMINUTE=0,5;BYSETPOS=3", "BYSETPOS beyond the 2 times", "BYSETPOS=1"),
        ("FREQ=DAILY;COUNT=3", "COUNT without DTSTART", "DTSTART"),
        ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT and UNTIL", "one of them"),
        ("FREQ=WEEKLY;BYDAY=MNO", "BYDAY 'MNO'", "MO, TU"),
        ("FREQ=WEEKLY;BYDAY=2MO", "numbered weekday", "MONTHLY"),
        ("FREQ=WEKLY", "unknown FREQ", "WEEKLY"),
        ("FREQ=WEEKLY;BYDAYS=MO", "unknown part", "BYDAY"),
        ("FREQ=DAILY;FREQ=DAILY", "duplicate FREQ", "commas"),
        ("BYDAY=MO", "no FREQ", "YEARLY"),
        ("", "needs an RRULE", "FREQ"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR '24'", "0 to 23"),
        ("FREQ=DAILY;UNTIL=tomorrow", "not a date", "2026"),
        ("DTSTART:20260231T000000\nRRULE:FREQ=DAILY", "not a date", "2026"),
        ("RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY", "EXRULE", "EXDATE"),
        ("BEGIN:VEVENT", "unknown property", "DTSTART"),
        ("DTSTART;TZID=Europe/Berln:20260101T000000\nRRULE:FREQ=DAILY", "time zone", "Europe/Berlin"),
        ("FREQ=DAILY;BYHOUR=" + "1," * 4000, "too long", "6500"),
        ("FREQ=DAILY;BYHOUR=" + "9" * 5000, "BYHOUR", "0 to 23"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO with", "YEARLY"),
        ("FREQ=DAILY;UNTIL=20190101", "never fires", "DTSTART"),
        ("DTSTART:20260101T000000\nDTSTART:20260102T000000\nRRULE:FREQ=DAILY", "one DTSTART", "RDATE"),
    ],
)
def test_an_error_is_reported_with_a_hint(text: str, says: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        check_schedule(schedule(text), NOW)
    assert says in raised.value.message
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;UNTIL=20210101T000000Z",
        "FREQ=DAILY;UNTIL=20210101",
        "DTSTART:20200101T090000Z\nRRULE:FREQ=DAILY;COUNT=3",
        "RDATE:20210101T000000",
    ],
)
def test_a_rule_that_has_ended_is_valid(text: str) -> None:
    check_schedule(schedule(text), NOW)
    assert fires(text) == []


def test_count_counts_from_dtstart() -> None:
    text = "DTSTART:20260501T090000\nRRULE:FREQ=DAILY;COUNT=6"
    assert fires(text, n=9) == ["2026-05-06T09:00"]
    assert len(fires(text, datetime(2026, 1, 1, tzinfo=UTC), 9)) == 6


def test_a_count_of_rare_days_is_not_expanded_to_its_end() -> None:
    text = "DTSTART:20200101T090000\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=10000"
    assert fires(text, n=1) == ["2028-02-29T09:00"]


def test_a_minutely_rule_is_not_expanded_from_its_anchor() -> None:
    old = "DTSTART:19700101T000000\nRRULE:FREQ=MINUTELY;INTERVAL=5"
    assert fires(old) == ["2026-05-05T10:05", "2026-05-05T10:10", "2026-05-05T10:15"]


def test_until_is_local_or_utc_and_a_date_covers_its_day() -> None:
    zone, last = "America/New_York", ["2026-05-05T13:00"]
    assert fires("FREQ=DAILY;BYHOUR=9;UNTIL=20260505T090000", zone=zone) == last
    assert fires("FREQ=DAILY;BYHOUR=9;UNTIL=20260505T130000Z", zone=zone) == last
    assert fires("FREQ=DAILY;BYHOUR=9;UNTIL=20260505", zone=zone) == last
    assert fires("FREQ=DAILY;BYHOUR=9;UNTIL=20260505T125959Z", zone=zone) == []


def test_a_set_adds_and_excludes_times() -> None:
    text = """DTSTART:20260501T090000
        RRULE:FREQ=DAILY
        EXDATE:20260506T090000,20260507T090000Z
        EXDATE;VALUE=DATE:20260508
        RDATE:20260506T120000"""
    assert fires(text, n=3) == ["2026-05-06T12:00", "2026-05-09T09:00", "2026-05-10T09:00"]


def test_two_rules_of_a_set_fire_once_at_a_common_instant() -> None:
    text = "DTSTART:20260501T090000\nRRULE:FREQ=DAILY\nRRULE:FREQ=DAILY;INTERVAL=2;BYHOUR=9,10"
    assert fires(text, n=4) == ["2026-05-06T09:00", "2026-05-07T09:00", "2026-05-07T10:00", "2026-05-08T09:00"]


def test_folded_lines_and_lower_case_are_parsed() -> None:
    assert fires("rrule:freq=weekly;byday=mo;\n byhour=9", n=1) == ["2026-05-11T09:00"]


def test_dtstart_can_set_the_zone() -> None:
    text = "DTSTART;TZID=America/New_York:20260101T090000\nRRULE:FREQ=DAILY"
    assert fires(text, n=1) == ["2026-05-05T13:00"]
    assert fires(text, n=1, zone="America/New_York") == ["2026-05-05T13:00"]
    with pytest.raises(ScheduleError, match="but the schedule's timezone"):
        check_schedule(schedule(text, "Europe/Berlin"), NOW)


def test_plain_and_numbered_weekdays_are_alternatives() -> None:
    # As in RFC 5545; dateutil requires both and finds nothing here.
    assert fires("FREQ=MONTHLY;BYDAY=MO,2TU", n=3) == ["2026-05-11T00:00", "2026-05-12T00:00", "2026-05-18T00:00"]


@settings(max_examples=scaled(150), deadline=None)
@given(text=st.text("FREQ=DAILYWKMOBYHU;:,0123-\n", max_size=60) | st.text(max_size=40))
def test_any_text_either_fires_or_is_rejected(text: str) -> None:
    refusal = None
    try:
        check_schedule(schedule(text), NOW)
    except ScheduleError as error:
        refusal = error
    assert refusal is None or refusal.hint


def test_a_rule_with_only_missing_times_ends() -> None:
    always_missing = Schedule(
        id="x",
        rule=RRule(text="FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;BYHOUR=2;BYMINUTE=30"),
        timezone="America/New_York",
        dst=Dst(gap=Gap.SKIP),
    )
    with pytest.raises(ScheduleError, match="never fires"):
        check_schedule(always_missing, NOW)
