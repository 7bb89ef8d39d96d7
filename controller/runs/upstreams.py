"""Evaluates finished runs of upstream deployments: opens gates, and starts the runs of deployments without schedules.

The outcome of an upstream run and its row in `finished_upstreams` are one transaction, and so are everything that
follows from that row and its removal. The engine calls `process` in every turn, and `confirm` for each of its own
transactions that ended no run: only after others are there finished runs to look for.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from controller.clock import Clock
from controller.errors import ControllerError
from controller.model.runs import Run, RunId
from controller.model.status import InventoryEntry
from controller.runs import upstream_events, upstream_gates, upstream_redo
from controller.runs.admission import Admission
from controller.runs.upstream_events import Dependant
from controller.store import Store, Transaction, dependencies, finished_upstreams, inventory, runs

log = logging.getLogger(__name__)

BATCH = 200
"""The maximum number of finished runs that are evaluated in one transaction."""


class Upstreams:
    """Evaluates what has finished. It remembers only the rows that could not be evaluated, until the next tick."""

    def __init__(self, store: Store, clock: Clock, admission: Admission) -> None:
        self._store = store
        self._clock = clock
        self._admission = admission
        self._after = 0
        self._commits: int | None = None

    def process(self, *, everything: bool) -> bool:
        """Evaluate the upstream runs that have finished, and with `everything` all gates.

        Return whether anything has changed. Raises StateError.
        """
        if everything:
            self._after = 0
        elif self._commits == self._store.commits:
            return False
        has_changes = everything and self._process_gates()
        while True:
            commits = self._store.commits
            with self._store.read() as tx:
                finished = finished_upstreams.find(tx, BATCH, after=self._after)
            if not finished:
                self._commits = commits
                return has_changes
            self._process_batch(finished)
            has_changes = True

    def confirm(self, number: int) -> None:
        """Note that this transaction ended no run."""
        if self._commits is not None and number == self._commits + 1:
            self._commits = number

    def _process_gates(self) -> bool:
        """Decide about all gates: also about those whose upstream deployment was changed or removed meanwhile."""
        now = self._clock.now()
        with self._store.read() as tx:
            is_needed = (
                upstream_gates.has_decided(tx) or upstream_redo.has_reopened(tx, now) or upstream_redo.has_redone(tx)
            )
        if is_needed:
            with self._store.write() as tx:
                self._decide(tx, now)
        return is_needed

    def _decide(self, tx: Transaction, now: datetime, upstreams: set[str] | None = None) -> None:
        upstream_gates.settle(tx, self._admission.deployments, now, upstreams)
        upstream_redo.reopen(tx, self._admission, now, upstreams)
        upstream_redo.repeat_redone(tx, self._admission, now)

    def _process_batch(self, finished: Mapping[int, RunId]) -> None:
        """Evaluate these runs together, or separately if that fails, so that a fault in one does not affect others."""
        try:
            self._evaluate(finished)
        except ControllerError:
            raise
        except Exception:
            log.exception("Finished upstream runs can't be evaluated together; evaluating each separately")
            for number, run_id in finished.items():
                self._evaluate_separately(number, run_id)

    def _evaluate_separately(self, number: int, run_id: RunId) -> None:
        try:
            self._evaluate({number: run_id})
        except ControllerError:
            raise
        except Exception:
            log.exception("A finished upstream run can't be evaluated; retrying", extra={"run": run_id})
            self._after = max(self._after, number)

    def _evaluate(self, finished: Mapping[int, RunId]) -> None:
        now = self._clock.now()
        with self._store.write() as tx:
            stored = runs.find_all(tx, finished.values())
            in_order = [stored[run_id] for run_id in finished.values() if run_id in stored]
            self._release_dependants(tx, in_order, now)
            self._decide(tx, now, {run.deployment for run in in_order})
            finished_upstreams.remove(tx, finished)

    def _release_dependants(self, tx: Transaction, finished: Sequence[Run], now: datetime) -> None:
        dependants = dependencies.find_dependants(tx, {run.deployment for run in finished})
        names = {name for some in dependants.values() for name in some}
        entries = {entry.name: entry for entry in inventory.find_many(tx, names)}
        started: list[tuple[Run, list[Dependant]]] = []
        gated: list[tuple[Run, list[Dependant]]] = []
        for run in finished:
            active = [entries[name] for name in dependants.get(run.deployment, ()) if name in entries]
            of_run = [each for entry in active if (each := self._dependant(entry, run.deployment)) is not None]
            started.append((run, [each for each in of_run if not each.deployment.schedules]))
            gated.append((run, [each for each in of_run if each.deployment.schedules]))
        upstream_redo.mark_redone(tx, gated)
        upstream_events.count_runs(tx, self._admission, started, now)

    def _dependant(self, entry: InventoryEntry, upstream: str) -> Dependant | None:
        """Return what the deployment of this entry declares about an upstream deployment; None: nothing."""
        deployment = self._admission.deployment(entry)
        declared = {each.deployment: each for each in deployment.after.upstreams}
        return Dependant(entry, deployment, declared[upstream]) if upstream in declared else None
