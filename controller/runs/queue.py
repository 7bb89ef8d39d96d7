"""The queue of waiting runs: selects the next runs to start and applies deadlines. Used by the engine's thread.

`model.queues` defines the order; `waiting_runs` applies it. The waiting runs are read from the store once, and again
after every commit except those that the engine confirms. The turns of the deployments are lost when the process ends:
then the oldest runs start first.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from controller.clock import Clock
from controller.model.queues import QueuedRun, missing_resource
from controller.model.runs import AUTOMATIC, Run, RunId, RunState
from controller.runs import upstream_gates
from controller.runs.outcomes import log_outcome, skip_all
from controller.runs.waiting_runs import Turns, WaitingRuns
from controller.store import Store, Transaction, inventory, queues, runs

MAX_LATE = 500
"""The maximum number of late runs to skip in one transaction."""


class Queue:
    """The waiting runs. It only selects and skips runs: it neither starts them nor stops running ones.

    `next_change` is when to ask again if nothing happens before, None if never. `has_due_changes`: `process_timers` has
    something to do, as of the last read. `reads` is how often the waiting runs were read from the store.
    """

    def __init__(self, store: Store, clock: Clock, slots: int) -> None:
        self._store = store
        self._clock = clock
        self._slots = slots
        self._turns = Turns()
        self._waiting: WaitingRuns | None = None
        self._ended: list[Run] = []
        self._commits = 0
        self.has_due_changes = False
        self.reads = 0
        self.next_change: datetime | None = None

    def record_limit(self) -> None:
        """Record the number of slots in the store, so that queries can show why a run waits."""
        with self._store.write() as tx:
            queues.save_total_limit(tx, self._slots)

    def forget(self) -> None:
        """Read everything again when it is needed next."""
        self._waiting = None

    @property
    def is_due(self) -> bool:
        """Whether the time `next_change` has come."""
        return self.next_change is not None and self.next_change <= self._clock.now()

    @property
    def is_current(self) -> bool:
        """Whether nothing has changed since the waiting runs were read, as far as this process has changed it."""
        return self._waiting is not None and self._commits == self._store.commits

    @property
    def has_waiting(self) -> bool:
        """Whether there may be runs that can start."""
        return not self.is_current or self._waiting is None or self._waiting.has_candidates

    def refresh(self) -> bool:
        """Read the waiting runs again if they may have changed. Return whether they were read."""
        if self.is_current and not self.is_due:
            return False
        self._read(self._clock.now())
        return True

    def confirm(self, number: int | None) -> None:
        """Note that this transaction started the runs that were taken, ended those of `release`, and nothing else.

        None: it did something else, or not all of it.
        """
        self._ended.clear()
        if number == self._commits + 1:
            self._commits = number
        elif number is None:
            self.forget()

    def process_timers(self) -> None:
        """Skip runs whose deadline has passed, and make retries whose next attempt is due wait for a slot."""
        self.refresh()
        if not self.has_due_changes:
            return
        now = self._clock.now()
        with self._store.write() as tx:
            queues.queue_due_retries(tx, now)
            gated = upstream_gates.skip_late(tx, now, MAX_LATE)
            late = runs.find_all(tx, [run_id for run_id, _ in queues.find_late(tx, now, MAX_LATE)])
            skipped = gated + skip_all(tx, [(run, "deadline") for run in late.values()], now)
        self.has_due_changes = max(len(gated), len(late)) >= MAX_LATE
        for run in skipped:
            log_outcome(run)

    def take_ready(self, free: int, except_for: Collection[RunId] = (), exporting: Collection[str] = ()) -> list[Run]:
        """Return up to `free` runs that can start now. From now on they are treated as started.

        The runs of `except_for`, and those of the revisions `exporting`, keep their places until the next read.
        """
        while True:
            self.refresh()
            assert self._waiting is not None
            taken = self._waiting.take(min(free, self._slots - self._waiting.running), except_for, exporting)
            if not taken:
                return []
            with self._store.read() as tx:
                found = runs.find_all(tx, [run.id for run in taken])
                obsolete = self._find_obsolete(tx, found.values())
            if not obsolete:
                return [found[run.id] for run in taken if run.id in found]
            for run in reversed(taken):
                self._waiting.give_back(run.id)
            self._skip_obsolete(obsolete)

    def release(self, run: Run) -> None:
        """Free the slot of a run that has ended, before `confirm` notes that its outcome was committed."""
        self._ended.append(run)
        if self._waiting is not None and not self._waiting.end(run):
            self.forget()

    def return_turn(self, run: Run) -> None:
        """Return a run from `take_ready` that could not start, so that it keeps its place."""
        if self._waiting is not None:
            self._waiting.give_back(run.id)

    def mark_waiting(self, run: Run, resource: str) -> None:
        """Record what a run waits for that could not start."""
        if missing_resource(run) != resource:
            with self._store.write() as tx:
                queues.record_waiting(tx, run.id, resource)

    def _read(self, now: datetime) -> None:
        self.reads += 1
        self._commits = self._store.commits
        with self._store.read() as tx:
            self.has_due_changes = queues.has_due_changes(tx, now)
            self.next_change = queues.next_change(tx, now)
            load = queues.read_load(tx, now)
            self._waiting = WaitingRuns(queues.find_startable(tx, now), load, now, self._turns)
        for run in self._ended:
            self._waiting.end(run)

    def _find_obsolete(self, tx: Transaction, taken: Iterable[Run]) -> Mapping[RunId, str]:
        """Return why waiting runs must not start any more because of a later commit, by id.

        If there is one among those that were taken, return all of them. A run that a user requested is never obsolete.
        """
        if not _why_obsolete(tx, taken):
            return {}
        return _why_obsolete(tx, queues.find_startable(tx, self._clock.now()))

    def _skip_obsolete(self, reasons: Mapping[RunId, str]) -> None:
        with self._store.write() as tx:
            obsolete = runs.find_all(tx, reasons).values()
            now = self._clock.now()
            skipped = skip_all(tx, [(run, reasons[run.id]) for run in obsolete], now)
        for run in skipped:
            log_outcome(run)


def _why_obsolete(tx: Transaction, waiting: Iterable[Run | QueuedRun]) -> dict[RunId, str]:
    automatic = [
        run for run in waiting if run.trigger in AUTOMATIC and not run.attempt and run.state is RunState.PENDING
    ]
    if not automatic:
        return {}
    suspended = inventory.find_suspended(tx, {run.deployment for run in automatic})
    reasons = {run.id: _why_inactive(suspended.get(run.deployment)) for run in automatic}
    return {run_id: reason for run_id, reason in reasons.items() if reason is not None}


def _why_inactive(is_suspended: bool | None) -> str | None:
    """Return why the schedules of a deployment no longer start runs; None if they do.

    `is_suspended` is None for a deployment that is not active.
    """
    if is_suspended is None:
        return "pruned"
    return "suspended" if is_suspended else None
