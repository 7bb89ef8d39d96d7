"""Calendars of controller.yaml become a part of the documents, with the dates of their files; problems are findings."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from controller.manifests.build import build_deployment
from controller.manifests.ics_files import read_dates
from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.snapshots import CodeFile
from controller.schedules import fire_times
from tests.unit.manifests.conftest import manifest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROJECT = """\
calendars:
  de-by: {holidays: DE-BY}
  unused: {holidays: FR}
  freeze:
    dates: [2026-12-24 Christmas Eve, 2026-12-27/2027-01-03]
    weekend: [fri, sat]
"""
DAILY = 'name: a\ncommand: ["true"]\nschedule: {cron: "0 9 * * *", '


def ics(*events: str) -> bytes:
    """An iCalendar file with these events; their lines are separated by spaces."""
    lines = [f"BEGIN:VEVENT\n{event.replace(' ', chr(10))}\nEND:VEVENT" for event in events]
    return "\n".join(["BEGIN:VCALENDAR", *lines, "END:VCALENDAR", ""]).replace("\n", "\r\n").encode()


class Files:
    """The code of a revision that has only these files."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = {f"calendars/{name}.ics": content for name, content in contents.items()}

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        contents = self.contents
        return {
            path: CodeFile(digest=str(hash(contents[path])), size=len(contents[path]))
            for path in paths
            if path in contents
        }

    def read(self, path: str) -> bytes:
        return self.contents[path]

    def read_ahead(self, paths: Iterable[str]) -> None:
        del paths


def read(
    text: str, project: str = PROJECT, files: Files | None = None, reader: ManifestReader | None = None
) -> DesiredState:
    reader = reader or ManifestReader()
    return reader.read(
        [manifest("deployments/a.yaml", text)], NOW, manifest("controller.yaml", project), files or Files()
    )


def findings(state: DesiredState) -> list[tuple[str, str, int, str]]:
    return [(each.code, each.file, each.line, each.path) for each in state.findings]


def test_a_document_contains_the_calendars_that_its_schedules_use() -> None:
    state = read(DAILY + "except: de-by, shift: next_business_day, calendar: [freeze]}\n")
    assert state.findings == ()
    deployment = state.deployments["a"]
    assert deployment.document["calendars"] == {
        "de-by": {"holidays": "DE-BY"},
        "freeze": {"dates": ["2026-12-24 Christmas Eve", "2026-12-27/2027-01-03"], "weekend": ["fri", "sat"]},
    }
    assert deployment.line == 1
    stored = build_deployment(deployment.document, deployment.file, deployment.line)
    assert stored == deployment
    times = islice(fire_times(stored.schedules[0], datetime(2026, 12, 23, 12, tzinfo=UTC)), 2)
    assert [f"{time:%m-%d}" for time in times] == ["01-04", "01-05"]
    assert "calendars" not in read(DAILY + "}\n").deployments["a"].document


def test_the_digest_changes_with_a_calendar_that_is_used() -> None:
    text = DAILY + "except: freeze}\n"
    before = read(text).deployments["a"].spec_digest
    assert read(text, PROJECT.replace("FR", "IT")).deployments["a"].spec_digest == before
    assert read(text, PROJECT.replace("2026-12-24", "2026-12-23")).deployments["a"].spec_digest != before


def test_schedules_of_the_defaults_can_use_calendars() -> None:
    project = PROJECT + 'defaults: {schedule: {cron: "0 9 * * *", except: de-by}}\n'
    state = read('name: a\ncommand: ["true"]\n', project)
    assert state.findings == ()
    assert [calendar.name for calendar in state.deployments["a"].schedules[0].exclude] == ["de-by"]


def test_a_calendar_of_the_document_takes_precedence() -> None:
    state = read(DAILY + "only: freeze}\ncalendars: {freeze: {dates: [2026-07-01]}}\n")
    assert state.deployments["a"].document["calendars"] == {"freeze": {"dates": ["2026-07-01"]}}


