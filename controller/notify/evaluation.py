"""Evaluates what has gone wrong since the last time, and writes the messages about it.

`controller.app.notifications` makes it a step of the notifier.

The recorded events are the input, with what the database says about runs, deployments and the source. Incidents,
announcements, messages and the cursor are written in one transaction. A read transaction finds first whether there is
something to write: each commit causes the next evaluation, and would cause another commit. The first evaluation ever
starts at the newest event: what had failed before is not reported until it fails again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from controller.errors import StateError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.notifications import IncidentMember, Message, NotifySettings, Trouble
from controller.model.status import Condition, InventoryEntry
from controller.notify import observations
from controller.notify.deadlines import DeadlineMonitor
from controller.notify.facts import read_facts
from controller.notify.flapping import WINDOW, ReportKind
from controller.notify.grouping import Failure, Observation, Recovery, deadlines_with, kind
from controller.notify.incidents import IncidentBook, Report
from controller.notify.messages import build_message
from controller.notify.rules import Audience, find_audience, wants_recovery
from controller.store import Store, Transaction, events, incidents, inventory, messages

MAX_EVENTS = 1000
"""How many events one transaction evaluates."""
NOTICES_INTERVAL = timedelta(seconds=10)
"""How often the notices are read. A change of them does not cause a commit."""


class Collector(Protocol):
    """Returns further messages to add to the outbox, such as heartbeats and commit statuses."""

    def has_work(self, tx: Transaction, now: datetime, /) -> bool:
        """Return whether `collect` returns or records something. `tx` is a read transaction."""

    def collect(self, tx: Transaction, now: datetime) -> Sequence[Message]:
        """Return the new messages, and record that they were collected. `tx` is the transaction of an evaluation."""


class Evaluator:
    """Writes incidents and messages. Used by one thread.

    - `settings` returns the current content of `notify.yaml`.
    - `new_id` returns the id of a new message, a UUIDv7 that is higher than all before.
    - `deadlines` and `collectors` take part in each evaluation.
    - `public_url`: the address of the dashboard, for links in messages.
    - `notices` returns the conditions that can't be recorded in the database.
    """

    def __init__(
        self,
        store: Store,
        deployments: ActiveDeployments,
        *,
        settings: Callable[[], NotifySettings],
        new_id: Callable[[datetime], str],
        deadlines: DeadlineMonitor | None = None,
        collectors: Sequence[Collector] = (),
        public_url: str | None = None,
        notices: Callable[[], Sequence[Condition]] | None = None,
    ) -> None:
        self._store = store
        self._deployments = deployments
        self._settings = settings
        self._new_id = new_id
        self._deadlines = deadlines
        self._collectors = collectors
        self._public_url = public_url
        self._notices = notices
        self._last_settings: NotifySettings | None = None

    def evaluate(self, now: datetime) -> datetime | None:
        """Write the messages about what has happened until `now`. Raises StateError.

        Return when it must be called again if nothing is recorded until then, or None.
        """
        settings = self._settings()
        evaluation = self._find_nothing(now, settings) or self._write(now, settings)
        times = [evaluation.next_time(), None if self._deadlines is None else self._deadlines.next_time()]
        times += [] if self._notices is None else [now + NOTICES_INTERVAL]
        return min((time for time in times if time is not None), default=None)

    def _find_nothing(self, now: datetime, settings: NotifySettings) -> "_Evaluation | None":
        """Return an evaluation without anything to save, or None if there may be something to save."""
        if self._last_settings is not settings:
            return None
        with self._store.read() as tx:
            if _has_new_events(tx) or any(each.has_work(tx, now) for each in self._collectors):
                return None
            if self._deadlines is not None and self._deadlines.has_work(tx, now):
                return None
            evaluation = _Evaluation(tx, now, settings, self._deployments)
            evaluation.observe(self._notices and self._notices(), None, is_first=False)
        return None if evaluation.has_changes else evaluation

    def _write(self, now: datetime, settings: NotifySettings) -> "_Evaluation":
        """Evaluate and save everything that is new. Return the last evaluation."""
        while True:
            with self._store.write() as tx:
                evaluation = _Evaluation(tx, now, settings, self._deployments)
                is_first = self._last_settings is not settings
                evaluation.observe(self._notices and self._notices(), self._deadlines, is_first=is_first)
                evaluation.save(self._new_id, self._public_url)
                for collector in self._collectors:
                    messages.add(tx, collector.collect(tx, now))
            self._last_settings = settings
            if not evaluation.has_more:
                return evaluation


class _Evaluation:
    """One transaction of an evaluation."""

    def __init__(
        self, tx: Transaction, now: datetime, settings: NotifySettings, deployments: ActiveDeployments
    ) -> None:
        self._tx = tx
        self._now = now
        self._deployments = deployments
        self._receivers = _Receivers(tx, now, settings, deployments)
        self._book = IncidentBook(
            find_audience=self._receivers.find_audience,
            find_openings=self._receivers.find_openings,
            group_wait=settings.group_wait,
        )
        opened = incidents.find_open(tx)
        ids = [incident.id for incident in opened]
        members, announced = incidents.find_members(tx, ids), incidents.find_announcements(tx, ids)
        self._book.load(opened, members, announced)
        self._cursor = incidents.find_cursor(tx)
        numbered = [] if self._cursor is None else events.after(tx, self._cursor, limit=MAX_EVENTS)
        self._new = [event for _, event in numbered]
        self._last = numbered[-1][0] if numbered else self._cursor
        self.has_more = len(numbered) == MAX_EVENTS

    @property
    def has_changes(self) -> bool:
        """Whether incidents or announcements have changed."""
        return self._book.has_changes

    def next_time(self) -> datetime | None:
        """Return when a message may be due if nothing happens until then."""
        return self._book.next_time()

    def observe(
        self, notices: Iterable[Condition] | None, deadlines: DeadlineMonitor | None, *, is_first: bool
    ) -> None:
        """Process what has happened since the last evaluation. With `is_first`, also read what can't have changed."""
        tx, now, book = self._tx, self._now, self._book
        observed = observations.read_runs(tx, self._new, book.failing(kind(Trouble.FAILED)))
        observed += observations.read_deletions(self._new)
        if deadlines is not None:
            observed += observations.deadline_observations(tx, deadlines.check(tx, now), now)
        observed += self._compare(observations.read_notices(notices or ()), (Trouble.STORAGE,), is_first=is_first)
        if is_first or self._new or self._has_conditions():
            source = observations.read_source(tx, now)
            observed += self._compare(source, observations.SOURCE_KINDS, is_first=is_first)
            python = observations.read_python(tx, book.failing(Trouble.PYTHON), now)
            observed += self._compare(python, (Trouble.PYTHON,), is_first=is_first)
        self._receivers.load_openings([each for each in observed if isinstance(each, Failure)])
        if observed or book.is_due(now):
            self._receivers.load_audiences({each.subject for each in observed} | book.subjects())
        book.process(observed, now)

    def save(self, new_id: Callable[[datetime], str], public_url: str | None) -> None:
        """Save what has changed, the messages and the cursor."""
        tx, book = self._tx, self._book
        if book.has_changes:
            ids = self._save_incidents()
            members = [replace(each, incident_id=ids[number]) for (number, _), each in book.changed_members.items()]
            incidents.save_members(tx, members)
            announced = book.changed_announcements.items()
            incidents.save_announcements(tx, [replace(each, incident_id=ids[key[0]]) for key, each in announced])
            reports = [
                replace(report, incident=replace(report.incident, id=ids[report.incident.id]))
                for report in book.reports
                if self._is_wanted(report)
            ]
            self._write_messages(reports, new_id, public_url)
        if self._cursor is None:
            self._last = events.last_number(tx)
        if self._last is not None and self._last != self._cursor:
            incidents.save_cursor(tx, self._last)

    def _write_messages(
        self, reports: Sequence[Report], new_id: Callable[[datetime], str], public_url: str | None
    ) -> None:
        if reports:
            facts = read_facts(self._tx, reports, self._deployments)
            now = self._now
            new = [
                build_message(report, facts, message_id=new_id(now), now=now, public_url=public_url)
                for report in reports
            ]
            messages.add(self._tx, new)

    def _save_incidents(self) -> dict[int, int]:
        """Save new and closed incidents. Return the recorded ids of all incidents by their ids in the book."""
        book, ids = self._book, {}
        for number, incident in book.changed_incidents.items():
            if number < 0:
                ids[number] = incidents.add(self._tx, incident).id
            elif incident.closed_at is not None:
                incidents.close(self._tx, number, incident.closed_at)
        numbers = {number for number, _ in (*book.changed_members, *book.changed_announcements)}
        numbers |= {report.incident.id for report in book.reports}
        return {number: ids.get(number, number) for number in numbers}

    def _is_wanted(self, report: Report) -> bool:
        """Return whether a channel gets a report. A recovery is reported if one of the rules asks for recoveries."""
        if report.new or report.kind not in (ReportKind.CHANGED, ReportKind.RECOVERED):
            return True
        audiences = [(self._receivers.find_audience(each.subject), each.trouble) for each in report.recovered]
        rules = [(audience[report.channel], trouble) for audience, trouble in audiences if report.channel in audience]
        return not rules or any(wants_recovery(each, deadlines_with(trouble)) for each, trouble in rules)

    def _compare(self, current: Sequence[Failure], kinds: Iterable[str], *, is_first: bool) -> list[Observation]:
        """Return the conditions that are new or have changed, and those that no longer hold.

        With `is_first`, return those that have not changed too, for channels that were added.
        """
        failing = {
            (kind(each.trouble), each.subject): each for of_kind in kinds for each in self._book.failing(of_kind)
        }
        now_failing = {(kind(each.trouble), each.subject) for each in current}
        changed: list[Observation] = [each for each in current if is_first or not _is_same(each, failing)]
        over = [place for place in failing if place not in now_failing]
        return [*changed, *(Recovery(subject=subject, kind=of_kind, at=self._now) for of_kind, subject in over)]

    def _has_conditions(self) -> bool:
        return any(self._book.failing(of_kind) for of_kind in (*observations.SOURCE_KINDS, Trouble.PYTHON))


