"""References to the due time: their values, their errors, and the check against the flow's signature."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests.parameter_references import find_errors, resolve
from tests.unit.manifests.test_flow_references import found
from tests.written_code import WrittenCode

SUNDAY_NIGHT = datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
"""02:30 in Berlin, one day after the night in which the clocks there skipped 02:30."""


def value_of(reference: dict[str, Any], due_time: datetime = SUNDAY_NIGHT) -> Any:
    return resolve({"value": {"from": "due_time", **reference}}, due_time, ["Europe/Berlin"])["value"]


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({}, "2026-03-30T02:30:00+02:00"),
        ({"format": "datetime", "timezone": "UTC"}, "2026-03-30T00:30:00+00:00"),
        ({"format": "date"}, "2026-03-30"),
        ({"format": "date", "shift": "-1d"}, "2026-03-29"),
        ({"format": "date", "timezone": "America/New_York"}, "2026-03-29"),
        ({"format": "time"}, "02:30:00"),
        ({"format": "timestamp"}, 1774830600),
        ({"format": "%Y/%m/%d %%"}, "2026/03/30 %"),
        ({"shift": "-1d"}, "2026-03-29T03:30:00+02:00"),  # 02:30 does not exist on that day
        ({"shift": "-24h"}, "2026-03-29T01:30:00+01:00"),
        ({"shift": "-1d12h"}, "2026-03-28T14:30:00+01:00"),
        ({"shift": "+1w"}, "2026-04-06T02:30:00+02:00"),
        ({"shift": "-1mo"}, "2026-02-28T02:30:00+01:00"),
        ({"shift": "-2y1mo", "format": "date"}, "2024-02-29"),
    ],
)
def test_a_reference_gives_the_due_time_shifted_and_formatted(reference: dict[str, Any], value: Any) -> None:
    assert value_of(reference) == value


def test_the_second_of_two_equal_local_times_is_kept() -> None:
    second = datetime(2026, 10, 25, 1, tzinfo=UTC)
    assert value_of({}, second) == "2026-10-25T02:00:00+01:00"
    assert value_of({"format": "timestamp"}, second) == int(second.timestamp())
    assert value_of({"shift": "-1h"}, second) == "2026-10-25T02:00:00+02:00"


def test_references_inside_of_values_are_resolved_and_literals_are_kept() -> None:
    day = {"from": "due_time", "format": "date"}
    parameters = {"range": {"from": "a", "to": day}, "days": [day, 1, None], "path": "due_time"}
    assert resolve(parameters, SUNDAY_NIGHT, ()) == {
        "range": {"from": "a", "to": "2026-03-30"},
        "days": ["2026-03-30", 1, None],
        "path": "due_time",
    }


def test_the_time_zone_is_that_of_the_schedule_or_else_the_only_one_or_else_utc() -> None:
    parameters = {"at": {"from": "due_time", "format": "time"}}
    zones = ["Europe/Berlin", "Asia/Tokyo"]
    assert resolve(parameters, SUNDAY_NIGHT, zones, schedule="Asia/Tokyo") == {"at": "09:30:00"}
    assert resolve(parameters, SUNDAY_NIGHT, zones[:1]) == {"at": "02:30:00"}
    assert resolve(parameters, SUNDAY_NIGHT, zones) == {"at": "00:30:00"}


@pytest.mark.parametrize(
    ("reference", "path", "hint"),
    [
        ({"shift": "1d"}, "shift", "write -1d for an earlier time, or +1d for a later one"),
        ({"shift": "-1 day"}, "shift", "write a sign and units"),
        ({"shift": "-"}, "shift", "write a sign and units"),
        ({"shift": -1}, "shift", "write a sign and units"),
        ({"shift": None}, "shift", "write a sign and units"),
        ({"shift": "-9999y"}, "shift", "the years 1 to 9999 limit a shift"),
        ({"shift": "+999999w"}, "shift", "the years 1 to 9999 limit a shift"),
        ({"format": "dat"}, "format", "did you mean date?"),
        ({"format": "%Q"}, "format", "write datetime, date, time, timestamp, or a pattern"),
        ({"format": "100%"}, "format", "write datetime, date, time, timestamp, or a pattern"),
        ({"format": "%Y\n"}, "format", "write datetime, date, time, timestamp, or a pattern"),
        ({"format": ["date"]}, "format", "write datetime, date, time, timestamp, or a pattern"),
        ({"timezone": "Europe/Berln"}, "timezone", "did you mean Europe/Berlin"),
        ({"timezone": 3}, "timezone", "write a name of the IANA time zone database"),
        ({"fromat": "date"}, "fromat", "did you mean format"),
    ],
)
def test_an_invalid_reference_has_an_error_and_stays_as_it_is(reference: dict[str, Any], path: str, hint: str) -> None:
    (error,) = find_errors({"value": {"from": "due_time", **reference}})
    assert error.path == ("value", path)
    assert error.hint is not None
    assert error.hint.startswith(hint)
    assert value_of(reference) == {"from": "due_time", **reference}


@given(
    st.fixed_dictionaries(
        {"from": st.just("due_time")},
        optional={
            "shift": st.one_of(st.from_regex(r"[+-]?\d{1,9}(y|mo|w|d|h|m|s)", fullmatch=True), st.text(max_size=9)),
            "format": st.one_of(st.sampled_from(["date", "%Y-%j", "%"]), st.text(max_size=9)),
            "timezone": st.one_of(st.sampled_from(["Asia/Kathmandu", "UTC"]), st.text(max_size=9)),
        },
    ),
    st.datetimes(timezones=st.just(UTC)),
)
def test_every_reference_is_either_resolved_or_has_an_error(reference: dict[str, Any], due_time: datetime) -> None:
    value = value_of(reference, due_time)
    assert isinstance(value, str | int) != any(True for _ in find_errors({"value": reference}))


CODE = WrittenCode({"flows/day.py": "from datetime import date\ndef main(day: date, hour: int = 0): ...\n"})


def test_validation_checks_the_value_of_a_reference_against_the_signature() -> None:
    text = "name: a\nflow: flows/day.py:main\nparameters:\n  day: {from: due_time, format: date}\n"
    assert found(text, code=CODE) == []
    assert found(text.replace(", format: date", ""), code=CODE) == [("WrongParameterType", 4, 8, "$.parameters.day")]
    assert found(f"{text}  hour: {{from: due_time}}\n", code=CODE) == [
        ("WrongParameterType", 5, 9, "$.parameters.hour")
    ]


def test_validation_reports_the_place_of_an_invalid_reference_also_in_a_schedule() -> None:
    text = (
        "name: a\ncommand: [date]\nparameters: {day: {from: due_time, fromat: date}}\n"
        "schedules:\n  - cron: '@daily'\n    parameters: {days: [{from: due_time, shift: 1d}]}\n"
    )
    assert found(text, code=CODE) == [
        ("InvalidReference", 3, 36, "$.parameters.day.fromat"),
        ("InvalidReference", 6, 49, "$.schedules[0].parameters.days[0].shift"),
    ]
