"""Incidents on a manual clock: what is reported is bounded, complete, and independent of when it is evaluated."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from controller.model.notifications import (
    Announcement,
    Channel,
    Incident,
    IncidentMember,
    NotifyRule,
    NotifySettings,
    Trouble,
)
from controller.notify.flapping import LONGEST_PAUSE, WINDOW, ReportKind
from controller.notify.grouping import Failure, Observation, Recovery, kind, run_failure
from controller.notify.incidents import IncidentBook, Report
from controller.notify.rules import find_audience
from tests.conftest import NOW

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GROUP_WAIT = 10 * SECOND
SETTINGS = NotifySettings(
    channels={name: Channel(name=name, url="json://localhost") for name in ("ops", "team")},
    rules=(NotifyRule(to=("ops",)), NotifyRule(to=("team",), deployments=("b", "c"), failures=2, wait=MINUTE)),
    group_wait=GROUP_WAIT,
)
CAUSES = ("ConnectionError: refused", "ValueError: no row", "exit code 1")


class Records:
    """The recorded incidents, like the database, and a book that each evaluation loads again."""

    def __init__(self, settings: NotifySettings = SETTINGS) -> None:
        self.settings = settings
        self.incidents: dict[int, Incident] = {}
        self.members: dict[int, dict[str, IncidentMember]] = defaultdict(dict)
        self.announcements: dict[int, dict[str, Announcement]] = defaultdict(dict)
        self.reports: list[Report] = []
        self.runs = 0

    def evaluate(self, observations: Iterable[Observation], now: datetime) -> datetime | None:
        book = IncidentBook(
            find_audience=lambda subject: find_audience(self.settings, subject),
            find_openings=lambda failure, channel: self.openings(failure, channel, now),
            group_wait=self.settings.group_wait,
        )
        opened = [incident for incident in self.incidents.values() if incident.closed_at is None]
        members = {incident.id: self.members[incident.id].values() for incident in opened}
        announced = [each for incident in opened for each in self.announcements[incident.id].values()]
        book.load(opened, members, announced)
        book.process(observations, now)
        self.save(book)
        return book.next_time()

    def save(self, book: IncidentBook) -> None:
        ids = {number: number if number > 0 else len(self.incidents) - number for number in book.changed_incidents}
        for number, incident in book.changed_incidents.items():
            self.incidents[ids[number]] = replace(incident, id=ids[number])
        for (number, subject), member in book.changed_members.items():
            number = ids.get(number, number)
            self.members[number][subject] = replace(member, incident_id=number)
        for (number, channel), announcement in book.changed_announcements.items():
            number = ids.get(number, number)
            self.announcements[number][channel] = replace(announcement, incident_id=number)
        for report in book.reports:
            number = ids.get(report.incident.id, report.incident.id)
            self.reports.append(replace(report, incident=replace(report.incident, id=number)))

    def openings(self, failure: Failure, channel: str, now: datetime) -> set[datetime]:
        times: set[datetime] = set()
        for number, incident in self.incidents.items():
            names = {member.subject for member in self.members[number].values()}
            announcement = self.announcements[number].get(channel)
            if announcement is not None and incident.closed_at is not None and incident.closed_at > now - WINDOW:
                times.update(announcement.openings if incident.key == failure.key else ())
                times.update(announcement.openings[-1:] if failure.subject in names else ())
        return times

    def fail(self, subject: str, at: datetime, cause: str = CAUSES[0]) -> Failure:
        self.runs += 1
        return run_failure(subject, Trouble.FAILED, reason=cause, at=at, run_id=f"{self.runs:09}")

    def failing(self) -> list[IncidentMember]:
        members = (member for each in self.members.values() for member in each.values())
        return [member for member in members if member.closed_at is None]


def recovery(subject: str, at: datetime) -> Recovery:
    return Recovery(subject=subject, kind=kind(Trouble.FAILED), at=at)


def summary(reports: Sequence[Report]) -> list[tuple[object, ...]]:
    return [
        (each.at, each.kind, each.channel, {m.subject for m in each.failing}, {m.subject for m in each.recovered})
        for each in reports
    ]


def kinds(records: Records, channel: str = "ops") -> list[str]:
    return [report.kind.value for report in records.reports if report.channel == channel]


Step = tuple[int, str, str | None]
steps = st.lists(
    st.tuples(
        st.sampled_from([1, 5, 30, 300, 1800, 4000, 30_000]),
        st.sampled_from("abc"),
        st.one_of(st.none(), st.sampled_from(CAUSES)),
    ),
    max_size=40,
)


def play(records: Records, history: Sequence[Step], *, at_once: bool) -> datetime:
    """Let deployments fail (with a cause) and succeed, each some seconds after the last one. Return the time."""
    now, observations = NOW, []
    for seconds, subject, cause in history:
        now += timedelta(seconds=seconds)
        observation = recovery(subject, now) if cause is None else records.fail(subject, now, cause)
        observations.append(observation)
        if not at_once:
            records.evaluate([observation], now)
            assert_nothing_is_lost(records, now)
    records.evaluate(observations if at_once else [], now)
    return now


def assert_nothing_is_lost(records: Records, now: datetime) -> None:
    """Assert that `ops` has a message about each failing deployment, or that one is due."""
    for member in records.failing():
        announcement = records.announcements[member.incident_id]["ops"]
        is_due = announcement.due_at is not None and now < announcement.due_at <= now + LONGEST_PAUSE
        assert member.subject in announcement.subjects or is_due


@given(steps)
@example([(1, "a", CAUSES[0]), (1, "a", None)])
def test_each_announced_incident_recovers_exactly_once(history: Sequence[Step]) -> None:
    records = Records()
    now = play(records, history, at_once=False)
    for subject in "abc":
        records.evaluate([recovery(subject, now + SECOND)], now + SECOND)
    records.evaluate([], now + 2 * DAY)
    assert not records.failing()
    assert all(incident.closed_at is not None for incident in records.incidents.values())
    by_announcement: dict[tuple[int, str], list[ReportKind]] = defaultdict(list)
    for report in records.reports:
        by_announcement[report.incident.id, report.channel].append(report.kind)
    for reported in by_announcement.values():
        is_open = False
        for each in reported:
            assert (each in (ReportKind.OPENED, ReportKind.FLAPPING)) is not is_open
            is_open = each is not ReportKind.RECOVERED
        assert not is_open


@given(steps)
def test_the_reports_do_not_depend_on_when_they_are_evaluated(history: Sequence[Step]) -> None:
    often, seldom = Records(), Records()
    now = play(often, history, at_once=False)
    play(seldom, history, at_once=True)
    for records in (often, seldom):
        records.evaluate([], now + 2 * DAY)
    assert summary(often.reports) == summary(seldom.reports)


@given(steps)
def test_everything_that_fails_for_a_day_is_reported(history: Sequence[Step]) -> None:
    records = Records()
    now = play(records, history, at_once=False)
    records.evaluate([], now + DAY + HOUR)
    for member in records.failing():
        assert member.subject in records.announcements[member.incident_id]["ops"].subjects


def test_thirty_days_of_flapping_are_few_messages() -> None:
    chance = random.Random(17)
    records = Records()
    now, failures = NOW, 0
    names = [f"etl-{number}" for number in range(5)]
    while now < NOW + 30 * DAY:
        now += timedelta(seconds=chance.randrange(120, 1200))
        subject = chance.choice(names)
        if chance.random() < 0.5:
            failures += 1
            records.evaluate([records.fail(subject, now, f"ValueError: row {chance.randrange(1000)}")], now)
        else:
            records.evaluate([recovery(subject, now)], now)
        assert_nothing_is_lost(records, now)
    assert failures > 1500
    assert len(kinds(records)) < len(names) * 30 * 6
    for subject in names:
        records.evaluate([recovery(subject, now)], now)
    records.evaluate([], now + DAY)
    assert kinds(records).count("recovered") == kinds(records).count("opened") + kinds(records).count("flapping")


def test_a_cause_that_fails_and_recovers_every_ten_minutes_for_thirty_days_is_six_messages() -> None:
    records = Records()
    now = NOW
    while now < NOW + 30 * DAY:
        records.evaluate([records.fail("a", now)], now)
        records.evaluate([recovery("a", now + 5 * MINUTE)], now + 5 * MINUTE)
        now += 10 * MINUTE
    records.evaluate([], now + DAY)
    assert kinds(records) == ["opened", "recovered", "opened", "recovered", "flapping", "recovered"]


def test_failures_of_other_members_do_not_make_a_deployment_flap() -> None:
    records = Records()
    for number, (cause, names) in enumerate(zip(CAUSES, ("a", "ab", "b"), strict=True)):
        now = NOW + number * 10 * MINUTE
        records.evaluate([records.fail(name, now, cause) for name in names], now)
        records.evaluate([], now + MINUTE)
        records.evaluate([recovery(name, now + 2 * MINUTE) for name in names], now + 2 * MINUTE)
    assert kinds(records) == ["opened", "recovered"] * 3


def test_what_fails_for_good_after_flapping_is_reported_as_failing() -> None:
    records = Records()
    now = NOW
    for _ in range(4):
        records.evaluate([recovery("a", now)], now)
        now += 10 * MINUTE
        records.evaluate([records.fail("a", now)], now)
        now += 10 * MINUTE
    records.evaluate([], now + HOUR)
    assert kinds(records)[-2:] == ["flapping", "settled"]
    records.evaluate([recovery("a", now + DAY)], now + DAY)
    assert kinds(records)[-1] == "recovered"


def test_a_deployment_that_fails_alone_with_another_error_stays_in_its_incident() -> None:
    records = Records()
    for number, cause in enumerate(CAUSES):
        now = NOW + number * HOUR
        records.evaluate([records.fail("a", now, cause)], now)
    records.evaluate([recovery("a", NOW + DAY)], NOW + DAY)
    assert kinds(records) == ["opened", "recovered"]
    assert len(records.incidents) == 1


def test_a_deployment_that_fails_among_others_with_another_error_gets_an_incident_of_its_own() -> None:
    records = Records()
    records.evaluate([records.fail(subject, NOW) for subject in "ab"], NOW)
    records.evaluate([records.fail("b", NOW + HOUR, CAUSES[1])], NOW + HOUR)
    records.evaluate([recovery("a", NOW + 2 * HOUR)], NOW + 2 * HOUR)
    assert kinds(records) == ["opened", "opened", "recovered"]
    (_, second, third) = [report for report in records.reports if report.channel == "ops"]
    assert [(member.subject, member.failures) for member in second.failing] == [("b", 2)]
    assert third.moved == {"b"}


def test_many_deployments_that_fail_over_hours_are_a_few_messages() -> None:
    records = Records()
    now = NOW
    for number in range(1000):
        now = NOW + number * MINUTE
        records.evaluate([records.fail(f"etl-{number}", now)], now)
    records.evaluate([recovery(f"etl-{number}", now) for number in range(1000)], now)
    records.evaluate([], now + MINUTE)
    assert len(kinds(records)) <= 7
    last = records.reports[-1]
    assert (last.kind, len(last.recovered)) == (ReportKind.RECOVERED, 1000)


def test_a_clock_that_is_set_back_delays_no_message() -> None:
    records = Records()
    ahead = NOW + 365 * DAY
    records.evaluate([records.fail("a", ahead, CAUSES[0])], ahead)
    records.evaluate([records.fail("b", ahead, CAUSES[2])], ahead + MINUTE)
    records.evaluate([records.fail("c", ahead + MINUTE, CAUSES[1])], NOW)
    records.evaluate([records.fail("d", NOW + MINUTE, CAUSES[0])], NOW + MINUTE)
    records.evaluate([], NOW + 3 * HOUR)
    reported = {member.subject for report in records.reports for member in report.failing if report.channel == "ops"}
    assert reported == {"a", "b", "c", "d"}
    records.evaluate([recovery(subject, NOW + 4 * HOUR) for subject in "abcd"], NOW + 4 * HOUR)
    assert kinds(records).count("recovered") == kinds(records).count("opened") == 3
