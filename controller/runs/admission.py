"""What becomes of a due time: a run, or a skip with its reason. One transaction decides and writes it down.

Called by the engine when the timetable says that a deployment may be due, and by `reconcile` just before it changes
or removes one, so that each instant is decided by the declaration that was in force.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from controller.calendar import DueTimes, due, jitter_offset
from controller.clock import Clock
from controller.errors import NotFoundError, UsageError, unknown_deployment
from controller.manifests import build_deployment
from controller.model.deployments import Deployment
from controller.model.findings import Severity
from controller.model.runs import Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.schedules import Schedule
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.runs.ids import RunIds
from controller.store import Transaction, events, holds, inventory, occurrences, runs, sources

log = logging.getLogger(__name__)

CATCHUP_WINDOW = timedelta(hours=1)
CATCHUP_MAX = 100
_FINAL = ("pruned", "held")
"""Reasons for which nothing is caught up with."""


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
        self._ids = ids
        self._built: dict[str, Deployment] = {}

    def account(self, tx: Transaction, names: Iterable[str], now: datetime) -> list[Run]:
        """Decide about all times of these deployments that are due by `now`; returns the runs that were made.

        What is due while a deployment is held is decided about when the hold ends.
        """
        held = {name for name, hold in holds.every(tx).items() if not hold.is_over(now)}
        return self._account(tx, [name for name in names if name not in held], now, {})

    def settle(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> list[Run]:
        """The same just before these deployments change, or go with `pruned`: then every due time is a skip."""
        wanted = list(names)
        if pruned:
            return self._account(tx, wanted, now, dict.fromkeys(wanted, "pruned"))
        held = {name: "held" for name, hold in holds.every(tx).items() if not hold.is_over(now)}
        return self._account(tx, wanted, now, held)

    def _account(self, tx: Transaction, names: list[str], now: datetime, refusals: Mapping[str, str]) -> list[Run]:
        """Decide, for the reason of its refusal where a deployment has one."""
        made: list[Run] = []
        busy = runs.active_deployments(tx, names)
        for name in names:
            entry = inventory.find(tx, name)
            if entry is None or entry.cursor >= now:
                continue
            refusal = refusals.get(name) or ("overlap" if name in busy else None)
            made += self._account_one(tx, entry, now, refusal)
        runs.insert_all(tx, made)
        return made

    def request(self, tx: Transaction, request: Request) -> Run:
        """The run that was asked for. Raises NotFoundError for an unknown deployment."""
        if request.idempotency_key is not None:
            known = runs.find_by_key(tx, request.deployment, request.idempotency_key)
            if known is not None:
                if any(known.parameters.get(key) != value for key, value in request.parameters.items()):
                    message = f"The idempotency key {request.idempotency_key} belongs to run {known.id}."
                    raise UsageError(message, hint="That run has other parameters; choose a new key for a new run.")
                return known
        entry = inventory.find(tx, request.deployment)
        if entry is None:
            raise _not_in_force(tx, request.deployment)
        parameters = {**self._deployment(entry).parameters, **request.parameters}
        run = self._run(tx, entry, parameters, Trigger.MANUAL, None, request.idempotency_key)
        runs.insert_all(tx, [run])
        return run

    def _account_one(self, tx: Transaction, entry: InventoryEntry, now: datetime, refusal: str | None) -> list[Run]:
        deployment = self._deployment(entry)
        found = due(deployment.schedules, entry.cursor, now, CATCHUP_MAX)
        if deployment.suspend and refusal not in _FINAL:
            refusal = "suspended"
        inventory.advance(tx, entry.name, now)
        if not found.times:
            return []
        known = occurrences.known(tx, entry.name, found.times[0][0], found.times[-1][0])
        fresh = [(instant, schedule) for instant, schedule in found.times if instant not in known]
        made: list[Run] = []
        ledger: list[Occurrence] = []
        for position, (instant, schedule) in enumerate(fresh):
            is_missed = position < len(fresh) - 1 or now - instant > CATCHUP_WINDOW
            reason = "catch-up" if is_missed and refusal not in (*_FINAL, "suspended") else refusal
            run_id = None
            if reason is None:
                run = self._scheduled_run(tx, entry, deployment, instant, schedule)
                made, run_id = [run], run.id
            ledger.append(_occurrence(entry.name, instant, schedule, run_id, reason))
        occurrences.append(tx, ledger)
        _report(tx, entry.name, now, ledger, found)
        return made

    def _scheduled_run(
        self, tx: Transaction, entry: InventoryEntry, deployment: Deployment, instant: datetime, schedule: Schedule
    ) -> Run:
        parameters = {**deployment.parameters, **schedule.parameters}
        run = self._run(tx, entry, parameters, Trigger.SCHEDULE, instant, None)
        delay = jitter_offset(entry.name, schedule.id, schedule.jitter)
        return replace(run, not_before=instant + delay) if delay else run

    def _run(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        parameters: Mapping[str, Any],
        trigger: Trigger,
        scheduled_for: datetime | None,
        idempotency_key: str | None,
    ) -> Run:
        deployment = self._deployment(entry)
        now = self._clock.now()
        source = sources.find(tx)
        applied = None if source is None else source.last_applied_revision
        return Run(
            id=self._ids.new(now),
            deployment=entry.name,
            state=RunState.PENDING,
            trigger=trigger,
            created_at=now,
            revision=entry.pinned or applied or entry.revision,
            file=entry.file,
            spec_digest=entry.spec_digest,
            scheduled_for=scheduled_for,
            idempotency_key=idempotency_key,
            version=deployment.version,
            tags=deployment.tags,
            parameters=parameters,
        )

    def _deployment(self, entry: InventoryEntry) -> Deployment:
        built = self._built.get(entry.name)
        if built is None or built.spec_digest != entry.spec_digest or built.file != entry.file:
            built = self._built[entry.name] = build_deployment(entry.document, entry.file, entry.line)
        return built


def _not_in_force(tx: Transaction, name: str) -> NotFoundError:
    """There is none of this name; or there is, and it was never valid."""
    source = sources.find(tx)
    for finding in source.findings if source is not None else ():
        if finding.deployment == name and finding.severity is Severity.ERROR:
            where = f"{finding.file}:{finding.line}:{finding.column}"
            return NotFoundError(f"{name} is not in force: {where}: {finding.message}.", hint=finding.hint)
    return unknown_deployment(name, inventory.entries(tx))


def _occurrence(
    name: str, instant: datetime, schedule: Schedule, run_id: RunId | None, reason: str | None
) -> Occurrence:
    return Occurrence(
        deployment=name,
        scheduled_for=instant,
        schedule=schedule.id,
        outcome=Outcome.SKIPPED if run_id is None else Outcome.RUN,
        run_id=run_id,
        reason=reason,
    )


def _report(tx: Transaction, name: str, now: datetime, ledger: list[Occurrence], found: DueTimes) -> None:
    skipped = [occurrence for occurrence in ledger if occurrence.outcome is Outcome.SKIPPED]
    missed = len(skipped) + found.dropped
    for occurrence in skipped[-1:]:
        log.info("Skipped", extra={"deployment": name, "reason": occurrence.reason, "count": missed})
    if found.dropped or any(occurrence.reason == "catch-up" for occurrence in skipped):
        first = found.first or ledger[0].scheduled_for
        message = f"{missed} missed since {first:%Y-%m-%d %H:%M:%SZ} (not run: only the latest is caught up with)."
        event = Event(time=now, severity=EventSeverity.WARNING, reason="MissedTimes", message=message, about=name)
        events.append(tx, [event])
