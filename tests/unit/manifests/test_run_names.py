"""The names of runs come from a template, whose placeholders are parameters and the due time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests.run_names import MAX_NAME, run_name
from tests.unit.manifests.conftest import Read

DUE = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)
BASE = "name: a\ncommand: [load]\n"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("load-{region}", "load-eu"),
        ("{days} {dry} {none} {regions}", '3 true null ["eu", "us"]'),
        ("{{region}} of {region}", "{region} of eu"),
        ("{due_time}", "2026-06-01T22:30:00+00:00"),
        ("{due_time:%Y-%m-%d}", "2026-06-01"),
        ("{due_time:date} {due_time:timestamp}", "2026-06-01 1780353000"),
        ("{due_time:%H:%M}", "22:30"),
        ("{missing}-{region}", "{missing}-eu"),
        ("{path}", "{path}"),
        ("  ", None),
    ],
)
def test_placeholders_are_replaced_by_parameters_and_the_due_time(template: str, name: str | None) -> None:
    values = {
        "region": "eu",
        "days": 3,
        "dry": True,
        "none": None,
        "regions": ["eu", "us"],
        "path": {"from": "due_time"},
    }
    assert run_name(template, values, DUE, (), None) == name


def test_the_due_time_is_in_the_time_zone_of_the_schedule() -> None:
    assert run_name("{due_time:date}", {}, DUE, (), "Europe/Berlin") == "2026-06-02"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "run_name: '{regoin}'",
            "nothing sets the parameter regoin for the placeholder {regoin}",
            "did you mean region?",
        ),
        ("run_name: '{days}'", "nothing sets the parameter days", "set it under parameters: {days: …}, or remove the"),
        (
            "run_name: '{region'",
            "'{region' is not a template: its braces do not match",
            "write {parameter}, {due_time}",
        ),
        ("run_name: '{region!r}'", "{region!r} is not a placeholder", "write {parameter}, {due_time}"),
        ("run_name: '{}'", "{} is not a placeholder", "write {parameter}, {due_time}"),
        ("run_name: '{region[0]}'", "nothing sets the parameter region[0]", "did you mean region?"),
        ("run_name: '{region:>9}'", "the parameter region has no format; only due_time has one", "write {region}"),
        ("run_name: '{due_time:%Q}'", "{due_time:%Q}: '%Q' is not a format", "write datetime, date, time"),
        ("run_name: '{due_tme}'", "nothing sets the parameter due_tme", "did you mean due_time?"),
    ],
)
def test_a_finding_says_what_is_wrong_with_a_template(read: Read, text: str, message: str, hint: str) -> None:
    [finding] = read(f"{BASE}parameters: {{region: eu}}\n{text}\n").findings
    assert (finding.code, finding.line, finding.column, finding.path) == ("InvalidRunName", 4, 11, "$.run_name")
    assert message in finding.message
    assert (finding.hint or "").startswith(hint)


def test_a_template_can_use_the_parameters_of_its_schedule(read: Read) -> None:
    first = "{interval: 7h, parameters: {region: eu}, run_name: '{region}'}"
    second = "{interval: 5h, run_name: '{region}'}"
    [finding] = read(f"{BASE}run_name: '{{region}}'\nschedules: [{first}, {second}]\n").findings
    assert (finding.code, finding.path) == ("InvalidRunName", "$.schedules[1].run_name")


@given(st.text(max_size=60), st.text(max_size=200))
def test_any_template_gives_a_printable_name_or_none(template: str, value: str) -> None:
    name = run_name(template, {"region": value}, DUE, (), None)
    assert name is None or (name.isprintable() and 0 < len(name) <= MAX_NAME)


def test_a_template_can_use_the_keys_of_the_matrix(read: Read) -> None:
    text = "name: w-{region}\ncommand: [load]\nmatrix: {region: [eu, us]}\nrun_name: 'w-{region}'\n"
    state = read(text)
    assert state.findings == ()
    assert [deployment.run_name for deployment in state.deployments.values()] == ["w-{region}", "w-{region}"]
    [finding] = read(text.replace("'w-{region}'", "'w-{regoin}'")).findings
    assert finding.hint == "did you mean region?"
