"""Valid schedules that are probably mistakes give a warning, and following the hint removes it."""

import pytest

from controller.model.findings import Severity
from tests.unit.manifests.conftest import Read

CAT = "name: a\ncommand: [cat]\n"


def warned(read: Read, schedules: str) -> list[tuple[str, str]]:
    state = read(f"{CAT}{schedules}\n")
    assert set(state.deployments) == {"a"}
    assert all(finding.severity is Severity.WARNING for finding in state.findings)
    return [(finding.code, finding.path) for finding in state.findings]


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ("at: 2026-05-31", "at"),
        ("at: [2020-01-01, '2026-06-01T11:59']", "at"),
        ("cron: 0 9 * * *, end: 2026-05-01", "end"),
        ("interval: 1h, end: '2026-06-01T11:00'", "end"),
        ("rrule: FREQ=DAILY;UNTIL=20260101", "rrule"),
        ("rrule: 'DTSTART:20260101T090000 RRULE:FREQ=DAILY;COUNT=3'", "rrule"),
    ],
)
def test_a_schedule_that_will_not_fire_again_gives_a_warning(read: Read, schedule: str, path: str) -> None:
    assert warned(read, f"schedule: {{{schedule}}}") == [("ScheduleEnded", f"$.schedule.{path}")]


def test_a_list_with_one_future_time_gives_no_warning(read: Read) -> None:
    assert warned(read, "schedule: {at: [2020-01-01, 2027-01-01]}") == []


@pytest.mark.parametrize(
    ("schedules", "index"),
    [
        ("[{interval: 1h}, {cron: 0 * * * *}]", 0),
        ("[{cron: 0 * * * *}, {cron: 0 9 * * *}]", 1),
        ("[{cron: 0 9 * * *}, {cron: 0 * * * *, parameters: {x: 1}}]", 0),
        ("[{interval: 30s}, {cron: 0 9 * * *}]", None),
        ("[{interval: 2h}, {interval: 1h}]", None),
        ("[{interval: 1h}, {interval: 2h}]", 1),
        ("[{cron: 0 9 1 1 *}, {rrule: FREQ=DAILY;BYHOUR=9}]", 0),
        ("[{cron: 0 9 * * mon}, {at: '2026-06-08T09:00'}]", None),
        ("[{at: '2026-06-08T09:00'}, {cron: 0 9 * * mon}]", None),
        ("[{cron: 0 8-18 * * *}, {cron: '*/5 8-18 * * mon', parameters: {x: 1}}]", None),
        ("[{cron: '*/5 8-18 * * *'}, {cron: '*/5 * * * *'}]", None),
        ("[{interval: 1h}, {cron: 0 * * * *, suspend: true}]", None),
    ],
)
def test_a_shadowed_schedule_gives_a_warning(read: Read, schedules: str, index: int | None) -> None:
    expected = [] if index is None else [("ShadowedSchedule", f"$.schedules[{index}]")]
    assert warned(read, f"schedules: {schedules}") == expected


@pytest.mark.parametrize(
    ("schedule", "path", "written"),
    [
        ("cron: 0 9 L/2 * *", "cron", "0 9 L * *"),
        ("cron: 0 9 LW/3 * *", "cron", "0 9 LW * *"),
        ("rrule: 'DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;BYHOUR=9'", "rrule", "DTSTART:20260101T000000"),
        ("rrule: 'DTSTART:20260101 RRULE:FREQ=DAILY;BYMINUTE=9'", "rrule", "DTSTART:20260101T000000"),
        (
            "rrule: 'DTSTART;TZID=Europe/Berlin:20260101T043000 RRULE:FREQ=DAILY;UNTIL=20270101T043000'",
            "rrule",
            "UNTIL=20270101T033000Z",
        ),
        ("cron: 0 9 * * *, timezone: EST", "timezone", "America/New_York"),
    ],
)
def test_an_expression_that_other_programs_read_differently_gives_a_warning(
    read: Read, schedule: str, path: str, written: str
) -> None:
    assert warned(read, f"schedule: {{{schedule}}}") == [("AmbiguousSchedule", f"$.schedule.{path}")]
    (finding,) = read(f"{CAT}schedule: {{{schedule}}}\n").findings
    assert written in (finding.hint or "")


@pytest.mark.parametrize(
    "schedule",
    [
        "cron: 0 9 L * *",
        "rrule: 'DTSTART:20260101T000000 RRULE:FREQ=DAILY;BYHOUR=9'",
        "rrule: 'DTSTART;TZID=Europe/Berlin:20260101T043000 RRULE:FREQ=DAILY;UNTIL=20270101T033000Z'",
        "cron: 0 9 * * *, timezone: CET",
    ],
)
def test_an_unambiguous_expression_gives_no_warning(read: Read, schedule: str) -> None:
    assert warned(read, f"schedule: {{{schedule}}}") == []


@pytest.mark.parametrize(
    ("cron", "code"), [("*/70 * * * *", "StepBeyondField"), ("*/7 * * * *", "UnevenSteps"), ("0 */12 * * *", None)]
)
def test_an_uneven_step_gives_a_warning(read: Read, cron: str, code: str | None) -> None:
    assert warned(read, f"schedule: {{cron: '{cron}'}}") == ([(code, "$.schedule.cron")] if code else [])