def test_the_dates_of_a_file_are_part_of_the_document_and_change_with_the_file() -> None:
    project = "calendars: {nyse: {file: calendars/nyse.ics}}\n"
    text, reader = DAILY + "except: nyse}\n", ManifestReader()
    files = Files(nyse=ics("DTSTART;VALUE=DATE:20261126 SUMMARY:Thanksgiving"))
    first = read(text, project, files, reader).deployments["a"]
    assert first.document["calendars"] == {"nyse": {"dates": ["2026-11-26 Thanksgiving"]}}
    assert read(text, project, files, reader).deployments["a"] is first
    files.contents["calendars/nyse.ics"] = ics("DTSTART;VALUE=DATE:20261127")
    assert read(text, project, files, reader).deployments["a"].document["calendars"] == {
        "nyse": {"dates": ["2026-11-27"]}
    }


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\xff\xfe", ics(), ics("DTSTART:soon"), ics("SUMMARY:No")])
def test_a_missing_or_broken_file_is_a_finding_of_the_project(content: bytes | None) -> None:
    project = "calendars:\n  nyse: {file: calendars/nyse.ics}\n"
    files = Files() if content is None else Files(nyse=content)
    state = read(DAILY + "except: nyse}\n", project, files)
    assert findings(state) == [("InvalidCalendar", "controller.yaml", 2, "$.calendars.nyse.file")]
    assert state.deployments == {}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART;VALUE=DATE:20261224 DTEND;VALUE=DATE:20261227", ["2026-12-24/2026-12-26"]),
        ("DTSTART;VALUE=DATE:20261224 DURATION:P2D", ["2026-12-24/2026-12-25"]),
        ("DTSTART:20261224T100000Z DTEND:20261225T000000Z", ["2026-12-24"]),
        ("DTSTART:20261224T220000 DTEND:20261225T020000", ["2026-12-24/2026-12-25"]),
        ("DTSTART:20261224T220000", ["2026-12-24"]),
        (
            "DTSTART;VALUE=DATE:20261225 RRULE:FREQ=YEARLY;COUNT=3 EXDATE;VALUE=DATE:20271225 SUMMARY:Xmas",
            [{"date": "2026-12-25", "name": "Xmas", "rrule": "FREQ=YEARLY;COUNT=3", "except": ["2027-12-25"]}],
        ),
        ("DTSTART;VALUE=DATE:20260701 RDATE;VALUE=DATE:20260703,20260704", ["2026-07-01", "2026-07-03/2026-07-04"]),
    ],
)
def test_events_are_read_as_whole_days(event: str, expected: list[Any]) -> None:
    assert read_dates(ics(event)) == expected


def test_an_event_may_have_a_date_in_its_name() -> None:
    content = ics("DTSTART;VALUE=DATE:20260620 SUMMARY:2026-06-22")
    assert read_dates(content) == ["2026-06-20/2026-06-20 2026-06-22"]


def test_cancelled_and_moved_events_are_left_out() -> None:
    content = ics(
        "UID:1 DTSTART;VALUE=DATE:20260601 RRULE:FREQ=DAILY;COUNT=5",
        "UID:1 RECURRENCE-ID;VALUE=DATE:20260602 DTSTART;VALUE=DATE:20260620",
        "DTSTART;VALUE=DATE:20260701 STATUS:CANCELLED",
    )
    repeated = {"date": "2026-06-01", "rrule": "FREQ=DAILY;COUNT=5", "except": ["2026-06-02"]}
    assert read_dates(content) == ["2026-06-20", repeated]


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ("{holidays: DE-XX}", ".holidays"),
        ("{holidays: DE, categories: [bank]}", ".categories"),
        ("{dates: [2026-02-30]}", ".dates[0]"),
        ("{dates: [tomorrow]}", ".dates[0]"),
        ("{dates: [2026-12-24/2026-12-20]}", ".dates[0]"),
        ("{dates: [2026-12-24/2099-12-20]}", ".dates[0]"),
        ("{dates: [{date: 2026-12-24, rrule: FREQ=HOURLY}]}", ".dates[0].rrule"),
        ("{dates: [{date: 2026-12-24, rrule: FREQ=NEVER}]}", ".dates[0].rrule"),
        ("{dates: [{date: 2026-12-24, rrule: FREQ=YEARLY;UNTIL=20200101}]}", ".dates[0].rrule"),
        (f"{{dates: [{', '.join(['{date: 2026-12-24, rrule: FREQ=YEARLY}'] * 201)}]}}", ".dates"),
    ],
)
def test_an_invalid_calendar_is_reported_once_and_in_the_project(definition: str, path: str) -> None:
    state = read(DAILY + "except: x}\n", f"calendars:\n  x: {definition}\n")
    assert findings(state) == [("InvalidCalendar", "controller.yaml", 2, f"$.calendars.x{path}")]


