"""All deployments at a glance, kept up to date for as long as somebody looks: many may look at once and often.

A look after a commit of the state reads what can have changed, and makes only those rows anew; what it gives is what
`list_deployments` gives. Every ten minutes the newest runs are read whole, whatever has been seen of them.
"""

import threading
from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from controller.clock import Clock
from controller.model.runs import RunId, first_id
from controller.model.schedules import Schedule
from controller.model.status import Hold, SourceStatus
from controller.queries.deployments import (
    DeploymentView,
    InForce,
    in_force,
    moment_of,
    never_valid,
    place,
    row_of,
    unknown_names,
)
from controller.queries.fire_timeline import Timeline
from controller.store import Store, Transaction, inventory, last_runs, passes
from controller.store.commit_counter import CommitCounter
from controller.store.last_runs import LastRun

_WHOLE = timedelta(minutes=10)
_LATE = timedelta(seconds=10)
"""How long before its commit a run may have been given its id."""
_MANY = 500


class DeploymentCache:
    """Safe to use from several threads."""

    def __init__(self, store: Store, changes: CommitCounter, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._at = self._until = datetime.min.replace(tzinfo=UTC)
        self._entries = _Entries()
        self._newest = _NewestRuns()
        self._source: SourceStatus | None = None
        self._holds: Mapping[str, Hold] = {}
        self._rows = _Rows()
        self._timeline = Timeline(clock)

    def deployments(self) -> list[DeploymentView]:
        """Every deployment, problems first, as `list_deployments` has it."""
        with self._lock:
            return self._look()

    def schedules(self, name: str) -> tuple[Schedule, ...]:
        """Those of a deployment that was in force at the last look; none of another."""
        said = self._entries.known.get(name)
        return () if said is None else said.schedules

    def upcoming(self) -> Mapping[datetime, float]:
        """About how many fire times there are in each half hour of the next day."""
        with self._lock:
            awake = [
                (self._entries.known[row.name].schedules, row.hold)
                for row in self._look()
                if row.next_fire_time is not None
            ]
        return self._timeline.upcoming(awake)

    def close(self) -> None:
        """Give the file back."""
        self._changes.close()

    def _look(self) -> list[DeploymentView]:
        now, stamp = self._clock.now(), self._changes.stamp()
        if stamp != self._stamp or not self._at <= now < self._until:
            with self._store.read() as tx:
                self._refresh(tx, now)
            self._stamp, self._at = stamp, now
        return self._rows.inorder

    def _refresh(self, tx: Transaction, now: datetime) -> None:
        moment = moment_of(tx, now)
        changed = self._entries.refresh(tx, moment.source)
        stale = changed | self._newest.refresh(tx, now, doubted=changed)
        stale |= {name for name in {*moment.holds, *self._holds} if moment.holds.get(name) != self._holds.get(name)}
        stale |= self._rows.due(now)
        known = self._entries.known
        if self._source != moment.source or now < self._at:
            stale = {*known, *self._rows.names()}
        unknown = unknown_names(moment.source, known)
        made = {name: row_of(known[name], self._newest.known.get(name), moment) for name in stale if name in known}
        made |= {name: never_valid(finding) for name, finding in unknown.items()}
        self._rows.replace(stale | unknown.keys(), made)
        self._source, self._holds = moment.source, moment.holds
        ends = [hold.until for hold in moment.holds.values() if hold.until is not None]
        self._until = min([now + _WHOLE, *ends, *self._rows.first_fire()])


class _Entries:
    """What the inventory says; read again where a pass can have changed it."""

    def __init__(self) -> None:
        self.known: dict[str, InForce] = {}
        self._marks: dict[str, int] = {}
        self._of: tuple[SourceStatus | None, int | None] | None = None

    def refresh(self, tx: Transaction, source: SourceStatus | None) -> set[str]:
        """The names that are new, changed or gone."""
        key = (source, passes.last_number(tx))
        if key == self._of:
            return set()
        marks = inventory.marks(tx)
        changed = {name for name, mark in marks.items() if self._marks.get(name) != mark}
        gone = self._marks.keys() - marks.keys()
        for entry in inventory.these(tx, changed):
            self.known[entry.name] = in_force(entry)
        for name in gone:
            del self.known[name]
        self._marks, self._of = marks, key
        return changed | gone


class _NewestRuns:
    """The newest run of each deployment; read again where it was not final or a newer one can have come."""

    def __init__(self) -> None:
        self.known: dict[str, LastRun] = {}
        self._last = ""
        self._whole_at: datetime | None = None

    def refresh(self, tx: Transaction, now: datetime, *, doubted: Collection[str]) -> set[str]:
        """The deployments whose newest run is another one, or has changed; the `doubted` may have another history."""
        is_old = self._whole_at is None or not self._whole_at <= now < self._whole_at + _WHOLE
        if is_old or len(doubted) > _MANY:
            before, self.known, self._whole_at = self.known, last_runs.of_all(tx), now
            self._last = max((run.id for run in self.known.values()), default="")
            return {name for name in {*before, *self.known} if before.get(name) != self.known.get(name)}
        for name in doubted:
            self.known.pop(name, None)
        of_doubted = [run for name in doubted if (run := last_runs.of(tx, name)) is not None]
        active = [run.id for run in self.known.values() if not run.state.is_terminal]
        changed = set()
        for run in (*last_runs.these(tx, active), *last_runs.since(tx, _somewhat_before(self._last)), *of_doubted):
            known = self.known.get(run.deployment)
            if known != run and (known is None or run.id >= known.id):
                self.known[run.deployment] = run
                changed.add(run.deployment)
            self._last = max(self._last, run.id)
        return changed


class _Rows:
    """The rows in their order."""

    def __init__(self) -> None:
        self.inorder: list[DeploymentView] = []
        self._by_name: dict[str, DeploymentView] = {}

    def names(self) -> list[str]:
        """Of all rows."""
        return list(self._by_name)

    def due(self, now: datetime) -> set[str]:
        """The names of those whose next fire time has come."""
        return {row.name for row in self.inorder if row.next_fire_time is not None and row.next_fire_time <= now}

    def first_fire(self) -> list[datetime]:
        """The first of all next fire times, if there is any."""
        times = (row.next_fire_time for row in self.inorder if row.next_fire_time is not None)
        first = min(times, default=None)
        return [] if first is None else [first]

    def replace(self, stale: set[str], made: Mapping[str, DeploymentView]) -> None:
        """Drop the rows of these names, and put these in; a list that was given out stays as it was."""
        before = [self._by_name.pop(name) for name in stale if name in self._by_name]
        self._by_name |= made
        if len(before) + len(made) > _MANY:
            self.inorder = sorted(self._by_name.values(), key=place)
            return
        rows = self.inorder.copy()
        for row in before:
            del rows[bisect_left(rows, place(row), key=place)]
        for row in made.values():
            insort(rows, row, key=place)
        self.inorder = rows


def _somewhat_before(last: str) -> str:
    """What the ids of runs that are not seen yet do not sort before, if this is the last one that is seen."""
    if not last:
        return ""
    made = datetime.fromtimestamp(int(RunId(last).replace("-", "")[:12], 16) / 1000, UTC)
    return first_id(made - _LATE)
