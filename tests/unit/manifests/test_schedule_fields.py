"""Every fault of a schedule is reported, independently of other faults, and clock changes give a warning."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from controller.manifests.build import build_deployment
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.schedule_fields import schedule_id
from controller.model.findings import Finding, Severity
from controller.model.schedules import Schedule
from tests.unit.manifests.conftest import NOW, manifest

Read = Callable[..., DesiredState]
BERLIN = "timezone: Europe/Berlin"
NIGHTLY = f'cron: "30 2 * * *", {BERLIN}'
REPEAT = "2026-10-25 02:30 happens twice in Europe/Berlin: it fires at the first, 02:30+02:00"
GAP = "2027-03-28 02:30 does not exist in Europe/Berlin: it fires at 03:00+02:00"
JITTER = ("InvalidDuration", ".jitter")


def document(schedule: str, name: str = "a") -> str:
    return f"name: {name}\nflow: f.py:m\nschedule: {{{schedule}}}\n"


def faults(state: DesiredState) -> list[tuple[str, str]]:
    return [(finding.code, finding.path.removeprefix("$.schedule")) for finding in state.findings]


def built(read: Read, schedule: str) -> Schedule:
    state = read(document(schedule))
    assert state.findings == ()
    (found,) = state.deployments["a"].schedules
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            'cron: "61 2 * * *", timezone: Europe/Berln, start: tomorrow',
            [("InvalidSchedule", ".cron"), ("InvalidTimezone", ".timezone"), ("InvalidTime", ".start")],
        ),
        ('timezonne: UTC, cron: "61 2 * * *"', [("UnknownKey", ".timezonne"), ("InvalidSchedule", ".cron")]),
        (
            "croon: x, start: x, jitter: soon",
            [("UnknownKey", ".croon"), ("InvalidTime", ".start"), JITTER],
        ),
        (
            'cron: "0 0 30 2 *", suspend: 5, jitter: soon',
            [("InvalidSchedule", ".cron"), ("WrongType", ".suspend"), JITTER],
        ),
        ("interval: [5], anchor_date: x", [("WrongType", ".interval"), ("InvalidTime", ".anchor_date")]),
        ("interval: soon, anchor_date: x", [("InvalidDuration", ".interval"), ("InvalidTime", ".anchor_date")]),
        ("timezone: x, end: x", [("MissingKey", ""), ("InvalidTimezone", ".timezone"), ("InvalidTime", ".end")]),
        ("at: [x, 2026-01-01], dst: {gap: none}", [("InvalidTime", ".at[0]"), ("InvalidValue", ".dst.gap")]),
        ('cron: "61 * * * *", interval: soon', [("InvalidSchedule", ".cron"), ("ConflictingKeys", ".interval")]),
        ("rrule: FREQ=DAILYY, timezone: x", [("InvalidSchedule", ".rrule"), ("InvalidTimezone", ".timezone")]),
    ],
)
def test_a_fault_in_one_key_does_not_hide_another(read: Read, schedule: str, expected: list[tuple[str, str]]) -> None:
    assert faults(read(document(schedule))) == expected


def test_duplicate_ids_are_reported_despite_other_faults(read: Read) -> None:
    state = read("name: a\nflow: f.py:m\nschedules:\n- {id: x, interval: soon}\n- {id: x, interval: 1h}\n")
    assert [finding.code for finding in state.findings] == ["InvalidDuration", "DuplicateScheduleId"]


def test_a_jitter_is_read_and_bounded(read: Read) -> None:
    assert built(read, "interval: 1h, jitter: 5m").jitter == timedelta(minutes=5)
    assert built(read, "interval: 1h, jitter: 1d").jitter == timedelta(days=1)
    assert built(read, "interval: 1h").jitter == timedelta()
    for said in ("25h", "0", "-5m", "soon"):
        assert faults(read(document(f"interval: 1h, jitter: {said}"))) == [("InvalidDuration", ".jitter")]


def test_the_default_id_does_not_depend_on_the_jitter(read: Read) -> None:
    assert built(read, "interval: 1h, jitter: 5m").id == built(read, "interval: 1h").id
    assert schedule_id({"interval": "1h", "suspend": True}) == schedule_id({"interval": "1h"})
    assert schedule_id({"interval": "1h", "start": "2026-01-01"}) != schedule_id({"interval": "1h"})


def warning(read: Read, schedule: str) -> Finding:
    state = read(document(schedule))
    assert set(state.deployments) == {"a"}
    (finding,) = state.findings
    assert (finding.code, finding.severity) == ("ClockChange", Severity.WARNING)
    return finding


def test_a_fixed_time_affected_by_clock_changes_gives_a_warning(read: Read) -> None:
    found = warning(read, NIGHTLY)
    assert found.message == f"{REPEAT}; {GAP}"
    assert (found.line, found.column, found.path) == (3, 18, "$.schedule.cron")
    assert found.hint == "choose another time, or set dst.gap and dst.repeat"


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        (f"rrule: FREQ=DAILY;BYHOUR=2;BYMINUTE=30, {BERLIN}", "rrule"),
        (f"interval: 1d, anchor_date: 2020-01-01T02:30, {BERLIN}", "interval"),
        (f"at: 2026-10-25T02:30, {BERLIN}", "at"),
        (f"at: [2026-10-25T02:30], {BERLIN}", "at[0]"),
        (f"at: [2027-03-28T02:30, 2026-06-02, 2026-10-25T02:30], {BERLIN}", "at[2]"),
        ("rrule: 'DTSTART;TZID=Europe/Berlin:20200101T023000\\nRRULE:FREQ=DAILY'", "rrule"),
    ],
)
def test_the_warning_is_at_the_rule_with_the_time(read: Read, schedule: str, path: str) -> None:
    found = warning(read, schedule.replace("'", '"'))
    assert found.message.startswith(REPEAT)
    assert found.path == f"$.schedule.{path}"


def test_a_declared_dst_policy_suppresses_its_warning(read: Read) -> None:
    assert warning(read, f"{NIGHTLY}, dst: {{gap: next_valid}}").message == REPEAT
    only_gap = warning(read, f"{NIGHTLY}, dst: {{repeat: first}}")
    assert only_gap.message == GAP
    assert only_gap.hint is not None
    assert only_gap.hint.endswith("or set dst.gap")
    assert read(document(f"{NIGHTLY}, dst: {{gap: skip, repeat: both}}")).findings == ()


@pytest.mark.parametrize(
    "schedule",
    [
        'cron: "30 2 * * *"',
        f'cron: "30 * * * *", {BERLIN}',
        f'cron: "30 4 * * *", {BERLIN}',
        f"interval: 1h, {BERLIN}",
        f"at: 2030-03-31T02:30, {BERLIN}",
        f"{NIGHTLY}, end: 2026-10-01",
    ],
)
def test_unaffected_times_give_no_warning(read: Read, schedule: str) -> None:
    assert read(document(schedule)).findings == ()


def test_many_times_affected_by_one_change_are_counted(read: Read) -> None:
    found = warning(read, f'cron: "0,20,40 2 * * *", {BERLIN}').message
    assert found.split("; ")[1:] == [GAP.replace("02:30 does", "02:00 does"), "and 4 more"]
    found = warning(read, f'cron: "* 2 * * *", {BERLIN}').message
    assert found.endswith("; and at least 98 more")


def test_warnings_and_errors_are_reported_together(read: Read) -> None:
    text = "name: a\nflow: f.py:m\nresources: {memory: 1GiB}\nschedules:\n"
    text += f"- {{{NIGHTLY}}}\n- {{interval: 5m, jitter: 2d}}\n"
    assert [finding.code for finding in read(text).findings] == ["ClockChange", "InvalidDuration"]


def test_stored_documents_give_no_clock_change_warnings() -> None:
    stored = {"name": "a", "flow": "f.py:m", "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}}
    assert len(build_deployment(stored, "a.yaml", 1).schedules) == 1


def test_only_changes_within_a_year_from_now_give_warnings() -> None:
    def at(now: str) -> list[str]:
        state = ManifestReader().read([manifest("a.yaml", document(NIGHTLY))], datetime.fromisoformat(now))
        return [finding.message[:10] for finding in state.findings]

    assert at(NOW.isoformat()) == ["2026-10-25"]
    assert at("2026-11-01T00:00:00Z") == ["2027-03-28"]
