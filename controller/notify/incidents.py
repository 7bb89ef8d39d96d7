"""The open incidents, and what changes them. Pure, on values of `controller.model.notifications`.

`evaluation` loads an `IncidentBook` from the database, lets it process what was observed in the order of time, and
saves what has changed. The messages do not depend on when it does so.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controller.model.notifications import Announcement, Incident, IncidentMember, Trouble
from controller.notify.exit_codes import WITHIN, are_many, exit_code_key
from controller.notify.flapping import (
    MAX_OPENINGS,
    ReportKind,
    after_failure,
    after_move,
    after_recovery,
    calm,
    settle,
    with_past_times,
)
from controller.notify.grouping import DEADLINE, Failure, Observation, Recovery, kind
from controller.notify.rules import Audience, ready_at

_KINDS = sorted({kind(trouble) for trouble in Trouble})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A message that is due: what changed about the incident at `at`, for one channel.

    - `failing`: the members that fail, of which `new` were not reported yet.
    - `recovered`: those that no longer fail; with a recovery, all that the rules of the channel cover.
    - `moved`: the subjects of `recovered` that now fail for another cause.
    - `calm`: how long what is flapping must neither fail nor recover to be stable.
    """

    kind: ReportKind
    incident: Incident
    channel: str
    at: datetime
    failing: tuple[IncidentMember, ...] = ()
    new: tuple[IncidentMember, ...] = ()
    recovered: tuple[IncidentMember, ...] = ()
    moved: frozenset[str] = frozenset()
    calm: timedelta = timedelta(0)


@dataclass(slots=True)
class _Entry:
    """One open incident with its members by subject, and its announcements by channel."""

    incident: Incident
    members: dict[str, IncidentMember] = field(default_factory=dict)
    announcements: dict[str, Announcement] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """Whether all members have recovered, and this was reported."""
        return not self.failing and not any(each.subjects for each in self.announcements.values())

    @property
    def is_flapping(self) -> bool:
        """Whether it is flapping for a channel."""
        return any(each.flapping_since is not None for each in self.announcements.values())


