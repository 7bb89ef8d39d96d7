"""`controller next` of an expression: every vector of the schedule contract, and invalid expressions."""

from typing import NamedTuple

import pytest

from tests.acceptance.harness import Machine

pytestmark = pytest.mark.acceptance


class Vector(NamedTuple):
    """An expression on the command line, in a zone, asked for the fire times after an instant."""

    said: str
    zone: str
    after: str
    fires: tuple[str, ...]
    more: tuple[str, ...] = ()


NEW_YORK, BERLIN, LONDON, UTC = "America/New_York", "Europe/Berlin", "Europe/London", "UTC"
HOURS = ("2021-11-07T04:00", "2021-11-07T05:00", "2021-11-07T06:00", "2021-11-07T07:00")
ONCE = ("2021-11-07T05:30", "2021-11-08T06:30")
AUTUMN, SPRING = "2021-11-07T00:00Z", "2021-03-14T00:00Z"
NINE = ("2021-03-13T14:00", "2021-03-14T13:00", "2021-03-15T13:00")
MONTHS = ("2026-03-01T05:00", "2026-04-01T04:00", "2026-05-01T04:00")
WEEK = tuple(f"2026-06-{day:02}T09:00" for day in (1, 2, 3, 4, 5, 8))
SUNDAYS = ("2026-06-07T00:00", "2026-06-14T00:00")
EITHER = tuple(f"2026-06-{day:02}T00:00" for day in (5, 12, 13, 19, 26))
BOTH = ("2026-11-13T00:00", "2027-08-13T00:00")
DAILY = "rrule FREQ=DAILY;BYHOUR=1;BYMINUTE=30"

VECTORS = [
    Vector("interval 1h", NEW_YORK, "2021-11-07T03:00Z", HOURS),
    Vector("interval 1d", NEW_YORK, "2021-03-13T00:00Z", NINE, ("--anchor-date", "2021-01-01T09:00")),
    Vector("cron 30 1 * * *", NEW_YORK, AUTUMN, ONCE),
    Vector("cron 30 1 * * *", NEW_YORK, AUTUMN, ("2021-11-07T06:30", "2021-11-08T06:30"), ("--repeat", "second")),
    Vector("cron 30 1 * * *", NEW_YORK, AUTUMN, ("2021-11-07T05:30", "2021-11-07T06:30"), ("--repeat", "both")),
    Vector("cron 30 2 * * *", NEW_YORK, SPRING, ("2021-03-14T07:00", "2021-03-15T06:30")),
    Vector("cron 30 2 * * *", NEW_YORK, SPRING, ("2021-03-15T06:30", "2021-03-16T06:30"), ("--gap", "skip")),
    Vector("cron 30 2 * * *", NEW_YORK, SPRING, ("2021-03-14T07:30", "2021-03-15T06:30"), ("--gap", "shift")),
    Vector("cron 0 * * * *", NEW_YORK, "2021-11-07T03:00Z", HOURS),
    Vector("cron 0 0 * * *", NEW_YORK, "2026-03-07T12:00Z", ("2026-03-08T05:00", "2026-03-09T04:00")),
    Vector("cron 30 0 * * *", NEW_YORK, "2026-03-07T12:00Z", ("2026-03-08T05:30", "2026-03-09T04:30")),
    Vector("cron 0 0 * * *", BERLIN, "2026-03-28T12:00Z", ("2026-03-28T23:00", "2026-03-29T22:00")),
    Vector("cron 30 0 * * *", BERLIN, "2026-03-28T12:00Z", ("2026-03-28T23:30", "2026-03-29T22:30")),
    Vector("cron 0 0 * * *", LONDON, "2026-03-28T12:00Z", ("2026-03-29T00:00", "2026-03-29T23:00")),
    Vector("cron 30 0 * * *", LONDON, "2026-03-28T12:00Z", ("2026-03-29T00:30", "2026-03-29T23:30")),
    Vector("cron 0 0 1 * *", NEW_YORK, "2026-02-27T00:00Z", MONTHS),
    Vector("cron 0 9 * * 1-5", UTC, "2026-05-30T00:00Z", WEEK),
    Vector("cron 0 0 * * 0", UTC, "2026-06-01T00:00Z", SUNDAYS),
    Vector("cron 0 0 * * 7", UTC, "2026-06-01T00:00Z", SUNDAYS),
    Vector("cron 0 0 13 * 5", UTC, "2026-06-01T00:00Z", EITHER),
    Vector("cron 0 0 13 * 5", UTC, "2026-06-01T00:00Z", EITHER, ("--day-or",)),
    Vector("cron 0 0 13 * 5", UTC, "2026-06-01T00:00Z", BOTH, ("--no-day-or",)),
    Vector("rrule FREQ=HOURLY", NEW_YORK, "2021-11-07T03:00Z", HOURS),
    Vector(DAILY, NEW_YORK, AUTUMN, ONCE),
]


