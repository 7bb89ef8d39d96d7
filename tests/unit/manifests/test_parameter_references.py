"""References to the due time: their values, their errors, and the check against the flow's signature."""

import difflib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests.parameter_references import find_errors, resolve
from controller.manifests.reference_spelling import find_near_misses
from controller.model.findings import Severity
from tests.unit.manifests.test_flow_references import at, found, read
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


LITERALS = [
    "{from: 2026-01-01, to: 2026-02-01}",
    "{from: warehouse}",
    "{from: warehouse, format: csv}",
    "{from: datetime}",
    "{from: due, to: paid}",
    "{from: yesterday}",
    "{from: duetime, to: endtime}",
    "{from: 2026-01-01, timezone: Europe/Berlin}",
    "{from: now, timezone: UTC}",
    "{from: {from: warehouse}}",
    "{from: 5}",
    "{format: date}",
    "{From: here}",
    "{from: a, format: b, shift: c, timezone: d, e: f}",
    "{from: run.id, to: id}",
    "{from: file.path, to: folder}",
    "{from: filename}",
]
NEAR_MISSES = [
    ("{from: duetime}", "write {from: due_time}"),
    ("{from: Due-Time, format: date}", "write {from: due_time, format: date}"),
    ("{from: '{{ due_time }}'}", "write {from: due_time}"),
    ("{from: duetiem, fmt: date}", "write {from: due_time, format: date}"),
    ("{From: due_time, tz: UTC}", "write {from: due_time, timezone: UTC}"),
    ("{form: due_time, frmat: '%Y/%m'}", 'write {from: due_time, format: "%Y/%m"}'),
    ("{from: dueTime, offset: -1d}", "write {from: due_time, shift: -1d}"),
    ("{from: duetime, shift: 1 day}", "write from: due_time"),
    ("{from: logical_date, format: date}", "write {from: due_time, format: date}"),
    ("{from: file.path}", "remove x from parameters, and add `parameter: x` to files under on"),
    ("{from: webhook}", 'remove x from parameters, and add `x: "$"` to parameters of webhook under on'),
    ("{from: hook.a-b}", 'remove x from parameters, and add `x: "$.KEY"` to parameters of webhook under on'),
]
TRIGGERED = [
    ("file", "files", "{path: /srv/inbox%s}"),
    ("file.path", "files", "{path: /srv/inbox%s}"),
    ("files.name", "files", "{path: /srv/inbox%s}"),
    ("webhook.order", "webhook", "{name: shop, secret: {env: SHOP}, parameters: {%s}}"),
    ("webhook.body.data.items.0.id", "webhook", "{name: shop, secret: {env: SHOP}, parameters: {%s}}"),
    ("webhook.body", "webhook", "{name: shop, secret: {env: SHOP}, parameters: {%s}}"),
]


@pytest.mark.parametrize("literal", LITERALS)
def test_a_literal_mapping_has_no_finding(literal: str) -> None:
    assert found(f"name: a\ncommand: [date]\nparameters: {{x: {literal}, y: [{literal}]}}\n") == []


@pytest.mark.parametrize(("mapping", "advice"), NEAR_MISSES)
def test_a_literal_mapping_that_looks_like_a_reference_is_a_warning(mapping: str, advice: str) -> None:
    state = read(f"name: a\ncommand: [date]\nparameters:\n  x: [1, {mapping}]\n")
    (finding,) = state.findings
    assert (finding.severity, at(finding)) == (Severity.WARNING, ("InvalidReference", 4, 10, "$.parameters.x[1]"))
    assert finding.hint == f"{advice}; if you mean a literal mapping, ignore this warning"
    assert set(state.deployments) == {"a"}


def test_the_advice_for_a_literal_mapping_that_looks_like_a_reference_works() -> None:
    for mapping, advice in NEAR_MISSES:
        if advice.startswith("write {"):
            text = "name: a\ncommand: [date]\nparameters:\n  x: "
            assert found(f"{text}{mapping}\n") == [("InvalidReference", 4, 6, "$.parameters.x")]
            assert found(f"{text}{advice.removeprefix('write ')}\n") == []


@pytest.mark.parametrize(("source", "kind", "trigger"), TRIGGERED)
def test_the_hint_for_a_reference_to_a_trigger_works_word_for_word(source: str, kind: str, trigger: str) -> None:
    code = WrittenCode({"flows/load.py": "def main(path: str): ...\n"})
    text = "name: a\nflow: flows/load.py:main\n"
    declared = f"on:\n  - {kind}: {trigger % ''}\n"
    (finding,) = read(f"{text}parameters: {{path: {{from: {source}}}}}\n{declared}", code=code).findings
    assert (finding.code, finding.path) == ("WrongParameterType", "$.parameters.path")
    assert finding.hint is not None
    addition = finding.hint.split("`")[1]
    added = f", {addition}" if kind == "files" else addition
    state = read(f"{text}on:\n  - {kind}: {trigger % added}\n", code=code)
    assert (state.findings, set(state.deployments)) == ((), {"a"})


