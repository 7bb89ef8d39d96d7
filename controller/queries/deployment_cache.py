"""A cached list of all deployments, updated incrementally. The dashboard and the API read it often and concurrently.

After a commit to the state, the next call reads only what can have changed and rebuilds only those rows; the result
equals that of `list_deployments`. Every ten minutes the newest run of each deployment is read again in any case.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from controller.clock import Clock
from controller.model.notifications import MissedDeadline
from controller.model.runs import LastRun, first_unread_id
from controller.model.schedules import Schedule
from controller.model.status import Hold, SourceStatus
from controller.model.triggers import WatchProblem
from controller.queries.attention import Attention, find_attention
from controller.queries.deployment_rows import DeploymentRows, DeploymentSummary
from controller.queries.deployments import (
    BaseRow,
    Build,
    DeploymentView,
    base_row,
    complete_row,
    depends_on_same_source,
    errors_of_never_valid,
    never_valid_row,
)
from controller.queries.executor_conditions import list_cluster_executors
from controller.queries.fire_timeline import FireSource, Timeline, Upcoming
from controller.queries.graph import GraphView, view_graph
from controller.queries.moment import read_moment
from controller.queries.notifications import read_notification_status
from controller.store import Store, Transaction, inventory, last_runs, passes
from controller.store import runs as stored_runs
from controller.store.batches import batches
from controller.store.commit_counter import CommitCounter
from controller.store.inventory_changes import find_changed

_FULL_REFRESH = timedelta(minutes=10)
_MANY = 500
"""With more changes than this, reading all newest runs is faster than reading single ones."""


class DeploymentCache:
    """The cached list. Safe to use from several threads.

    `build` returns the deployments that the controller has built already, so that they are in memory once.
    """

    def __init__(self, store: Store, changes: CommitCounter, clock: Clock, build: Build | None = None) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._is_complete = True
        self._at = self._until = datetime.min.replace(tzinfo=UTC)
        self._entries = _Entries(build)
        self._newest = _NewestRuns()
        self._source: SourceStatus | None = None
        self._holds: Mapping[str, Hold] = {}
        self._missed: Mapping[str, tuple[MissedDeadline, ...]] = {}
        self._unwatched: Mapping[str, tuple[WatchProblem, ...]] = {}
        self._executors: Collection[str] = ()
        self._rows = DeploymentRows()
        self._unseen: set[str] = set()
        self._never_valid: set[str] = set()
        self._timeline = Timeline(clock)
        self._attention: list[Attention] = []
        self._attention_of: list[DeploymentView] | None = None

    def deployments(self) -> list[DeploymentView]:
        """Return all deployments, problems first, in the order of `list_deployments`."""
        with self._lock:
            return self._current_rows()

    def attention(self) -> list[Attention]:
        """Return the problems that need attention, the worst first."""
        with self._lock:
            rows = self._current_rows()
            if self._attention_of is not rows:
                with self._store.read() as tx:
                    notifications = read_notification_status(tx, self._at)
                    executors = list_cluster_executors(tx)
                notable = self._rows.summary().notable
                self._attention = list(find_attention(self._source, notable, notifications, executors))
                self._attention_of = rows
            return self._attention

    def schedules(self, name: str) -> tuple[Schedule, ...]:
        """Return the schedules of a deployment, as of the last read; none if it was not active then."""
        base = self._entries.bases.get(name)
        return () if base is None else base.schedules

    def graph(self, name: str | None = None) -> GraphView:
        """Return what starts or holds back what, as a whole or around one deployment."""
        with self._lock:
            rows = self._current_rows()
            return view_graph(rows, (edge for base in self._entries.bases.values() for edge in base.edges), name)

    def summary(self) -> DeploymentSummary:
        """Return what the overview shows of all deployments."""
        with self._lock:
            self._current_rows()
            return self._rows.summary()

    def upcoming(self) -> Upcoming:
        """Return the fire times of the next 24 hours."""
        with self._lock:
            self._current_rows()
            self._timeline.change({name: self._fire_source(name) for name in self._unseen})
            self._unseen = set()
        return self._timeline.upcoming()

    def _fire_source(self, name: str) -> FireSource | None:
        """Return the schedules and the hold of this deployment; None if it does not fire."""
        row = self._rows.find(name)
        return None if row is None or row.next_fire_time is None else (self._entries.bases[name].schedules, row.hold)

    def close(self) -> None:
        """Close the connection to the database."""
        self._changes.close()

    def _current_rows(self) -> list[DeploymentView]:
        now, stamp = self._clock.now(), self._changes.stamp()
        if stamp != self._stamp or not self._at <= now < self._until:
            was_complete, self._is_complete = self._is_complete, False
            with self._store.read() as tx:
                self._refresh(tx, now, everything=not was_complete)
            self._stamp, self._at, self._is_complete = stamp, now, True
        return self._rows.in_order

    def _refresh(self, tx: Transaction, now: datetime, *, everything: bool) -> None:
        """Read what has changed, and replace its rows; with `everything`, all rows, because the last read failed."""
        if everything:
            self._newest = _NewestRuns()
        moment = read_moment(tx, now)
        changed = self._entries.refresh(tx, moment.source, now)
        stale = changed | self._newest.refresh(tx, now, changed=changed)
        stale |= _differing(moment.holds, self._holds) | _differing(moment.missed, self._missed)
        stale |= _differing(moment.unwatched, self._unwatched)
        stale |= self._rows.due(now)
        bases = self._entries.bases
        if self._executors != moment.executors.keys():
            stale |= {name for name, base in bases.items() if base.executor is not None}
        if everything or not depends_on_same_source(self._source, moment.source) or now < self._at:
            stale = {*bases, *self._rows.names()}
        if self._source != moment.source:
            stale |= self._never_valid
        errors = errors_of_never_valid(moment.source, bases)
        rows = {name: complete_row(bases[name], self._newest.runs.get(name), moment) for name in stale if name in bases}
        rows |= {name: never_valid_row(finding) for name, finding in errors.items()}
        self._rows.replace(stale | errors.keys(), rows)
        self._unseen |= stale | errors.keys()
        self._never_valid = set(errors)
        self._source, self._holds, self._missed = moment.source, moment.holds, moment.missed
        self._unwatched, self._executors = moment.unwatched, moment.executors.keys()
        ends = [hold.until for hold in moment.holds.values() if hold.until is not None]
        self._until = min([now + _FULL_REFRESH, *ends, *self._rows.first_start()])


class _Entries:
    """The rows' parts that come from the inventory. Read again when a pass may have changed it."""

    def __init__(self, build: Build | None) -> None:
        self.bases: dict[str, BaseRow] = {}
        self._build = build
        self._last_change: int | None = None
        self._key: tuple[SourceStatus | None, int | None] | None = None
        self._read_at: datetime | None = None

    def refresh(self, tx: Transaction, source: SourceStatus | None, now: datetime) -> set[str]:
        """Read changes, and return the names of new, changed and removed deployments.

        Reads all deployments if the state was replaced by an older one, such as a backup, which uses the numbers of
        changes again. Deletions are recorded for a limited time, so it also reads all after half of it without a read,
        and if old names are missing.
        """
        key, before = (source, passes.last_number(tx)), self._key
        read_at, self._read_at = self._read_at, now
        if key == before:
            return set()
        is_older = before is not None and (key[1] or 0) < (before[1] or 0)
        changed, last, is_complete = find_changed(tx, None if is_older else self._last_change)
        if is_older or not is_complete or (read_at is not None and now - read_at > inventory.TOMBSTONES / 2):
            changed |= self.bases.keys()
        removed = set(changed)
        for group in batches(changed):  # entries have documents, which are needed for a moment only
            for entry in inventory.find_many(tx, group):
                self.bases[entry.name] = base_row(entry, self._build)
                removed.discard(entry.name)
        for name in removed:
            self.bases.pop(name, None)
        self._key, self._last_change = key, last
        return changed


