"""The deadlines that deployments declare with `expect`: which were missed, and which are met again.

`evaluation` calls `DeadlineMonitor.check` in a write transaction, if `has_work` finds in a read transaction that there
may be something to record. The monitor records missed deadlines in the table `deadlines`, from which `queries` shows
the conditions `Late` and `Overdue`, and the events `Late`, `Overdue` and `OnTime`. Everything follows from the
inventory, the ledger, the runs and that table. So a restart neither loses nor repeats a missed deadline.
"""

import heapq
from dataclasses import field, replace
from datetime import datetime, timedelta
from functools import cache

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import DeadlineKind, DeadlineRecord, MissedDeadline, Trouble
from controller.model.runs import ACTIVE, RunState
from controller.model.status import Event, EventSeverity
from controller.notify.deadline_inventory import DeadlineInventory, Key
from controller.notify.deadline_targets import (
    NOT_RUNNING,
    POLICY_SKIPS,
    Situation,
    Verdict,
    evaluate_targets,
    read_targets,
)
from controller.records import dataclass
from controller.schedules import next_fire_times
from controller.store import deadlines, events, gates, inventory, last_runs
from controller.store.store import Transaction

CLOCK_STEP = timedelta(seconds=5)
"""A record that is later than the current time by more than this is from before the clock was set back."""


