"""The queue of waiting runs: selects the next runs to start and applies deadlines. Used by the engine's thread.

`model.queues` defines the order; this module applies it to the runs in the store, and remembers the turns of the
deployments. The turns are lost when the process ends: then the oldest runs start first.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from controller.clock import Clock
from controller.model.queues import EVERYTHING, Load, QueuedRun, missing_resource, schedule_queue
from controller.model.runs import AUTOMATIC, Run, RunId, RunState
from controller.runs import upstream_gates
from controller.runs.outcomes import log_outcome, skip
from controller.store import Store, Transaction, inventory, queues, runs

MAX_LATE = 500
"""The maximum number of late runs to skip in one transaction."""


class Queue:
    """The waiting runs. It only selects and skips runs: it neither starts them nor stops running ones."""

    def __init__(self, store: Store, clock: Clock, slots: int) -> None:
        self._store = store
        self._clock = clock
        self._slots = slots
        self._turns: dict[str, int] = {}
        self._earlier_turns: dict[str, int | None] = {}
        self._turn = 0

    def record_limit(self) -> None:
        """Record the number of slots in the store, so that queries can show why a run waits."""
        with self._store.write() as tx:
            queues.save_total_limit(tx, self._slots)

    def process_timers(self) -> None:
        """Skip runs whose deadline has passed, and make retries whose next attempt is due wait for a slot."""
        now = self._clock.now()
        with self._store.read() as tx:
            if not queues.has_due_changes(tx, now):
                return
        with self._store.write() as tx:
            queues.queue_due_retries(tx, now)
            skipped = upstream_gates.skip_late(tx, now, MAX_LATE)
            late = [runs.find(tx, run_id) for run_id, _ in queues.find_late(tx, now, MAX_LATE)]
            skipped += [skip(tx, run, "deadline", now) for run in late if run is not None]
        for run in skipped:
            log_outcome(run)

    def take_ready(self, free: int, except_for: Collection[RunId] = ()) -> tuple[list[Run], datetime | None]:
        """Return up to `free` runs that can start now, and when to ask again if nothing happens before.

        The runs of `except_for` keep their places.
        """
        now = self._clock.now()
        with self._store.read() as tx:
            next_check = queues.next_change(tx, now)
            load = queues.read_load(tx, now)
            slots = min(free, self._slots - load.running.get(EVERYTHING, 0))
            waiting = queues.find_waiting(tx, now) if slots > 0 else []
            waiting = [run for run in waiting if run.id not in except_for]
            selected = self._first(tx, waiting, load, now, slots)
            obsolete: dict[RunId, str] = {}
            if any(_obsolete_reason(tx, run) is not None for run in selected):
                # Skip all obsolete runs at once, and give the slots of the selected ones to other runs.
                obsolete = _find_obsolete(tx, waiting)
                selected = self._first(tx, [run for run in waiting if run.id not in obsolete], load, now, slots)
        for run in selected:
            self._record_turn(run.deployment)
        self._skip_obsolete(obsolete)
        return selected, next_check

    def mark_waiting(self, run: Run, resource: str) -> None:
        """Record what a run waits for that could not start."""
        if missing_resource(run) != resource:
            with self._store.write() as tx:
                queues.record_waiting(tx, run.id, resource)

    def return_turn(self, run: Run) -> None:
        """Take back the turn of a run from `take_ready` that could not start, so that it keeps its place."""
        earlier = self._earlier_turns.pop(run.deployment, None)
        if earlier is None:
            self._turns.pop(run.deployment, None)
        else:
            self._turns[run.deployment] = earlier

    def _first(self, tx: Transaction, waiting: Iterable[QueuedRun], load: Load, now: datetime, slots: int) -> list[Run]:
        """Return the first `slots` of these runs that can start now."""
        selected: list[Run] = []
        for queued, reason in schedule_queue(waiting, load, now, self._turns):
            run = runs.find(tx, queued.id) if reason is None and len(selected) < slots else None
            if run is not None:
                selected.append(run)
            if len(selected) >= slots:
                break
        return selected

    def _record_turn(self, deployment: str) -> None:
        self._turn += 1
        self._earlier_turns[deployment] = self._turns.get(deployment)
        self._turns[deployment] = self._turn

    def _skip_obsolete(self, reasons: Mapping[RunId, str]) -> None:
        if not reasons:
            return
        with self._store.write() as tx:
            obsolete = [runs.find(tx, run_id) for run_id in reasons]
            now = self._clock.now()
            skipped = [skip(tx, run, reasons[run.id], now) for run in obsolete if run is not None]
        for run in skipped:
            log_outcome(run)


def _obsolete_reason(tx: Transaction, run: Run) -> str | None:
    """Return why a run that no user requested must not start any more because of a later commit; None if it may."""
    if run.trigger not in AUTOMATIC or run.attempt or run.state is not RunState.PENDING:
        return None
    return _inactive_reason(tx, run.deployment)


def _find_obsolete(tx: Transaction, waiting: Iterable[QueuedRun]) -> dict[RunId, str]:
    """Return why runs that no user requested must not start any more, by their ids; other runs are left out."""
    automatic = [run for run in waiting if run.trigger in AUTOMATIC and not run.attempt]
    reasons = {name: _inactive_reason(tx, name) for name in {run.deployment for run in automatic}}
    return {run.id: reason for run in automatic if (reason := reasons[run.deployment]) is not None}


def _inactive_reason(tx: Transaction, deployment: str) -> str | None:
    """Return why the schedules of this deployment no longer start runs; None if they do."""
    entry = inventory.find(tx, deployment)
    if entry is None:
        return "pruned"
    return "suspended" if entry.document.get("suspend") is True else None
