"""The queue: whose turn is it, and what does time do to those who wait? Used by the engine's thread.

`model.queues` has the order; here it is asked with what the store says, and a turn is remembered. That memory is lost
with the process: then everybody's turn is as good as anybody's, and the runs that were made first go first.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from controller.clock import Clock
from controller.model.queues import EVERYTHING, Load, QueuedRun, schedule_queue
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.runs.outcomes import log_outcome, skip
from controller.store import Store, Transaction, inventory, queues, runs

MAX_LATE = 500
"""How many runs one transaction gives up."""


class Queue:
    """The runs that wait. It starts nothing and ends nothing that runs."""

    def __init__(self, store: Store, clock: Clock, places: int) -> None:
        self._store = store
        self._clock = clock
        self._places = places
        self._turns: dict[str, int] = {}
        self._turn = 0

    def open(self) -> None:
        """Say how many places there are, for whoever looks at what waits."""
        with self._store.write() as tx:
            queues.save_total_limit(tx, self._places)

    def settle(self) -> None:
        """Give up what may not start any more, and let those wait for a place whose next attempt is due."""
        now = self._clock.now()
        with self._store.read() as tx:
            if not queues.has_due_changes(tx, now):
                return
        with self._store.write() as tx:
            queues.queue_due_retries(tx, now)
            found = [runs.find(tx, run_id) for run_id, _ in queues.find_late(tx, now, MAX_LATE)]
            skipped = [skip(tx, run, "deadline", now) for run in found if run is not None]
        for one in skipped:
            log_outcome(one)

    def take(self, free: int) -> tuple[list[Run], datetime | None]:
        """Up to `free` runs that can start now, and when to ask again though nothing happens."""
        now = self._clock.now()
        with self._store.read() as tx:
            again = queues.next_change(tx, now)
            load = queues.read_load(tx, now)
            places = min(free, self._places - load.running.get(EVERYTHING, 0))
            waiting = queues.find_waiting(tx, now) if places > 0 else []
            taken = self._first(tx, waiting, load, now, places)
            unwanted: dict[RunId, str] = {}
            if any(_unwanted(tx, run) is not None for run in taken):
                # They were to be first: others have their places now, and all that is unwanted goes with them.
                unwanted = _all_unwanted(tx, waiting)
                taken = self._first(tx, [one for one in waiting if one.id not in unwanted], load, now, places)
        for run in taken:
            self._served(run.deployment)
        self._give_up(unwanted)
        return taken, again

    def _first(
        self, tx: Transaction, waiting: Iterable[QueuedRun], load: Load, now: datetime, places: int
    ) -> list[Run]:
        """The first of these that can start now, as many as there are places."""
        taken: list[Run] = []
        for one, reason in schedule_queue(waiting, load, now, self._turns):
            run = runs.find(tx, one.id) if reason is None and len(taken) < places else None
            if run is not None:
                taken.append(run)
            if len(taken) >= places:
                break
        return taken

    def _served(self, deployment: str) -> None:
        self._turn += 1
        self._turns[deployment] = self._turn

    def _give_up(self, unwanted: Mapping[RunId, str]) -> None:
        if not unwanted:
            return
        with self._store.write() as tx:
            found = [runs.find(tx, run_id) for run_id in unwanted]
            now = self._clock.now()
            skipped = [skip(tx, run, unwanted[run.id], now) for run in found if run is not None]
        for one in skipped:
            log_outcome(one)


def _unwanted(tx: Transaction, run: Run) -> str | None:
    """Why a run that its schedule asked for must not begin any more, if git has changed its mind meanwhile."""
    if run.trigger is not Trigger.SCHEDULE or run.attempt or run.state is not RunState.PENDING:
        return None
    return _why_not(tx, run.deployment)


def _all_unwanted(tx: Transaction, waiting: Iterable[QueuedRun]) -> dict[RunId, str]:
    """All of these that must not begin any more, each with the reason."""
    scheduled = [one for one in waiting if one.trigger is Trigger.SCHEDULE and not one.attempt]
    reasons = {name: _why_not(tx, name) for name in {one.deployment for one in scheduled}}
    return {one.id: reason for one in scheduled if (reason := reasons[one.deployment]) is not None}


def _why_not(tx: Transaction, deployment: str) -> str | None:
    """Why the schedules of this deployment start nothing any more; None if they do."""
    entry = inventory.find(tx, deployment)
    if entry is None:
        return "pruned"
    return "suspended" if entry.document.get("suspend") is True else None