@pytest.mark.parametrize(
    ("hint", "code"),
    [
        ("dict", None),
        ("dict[str, str]", None),
        ("object", "InvalidReference"),
        ("dict | str", "InvalidReference"),
        ("str", "WrongParameterType"),
        ("date", "WrongParameterType"),
    ],
)
def test_the_signature_tells_whether_a_mapping_is_literal(hint: str, code: str | None) -> None:
    code_of_flow = WrittenCode({"flows/day.py": f"from datetime import date\ndef main(x: {hint}): ...\n"})
    findings = read("name: a\nflow: flows/day.py:main\nparameters: {x: {from: duetime}}\n", code=code_of_flow).findings
    assert [finding.code for finding in findings] == ([] if code is None else [code])
    for finding in findings:
        assert finding.hint is not None
        correction = "{from: due_time, format: date}" if hint == "date" else "{from: due_time}"
        assert finding.hint.startswith(f"write {correction}")
        assert ("x a type hint that takes only mappings, such as dict" in finding.hint) == (code == "InvalidReference")


def test_a_near_miss_in_the_parameters_of_a_schedule_is_a_warning_there() -> None:
    text = "name: a\ncommand: [date]\nschedules:\n  - cron: '@daily'\n    parameters: {day: {from: duetime}}\n"
    assert found(text) == [("InvalidReference", 5, 23, "$.schedules[0].parameters.day")]


def problem_of(hint: str, reference: str) -> tuple[Severity, str, str | None] | None:
    flow = f"import datetime\nfrom datetime import date\nfrom typing import Literal\ndef main(x: {hint}): ...\n"
    text = f"name: a\nflow: flows/day.py:main\nparameters:\n  x: {reference}\n"
    findings = read(text, code=WrittenCode({"flows/day.py": flow})).findings
    assert [at(finding) for finding in findings] in ([], [("WrongParameterType", 4, 6, "$.parameters.x")])
    return next(((finding.severity, finding.message, finding.hint) for finding in findings), None)


@pytest.mark.parametrize(
    ("hint", "reference", "message", "advice"),
    [
        (
            "date",
            "{from: due_time}",
            "expected date, but the reference gives a date-time",
            "write {from: due_time, format: date}",
        ),
        (
            "int",
            "{from: due_time, shift: -1d, format: date}",
            "expected int, but the reference gives a date",
            "write {from: due_time, shift: -1d, format: timestamp}",
        ),
        (
            "date",
            "{from: due_time, format: '%d.%m.%Y'}",
            "expected date, but the reference gives text in the format '%d.%m.%Y'",
            "write {from: due_time, format: date}",
        ),
        (
            "date",
            "{from: due_time, format: timestamp}",
            "expected date, but the reference gives Unix seconds",
            "write {from: due_time, format: date}",
        ),
        (
            "list[date]",
            "{from: due_time}",
            "expected list[date], but the reference gives a date-time",
            "write it as a YAML list: [{from: due_time, format: date}]",
        ),
        (
            "Literal['eu', 'us']",
            "{from: due_time}",
            "expected Literal['eu', 'us'], but the reference gives a date-time",
            "write a literal value: 'eu', 'us'",
        ),
        (
            "dict[str, int]",
            "{from: due_time}",
            "expected dict[str, int], but the reference gives a date-time",
            "a reference gives text or Unix seconds: write a literal value, or use another type hint, such as str",
        ),
    ],
)
def test_a_reference_of_another_type_is_described_and_the_advice_works(
    hint: str, reference: str, message: str, advice: str
) -> None:
    assert problem_of(hint, reference) == (Severity.ERROR, f"x: {message}", advice)
    correction = advice.removeprefix("write it as a YAML list: ").removeprefix("write ")
    if correction.startswith(("{", "[")):
        assert problem_of(hint, correction) is None


@pytest.mark.parametrize(
    ("hint", "reference", "severity"),
    [
        ("Literal['01', '02']", "{from: due_time, format: '%m'}", Severity.WARNING),
        ("Literal['12']", "{from: due_time, format: '%m'}", Severity.WARNING),
        ("Literal['13']", "{from: due_time, format: '%m'}", Severity.ERROR),
        ("Literal['2026', '2027']", "{from: due_time, format: '%Y'}", Severity.WARNING),
        ("Literal['02:00:00']", "{from: due_time, format: time}", Severity.WARNING),
        ("Literal['AM', 'PM']", "{from: due_time, format: '%p'}", None),
        ("Literal['AM', 'PM'] | None", "{from: due_time, format: '%p'}", None),
        ("Literal['x'] | str", "{from: due_time, format: '%p'}", None),
        ("date", "{from: due_time, format: '%Y-%m-%d'}", None),
        ("date", "{from: due_time, format: '%Y-%m-01'}", None),
        ("date", "{from: due_time, format: '%Y-%d-%m'}", Severity.WARNING),
        ("date", "{from: due_time, format: '%Y-%m-31'}", Severity.WARNING),
        ("int", "{from: due_time, format: '%m'}", None),
        ("datetime.time", "{from: due_time, format: time}", None),
        ("object", "{from: due_time, format: '%m'}", None),
    ],
)
def test_a_reference_whose_values_only_partly_fit_is_a_warning(
    hint: str, reference: str, severity: Severity | None
) -> None:
    problem = problem_of(hint, reference)
    assert (problem and problem[0]) == severity
    if severity is Severity.WARNING:
        assert problem is not None
        assert "accepts only some of these values" in problem[1]


def test_each_name_is_compared_with_the_keys_of_a_reference_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    class Counting(difflib.SequenceMatcher[str]):
        def __init__(self, *args: Any) -> None:
            compared.append(args)
            super().__init__(*args)

    monkeypatch.setattr(difflib, "SequenceMatcher", Counting)
    for index in range(50):
        assert not list(find_near_misses({"nested": {"firmament": index, "shifted": 2}}))
    assert 0 < len(compared) < 10
