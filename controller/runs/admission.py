"""What becomes of a due time: a run, or a skip with its reason. One transaction decides and writes it down.

Called by the engine when the timetable says that a deployment may be due, and by `reconcile` just before it changes
or removes one, so that each instant is decided by the declaration that was in force.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from controller.clock import Clock
from controller.errors import UsageError
from controller.manifests import build_deployment
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
"""How many missed due times of one deployment are written down one by one, at least; earlier ones are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Somebody's wish for a run now. The same `idempotency_key` twice gives the same run."""

    deployment: str
    parameters: Mapping[str, Any]
    idempotency_key: str | None = None


class Admission:
    """Decides about due times and requests. Safe to use from several threads: it keeps only a cache of values."""

    def __init__(self, clock: Clock, ids: RunIds) -> None:
        self._clock = clock
        self.ids = ids
        self._built: dict[str, Deployment] = {}

    def account(self, tx: Transaction, names: Iterable[str], now: datetime) -> list[Run]:
        """Decide about all times of these deployments that are due by `now`; returns the runs that were made.

        What is due while a deployment is held is decided about when the hold ends.
        """
        held = {name for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._account(tx, [name for name in names if name not in held], now, {})

    def settle(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> list[Run]:
        """The same just before these deployments change, or go with `pruned`: then every due time is a skip."""
        wanted = list(names)
        if pruned:
            self._give_up(tx, wanted, now)
            return self._account(tx, wanted, now, dict.fromkeys(wanted, "pruned"))
        held = {name: "held" for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._account(tx, wanted, now, held)

    def _account(self, tx: Transaction, names: list[str], now: datetime, refusals: Mapping[str, str]) -> list[Run]:
        """Decide, for the reason of its refusal where a deployment has one."""
        made: list[Run] = []
        standing = queues.count_active(tx, names)
        for name in dict.fromkeys(names):
            entry = inventory.find(tx, name)
            if entry is None or entry.cursor >= now:
                continue
            active, waiting = standing.get(name, (0, 0))
            made += self._account_one(tx, entry, now, ActiveRuns(active=active, waiting=waiting), refusals.get(name))
        runs.insert_all(tx, made)
        return made

    @staticmethod
    def _give_up(tx: Transaction, names: list[str], now: datetime) -> None:
        """What waits for its first start on schedule will not have it."""
        for name in names:
            for run in select_all(tx, RunFilter(deployment=name, states=(RunState.PENDING,))):
                if run.trigger is Trigger.SCHEDULE and not run.attempt:
                    skip(tx, run, "pruned", now)

    def known(self, tx: Transaction, request: Request) -> Run | None:
        """The run that was made of this request before. Raises UsageError if its key belongs to another one."""
        if request.idempotency_key is None:
            return None
        known = runs.find_by_key(tx, request.deployment, request.idempotency_key)
        if known is None:
            return None
        if known.retry_of is not None:
            raise foreign_key(known, "That run is a retry of another run")
        if any(known.parameters.get(key) != value for key, value in request.parameters.items()):
            raise foreign_key(known, "That run has different parameters")
        return known

    def request(self, tx: Transaction, request: Request) -> Run:
        """A new run that was asked for. Raises NotFoundError for an unknown deployment."""
        entry = inventory.find(tx, request.deployment)
        if entry is None:
            raise not_active(tx, request.deployment)
        deployment = self.deployment(entry)
        run = self._run(
            tx,
            entry,
            trigger=Trigger.MANUAL,
            parameters={**deployment.parameters, **request.parameters},
            idempotency_key=request.idempotency_key,
            serial=deployment.overlap in (Overlap.QUEUE, Overlap.REPLACE),
        )
        runs.insert_all(tx, [run])
        return run

    def _account_one(
        self, tx: Transaction, entry: InventoryEntry, now: datetime, standing: ActiveRuns, refusal: str | None
    ) -> list[Run]:
        deployment = self.deployment(entry)
        found = find_due(deployment.schedules, entry.cursor, now, max(RECORDED, deployment.catchup.max))
        if deployment.suspend:
            refusal = refusal or "suspended"
        inventory.advance_cursor(tx, entry.name, now)
        if not found.times:
            return []
        known = occurrences.recorded_times(tx, entry.name, found.times[0][0], found.times[-1][0])
        fresh = [time for time in found.times if time[0] not in known]
        decisions = refuse(fresh, refusal) if refusal else decide(fresh, deployment, now, standing)
        made: list[Run] = []
        ledger: list[Occurrence] = []
        for decision in decisions:
            run = self.due_run(tx, entry, decision, Trigger.SCHEDULE) if decision.reason is None else None
            made += [run] if run is not None else []
            ledger.append(occurrence(entry.name, decision, run))
        occurrences.append(tx, ledger)
        if made and deployment.overlap is Overlap.REPLACE:
            _replace_all(tx, entry.name, now)
        _report(tx, now, ledger, found.dropped, found.first)
        return made

    def due_run(self, tx: Transaction, entry: InventoryEntry, decision: Decision, trigger: Trigger) -> Run:
        """The run of this due time."""
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

    def _run(self, tx: Transaction, entry: InventoryEntry, **more: Any) -> Run:
        """A pending run of what is in force; `more` are fields of a Run."""
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
        return Run(**{**values, **more})

    def deployment(self, entry: InventoryEntry) -> Deployment:
        """What this entry declares, built once."""
        built = self._built.get(entry.name)
        if built is None or built.spec_digest != entry.spec_digest or built.file != entry.file:
            built = self._built[entry.name] = build_deployment(entry.document, entry.file, entry.line)
        return built


def foreign_key(known: Run, why: str) -> UsageError:
    """The error for an idempotency key that was used for something else."""
    message = f"The idempotency key {known.idempotency_key} is already used by run {known.id}."
    return UsageError(message, hint=f"{why}; use a new key to create a new run.")


def occurrence(name: str, decision: Decision, run: Run | None) -> Occurrence:
    """The row of the ledger for this decision."""
    return Occurrence(
        deployment=name,
        scheduled_for=decision.instant,
        schedule=decision.schedule.id,
        outcome=Outcome.SKIPPED if run is None else Outcome.RUN,
        run_id=None if run is None else run.id,
        reason=decision.reason,
    )


def _replace_all(tx: Transaction, name: str, now: datetime) -> None:
    """End what is not final of this deployment: a run that is to take its place waits until that is done."""
    for run in select_all(tx, RunFilter(deployment=name, states=ACTIVE)):
        if run.state is not RunState.PENDING:
            cancel(tx, run, REPLACED, now)
        elif run.trigger is Trigger.SCHEDULE:
            skip(tx, run, "overlap", now)


def _report(tx: Transaction, now: datetime, ledger: list[Occurrence], dropped: int, first: datetime | None) -> None:
    skipped = [one for one in ledger if one.outcome is Outcome.SKIPPED]
    missed = len(skipped) + dropped
    for last in skipped[-1:]:
        fields = {"deployment": last.deployment, "reason": last.reason, "count": missed}
        tx.after_commit(partial(log.info, "Due times skipped", extra=fields))
        if dropped or any(one.reason == "catch-up" for one in skipped):
            count = "1 due time" if missed == 1 else f"{missed} due times"
            message = f"{count} missed since {in_utc(first or ledger[0].scheduled_for)} and skipped"
            message += f"; {dropped} of them are not in the ledger." if dropped else "."
            event = Event(
                time=now, severity=EventSeverity.WARNING, reason="MissedTimes", message=message, about=last.deployment
            )
            events.append(tx, [event])