class IncidentBook:
    """The open incidents of a project.

    - `find_audience` returns the rules for a subject, by channel.
    - `find_openings` returns when incidents with the key or the subject of a failure were last announced to a channel,
      if they were closed since.
    - New incidents have negative ids, until they are saved.
    """

    def __init__(
        self,
        *,
        find_audience: Callable[[str], Audience],
        find_openings: Callable[[Failure, str], Iterable[datetime]] = lambda *_: (),
        group_wait: timedelta = timedelta(0),
    ) -> None:
        self._find_audience = find_audience
        self._find_openings = find_openings
        self._group_wait = group_wait
        self._entries: dict[int, _Entry] = {}
        self._by_key: dict[str, _Entry] = {}
        self._by_member: dict[tuple[str, str], _Entry] = {}
        """The incident in which a subject fails, or has failed last, by kind of trouble and subject."""
        self._closed: dict[tuple[str, str], dict[str, tuple[datetime, ...]]] = {}
        self._due: list[tuple[datetime, int, str]] = []
        self._next_id = -1
        self.changed_incidents: dict[int, Incident] = {}
        self.changed_members: dict[tuple[int, str], IncidentMember] = {}
        self.changed_announcements: dict[tuple[int, str], Announcement] = {}
        self.reports: list[Report] = []

    def load(
        self,
        incidents: Iterable[Incident],
        members: Mapping[int, Iterable[IncidentMember]],
        announcements: Iterable[Announcement],
    ) -> None:
        """Add recorded incidents that are open."""
        for incident in incidents:
            entry = self._add(incident)
            for member in members.get(incident.id, ()):
                self._place(entry, member)
        for announcement in announcements:
            self._entries[announcement.incident_id].announcements[announcement.channel] = announcement
            self._push(announcement)

    @property
    def has_changes(self) -> bool:
        """Whether something must be saved."""
        return bool(self.changed_incidents or self.changed_members or self.changed_announcements)

    def failing(self, of_kind: str) -> list[IncidentMember]:
        """Return the members that fail, of this kind of trouble."""
        members = (entry.members[subject] for (each, subject), entry in self._by_member.items() if each == of_kind)
        return [member for member in members if member.closed_at is None]

    def subjects(self) -> set[str]:
        """Return the subjects of all members."""
        return {subject for entry in self._entries.values() for subject in entry.members}

    def is_due(self, now: datetime) -> bool:
        """Return whether a message may be due."""
        return bool(self._due) and self._due[0][0] <= now

    def process(self, observations: Iterable[Observation], now: datetime) -> None:
        """Process what was observed, in the order of time, and everything that is due until `now`."""
        for entry in list(self._entries.values()):
            self._correct_times(entry, now)
        past = (each if each.at <= now else replace(each, at=now) for each in observations)
        for observation in sorted(past, key=lambda each: each.at):
            self._advance(observation.at, is_inclusive=False)  # what happens at the same time is one report
            if isinstance(observation, Failure):
                self._fail(self._with_exit_code(observation))
            else:
                self._recover(observation)
        self._advance(now)

    def next_time(self) -> datetime | None:
        """Return when a message may be due if nothing happens until then."""
        times = (each.due_at for entry in self._entries.values() for each in entry.announcements.values())
        return min((time for time in times if time is not None), default=None)

    def _correct_times(self, entry: _Entry, now: datetime) -> None:
        """Replace times in the future by the current one: they were recorded before the clock was set back."""
        ahead = [member for member in entry.members.values() if member.since > now]
        for member in ahead:
            self._place(entry, replace(member, since=now))
            self.changed_members[entry.incident.id, member.subject] = entry.members[member.subject]
        for announcement in list(entry.announcements.values()):
            corrected = with_past_times(announcement, now)
            if corrected != announcement or (ahead and announcement.due_at is not None):
                self._save(entry, replace(corrected, due_at=now))

    def _with_exit_code(self, failure: Failure) -> Failure:
        """Return the failure, with the exit code as its cause if many have failed with the same one by now.

        Those that were not reported yet join the new incident.
        """
        key = failure.exit_code_key
        if not key:
            return failure
        grouped, common = self._by_key.get(key), replace(failure, key=key)
        if grouped is not None:
            recent = (grouped.members[subject].since for subject in grouped.failing)
            is_recent = failure.at - max(recent, default=failure.at) <= WITHIN
            return common if failure.subject in grouped.failing or is_recent else failure
        alone = [(entry, member) for entry in self._entries.values() if (member := _member_of_exit_code(entry, key))]
        if not are_many((member for _, member in alone if member.subject != failure.subject), failure.at):
            return failure
        for entry, member in alone:
            if not any(each.subjects for each in entry.announcements.values()):
                self._close_member(entry, member.subject, failure.at)
                moved = replace(common, subject=member.subject, trouble=member.trouble, failures=member.failures)
                self._fail(replace(moved, run_id=member.run_id, reason=member.reason), member)
        return common

    def _fail(self, failure: Failure, before: IncidentMember | None = None) -> None:
        """Process a failure. `before` is the member of another incident that moves to this one."""
        former = self._by_member.get((kind(failure.trouble), failure.subject))
        if former is not None and failure.subject in former.failing:
            before = former.members[failure.subject]
        entry = self._find_entry(failure) or self._open(failure)
        member = _failed(failure, entry.incident.id, before)
        if member != entry.members.get(failure.subject):
            self._place(entry, member)
            self.changed_members[entry.incident.id, member.subject] = member
        for channel, rules in self._find_audience(failure.subject).items():
            ready = ready_at(rules, member)
            announcement = entry.announcements.get(channel) or Announcement(
                incident_id=entry.incident.id, channel=channel, openings=self._openings(failure, channel)
            )
            if ready is not None or failure.subject in announcement.subjects:
                due = max(ready or failure.at, failure.at)
                due += timedelta(0) if announcement.subjects else self._group_wait
                others = entry.failing - {failure.subject} if announcement.flapping_since is not None else ()
                self._save(entry, after_failure(announcement, failure.subject, at=failure.at, due=due, others=others))

    def _find_entry(self, failure: Failure) -> _Entry | None:
        """Return the open incident to which a failure belongs.

        A deployment that already fails, now with another error, leaves its incident only if others fail in it too.
        """
        same_key = self._by_key.get(failure.key)
        entry = self._by_member.get((kind(failure.trouble), failure.subject))
        if entry is None or entry is same_key:
            return same_key
        if kind(failure.trouble) == DEADLINE and failure.subject in entry.failing:
            return entry  # a late run that is now overdue
        is_alone = entry.failing <= {failure.subject}
        if failure.subject not in entry.failing:
            # Each failure of a flapping deployment may have another error.
            return entry if is_alone and entry.is_flapping else same_key
        if is_alone:
            return entry
        for announcement in list(entry.announcements.values()):
            self._save(entry, after_move(announcement, failure.subject))
        self._close_member(entry, failure.subject, failure.at)
        return same_key

    def _open(self, failure: Failure) -> _Entry:
        incident = Incident(
            id=self._next_id, key=failure.key, trouble=failure.trouble, cause=failure.cause, opened_at=failure.at
        )
        self._next_id -= 1
        self.changed_incidents[incident.id] = incident
        return self._add(incident)

    def _openings(self, failure: Failure, channel: str) -> tuple[datetime, ...]:
        places = (("", failure.key), (kind(failure.trouble), failure.subject))
        openings = {opening for place in places for opening in self._closed.get(place, {}).get(channel, ())}
        return tuple(sorted({*openings, *self._find_openings(failure, channel)}))

    def _recover(self, recovery: Recovery) -> None:
        for each in _KINDS if recovery.kind is None else (recovery.kind,):
            entry = self._by_member.get((each, recovery.subject))
            if entry is not None and recovery.subject in entry.failing:
                self._close_member(entry, recovery.subject, recovery.at, recovery.reason)

    def _close_member(self, entry: _Entry, subject: str, at: datetime, reason: str = "") -> None:
        before = entry.members[subject]
        member = replace(before, closed_at=at, reason=reason or before.reason)
        self._place(entry, member)
        self.changed_members[entry.incident.id, subject] = member
        for announcement in list(entry.announcements.values()):
            if subject in announcement.subjects or not entry.failing:
                self._save(entry, after_recovery(announcement, at=at, failing=entry.failing))
        self._close_if_over(entry, at)

    def _advance(self, until: datetime, *, is_inclusive: bool = True) -> None:
        """Write the reports that are due before then, or also at that time."""
        while self._due and (self._due[0][0] < until or (is_inclusive and self._due[0][0] == until)):
            due, number, channel = heapq.heappop(self._due)
            entry = self._entries.get(number)
            if entry is not None and entry.announcements[channel].due_at == due:
                self._settle(entry, channel, due)

    def _settle(self, entry: _Entry, channel: str, at: datetime) -> None:
        before = entry.announcements[channel]
        ready = {subject: self._ready_at(entry.members[subject], channel) for subject in entry.failing}
        failing = {subject for subject, time in ready.items() if time is not None and time <= at}
        failing |= entry.failing & set(before.subjects)
        after, report = settle(before, failing, at)
        later = min((time for time in ready.values() if time is not None and time > at), default=None)
        if after.due_at is None and later is not None:
            after = replace(after, due_at=later if after.subjects else later + self._group_wait)
        self._save(entry, after)
        if report is not None:
            self.reports.append(replace(self._report(entry, before, failing, at), kind=report, calm=calm(after)))
        self._close_if_over(entry, at)

    def _ready_at(self, member: IncidentMember, channel: str) -> datetime | None:
        return ready_at(self._find_audience(member.subject).get(channel, ()), member)

    def _report(self, entry: _Entry, before: Announcement, failing: set[str], at: datetime) -> Report:
        recovered = set(before.subjects) - failing
        if not failing:
            recovered |= {subject for subject in entry.members if before.channel in self._find_audience(subject)}
        return Report(
            kind=ReportKind.CHANGED,
            incident=entry.incident,
            channel=before.channel,
            at=at,
            failing=_select(entry, failing),
            new=_select(entry, failing - set(before.subjects)),
            recovered=_select(entry, recovered - entry.failing),
            moved=frozenset(subject for subject in recovered if self._has_moved(entry, subject)),
        )

    def _has_moved(self, entry: _Entry, subject: str) -> bool:
        member = entry.members.get(subject)
        elsewhere = None if member is None else self._by_member.get((kind(member.trouble), subject))
        return elsewhere is not None and elsewhere is not entry and subject in elsewhere.failing

    def _close_if_over(self, entry: _Entry, at: datetime) -> None:
        number = entry.incident.id
        if number not in self._entries or not entry.is_over:
            return
        for subject, member in entry.members.items():
            place = (kind(member.trouble), subject)
            if self._by_member.get(place) is entry:
                del self._by_member[place]
        for channel, announcement in entry.announcements.items():
            openings = announcement.openings
            self._closed.setdefault(("", entry.incident.key), {})[channel] = openings
            for member in entry.members.values():
                # Earlier openings may be those of other members.
                of_member = self._closed.setdefault((kind(member.trouble), member.subject), {})
                of_member[channel] = (*of_member.get(channel, ()), *openings[-1:])[-MAX_OPENINGS:]
        del self._entries[number], self._by_key[entry.incident.key]
        self.changed_incidents[number] = replace(entry.incident, closed_at=at)

    def _add(self, incident: Incident) -> _Entry:
        entry = self._entries[incident.id] = self._by_key[incident.key] = _Entry(incident)
        return entry

    def _place(self, entry: _Entry, member: IncidentMember) -> None:
        place = (kind(member.trouble), member.subject)
        entry.members[member.subject] = member
        if member.closed_at is None:
            entry.failing.add(member.subject)
            self._by_member[place] = entry
        else:
            entry.failing.discard(member.subject)
            self._by_member.setdefault(place, entry)

    def _save(self, entry: _Entry, announcement: Announcement) -> None:
        if entry.announcements.get(announcement.channel) != announcement:
            entry.announcements[announcement.channel] = announcement
            self.changed_announcements[entry.incident.id, announcement.channel] = announcement
            self._push(announcement)

    def _push(self, announcement: Announcement) -> None:
        if announcement.due_at is not None:
            heapq.heappush(self._due, (announcement.due_at, announcement.incident_id, announcement.channel))


