"""Runs without a better cause than an exit code: many that fail within a short time are one incident."""

from datetime import timedelta

import pytest

from controller.model.notifications import Channel, NotifySettings
from controller.notify.exit_codes import MANY
from controller.notify.flapping import ReportKind
from tests.conftest import NOW
from tests.unit.notify.test_incidents import HOUR, MINUTE, SECOND, Records, recovery

SETTINGS = NotifySettings(channels={"ops": Channel(name="ops", url="json://localhost")}, group_wait=10 * SECOND)


@pytest.fixture
def records() -> Records:
    return Records(SETTINGS)


def fail(records: Records, count: int, every: timedelta, reason: str = "exit code 2", prefix: str = "load") -> None:
    """Let deployments fail one after the other, each evaluated by itself, and wait for the messages."""
    at = NOW
    for number in range(count):
        at = NOW + number * every
        records.evaluate([records.fail(f"{prefix}-{number:02}", at, reason)], at)
    records.evaluate([], at + MINUTE)


def reported(records: Records) -> list[int]:
    return [len(report.new) for report in records.reports if report.kind is not ReportKind.RECOVERED]


def test_many_failures_with_one_exit_code_are_one_message_and_one_recovery(records: Records) -> None:
    fail(records, 40, timedelta(milliseconds=100))
    assert reported(records) == [40]
    [incident] = {member.incident_id for member in records.failing()}
    assert records.incidents[incident].cause == "exit code 2"
    for number in range(40):
        records.evaluate([recovery(f"load-{number:02}", NOW + HOUR)], NOW + HOUR)
    assert [len(report.recovered) for report in records.reports if report.kind is ReportKind.RECOVERED] == [40]
    assert records.failing() == []


def test_failures_that_were_reported_already_stay_where_they_are(records: Records) -> None:
    fail(records, 12, 5 * SECOND)
    assert reported(records) == [1, 1, 5]
    records.evaluate([], NOW + 2 * HOUR)
    assert reported(records) == [1, 1, 5, 5]  # as for every incident, what follows is collected for an hour


def test_a_few_failures_or_different_exit_codes_have_no_common_cause(records: Records) -> None:
    fail(records, MANY - 1, SECOND)
    fail(records, MANY - 1, SECOND, "exit code 3", "store")
    assert reported(records) == [1] * 2 * (MANY - 1)


def test_failures_hours_apart_have_no_common_cause(records: Records) -> None:
    fail(records, MANY + 2, HOUR)
    assert reported(records) == [1] * (MANY + 2)


def test_a_deployment_of_the_incident_that_fails_again_stays_in_it(records: Records) -> None:
    fail(records, 10, SECOND)
    later = NOW + 2 * HOUR
    records.evaluate([records.fail("load-03", later, "exit code 2")], later)
    records.evaluate([], later + MINUTE)
    assert reported(records) == [10]
    other = records.fail("other", later, "exit code 2")
    records.evaluate([other], later)
    records.evaluate([], later + MINUTE)
    assert reported(records) == [10, 1]


def test_the_count_and_the_start_of_failures_are_kept(records: Records) -> None:
    records.evaluate([records.fail("load-00", NOW - SECOND, "exit code 2")], NOW - SECOND)
    fail(records, 6, SECOND)
    [first] = [member for member in records.failing() if member.subject == "load-00"]
    assert (first.since, first.failures) == (NOW - SECOND, 2)