WITHDRAWN = "The deadline no longer applies: the deployment is held, suspended or deleted, or its run was cancelled"
"""The reason of a trouble that ended because its deadline was withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineChange:
    """The changes since the last check.

    - `missed`: new misses, and earlier ones that another due time has missed too (`count`).
    - `met`: deployments that are on time again: the run started, finished or succeeded. With both `finish_within` and
      `success_every`, `overdue` is met when neither is missed.
    - `withdrawn`: deployments that no longer have to meet a deadline, because a user deleted, suspended or held them,
      removed the deadline, or cancelled the run. They have not recovered.
    """

    missed: list[MissedDeadline] = field(default_factory=list)
    met: list[tuple[str, Trouble]] = field(default_factory=list)
    withdrawn: list[tuple[str, Trouble]] = field(default_factory=list)


class DeadlineMonitor:
    """Checks the deadlines. Not thread-safe: call it from the thread of notifications only."""

    def __init__(self, deployments: ActiveDeployments) -> None:
        self._declared = DeadlineInventory(deployments)
        self._began_at: datetime | None = None
        self._is_current = False
        self._next: dict[Key, datetime] = {}
        self._heap: list[tuple[datetime, Key]] = []
        self._runs: dict[Key, set[datetime]] = {}
        self._again: set[Key] = set()
        self._begun: set[Key] = set()
        self._latest: datetime | None = None

    def has_work(self, tx: Transaction, now: datetime) -> bool:
        """Return whether `check` may have something to record. `tx` may be a read transaction.

        Call it after each commit, and when `next_time` has come.
        """
        if not self._is_current or self._again or self._declared.is_stale(tx, now):
            return True
        self._add_runs(tx, set())
        if (self._heap and self._heap[0][0] <= now) or self._find_ahead(now):
            return True
        situation = self._situation(tx, now)
        return any(self._has_changed(tx, key, situation) for key in self._find_doubtful(tx))

    def check(self, tx: Transaction, now: datetime) -> DeadlineChange:
        """Return what has changed since the last check, and record it. `tx` is a write transaction.

        It reads only the deployments with deadlines that are due, and those that have missed one.
        """
        self._began_at = self._began_at or now
        is_first = not self._is_current
        self._is_current = False  # until the commit: what is in memory must not be ahead of the database
        tx.after_commit(self._confirm)
        change = DeadlineChange()
        refreshed = self._declared.refresh(tx, now, reload=is_first)
        if is_first:
            self._next, self._heap, self._runs, self._again, self._latest = {}, [], {}, set(), None
        for record in refreshed.removed:
            self._forget(record, change)
        due = self._rewind(now) | refreshed.adjusted | self._again
        self._latest = now
        self._add_runs(tx, refreshed.changed)
        for key in refreshed.changed:
            self._plan(key)
        due |= self._pop_due(now)
        due |= self._find_doubtful(tx)
        self._again, self._begun = set(), set()
        situation = self._situation(tx, now)
        for key in sorted(due & self._declared.records.keys()):
            self._evaluate(tx, key, situation, change)
        begun = [miss for miss in change.missed if (miss.deployment, miss.kind) in self._begun]
        events.append(tx, _events(begun, change, now))
        return change

    def next_time(self) -> datetime | None:
        """Return when a deadline passes next, as of the last check; None without one."""
        if self._again:
            return self._began_at
        return self._heap[0][0] if self._heap else None

    def _confirm(self) -> None:
        self._is_current = True

    def _evaluate(self, tx: Transaction, key: Key, situation: Situation, change: DeadlineChange) -> None:
        record = self._declared.records[key]
        new, verdict = self._judge(tx, key, situation)
        self._declared.records[key] = new
        if new != record:
            deadlines.save(tx, [new])
        if verdict.miss is not None and verdict.is_news:
            change.missed.append(verdict.miss)
        if verdict.miss is not None and record.miss is None:
            self._begun.add(key)
        if verdict.miss is not None and not verdict.is_open:
            self._again.add(key)
        if verdict.miss is None and record.miss is not None and not self._is_missed(record):
            (change.met if verdict.is_met else change.withdrawn).append((record.deployment, record.kind.trouble))
        self._plan(key)

    def _judge(self, tx: Transaction, key: Key, situation: Situation) -> tuple[DeadlineRecord, Verdict]:
        """Return the new record, and what is missed now. Only reads."""
        record, deployment = self._declared.records[key], self._declared.deployments[key[0]]
        if record.kind is DeadlineKind.SUCCESS_EVERY:
            return _evaluate_success(tx, record, situation)
        entry = inventory.find(tx, record.deployment)
        cursor = situation.now if entry is None else entry.cursor
        targets = read_targets(tx, record, deployment, cursor, situation)
        verdict = evaluate_targets(
            record, targets, situation.now, lambda due: deadlines.has_come_later(tx, key[0], due, record.kind)
        )
        return replace(record, checked_at=max(situation.now, record.checked_at), miss=verdict.miss), verdict

    def _has_changed(self, tx: Transaction, key: Key, situation: Situation) -> bool:
        """Return whether a missed deadline is met by now, or was missed again, or no longer applies."""
        _, verdict = self._judge(tx, key, situation)
        return verdict.miss != self._declared.records[key].miss or not verdict.is_open

    def _find_doubtful(self, tx: Transaction) -> set[Key]:
        """Return the missed deadlines that may have changed since."""
        records = self._declared.records
        has_miss = any(record.miss is not None for record in records.values())
        return deadlines.find_doubtful(tx, POLICY_SKIPS) & records.keys() if has_miss else set()

    def _situation(self, tx: Transaction, now: datetime) -> Situation:
        return Situation(
            now=now,
            began_at=self._began_at or now,
            in_progress=cache(lambda: _in_progress(tx)),
            find_gates=lambda run_id: gates.describe_waiting(tx, [run_id]).get(run_id),
        )

    def _is_missed(self, record: DeadlineRecord) -> bool:
        """Return whether the deployment misses a deadline with the same trouble as this one."""
        records = self._declared.records
        others = (records.get((record.deployment, kind)) for kind in DeadlineKind if kind is not record.kind)
        return any(other.miss is not None for other in others if other and other.kind.trouble is record.kind.trouble)

    def _forget(self, record: DeadlineRecord, change: DeadlineChange) -> None:
        key = (record.deployment, record.kind)
        self._next.pop(key, None)
        self._runs.pop(key, None)
        if record.miss is not None and not self._is_missed(record):
            change.withdrawn.append((record.deployment, record.kind.trouble))

    def _find_ahead(self, now: datetime) -> list[Key]:
        """Return the deadlines that were checked by a clock that was ahead: none while the time only increases."""
        if self._latest is not None and self._latest <= now:
            return []
        records = self._declared.records.items()
        return [key for key, record in records if record.checked_at > now + record.length + CLOCK_STEP]

    def _rewind(self, now: datetime) -> set[Key]:
        """Correct the records of a clock that was ahead. Return those that have to be evaluated."""
        records, ahead = self._declared.records, self._find_ahead(now)
        for key in ahead:
            records[key] = replace(records[key], checked_at=now)
            self._plan(key)
        return {key for key in ahead if records[key].miss is not None}

    def _add_runs(self, tx: Transaction, changed: set[Key]) -> None:
        """Add the deadlines of unfinished runs: those of an older schedule, and runs without a due time."""
        names = {name for name, _ in changed}
        new = deadlines.find_active(tx, names) if names else []
        keys = self._declared.records.keys()
        if any(kind is DeadlineKind.FINISH_WITHIN for _, kind in keys):
            new += self._declared.new_manual_runs(tx)
        for run in new:
            for kind in (DeadlineKind.START_WITHIN, DeadlineKind.FINISH_WITHIN):
                key = (run.deployment, kind)
                base = run.scheduled_for
                if base is None and kind is DeadlineKind.FINISH_WITHIN:
                    base = run.created_at
                if key in keys and base is not None:
                    self._runs.setdefault(key, set()).add(base + self._declared.records[key].length)
                    self._plan(key)

    def _plan(self, key: Key) -> None:
        """Compute when the next deadline of this kind passes."""
        record = self._declared.records[key]
        if record.kind is DeadlineKind.SUCCESS_EVERY:
            moments = [] if record.miss is not None else [record.checked_at + record.length]
        else:
            schedules = self._declared.deployments[key[0]].schedules
            next_due = next_fire_times(schedules, record.checked_at - record.length, 1)
            moments = [time + record.length for time, _ in next_due]
            later = {moment for moment in self._runs.pop(key, ()) if moment > record.checked_at}
            if later:
                self._runs[key] = later
                moments.append(min(later))
        if not moments:
            self._next.pop(key, None)
            return
        self._next[key] = min(moments)
        heapq.heappush(self._heap, (min(moments), key))

    def _pop_due(self, now: datetime) -> set[Key]:
        """Return the deadlines that have passed."""
        due = set()
        while self._heap and (self._heap[0][0] <= now or self._next.get(self._heap[0][1]) != self._heap[0][0]):
            moment, key = heapq.heappop(self._heap)
            if self._next.get(key) == moment:
                due.add(key)
        return due


def _events(begun: list[MissedDeadline], change: DeadlineChange, now: datetime) -> list[Event]:
    ended = [(name, "OnTime", "The deployment meets its deadlines again.") for name, _ in change.met]
    ended += [(name, "DeadlineWithdrawn", f"{WITHDRAWN}.") for name, _ in change.withdrawn]
    missed = [
        Event(
            time=now,
            severity=EventSeverity.WARNING,
            reason=miss.trouble.value.title(),
            message=miss.message,
            about=miss.deployment,
            deployment=miss.deployment,
            run_id=miss.run_id,
        )
        for miss in begun
    ]
    return missed + [
        Event(
            time=now,
            severity=EventSeverity.INFO,
            reason=reason,
            message=message,
            about=name,
            deployment=name,
        )
        for name, reason, message in ended
    ]


def _evaluate_success(tx: Transaction, record: DeadlineRecord, situation: Situation) -> tuple[DeadlineRecord, Verdict]:
    """Return the new record, and what is missed now."""
    success = deadlines.last_success(tx, record.deployment, situation.now)
    has_come = success is not None and success > record.checked_at
    base = success if has_come and success is not None else record.checked_at
    deadline = record.checked_at + record.length
    is_missed = deadline <= situation.now and not (has_come and base <= deadline)
    if record.miss is not None and not has_come and is_missed:
        return record, Verdict(miss=record.miss)
    if record.miss is not None or not is_missed:
        return replace(record, checked_at=base, miss=None), Verdict(miss=None, is_met=has_come)
    last = last_runs.find(tx, record.deployment)
    is_past = deadline < situation.began_at
    miss = MissedDeadline(
        deployment=record.deployment,
        kind=record.kind,
        due_time=None,
        deadline=deadline,
        since=deadline,
        run_id=None if last is None else last.id,
        reason=NOT_RUNNING if is_past else _missing_success(None if last is None else last.state),
    )
    return replace(record, miss=miss), Verdict(miss=miss, is_news=True, is_open=not has_come)


def _missing_success(state: RunState | None) -> str:
    if state is None:
        return "it has not run yet"
    return "its last run has not finished" if state in ACTIVE else f"its last run was {state.value.replace('_', ' ')}"


def _in_progress(tx: Transaction) -> frozenset[str]:
    return frozenset(deadlines.find_in_progress(tx))
