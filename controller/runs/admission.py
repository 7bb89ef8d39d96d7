"""Turns each due time into a run or a skip with a reason. The decision and the record are one transaction.

The engine calls it when the timetable reports that a deployment may be due. A reconcile pass calls it just before it
changes or removes a deployment, so that each due time is decided by the declaration that was active then.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.runs import ACTIVE, Occurrence, Outcome, Run, RunState, Trigger
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.runs.admission_policy import REPLACED, ActiveRuns, Decision, decide, refuse, start_by
from controller.runs.ids import RunIds
from controller.runs.outcomes import cancel, skip
from controller.schedules import find_due
from controller.store import Transaction, events, holds, inventory, occurrences, queues, runs, source_status
from controller.store.name_lookup import not_active
from controller.store.run_search import RunFilter, select_all
from controller.time_format import in_utc

log = logging.getLogger(__name__)

RECORDED = 100
"""The minimum number of missed due times that are recorded individually per deployment; earlier ones are counted."""


class Admission:
    """Creates runs for due times and requests. Thread-safe: it has no state of its own."""

    def __init__(self, clock: Clock, ids: RunIds, deployments: ActiveDeployments) -> None:
        self._clock = clock
        self.ids = ids
        self._deployments = deployments

    def process_due(self, tx: Transaction, names: Iterable[str], now: datetime) -> list[Run]:
        """Decide all times of these deployments that are due by `now`. Return the runs that were created.

        Due times of a deployment on hold are decided when the hold ends.
        """
        held = {name for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._process(tx, [name for name in names if name not in held], now, {})

    def settle_before_change(
        self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False
    ) -> list[Run]:
        """Decide the due times of these deployments just before they change, and return the runs that were created.

        Due times of a deployment on hold are skipped. With `pruned`, the deployments are about to be removed: all due
        times are skipped, and so are scheduled runs that wait for their first start.
        """
        deployments = list(names)
        if pruned:
            self._skip_waiting(tx, deployments, now)
            return self._process(tx, deployments, now, dict.fromkeys(deployments, "pruned"))
        held = {name: "held" for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._process(tx, deployments, now, held)

    def _process(self, tx: Transaction, names: list[str], now: datetime, refusals: Mapping[str, str]) -> list[Run]:
        """Decide the due times of these deployments; `refusals` gives the reason to skip all those of a deployment."""
        created: list[Run] = []
        counts = queues.count_active(tx, names)
        for name in dict.fromkeys(names):
            entry = inventory.find(tx, name)
            if entry is None or entry.cursor >= now:
                continue
            active, waiting = counts.get(name, (0, 0))
            active_runs = ActiveRuns(active=active, waiting=waiting)
            created += self._process_one(tx, entry, now, active_runs, refusals.get(name))
        runs.insert_all(tx, created)
        return created

    @staticmethod
    def _skip_waiting(tx: Transaction, names: list[str], now: datetime) -> None:
        """Skip the scheduled runs of these deployments that wait for their first start."""
        for name in names:
            for run in select_all(tx, RunFilter(deployment=name, states=(RunState.PENDING,))):
                if run.trigger is Trigger.SCHEDULE and not run.attempt:
                    skip(tx, run, "pruned", now)

    def create_run(
        self, tx: Transaction, name: str, parameters: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Run:
        """Create a manual run with these parameters, merged over those in git. Raises NotFoundError."""
        entry = inventory.find(tx, name)
        if entry is None:
            raise not_active(tx, name)
        deployment = self.deployment(entry)
        run = self._run(
            tx,
            entry,
            trigger=Trigger.MANUAL,
            parameters={**deployment.parameters, **parameters},
            idempotency_key=idempotency_key,
            serial=deployment.overlap in (Overlap.QUEUE, Overlap.REPLACE),
        )
        runs.insert_all(tx, [run])
        return run

    def _process_one(
        self, tx: Transaction, entry: InventoryEntry, now: datetime, active_runs: ActiveRuns, refusal: str | None
    ) -> list[Run]:
        deployment = self.deployment(entry)
        due_times = find_due(deployment.schedules, entry.cursor, now, max(RECORDED, deployment.catchup.max))
        if deployment.suspend:
            refusal = refusal or "suspended"
        inventory.advance_cursor(tx, entry.name, now)
        if not due_times.times:
            return []
        recorded = occurrences.recorded_times(tx, entry.name, due_times.times[0][0], due_times.times[-1][0])
        undecided = [time for time in due_times.times if time[0] not in recorded]
        decisions = refuse(undecided, refusal) if refusal else decide(undecided, deployment, now, active_runs)
        created: list[Run] = []
        ledger: list[Occurrence] = []
        for decision in decisions:
            run = self.due_run(tx, entry, decision, Trigger.SCHEDULE) if decision.reason is None else None
            created += [run] if run is not None else []
            ledger.append(ledger_entry(entry.name, decision, run))
        occurrences.append(tx, ledger)
        if created and deployment.overlap is Overlap.REPLACE:
            _replace_all(tx, entry.name, now)
        _report_skipped(tx, now, ledger, due_times.dropped, due_times.first)
        return created

    def due_run(self, tx: Transaction, entry: InventoryEntry, decision: Decision, trigger: Trigger) -> Run:
        """Build the run for a due time; the caller inserts it."""
        deployment = self.deployment(entry)
        return self._run(
            tx,
            entry,
            trigger=trigger,
            parameters={**deployment.parameters, **decision.schedule.parameters},
            scheduled_for=decision.instant,
            not_before=decision.instant + decision.delay if decision.delay else None,
            start_by=start_by(decision, deployment) if trigger is Trigger.SCHEDULE else None,
            serial=decision.serial,
        )

    def _run(self, tx: Transaction, entry: InventoryEntry, **fields: Any) -> Run:
        """Build a pending run of the active deployment. `fields` override fields of the Run."""
        deployment = self.deployment(entry)
        now = self._clock.now()
        source = source_status.find(tx)
        applied = None if source is None else source.last_applied_revision
        values: dict[str, Any] = {
            "id": self.ids.new(now),
            "deployment": entry.name,
            "state": RunState.PENDING,
            "created_at": now,
            "revision": entry.pinned or applied or entry.revision,
            "file": entry.file,
            "spec_digest": entry.spec_digest,
            "version": deployment.version,
            "tags": deployment.tags,
            "queue": deployment.queue,
            "priority": deployment.priority,
            "attempts": 1 + deployment.retries.limit,
            "retries": deployment.retries if deployment.retries.limit else None,
        }
        return Run(**{**values, **fields})

    def deployment(self, entry: InventoryEntry) -> Deployment:
        """Return the deployment that this entry declares."""
        return self._deployments.build(entry)


def ledger_entry(name: str, decision: Decision, run: Run | None) -> Occurrence:
    """Return the row of the ledger for this decision."""
    return Occurrence(
        deployment=name,
        scheduled_for=decision.instant,
        schedule=decision.schedule.id,
        outcome=Outcome.SKIPPED if run is None else Outcome.RUN,
        run_id=None if run is None else run.id,
        reason=decision.reason,
    )


def _replace_all(tx: Transaction, name: str, now: datetime) -> None:
    """End all unfinished runs of this deployment. The run that replaces them waits until they have ended."""
    for run in select_all(tx, RunFilter(deployment=name, states=ACTIVE)):
        if run.state is not RunState.PENDING:
            cancel(tx, run, REPLACED, now)
        elif run.trigger is Trigger.SCHEDULE:
            skip(tx, run, "overlap", now)


def _report_skipped(
    tx: Transaction, now: datetime, ledger: list[Occurrence], dropped: int, first: datetime | None
) -> None:
    skipped = [row for row in ledger if row.outcome is Outcome.SKIPPED]
    missed = len(skipped) + dropped
    for last in skipped[-1:]:
        fields = {"deployment": last.deployment, "reason": last.reason, "count": missed}
        tx.after_commit(partial(log.info, "Due times skipped", extra=fields))
        if dropped or any(row.reason == "catch-up" for row in skipped):
            count = "1 due time" if missed == 1 else f"{missed} due times"
            message = f"{count} missed since {in_utc(first or ledger[0].scheduled_for)} and skipped"
            message += f"; {dropped} of them are not in the ledger." if dropped else "."
            event = Event(
                time=now, severity=EventSeverity.WARNING, reason="MissedTimes", message=message, about=last.deployment
            )
            events.append(tx, [event])