class _Receivers:
    """The receivers of messages in one transaction: rules by subject, and what was announced before.

    It does not refer to the evaluation. Otherwise the evaluation, with all its events, would be a reference cycle, and
    stay in memory until Python collects its oldest garbage.
    """

    def __init__(
        self, tx: Transaction, now: datetime, settings: NotifySettings, deployments: ActiveDeployments
    ) -> None:
        self._tx = tx
        self._now = now
        self._settings = settings
        self._deployments = deployments
        self._audiences: dict[str, Audience] = {}
        self._openings: dict[tuple[object, str], set[datetime]] = {}

    def find_audience(self, subject: str) -> Audience:
        if subject not in self._audiences:
            self.load_audiences([subject])
        return self._audiences[subject]

    def load_audiences(self, subjects: Iterable[str]) -> None:
        """Read the rules of these subjects with one statement."""
        missing = {subject for subject in subjects if subject not in self._audiences}
        entries = {entry.name: entry for entry in inventory.find_many(self._tx, missing)} if missing else {}
        for subject in missing:
            deployment = self._build(entries[subject]) if subject in entries else None
            tags, declared = ((), ()) if deployment is None else (deployment.tags, deployment.notify)
            self._audiences[subject] = find_audience(self._settings, subject, tags, declared)

    def _build(self, entry: InventoryEntry) -> Deployment | None:
        try:
            return self._deployments.build(entry)
        except StateError:
            return None

    def load_openings(self, failures: Sequence[Failure]) -> None:
        if not failures:
            return
        keys, subjects = {failure.key for failure in failures}, {failure.subject for failure in failures}
        recent = incidents.find_openings(self._tx, since=self._now - WINDOW, keys=keys, subjects=subjects)
        for incident, subject, announced in recent:
            of_key, of_member = incident.key, (kind(incident.trouble), subject)
            # Earlier openings of an incident may be those of other members.
            for place, openings in ((of_key, announced.openings), (of_member, announced.openings[-1:])):
                self._openings.setdefault((place, announced.channel), set()).update(openings)

    def find_openings(self, failure: Failure, channel: str) -> Iterable[datetime]:
        places = (failure.key, (kind(failure.trouble), failure.subject))
        return {opening for place in places for opening in self._openings.get((place, channel), ())}


def _has_new_events(tx: Transaction) -> bool:
    """Return whether there are events that were not evaluated yet, or there was no evaluation yet."""
    cursor = incidents.find_cursor(tx)
    return cursor is None or events.last_number(tx) > cursor


def _is_same(failure: Failure, failing: dict[tuple[str, str], IncidentMember]) -> bool:
    member = failing.get((kind(failure.trouble), failure.subject))
    return member is not None and (member.trouble, member.reason) == (failure.trouble, failure.reason)
