# ruff: noqa: DTZ001 - naive local times are what is tested here
"""The declared local times that a clock change skips or repeats, and their description."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ScheduleError
from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
from controller.schedules import (
    DstTransition,
    cron,
    describe_transition,
    dst_transitions,
    find_dst_transitions,
    fire_times,
)
from tests.thoroughness import scaled
from tests.unit.schedules import oracle

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 5, 5, 10, tzinfo=UTC)
YEAR = timedelta(days=365)
DAYS = timedelta(days=1)


def schedule(rule: Rule, zone: str = BERLIN, dst: Dst | None = None) -> Schedule:
    return Schedule(id="x", rule=rule, timezone=zone, dst=dst or Dst())


def said(rule: Rule, zone: str = BERLIN, dst: Dst | None = None, after: datetime = NOW) -> list[str]:
    return [
        describe_transition(change) for change in find_dst_transitions(schedule(rule, zone, dst), after, after + YEAR)
    ]


GAP = "2027-03-28 02:30 does not exist in Europe/Berlin: it "
REPEAT = "2026-10-25 02:30 happens twice in Europe/Berlin: it fires at "


@pytest.mark.parametrize(
    ("dst", "repeat", "gap"),
    [
        (Dst(), "the first, 02:30+02:00", "fires at 03:00+02:00"),
        (Dst(gap=Gap.SKIP, repeat=Repeat.SECOND), "the second, 02:30+01:00", "does not fire"),
        (Dst(gap=Gap.SHIFT, repeat=Repeat.BOTH), "both, 02:30+02:00 and 02:30+01:00", "fires at 03:30+02:00"),
    ],
)
def test_a_clock_change_is_described_in_one_sentence_with_its_date(dst: Dst, repeat: str, gap: str) -> None:
    assert said(Cron(expression="30 2 * * *"), dst=dst) == [REPEAT + repeat, GAP + gap]


@pytest.mark.parametrize(
    "rule",
    [
        Cron(expression="30 2 * * *"),
        Cron(expression="30 1,2 * * sun"),
        Cron(expression="30 2-23/24 * * *"),
        Cron(expression="30 0-23 * * *"),
        Interval(every=DAYS, anchor=datetime(2020, 1, 1, 2, 30)),
        Interval(every=DAYS, anchor=datetime(2020, 1, 1, 1, 30, tzinfo=UTC)),
        RRule(text="FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30"),
        RRule(text="DTSTART:20260101T023000\nRRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY;BYDAY=SU"),
        RRule(text="RDATE:20261025T023000,20270328T023000"),
        At(times=(datetime(2027, 3, 28, 2, 30), datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30))),
    ],
)
def test_every_kind_of_fixed_time_is_affected_by_gaps_and_repeats(rule: Rule) -> None:
    assert said(rule) == [f"{REPEAT}the first, 02:30+02:00", f"{GAP}fires at 03:00+02:00"]


@pytest.mark.parametrize(
    "rule",
    [
        Cron(expression="30 * * * *"),
        Cron(expression="30 */2 * * *"),
        Cron(expression="30 *,2 * * *"),
        Cron(expression="30 3 * * *"),
        Cron(expression="30 2 * * mon-sat"),
        Interval(every=DAYS / 48),
        Interval(every=DAYS * 1.5, anchor=datetime(2020, 1, 1, 2, 30)),
        RRule(text="FREQ=HOURLY;BYMINUTE=30"),
        RRule(text="FREQ=MINUTELY;BYHOUR=2"),
        RRule(text="FREQ=DAILY;BYHOUR=2;BYMINUTE=30\nEXDATE:20261025,20270328T023000"),
        RRule(text="FREQ=DAILY;BYHOUR=2;UNTIL=20261024"),
        At(times=(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 24, 2, 30))),
    ],
)
def test_real_time_rules_and_other_times_are_not_affected(rule: Rule) -> None:
    assert said(rule) == []
    assert said(Cron(expression="30 2 * * *"), "UTC") == []


def test_a_change_is_included_if_it_fires_within_the_bounds() -> None:
    daily = schedule(Cron(expression="30 2 * * *"))
    (first,) = find_dst_transitions(daily, NOW, NOW + YEAR / 2)
    fires = first.fires[0]
    assert fires == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert find_dst_transitions(daily, fires - timedelta.resolution, fires) == [first]
    assert find_dst_transitions(daily, fires, NOW + YEAR / 2) == []
    assert find_dst_transitions(daily, NOW, fires - timedelta.resolution) == []


def test_a_skipped_time_has_the_position_of_its_clock_change() -> None:
    turn = datetime(2027, 3, 28, 1, tzinfo=UTC)
    skipping = schedule(Cron(expression="30 2 * * *"), dst=Dst(gap=Gap.SKIP))
    (skipped,) = find_dst_transitions(skipping, turn - timedelta.resolution, turn)
    assert skipped == DstTransition(kind="gap", local=datetime(2027, 3, 28, 2, 30), fires=(), zone=BERLIN)
    assert find_dst_transitions(skipping, turn, turn + DAYS) == []


def test_times_outside_start_and_end_cause_no_warning() -> None:
    rule = Cron(expression="30 2 * * *")
    winter = Schedule(id="x", rule=rule, timezone=BERLIN, start=datetime(2026, 11, 1), end=datetime(2027, 3, 28, 1, 59))
    assert find_dst_transitions(winter, NOW, NOW + YEAR) == []
    late = Schedule(id="x", rule=rule, timezone=BERLIN, dst=Dst(repeat=Repeat.BOTH), end=datetime(2026, 10, 25, 2, 30))
    assert [len(change.fires) for change in find_dst_transitions(late, NOW, NOW + YEAR)] == [2]


def test_the_zone_is_the_one_of_dtstart() -> None:
    text = "DTSTART;TZID=America/New_York:20260101T013000\nRRULE:FREQ=DAILY"
    assert said(RRule(text=text), "UTC") == [
        "2026-11-01 01:30 happens twice in America/New_York: it fires at the first, 01:30-04:00"
    ]


def test_a_skipped_day_is_described_with_the_day_on_which_it_fires() -> None:
    assert said(Cron(expression="0 9 * * *"), "Pacific/Apia", after=datetime(2011, 5, 1, tzinfo=UTC)) == [
        "2011-12-30 09:00 does not exist in Pacific/Apia: it fires at 2011-12-31 00:00+14:00"
    ]


def test_seconds_are_shown_only_if_there_are_any() -> None:
    found = said(RRule(text="FREQ=DAILY;BYHOUR=2;BYSECOND=5"))
    assert found[0] == "2026-10-25 02:00:05 happens twice in Europe/Berlin: it fires at the first, 02:00:05+02:00"


def test_the_number_of_transitions_is_limited() -> None:
    every = ",".join(str(number) for number in range(60))
    for rule in (
        Cron(expression="* 2 * * *"),
        RRule(text=f"FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE={every};BYSECOND={every}"),
    ):
        found = find_dst_transitions(schedule(rule), NOW, NOW + YEAR)
        assert len(found) == dst_transitions.MAX_TRANSITIONS
        assert found[0].local == datetime(2026, 10, 25, 2, 0)


def test_transitions_are_found_without_iterating_over_fire_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def walks(*_: object) -> None:
        raise AssertionError("walked")

    monkeypatch.setattr(cron, "wall_times", walks)
    monkeypatch.setattr("controller.schedules.fire_time_search.resolve", walks)
    found = find_dst_transitions(schedule(Cron(expression="30 2 29 2 *")), NOW, NOW + 100 * YEAR)
    assert found == []
    assert len(find_dst_transitions(schedule(Cron(expression="30 2 25 10 *")), NOW, NOW + 40 * YEAR)) == 6


def test_the_ends_of_time_are_within_bounds() -> None:
    daily = schedule(Cron(expression="30 2 * * *"), "America/New_York")
    assert find_dst_transitions(daily, datetime.min.replace(tzinfo=UTC), datetime(3, 1, 1, tzinfo=UTC)) == []
    assert len(find_dst_transitions(daily, datetime(9980, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))) > 5


@pytest.mark.parametrize("rule", [Cron(expression="61 2 * * *"), RRule(text="FREQ=DAILYY"), Interval(every=0 * DAYS)])
def test_an_invalid_rule_is_rejected(rule: Rule) -> None:
    with pytest.raises(ScheduleError):
        find_dst_transitions(schedule(rule), NOW, NOW + YEAR)
    with pytest.raises(ScheduleError, match="unknown time zone"):
        find_dst_transitions(schedule(Cron(expression="0 0 * * *"), "Nowhere"), NOW, NOW + YEAR)


def test_a_naive_bound_is_rejected() -> None:
    daily = schedule(Cron(expression="30 2 * * *"))
    for after, until in ((NOW.replace(tzinfo=None), NOW), (NOW, NOW.replace(tzinfo=None))):
        with pytest.raises(ValueError, match="aware"):
            find_dst_transitions(daily, after, until)


ZONES = [BERLIN, "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Cairo"]
HOURS = st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True).map(lambda hours: ",".join(map(str, hours)))
MINUTES = st.sampled_from(["0", "30", "0,15,59", "45"])
FIXED: st.SearchStrategy[Rule] = st.one_of(
    st.tuples(MINUTES, HOURS, st.sampled_from(["* * *", "* * sun", "25-31 * 6,0", "* 3,10 5#1", "L * *"])).map(
        lambda parts: Cron(expression=" ".join(parts))
    ),
    st.tuples(
        st.sampled_from(
            ["DAILY", "DAILY;INTERVAL=2", "WEEKLY;BYDAY=SA,SU", "MONTHLY;BYDAY=-1SU,1FR", "YEARLY;BYDAY=SU"]
        ),
        HOURS,
        MINUTES,
    ).map(lambda parts: RRule(text=f"FREQ={parts[0]};BYHOUR={parts[1]};BYMINUTE={parts[2]}")),
    st.builds(
        Interval,
        every=st.sampled_from([DAYS, 2 * DAYS, 3 * DAYS]),
        anchor=st.integers(0, 240).map(lambda minutes: datetime(2020, 1, 1) + minutes * oracle.MINUTE),
    ),
)


@settings(max_examples=scaled(60), deadline=None)
@given(rule=FIXED, zone=st.sampled_from(ZONES), dst=st.sampled_from(oracle.POLICIES))
def test_transitions_match_a_scan_of_all_minutes(rule: Rule, zone: str, dst: Dst) -> None:
    begin, end = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 12, 30, tzinfo=UTC)
    in_utc = takewhile(lambda wall: wall <= end + DAYS, fire_times(schedule(rule, "UTC"), begin - DAYS))
    declared = {wall.replace(tzinfo=None) for wall in in_utc}
    wanted = [
        change
        for turn in oracle.changes(zone, 2026)
        for change in oracle.expected_changes(oracle.stretch(zone, turn), "*", "*", dst)
        if change.local in declared
    ]
    found = find_dst_transitions(schedule(rule, zone, dst), begin, end)
    assert sorted(found, key=lambda change: change.local) == wanted
