"""Turns each due time into a run or a skip with a reason. The decision and the record are one transaction.

The engine calls it when the timetable reports that a deployment may be due. A reconcile pass calls it just before it
changes or removes a deployment, so that each due time is decided by the declaration that was active then.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.parameter_references import resolve as resolve_references
from controller.manifests.run_names import run_name
from controller.manifests.upstream_references import MissingResultError
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.queues import ActiveRuns
from controller.model.runs import ACTIVE, AUTOMATIC, Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.schedules import Schedule
from controller.model.status import InventoryEntry
from controller.runs.admission_policy import REPLACED, Decision, decide, refuse, start_by
from controller.runs.backfills import cancel_pruned
from controller.runs.due_schedules import find_schedule
from controller.runs.ids import RunIds
from controller.runs.outcomes import cancel, skip
from controller.runs.skip_reports import report_skips
from controller.runs.upstream_gates import create_gates, settle
from controller.runs.upstream_runs import (
    due_time_of,
    find_latest,
    record_missing_result,
    with_current_names,
    with_results,
    with_upstream,
)
from controller.schedules import find_due
from controller.store import Transaction, holds, inventory, occurrences, queues, runs, source_status
from controller.store.name_lookup import not_active
from controller.store.run_search import RunFilter, select_all

log = logging.getLogger(__name__)

MAX_BEHIND = 100
"""The maximum number of runs of a deployment that wait behind redo runs without counting for its overlap policy."""
RECORDED = 100
"""The minimum number of missed due times that are recorded individually per deployment; earlier ones are counted."""


class Admission:
    """Creates runs for due times and requests. Thread-safe: it has no state of its own."""

    def __init__(self, clock: Clock, ids: RunIds, deployments: ActiveDeployments) -> None:
        self._clock = clock
        self.ids = ids
        self.deployments = deployments

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
        times are skipped, and so are runs that wait for their first start and that no user requested. Backfills are
        cancelled.
        """
        deployments = list(names)
        if pruned:
            self._skip_waiting(tx, deployments, now)
            cancel_pruned(tx, deployments, now)
            return self._process(tx, deployments, now, dict.fromkeys(deployments, "pruned"))
        held = {name: "held" for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._process(tx, deployments, now, held)

    def _process(self, tx: Transaction, names: list[str], now: datetime, refusals: Mapping[str, str]) -> list[Run]:
        """Decide the due times of these deployments; `refusals` gives the reason to skip all those of a deployment."""
        created: list[Run] = []
        gated: list[tuple[Deployment, list[Run]]] = []
        counts = queues.count_active(tx, names) if names else {}
        for name in dict.fromkeys(names):
            entry = inventory.find(tx, name)
            if entry is None or entry.cursor >= now:
                continue
            new = self._process_one(tx, entry, now, counts.get(name, ActiveRuns()), refusals.get(name))
            created += new
            if new and (deployment := self.deployment(entry)).after.upstreams:
                gated.append((deployment, new))
        runs.insert_all(tx, created)
        upstreams = set(names)
        for deployment, new in gated:
            create_gates(tx, deployment, new, self.deployments)
            upstreams.update(upstream.deployment for upstream in deployment.after.upstreams)
        settle(tx, self.deployments, now, upstreams)
        return created

    @staticmethod
    def _skip_waiting(tx: Transaction, names: list[str], now: datetime) -> None:
        """Skip the runs of these deployments that wait for their first start, and that no user requested."""
        for name in names:
            for run in select_all(tx, RunFilter(deployment=name, states=(RunState.PENDING,))):
                if run.trigger in AUTOMATIC and not run.attempt:
                    skip(tx, run, "pruned", now)

    def create_run(
        self,
        tx: Transaction,
        name: str,
        parameters: Mapping[str, Any],
        idempotency_key: str | None = None,
        *,
        due_time: datetime | None = None,
        schedule: Schedule | None = None,
    ) -> Run:
        """Create a manual run with these parameters, merged over those in git. Raises NotFoundError, UsageError.

        With `due_time`, the run becomes the latest one of that due time in the ledger.
        """
        entry = inventory.find(tx, name)
        if entry is None:
            raise not_active(tx, name)
        deployment = self.deployment(entry)
        run = self._run(
            tx,
            entry,
            schedule,
            trigger=Trigger.MANUAL,
            overrides=parameters,
            scheduled_for=due_time,
            idempotency_key=idempotency_key,
            serial=deployment.overlap in (Overlap.QUEUE, Overlap.REPLACE),
        )
        run = with_upstream(tx, deployment, run, self.deployments)
        runs.insert_all(tx, [run])
        if due_time is not None:
            occurrences.record_runs(tx, [ledger_entry(run, "" if schedule is None else schedule.id)])
        return run

    def event_runs(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        trigger: Trigger,
        events: Iterable[tuple[Mapping[str, Any], str | None]],
    ) -> list[Run]:
        """Create a run for each event, such as a new file, of its parameters and its idempotency key, if it has one.

        They wait for the other runs of the deployment, unless those may overlap, and have no start deadline. A run
        fails if one of its parameters refers to a result that the latest upstream runs do not have.
        """
        deployment, now = self.deployment(entry), self._clock.now()
        serial = deployment.overlap is not Overlap.ALLOW
        fields = {"trigger": trigger, "serial": serial, "revision": _revision(tx, entry)}
        upstream = find_latest(tx, deployment, now, self.deployments)
        created: list[Run] = []
        failed: list[tuple[Run, MissingResultError]] = []
        for overrides, key in events:
            run = self._run(tx, entry, None, overrides=overrides, idempotency_key=key, **fields)
            try:
                run = with_results(run, upstream) if deployment.after.upstreams else run
            except MissingResultError as error:
                failed.append((run, error))
            created.append(run)
        runs.insert_all(tx, created)
        for run, missing in failed:
            record_missing_result(tx, run, missing, now)
        return created

    def _process_one(
        self, tx: Transaction, entry: InventoryEntry, now: datetime, counts: ActiveRuns, refusal: str | None
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
        decisions = refuse(undecided, refusal) if refusal else decide(undecided, deployment, now, counts)
        is_behind = counts.delays_others(deployment.overlap_limit)
        created: list[Run] = []
        ledger: list[Occurrence] = []
        for decision in decisions:
            run = None
            if decision.reason is None:
                run = self._run(
                    tx,
                    entry,
                    decision.schedule,
                    trigger=Trigger.SCHEDULE,
                    overrides={},
                    scheduled_for=decision.instant,
                    not_before=decision.instant + decision.delay if decision.delay else None,
                    start_by=start_by(decision, deployment),
                    serial=decision.serial,
                )
                is_counted = not is_behind or counts.behind + len(created) >= MAX_BEHIND
                if run.serial and not is_counted:
                    run = replace(run, behind_backfill=True, start_by=None)
                created.append(run)
            ledger.append(
                _skipped_entry(entry.name, decision) if run is None else ledger_entry(run, decision.schedule.id)
            )
        occurrences.append(tx, ledger)
        if created and deployment.overlap is Overlap.REPLACE:
            keep = deployment.overlap_limit - len(created)
            replace_all(tx, entry.name, now, keep=keep)
        report_skips(tx, now, ledger, due_times.dropped, due_times.first)
        return created

    def backfill_run(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        due_time: datetime,
        schedule: Schedule | None,
        overrides: Mapping[str, Any],
    ) -> Run:
        """Build the run of a backfill for a due time; the caller inserts it. See `due_schedules` for `schedule`.

        Its parameters can still refer to results of upstream runs: see `upstream_runs`.
        """
        return self._run(
            tx,
            entry,
            schedule,
            trigger=Trigger.BACKFILL,
            overrides=overrides,
            scheduled_for=due_time,
            serial=self.deployment(entry).overlap is not Overlap.ALLOW,
        )

    def triggered_run(
        self, tx: Transaction, entry: InventoryEntry, trigger: Trigger, schedule: Schedule | None = None, **fields: Any
    ) -> Run:
        """Build a run that no user requested, and that no due time starts; the caller inserts it."""
        return self._run(tx, entry, schedule, trigger=trigger, overrides={}, **fields)

    def retry_with_latest(self, tx: Transaction, old: Run) -> Run:
        """Build a retry of a finished run with the code and the parameters of the active deployment.

        The parameters that the request for the old run set are kept, and references keep its due time. The caller
        inserts the run. Raises NotFoundError if the deployment is no longer active, and UsageError.
        """
        entry = inventory.find(tx, old.deployment)
        if entry is None:
            raise not_active(tx, old.deployment)
        deployment = self.deployment(entry)
        schedule = None
        if old.scheduled_for is not None:
            schedule = find_schedule(tx, deployment, old.scheduled_for)
        overrides = old.overrides
        if overrides is None:  # a run of an older version does not say which of its parameters were requested
            overrides = old.parameters if old.trigger is Trigger.MANUAL else {}
        is_of_backfill = old.backfill_id is not None
        run = self._run(
            tx,
            entry,
            schedule,
            trigger=Trigger.RETRY,
            overrides=overrides,
            scheduled_for=old.scheduled_for,
            due_time=due_time_of(tx, old) or runs.find_first(tx, old).created_at,
            serial=old.serial,
            priority=old.priority if is_of_backfill else deployment.priority,
            retry_of=old.id,
            backfill_id=old.backfill_id,
            upstream=with_current_names(tx, old.upstream),
            chain=None if old.scheduled_for is not None else old.chain or old.id,
        )
        return with_upstream(tx, deployment, run, self.deployments)

    def retry_with_upstream(self, tx: Transaction, old: Run, retry: Run) -> Run:
        """Return the retry of a run with its upstream runs; if that was never started, with the latest ones.

        Raises UsageError.
        """
        entry = inventory.find(tx, old.deployment)
        if old.attempt or entry is None:
            return replace(retry, upstream=old.upstream)
        return with_upstream(tx, self.deployment(entry), replace(retry, upstream=old.upstream), self.deployments)

    def _run(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        schedule: Schedule | None,
        *,
        overrides: Mapping[str, Any],
        **fields: Any,
    ) -> Run:
        """Build a pending run of the active deployment. `fields` override fields of the Run.

        `overrides` override the parameters of the deployment and of the schedule. References in them are resolved with
        `due_time`, else with the due time of the run, else with the current time, in the time zone of the schedule.
        """
        deployment = self.deployment(entry)
        now = self._clock.now()
        due_time = fields.pop("due_time", None) or fields.get("scheduled_for") or now
        zone, declared = (deployment.timezone, {}) if schedule is None else (schedule.timezone, schedule.parameters)
        parameters = {**deployment.parameters, **declared, **overrides}
        parameters = resolve_references(parameters, due_time, deployment.zones, schedule=zone)
        template = (schedule and schedule.run_name) or deployment.run_name
        values: dict[str, Any] = {
            "id": self.ids.new(now),
            "deployment": entry.name,
            "state": RunState.PENDING,
            "parameters": parameters,
            "name": run_name(template, {**deployment.matrix, **parameters}, due_time, deployment.zones, zone),
            "overrides": overrides,
            "created_at": now,
            "revision": fields.get("revision") or _revision(tx, entry),
            "file": entry.file,
            "spec_digest": entry.spec_digest,
            "version": deployment.version,
            "tags": deployment.tags,
            "queue": deployment.queue,
            "priority": deployment.priority,
            "overlap_limit": deployment.overlap_limit,
            "attempts": 1 + deployment.retries.limit,
            "retries": deployment.retries if deployment.retries.limit else None,
        }
        return Run(**{**values, **fields})

    def deployment(self, entry: InventoryEntry) -> Deployment:
        """Return the deployment that this entry declares."""
        return self.deployments.build(entry)


def active_revision(tx: Transaction) -> str | None:
    """Return the last applied revision of the source; None before the first one."""
    source = source_status.find(tx)
    return None if source is None else source.last_applied_revision


def _revision(tx: Transaction, entry: InventoryEntry) -> str:
    """Return the revision that the next run of this deployment executes."""
    return entry.pinned or active_revision(tx) or entry.revision


def ledger_entry(run: Run, schedule_id: str) -> Occurrence:
    """Return the row of the ledger for the run of a due time."""
    assert run.scheduled_for is not None
    return Occurrence(
        deployment=run.deployment,
        scheduled_for=run.scheduled_for,
        schedule=schedule_id,
        outcome=Outcome.RUN,
        run_id=run.id,
    )


def _skipped_entry(name: str, decision: Decision) -> Occurrence:
    return Occurrence(
        deployment=name,
        scheduled_for=decision.instant,
        schedule=decision.schedule.id,
        outcome=Outcome.SKIPPED,
        reason=decision.reason,
    )


def replace_all(tx: Transaction, name: str, now: datetime, *, by: RunId | None = None, keep: int = 0) -> None:
    """End all unfinished runs of this deployment but `by` and the newest `keep` ones. The run that replaces them waits.

    It ends neither redo runs nor the runs that wait behind them. A cancelled run that has not ended is not kept.
    """
    kept = 0
    for run in select_all(tx, RunFilter(deployment=name, states=ACTIVE)):
        is_behind = run.behind_backfill and run.state is RunState.PENDING
        if run.is_redo or is_behind or run.id == by:
            continue
        if kept < keep and run.cancel_reason is None:
            kept += 1
        elif run.state is not RunState.PENDING:
            cancel(tx, run, REPLACED, now)
        elif run.trigger in AUTOMATIC:
            skip(tx, run, "overlap", now)