def _failed(failure: Failure, incident_id: int, before: IncidentMember | None) -> IncidentMember:
    """Return the member of an incident after a failure. `before` is the member if it was failing already."""
    is_repeated = before is not None and (failure.run_id is None or failure.run_id == before.run_id)
    failures = before.failures if before is not None else 0
    member = IncidentMember(
        incident_id=incident_id,
        subject=failure.subject,
        trouble=failure.trouble,
        since=failure.at if before is None else before.since,
        failures=failure.failures or max(failures if is_repeated else failures + 1, 1),
        run_id=failure.run_id,
        reason=failure.reason,
    )
    if before is None or before.run_id is None or failure.run_id is None or failure.run_id > before.run_id:
        return member
    # An older run failed after a newer one.
    return replace(member, trouble=before.trouble, run_id=before.run_id, reason=before.reason)


def _member_of_exit_code(entry: _Entry, key: str) -> IncidentMember | None:
    """Return the only member of an incident, if it fails with this exit code; None otherwise."""
    if len(entry.failing) != 1:
        return None
    member = entry.members[next(iter(entry.failing))]
    has_own_incident = entry.incident.key == f"failed/{member.subject}"
    return member if has_own_incident and exit_code_key(member.reason) == key else None


def _select(entry: _Entry, subjects: set[str]) -> tuple[IncidentMember, ...]:
    members: Iterator[IncidentMember] = (entry.members[each] for each in subjects if each in entry.members)
    return tuple(sorted(members, key=lambda each: (each.since, each.subject)))