@pytest.mark.parametrize(
    "dates",
    [
        "2026-12-24 to 2026-12-27",
        "2026-12-24 / 2026-12-27 Christmas",
        "2026-12-24 2026-12-27",
        "2026-12-24..2026-12-27",
        "2026-12-24 - 2026-12-27",
    ],
)
def test_a_range_in_another_spelling_is_not_a_day_with_a_name(dates: str) -> None:
    [finding] = read(DAILY + "except: [own]}\ncalendars: {own: {dates: ['" + dates + "']}}\n").findings
    assert (finding.code, finding.path) == ("InvalidCalendar", "$.calendars.own.dates[0]")
    assert finding.hint == "write 2026-12-24/2026-12-27 for a range, or each day as an item of its own"


def test_an_unknown_calendar_is_reported_where_it_is_used() -> None:
    state = read(DAILY + "except: [de-by, de-bx]}\n")
    assert findings(state) == [("UnknownCalendar", "deployments/a.yaml", 3, "$.schedule.except[1]")]
    assert state.findings[0].hint == "did you mean de-by?"


@pytest.mark.parametrize(
    ("keys", "path"),
    [("days: mon-frx", ".days"), ('from: "25:00"', ".from"), ("to: noon", ".to")],
)
def test_an_invalid_window_is_reported(keys: str, path: str) -> None:
    state = read(DAILY + f"windows: [{{{keys}}}]}}\n")
    assert findings(state) == [("InvalidWindow", "deployments/a.yaml", 3, f"$.schedule.windows[0]{path}")]


@pytest.mark.parametrize("keys", ["calendar: de-by", "outside: skip"])
def test_a_key_without_effect_is_an_error(keys: str) -> None:
    assert [finding.severity.value for finding in read(DAILY + keys + "}\n").findings] == ["error"]


def test_a_schedule_that_its_calendars_leave_without_due_times_is_invalid() -> None:
    state = read(
        DAILY + "except: always}\n", 'calendars: {always: {dates: [{date: "2020-01-01", rrule: FREQ=DAILY}]}}\n'
    )
    assert findings(state) == [("InvalidSchedule", "deployments/a.yaml", 3, "$.schedule.cron")]
    assert "calendars and windows" in state.findings[0].message


def test_a_document_is_valid_although_its_calendar_has_ended() -> None:
    state = read(DAILY + "only: party}\n", "calendars: {party: {dates: [2026-06-10]}}\n")
    later = ManifestReader().read(
        [manifest("deployments/a.yaml", DAILY + "only: party}\n")],
        NOW + timedelta(days=400),
        manifest("controller.yaml", "calendars: {party: {dates: [2026-06-10]}}\n"),
        Files(),
    )
    assert state.findings == ()
    assert [finding.code for finding in later.findings] == ["ScheduleEnded"]


def test_an_interval_of_seconds_cannot_be_shifted() -> None:
    state = read('name: a\ncommand: ["true"]\nschedule: {interval: 30s, shift: next_business_day}\n')
    assert findings(state) == [("InvalidSchedule", "deployments/a.yaml", 3, "$.schedule.shift")]