class _NewestRuns:
    """The newest run of each deployment. Read again if it is not final, or if there may be a newer one."""

    def __init__(self) -> None:
        self.runs: dict[str, LastRun] = {}
        self._in_progress: set[str] = set()
        self._unsettled: set[str] = set()
        self._last_id = ""
        self._unfinished: Mapping[str, int] = {}
        self._full_refresh_at: datetime | None = None

    def refresh(self, tx: Transaction, now: datetime, *, changed: Collection[str]) -> set[str]:
        """Read changes, and return the deployments whose newest run is a different one or has changed.

        Deployments in `changed` may have been renamed, and so have another history: they are read again. If one of them
        gets a history, another one may have lost it although its entry looks the same: all are read again.
        """
        last_time = self._full_refresh_at
        is_outdated = last_time is None or not last_time <= now < last_time + _FULL_REFRESH
        before_unfinished, self._unfinished = self._unfinished, stored_runs.active_counts(tx)
        if is_outdated or len(changed) > _MANY:
            return self._read_all(tx, now)
        of_changed = [run for name in changed if (run := last_runs.find(tx, name)) is not None]
        if any(run.deployment not in self.runs for run in of_changed):
            return self._read_all(tx, now)
        for name in changed:
            self._put(name, None)
        # The run before a skipped one may be in progress, and is read again together with it.
        of_changed += [run for name in sorted(self._unsettled) if (run := last_runs.find(tx, name)) is not None]
        active = [self.runs[name].id for name in self._in_progress]
        since = last_runs.find_since(tx, first_unread_id(self._last_id))
        updated = set()
        for run in (*last_runs.find_many(tx, active), *since, *of_changed):
            cached = self.runs.get(run.deployment)
            if cached != run and (cached is None or run.id >= cached.id):
                self._put(run.deployment, run)
                updated.add(run.deployment)
            self._last_id = max(self._last_id, run.id)
        # An older run may have failed while the newest one is in progress or after its end, which changes the number of
        # failures. Each new run is the newest of its deployment, so the counts show the end of an older one.
        ended = _differing(self._unfinished, before_unfinished) & self.runs.keys()
        counted = last_runs.add_streaks(tx, {name: self.runs[name] for name in updated | self._in_progress | ended})
        updated |= {name for name, run in counted.items() if run.streak != self.runs[name].streak}
        self.runs |= counted
        return updated

    def _put(self, name: str, run: LastRun | None) -> None:
        """Replace the newest run of a deployment; None: it has none."""
        is_in_progress = run is not None and not run.state.is_terminal
        is_unsettled = run is not None and run.before is not None and not run.before.state.is_terminal
        (self._in_progress.add if is_in_progress else self._in_progress.discard)(name)
        (self._unsettled.add if is_unsettled else self._unsettled.discard)(name)
        if run is None:
            self.runs.pop(name, None)
        else:
            self.runs[name] = run

    def _read_all(self, tx: Transaction, now: datetime) -> set[str]:
        before, self.runs, self._full_refresh_at = self.runs, last_runs.find_all(tx), now
        self._in_progress, self._unsettled = set(), set()
        for name, run in self.runs.items():
            self._put(name, run)
        self._last_id = max((run.id for run in self.runs.values()), default="")
        return _differing(self.runs, before)


def _differing(new: Mapping[str, object], old: Mapping[str, object]) -> set[str]:
    return {name for name in {*new, *old} if new.get(name) != old.get(name)}