def said(machine: Machine, vector: Vector, count: int) -> list[str]:
    """The first fire times that the command prints as JSON."""
    kind, _, value = vector.said.partition(" ")
    expression = [f"--{kind}", value, "--timezone", vector.zone, *vector.more]
    answer = machine.controller("next", *expression, "--after", vector.after, "-n", str(count), "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    report = answer.json()
    assert report.keys() == {"fire_times"}
    times: list[str] = report["fire_times"]
    return times


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: " ".join((vector.said, vector.zone, *vector.more)))
def test_next_prints_the_fire_times_of_the_test_vectors(machine: Machine, vector: Vector) -> None:
    assert said(machine, vector, len(vector.fires)) == [f"{time}:00Z" for time in vector.fires]


def test_a_rule_without_dtstart_gives_the_same_instants_when_asked_a_day_later(machine: Machine) -> None:
    every_third = Vector("rrule FREQ=DAILY;INTERVAL=3;BYHOUR=9", NEW_YORK, "2026-06-01T00:00Z", ())
    today = said(machine, every_third, 6)
    tomorrow = said(machine, every_third._replace(after="2026-06-02T00:00Z"), 6)
    assert [time for time in today if time > "2026-06-02"] == [time for time in tomorrow if time <= today[-1]]
    assert len(set(today) & set(tomorrow)) >= 5


def test_dates_are_printed_in_order_once_each(machine: Machine) -> None:
    dates = ["2030-01-01T00:00", "2029-01-01T00:00Z", "2029-01-01T01:00+01:00", "2020-01-01"]
    at = [part for date in dates for part in ("--at", date)]
    answer = machine.controller("next", *at, "--timezone", BERLIN, "--after", "2026-01-01", "-o", "json")
    assert answer.json() == {"fire_times": ["2029-01-01T00:00:00Z", "2029-12-31T23:00:00Z"]}


@pytest.mark.parametrize(
    ("after", "first"),
    [
        ("2026-06-01", "2026-06-01T13:00:00Z"),
        ("2026-06-01T08:59:59", "2026-06-01T13:00:00Z"),
        ("2026-06-01T09:00", "2026-06-02T13:00:00Z"),
        ("2026-06-01T09:00Z", "2026-06-01T13:00:00Z"),
        ("2026-06-01T15:00+02:00", "2026-06-02T13:00:00Z"),
    ],
)
def test_after_is_exclusive_and_local_to_the_zone_without_an_offset(machine: Machine, after: str, first: str) -> None:
    assert said(machine, Vector("cron 0 9 * * *", NEW_YORK, after, ()), 1) == [first]


def test_an_ended_schedule_prints_nothing_and_exits_with_0(machine: Machine) -> None:
    for expression in (
        ("--at", "2020-01-01"),
        ("--rrule", "DTSTART:20200101T000000\\nRRULE:FREQ=DAILY;COUNT=3"),
        ("--rrule", "FREQ=DAILY;UNTIL=20201231"),
    ):
        text = machine.controller("next", *expression)
        assert (text.code, text.out) == (0, "")
        assert text.err == "No more fire times.\n"
        assert machine.controller("next", *expression, "-o", "json").json() == {"fire_times": []}


BAD = [
    (["--cron", "61 * * * *"], "minute"),
    (["--cron", "0 0 30 2 *"], "never fires"),
    (["--cron", "nonsense"], "nonsense"),
    (["--interval", "0"], "more than 0"),
    (["--interval", "-5s"], "-5s"),
    (["--interval", "soon"], "soon"),
    (["--rrule", "FREQ=SOMETIMES"], "SOMETIMES"),
    (["--rrule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"], "never fires"),
    (["--at", "tomorrow"], "tomorrow"),
    (["--cron", "0 0 * * *", "--timezone", "Mars/Olympus"], "Mars/Olympus"),
    (["--cron", "0 0 * * *", "--after", "later"], "later"),
    (["--cron", "0 0 * * *", "--interval", "1h"], "exactly one"),
    (["--cron", ""], "cron"),
    (["--interval", ""], "not a duration"),
    (["--rrule", ""], "rrule"),
    (["--at", "9999-12-31T23:59", "--timezone", NEW_YORK], "never fires"),
    (["--cron", "0 0 * * *", "--after", "9999-12-31T23:59", "--timezone", NEW_YORK], "out of range"),
    (["--cron", "0 0 * * *", "--anchor-date", "2026-01-01"], "--anchor-date can only be used with --interval"),
    (["--interval", "1h", "--no-day-or"], "--no-day-or can only be used with --cron"),
    (["a-name", "--gap", "skip"], "--gap can only be used with an expression"),
    (["a-name", "--repeat", "both"], "--repeat can only be used with an expression"),
    ([], "exactly one"),
    (["no-deployment-here"], "There is no directory"),
]


@pytest.mark.parametrize(
    ("expression", "word"), BAD, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_an_impossible_expression_is_reported_in_one_message(
    machine: Machine, expression: list[str], word: str
) -> None:
    answer = machine.controller("next", *expression)
    assert (answer.code, answer.out) == (2, ""), answer
    lines = answer.err.splitlines()
    assert len(lines) <= 2, answer
    assert lines[0].startswith("error: ")
    assert word in lines[0]
